/**
 * Reading an ONNX file into its messages. Nothing in a file is trusted: the number of messages is bounded by the size of the file, graphs in
 * graphs by a depth, ranks and sizes by what can be addressed. Bytes of tensors are views of the file.
 */
import { FormatError } from '../../../common/errors.ts'
import { WireList, WireReader } from '../protobuf/wire.ts'
import { Budget } from './budget.ts'
import { MAX_RANK, readEntry, readTensor } from './decode-tensor.ts'
import type {
  OnnxAttributeValue,
  OnnxDim,
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
} from './model.ts'

const MAX_DEPTH = 16
/** Parses the bytes of a `.onnx` file. Throws FormatError. */
export function parseOnnx(bytes: Uint8Array): OnnxModel {
  const budget = new Budget(bytes.byteLength)
  const reader = new WireReader(bytes)
  const opsets = new Map<string, number>()
  const metadata: [string, string][] = []
  let irVersion = 0
  let producerName = ''
  let producerVersion = ''
  const functions: OnnxFunction[] = []
  let graph: OnnxGraph | undefined
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        irVersion = Number(reader.int64())
        break
      case 2:
        producerName = reader.string()
        break
      case 3:
        producerVersion = reader.string()
        break
      case 7:
        graph = readGraph(reader.message(), budget, 0)
        break
      case 8:
        opsets.set(...readOpset(reader.message(), budget))
        break
      case 14:
        budget.spend()
        metadata.push(readEntry(reader.message()))
        break
      case 25:
        functions.push(readFunction(reader.message(), budget))
        break
      default:
        reader.skip()
    }
  }
  if (!graph) throw new FormatError('ONNX: there is no graph in it: empty, truncated, or not an ONNX model')
  return {
    irVersion,
    opsets,
    producerName,
    producerVersion,
    graph,
    functions,
    metadata: Object.fromEntries(metadata),
  }
}

/** 'ai.onnx' is another name of the standard operators. */
const domainOf = (name: string): string => (name === 'ai.onnx' ? '' : name)

function readOpset(reader: WireReader, budget: Budget): [domain: string, version: number] {
  budget.spend()
  let domain = ''
  let version = 0
  while (reader.next()) {
    if (reader.field === 1) domain = reader.string()
    else if (reader.field === 2) version = Number(reader.int64())
    else reader.skip()
  }
  return [domainOf(domain), version]
}

function readGraph(reader: WireReader, budget: Budget, depth: number): OnnxGraph {
  if (depth > MAX_DEPTH) throw new FormatError(`ONNX: graphs inside graphs, more than ${MAX_DEPTH} deep`)
  budget.spend()
  const nodes: OnnxNode[] = []
  const initializers: OnnxTensor[] = []
  const [inputs, outputs, valueInfos]: OnnxValueInfo[][] = [[], [], []] as never
  let name = ''
  let sparseInitializers = 0
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        nodes.push(readNode(reader.message(), budget, depth))
        break
      case 2:
        name = reader.string()
        break
      case 5:
        initializers.push(readTensor(reader.message(), budget))
        break
      case 11:
        inputs!.push(readValueInfo(reader.message(), budget))
        break
      case 12:
        outputs!.push(readValueInfo(reader.message(), budget))
        break
      case 13:
        valueInfos!.push(readValueInfo(reader.message(), budget))
        break
      case 15:
        sparseInitializers++
        reader.skip()
        break
      default:
        reader.skip()
    }
  }
  return { name, nodes, initializers, sparseInitializers, inputs: inputs!, outputs: outputs!, valueInfos: valueInfos! }
}

function readFunction(reader: WireReader, budget: Budget): OnnxFunction {
  budget.spend()
  const [inputs, outputs]: string[][] = [[], []] as never
  const nodes: OnnxNode[] = []
  const opsets = new Map<string, number>()
  const defaults = new Map<string, OnnxAttributeValue>()
  let [name, domain, overload] = ['', '', '']
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.string()
        break
      case 4:
        budget.spend()
        inputs!.push(reader.string())
        break
      case 5:
        budget.spend()
        outputs!.push(reader.string())
        break
      case 7:
        nodes.push(readNode(reader.message(), budget, 0))
        break
      case 9:
        opsets.set(...readOpset(reader.message(), budget))
        break
      case 10:
        domain = reader.string()
        break
      case 11: {
        const attribute = readAttribute(reader.message(), budget, 0)
        defaults.set(attribute.name, attribute.value)
        break
      }
      case 13:
        overload = reader.string()
        break
      default:
        reader.skip()
    }
  }
  return { name, domain: domainOf(domain), overload, inputs: inputs!, outputs: outputs!, nodes, opsets, defaults }
}

function readNode(reader: WireReader, budget: Budget, depth: number): OnnxNode {
  budget.spend()
  const inputs: string[] = []
  const outputs: string[] = []
  const attributes = new Map<string, OnnxAttributeValue>()
  let [name, opType, domain, overload] = ['', '', '', '']
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        budget.spend()
        inputs.push(reader.string())
        break
      case 2:
        budget.spend()
        outputs.push(reader.string())
        break
      case 3:
        name = reader.string()
        break
      case 4:
        opType = reader.string()
        break
      case 5: {
        const attribute = readAttribute(reader.message(), budget, depth)
        attributes.set(attribute.name, attribute.value)
        break
      }
      case 7:
        domain = reader.string()
        break
      case 8:
        overload = reader.string()
        break
      default:
        reader.skip()
    }
  }
  return { opType, domain: domainOf(domain), overload, name, inputs, outputs, attributes }
}

/** `AttributeProto.AttributeType`, as far as it is read. */
const KINDS: Readonly<Record<number, OnnxAttributeValue['kind']>> = {
  1: 'float',
  2: 'int',
  3: 'string',
  4: 'tensor',
  5: 'graph',
  6: 'floats',
  7: 'ints',
  8: 'strings',
}

function readAttribute(
  reader: WireReader,
  budget: Budget,
  depth: number,
): { readonly name: string; readonly value: OnnxAttributeValue } {
  budget.spend()
  const found = new Map<OnnxAttributeValue['kind'], OnnxAttributeValue>()
  const put = (value: OnnxAttributeValue): void => void found.set(value.kind, value)
  const floats = new WireList((n) => new Float32Array(n))
  const ints: (number | bigint)[] = []
  const strings: string[] = []
  let name = ''
  let type = 0
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.string()
        break
      case 2:
        put({ kind: 'float', value: reader.float() })
        break
      case 3:
        put({ kind: 'int', value: reader.int64() })
        break
      case 4:
        put({ kind: 'string', value: reader.string() })
        break
      case 5:
        put({ kind: 'tensor', value: readTensor(reader.message(), budget) })
        break
      case 6:
        put({ kind: 'graph', value: readGraph(reader.message(), budget, depth + 1) })
        break
      case 7:
        reader.floats(floats)
        break
      case 8:
        reader.int64Numbers(ints)
        break
      case 9:
        budget.spend()
        strings.push(reader.string())
        break
      case 20:
        type = reader.int32()
        break
      case 21:
        put({ kind: 'reference', value: reader.string() })
        break
      default:
        reader.skip()
    }
  }
  if (floats.elements.length > 0) put({ kind: 'floats', value: Array.from(floats.elements) })
  if (ints.length > 0) put({ kind: 'ints', value: ints })
  if (strings.length > 0) put({ kind: 'strings', value: strings })
  return { name, value: chooseValue(type, found) }
}

/** Files of the first IR versions tell no type: the field that is there is the value. A list, or a text, without elements is not written. */
function chooseValue(
  type: number,
  found: ReadonlyMap<OnnxAttributeValue['kind'], OnnxAttributeValue>,
): OnnxAttributeValue {
  const kind = KINDS[type]
  if (kind === undefined)
    return [...found.values()][0] ?? { kind: 'other', value: type === 0 ? 'nothing' : `attribute type ${type}` }
  const value = found.get('reference') ?? found.get(kind)
  if (value) return value
  if (kind === 'floats' || kind === 'ints') return { kind, value: [] }
  if (kind === 'strings') return { kind, value: [] }
  if (kind === 'string') return { kind, value: '' }
  if (kind === 'float' || kind === 'int') return { kind, value: 0 }
  throw new FormatError(`ONNX: an attribute of type ${kind} without a value`)
}

function readValueInfo(reader: WireReader, budget: Budget): OnnxValueInfo {
  budget.spend()
  let name = ''
  let dataType = 0
  let shape: OnnxDim[] | null = null
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) {
      const type = reader.message()
      while (type.next()) {
        if (type.field !== 1) {
          type.skip()
          continue
        }
        const tensor = type.message()
        while (tensor.next()) {
          if (tensor.field === 1) dataType = tensor.int32()
          else if (tensor.field === 2) shape = readShape(tensor.message(), budget)
          else tensor.skip()
        }
      }
    } else reader.skip()
  }
  if (shape && shape.length > MAX_RANK) throw new FormatError(`ONNX: value '${name}' has ${shape.length} axes`)
  return { name, dataType, shape }
}

function readShape(reader: WireReader, budget: Budget): OnnxDim[] {
  const dims: OnnxDim[] = []
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip()
      continue
    }
    budget.spend()
    const dim = reader.message()
    let value: OnnxDim = ''
    while (dim.next()) {
      if (dim.field === 1) {
        const size = Number(dim.int64())
        // Some exporters write -1 for a size that is not known.
        value = Number.isSafeInteger(size) && size >= 0 ? size : ''
      } else if (dim.field === 2) value = dim.string()
      else dim.skip()
    }
    dims.push(value)
  }
  return dims
}
