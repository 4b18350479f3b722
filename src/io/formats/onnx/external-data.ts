/**
 * Tensors that lie in files beside the model, as models above 2 GB must have them. A model names such a file itself, so its name is checked:
 * it must lie in the model's directory, also after links are followed.
 */
import { open, realpath } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { allocateBytes } from '../../../common/memory.ts'
import { sizeOf } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { numel } from '../../../common/shape.ts'
import { noteRead } from '../../file-trace.ts'
import { withStorageErrors } from '../../storage-error.ts'
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from './model.ts'
import { tensorDType, type ExternalBytes } from './tensor-data.ts'

const CHUNK = 64 << 20

/** All tensors of a model: of its graph, its functions, and the graphs inside. */
export function* tensorsOf(model: OnnxModel): Generator<OnnxTensor> {
  yield* inGraph(model.graph)
  for (const f of model.functions) {
    yield* inAttributes(f.defaults)
    for (const node of f.nodes) yield* inAttributes(node.attributes)
  }
}

function* inGraph(graph: OnnxGraph): Generator<OnnxTensor> {
  yield* graph.initializers
  for (const node of graph.nodes) yield* inAttributes(node.attributes)
}

function* inAttributes(attributes: OnnxNode['attributes']): Generator<OnnxTensor> {
  for (const attribute of attributes.values()) {
    if (attribute.kind === 'tensor') yield attribute.value
    if (attribute.kind === 'graph') yield* inGraph(attribute.value)
  }
}

/** Path of an external file. Throws FormatError for one outside the model's directory. */
export async function externalPath(modelPath: string, location: string): Promise<string> {
  const refused = new FormatError(
    `ONNX: the model wants data from '${location}', which is not a file in its own directory; models are read from there only`,
  )
  const parts = location.split('/')
  if (location === '' || /[\0\\:]/.test(location) || location.startsWith('/') || parts.includes('..')) throw refused
  const directory = await withStorageErrors('reading', modelPath, () => realpath(dirname(resolve(modelPath))))
  const path = join(directory, ...parts)
  // Not where links lead: they may lead elsewhere later.
  noteRead(path)
  const real = await withStorageErrors('reading', path, () => realpath(path))
  if (!real.startsWith(directory.endsWith(sep) ? directory : directory + sep)) throw refused
  return real
}

/** Reads the external tensors of a model; each file once. Throws FormatError, StorageError. */
export async function readExternalData(modelPath: string, model: OnnxModel): Promise<ExternalBytes> {
  const byLocation = new Map<string, OnnxTensor[]>()
  for (const tensor of tensorsOf(model))
    if (tensor.content.kind === 'external') {
      const { location } = tensor.content.at
      const tensors = byLocation.get(location)
      if (tensors) tensors.push(tensor)
      else byLocation.set(location, [tensor])
    }
  const bytes = new Map<OnnxTensor, Uint8Array>()
  for (const [location, tensors] of byLocation) {
    const path = await externalPath(modelPath, location)
    await withStorageErrors('reading', path, () => readInto(bytes, path, tensors))
  }
  return (tensor) => bytes.get(tensor)!
}

async function readInto(bytes: Map<OnnxTensor, Uint8Array>, path: string, tensors: OnnxTensor[]): Promise<void> {
  const handle = await open(path, 'r')
  try {
    const info = await handle.stat()
    if (!info.isFile()) throw new FormatError(`ONNX: '${path}' is not a file`)
    // Overlapping ranges could ask for more memory than there is data.
    let budget = info.size
    for (const tensor of tensors) {
      const { content } = tensor
      if (content.kind !== 'external') continue
      const wanted = numel(tensor.dims) * sizeOf(tensorDType(tensor))
      const { offset, length = wanted } = content.at
      budget -= wanted
      if (length !== wanted || offset + wanted > info.size || budget < 0)
        throw new FormatError(
          `ONNX: tensor '${tensor.name}' takes ${wanted} bytes; '${path}' of ${info.size} bytes has ${length} for it from ${offset}`,
        )
      const out = new Uint8Array(allocateBytes(wanted, `tensor '${tensor.name}'`))
      for (let at = 0; at < wanted;) {
        const { bytesRead } = await handle.read(out, at, Math.min(CHUNK, wanted - at), offset + at)
        if (bytesRead === 0) throw new FormatError(`ONNX: '${path}' was cut off while it was read`)
        at += bytesRead
      }
      bytes.set(tensor, out)
    }
  } finally {
    await handle.close()
  }
}
