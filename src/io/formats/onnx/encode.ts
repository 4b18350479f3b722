/** Writing the messages of an ONNX file. Fields stand in the order of their numbers, as protobuf's own writers have it. */
import { WireWriter } from '../protobuf/wire-writer.ts'
import type {
  OnnxAttributeValue,
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
} from './model.ts'

/** The bytes of a `.onnx` file. */
export function serializeOnnx(model: OnnxModel): Uint8Array {
  const writer = new WireWriter()
  writer.varint(1, model.irVersion)
  writer.string(2, model.producerName)
  writer.string(3, model.producerVersion)
  writer.message(7, (w) => {
    writeGraph(w, model.graph)
  })
  writeOpsets(writer, 8, model.opsets)
  for (const entry of Object.entries(model.metadata)) writeEntry(writer, 14, entry)
  for (const f of model.functions)
    writer.message(25, (w) => {
      writeFunction(w, f)
    })
  return writer.finish()
}

function writeOpsets(writer: WireWriter, field: number, opsets: ReadonlyMap<string, number>): void {
  for (const [domain, version] of opsets)
    writer.message(field, (w) => {
      if (domain !== '') w.string(1, domain)
      w.varint(2, version)
    })
}

function writeFunction(writer: WireWriter, f: OnnxFunction): void {
  writer.string(1, f.name)
  for (const name of f.inputs) writer.string(4, name)
  for (const name of f.outputs) writer.string(5, name)
  for (const node of f.nodes)
    writer.message(7, (w) => {
      writeNode(w, node)
    })
  writeOpsets(writer, 9, f.opsets)
  writer.string(10, f.domain)
  writeAttributes(writer, 11, f.defaults)
  if (f.overload !== '') writer.string(13, f.overload)
}

function writeEntry(writer: WireWriter, field: number, [key, value]: readonly [string, string]): void {
  writer.message(field, (w) => {
    w.string(1, key)
    w.string(2, value)
  })
}

function writeGraph(writer: WireWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes)
    writer.message(1, (w) => {
      writeNode(w, node)
    })
  writer.string(2, graph.name)
  for (const tensor of graph.initializers)
    writer.message(5, (w) => {
      writeTensor(w, tensor)
    })
  for (const value of graph.inputs)
    writer.message(11, (w) => {
      writeValueInfo(w, value)
    })
  for (const value of graph.outputs)
    writer.message(12, (w) => {
      writeValueInfo(w, value)
    })
  for (const value of graph.valueInfos)
    writer.message(13, (w) => {
      writeValueInfo(w, value)
    })
}

function writeNode(writer: WireWriter, node: OnnxNode): void {
  for (const name of node.inputs) writer.string(1, name)
  for (const name of node.outputs) writer.string(2, name)
  writer.string(3, node.name)
  writer.string(4, node.opType)
  writeAttributes(writer, 5, node.attributes)
  if (node.domain !== '') writer.string(7, node.domain)
  if (node.overload !== undefined && node.overload !== '') writer.string(8, node.overload)
}

function writeAttributes(writer: WireWriter, field: number, attributes: ReadonlyMap<string, OnnxAttributeValue>): void {
  for (const [name, value] of attributes)
    writer.message(field, (w) => {
      w.string(1, name)
      writeAttribute(w, value)
    })
}

/** The value, and its type in field 20. */
function writeAttribute(writer: WireWriter, attribute: OnnxAttributeValue): void {
  switch (attribute.kind) {
    case 'float':
      writer.float(2, attribute.value)
      return writer.varint(20, 1)
    case 'int':
      writer.varint(3, attribute.value)
      return writer.varint(20, 2)
    case 'string':
      writer.string(4, attribute.value)
      return writer.varint(20, 3)
    case 'tensor':
      writer.message(5, (w) => {
        writeTensor(w, attribute.value)
      })
      return writer.varint(20, 4)
    case 'graph':
      writer.message(6, (w) => {
        writeGraph(w, attribute.value)
      })
      return writer.varint(20, 5)
    case 'floats':
      for (const v of attribute.value) writer.float(7, v)
      return writer.varint(20, 6)
    case 'ints':
      for (const v of attribute.value) writer.varint(8, v)
      return writer.varint(20, 7)
    case 'strings':
      for (const v of attribute.value) writer.string(9, v)
      return writer.varint(20, 8)
    case 'reference':
      return writer.string(21, attribute.value)
    case 'other':
      return
    default:
      attribute satisfies never
  }
}

function writeTensor(writer: WireWriter, tensor: OnnxTensor): void {
  for (const d of tensor.dims) writer.varint(1, d)
  writer.varint(2, tensor.dataType)
  const { content } = tensor
  if (content.kind === 'floats') writer.packedFloats(4, content.values)
  if (content.kind === 'int32s') writer.packed(5, content.values)
  if (content.kind === 'int64s') writer.packed(7, content.values)
  writer.string(8, tensor.name)
  if (content.kind === 'raw') writer.bytes(9, content.bytes)
  if (content.kind === 'doubles') writer.packedFloats(10, content.values)
  if (content.kind === 'external') {
    const { location, offset, length } = content.at
    writeEntry(writer, 13, ['location', location])
    writeEntry(writer, 13, ['offset', String(offset)])
    if (length !== undefined) writeEntry(writer, 13, ['length', String(length)])
    writer.varint(14, 1)
  }
}

function writeValueInfo(writer: WireWriter, value: OnnxValueInfo): void {
  writer.string(1, value.name)
  if (value.dataType === 0) return
  writer.message(2, (type) => {
    type.message(1, (tensor) => {
      tensor.varint(1, value.dataType)
      const { shape } = value
      if (!shape) return
      tensor.message(2, (w) => {
        for (const dim of shape)
          w.message(1, (d) => {
            if (typeof dim === 'number') d.varint(1, dim)
            else if (dim !== '') d.string(2, dim)
          })
      })
    })
  })
}
