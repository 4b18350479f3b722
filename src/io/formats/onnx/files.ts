/**
 * ONNX models on disk. Weights stand in the file; those of models above 2 GB, which protobuf cannot hold, in one file beside it. The data
 * file's name holds its content's hash: whatever dies and when, a model finds the data that it was written with.
 */
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { replaceFile } from '../../atomic.ts'
import { readBytes } from '../../files.ts'
import { aboutFile } from '../about-file.ts'
import type { OperatorProgram } from '../program/program.ts'
import { parseOnnx } from './decode.ts'
import { serializeOnnx } from './encode.ts'
import { readExternalData } from './external-data.ts'
import type { OnnxModel, OnnxTensor } from './model.ts'
import { programOfOnnx } from './reader/read.ts'
import { onnxOfProgram, type OnnxWriteOptions } from './writer/write.ts'

/** Protobuf's limit is 2^31 - 1 bytes a message. */
const MAX_INSIDE = 2 ** 31 - 2 ** 24
/** Smaller weights stay in the file: tools read them while they infer shapes. */
const SMALL = 1024
/** Readers map files into memory by pages. */
const ALIGNMENT = 4096
const CHUNK = 64 << 20

/**
 * Reads a `.onnx` file, with its external data, as a program: `new TranslatedLayer(await readOnnxModel(path))` is a layer that runs and trains.
 * Throws StorageError, and FormatError that names all that is not supported.
 */
export async function readOnnxModel(path: string): Promise<OperatorProgram> {
  const bytes = await readBytes(path)
  return aboutFile(path, async () => {
    const model = parseOnnx(bytes)
    return programOfOnnx(model, await readExternalData(path, model))
  })
}

export interface OnnxFileOptions extends OnnxWriteOptions {
  /** Whether weights go to a file of their own. Default: where the model is above 2 GB. */
  readonly externalData?: boolean
}

/**
 * Writes a program as a `.onnx` file, atomically; `metadata` goes into `metadata_props`. Throws ArgumentError, StorageError, and FormatError
 * that names all operators that ONNX cannot express.
 */
export async function writeOnnxModel(
  program: OperatorProgram,
  path: string,
  options: OnnxFileOptions = {},
): Promise<void> {
  const model = onnxOfProgram(program, options)
  const size = model.graph.initializers.reduce((sum, t) => sum + bytesIn(t).byteLength, 0)
  const external = options.externalData ?? size > MAX_INSIDE
  const target = resolve(path)
  const dataName = external ? await writeData(target, model) : null
  const written = dataName === null ? model : withExternalData(model, dataName)
  const bytes = serializeOnnx(written)
  await replaceFile(target, async (sink) => {
    for (let at = 0; at < bytes.byteLength; at += CHUNK) await sink.write(bytes.subarray(at, at + CHUNK))
  })
  await removeStaleData(target, dataName)
}

function bytesIn(tensor: OnnxTensor): Uint8Array {
  return tensor.content.kind === 'raw' ? tensor.content.bytes : new Uint8Array(0)
}

const isLarge = (tensor: OnnxTensor): boolean => bytesIn(tensor).byteLength >= SMALL

/** Where each large tensor begins. */
function offsetsOf(model: OnnxModel): ReadonlyMap<OnnxTensor, number> {
  const offsets = new Map<OnnxTensor, number>()
  let at = 0
  for (const tensor of model.graph.initializers.filter(isLarge)) {
    offsets.set(tensor, at)
    at = Math.ceil((at + bytesIn(tensor).byteLength) / ALIGNMENT) * ALIGNMENT
  }
  return offsets
}

/** Writes the data file; returns its name. */
async function writeData(target: string, model: OnnxModel): Promise<string> {
  const hash = createHash('sha256')
  for (const tensor of offsetsOf(model).keys()) hash.update(bytesIn(tensor))
  const name = `${basename(target)}.${hash.digest('hex').slice(0, 16)}.data`
  await replaceFile(join(dirname(target), name), async (sink) => {
    let at = 0
    for (const [tensor, offset] of offsetsOf(model)) {
      if (offset > at) await sink.write(new Uint8Array(offset - at))
      const bytes = bytesIn(tensor)
      for (let from = 0; from < bytes.byteLength; from += CHUNK) await sink.write(bytes.subarray(from, from + CHUNK))
      at = offset + bytes.byteLength
    }
  })
  return name
}

function withExternalData(model: OnnxModel, location: string): OnnxModel {
  const offsets = offsetsOf(model)
  const initializers = model.graph.initializers.map((tensor): OnnxTensor => {
    const offset = offsets.get(tensor)
    if (offset === undefined) return tensor
    return { ...tensor, content: { kind: 'external', at: { location, offset, length: bytesIn(tensor).byteLength } } }
  })
  return { ...model, graph: { ...model.graph, initializers } }
}

/** Data of models that this one has replaced. */
async function removeStaleData(target: string, current: string | null): Promise<void> {
  for (const file of await dataFilesOf(target))
    if (basename(file) !== current) await rm(file, { force: true }).catch(() => {})
}

/** The data files that were written for a model, also for those that stood at its path before. */
export async function dataFilesOf(path: string): Promise<string[]> {
  const base = basename(path)
  const names = await readdir(dirname(path)).catch(() => [])
  const isData = (name: string): boolean =>
    name.startsWith(`${base}.`) && /^\.[0-9a-f]{16}\.data$/.test(name.slice(base.length))
  return names.filter(isData).map((name) => join(dirname(path), name))
}
