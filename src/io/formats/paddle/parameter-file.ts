/**
 * `.pdiparams`: tensors one after another without names, in the bytewise order of their names; and the files of one tensor each that stand
 * beside an old `__model__`. One record: u32 version, u64 number of LoD levels, each with its bytes; u32 version of the tensor, i32 length of
 * its description, the description (a TensorDesc), the elements.
 */
import { sizeOf, type HostArray } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { bytesOf, fromBytes } from '../../host-array.ts'
import { WireReader } from '../protobuf/wire.ts'
import { WireWriter } from '../protobuf/wire-writer.ts'
import { readTensorDesc } from './program-desc-reader.ts'
import { writeTensorDesc } from './program-desc-writer.ts'
import { dtypeOfVarType, varTypeOf } from './program-desc.ts'

/** A description holds a type and at most this many sizes. */
const MAX_RANK = 64

const encoder = new TextEncoder()

/** Names in the order in which their tensors lie in a combined file: that of their UTF-8 bytes. */
export function parameterOrder(names: Iterable<string>): string[] {
  const keyed = Array.from(names, (name) => ({ name, key: encoder.encode(name) }))
  return keyed.sort((a, b) => compareBytes(a.key, b.key)).map(({ name }) => name)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length)
  for (let i = 0; i < common; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Reads the tensors of a combined file; `names` are those of all that it holds, in any order. Arrays are views where they are aligned. */
export function parseParameters(bytes: Uint8Array, names: Iterable<string>): Map<string, HostArray> {
  const arrays = new Map<string, HostArray>()
  let at = 0
  for (const name of parameterOrder(names)) {
    if (at === bytes.length)
      throw new FormatError(`pdiparams: the file ends before '${name}': it belongs to another program, or is truncated`)
    const { array, end } = parseTensor(bytes, at, name)
    arrays.set(name, array)
    at = end
  }
  if (at !== bytes.length)
    throw new FormatError(
      `pdiparams: ${bytes.length - at} bytes after the last of ${arrays.size} tensors: it belongs to another program`,
    )
  return arrays
}

/** Reads a file that holds one tensor. */
export function parseParameter(bytes: Uint8Array, name: string): HostArray {
  const { array, end } = parseTensor(bytes, 0, name)
  if (end !== bytes.length) throw new FormatError(`parameter '${name}': ${bytes.length - end} bytes after the tensor`)
  return array
}

function parseTensor(bytes: Uint8Array, start: number, name: string): { array: HostArray; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const corrupt = (what: string): FormatError => new FormatError(`pdiparams: tensor '${name}' at byte ${start} ${what}`)
  let at = start
  const take = (count: number): number => {
    if (count > bytes.length - at) throw corrupt(`is truncated: ${count} bytes are due, there are ${bytes.length - at}`)
    const from = at
    at += count
    return from
  }
  const version = view.getUint32(take(4), true)
  if (version !== 0) throw corrupt(`has version ${version}, 0 is known: it belongs to another program, or is corrupt`)
  const levels = view.getBigUint64(take(8), true)
  if (levels > BigInt(bytes.length)) throw corrupt(`has ${levels} levels of detail`)
  for (let i = 0; i < levels; i++) {
    const size = view.getBigUint64(take(8), true)
    if (size > BigInt(bytes.length)) throw corrupt(`has a level of detail of ${size} bytes`)
    take(Number(size))
  }
  const tensorVersion = view.getUint32(take(4), true)
  if (tensorVersion !== 0) throw corrupt(`has version ${tensorVersion} of its data, 0 is known`)
  const length = view.getInt32(take(4), true)
  if (length < 0) throw corrupt(`has a description of ${length} bytes`)
  const from = take(length)
  const { dataType, dims } = readTensorDesc(new WireReader(bytes.subarray(from, from + length)))
  const dtype = dtypeOfVarType(dataType)
  if (!dtype) throw corrupt(`has elements of type ${dataType}, which tensors here do not have`)
  if (dims.length > MAX_RANK) throw corrupt(`has ${dims.length} axes`)
  const shape = dims.map(Number)
  let count = sizeOf(dtype)
  for (const d of shape) {
    count *= d
    if (d < 0 || !Number.isSafeInteger(count)) throw corrupt(`has the shape [${shape.join(', ')}]`)
  }
  const data = take(count)
  return { array: fromBytes(dtype, shape, bytes.subarray(data, data + count)), end: at }
}

/** What stands before the elements of a tensor. */
function tensorHead(array: HostArray): Uint8Array {
  const writer = new WireWriter()
  writeTensorDesc(writer, { dataType: varTypeOf(array.dtype), dims: array.shape })
  const description = writer.finish()
  const head = new Uint8Array(20 + description.length)
  new DataView(head.buffer).setInt32(16, description.length, true)
  head.set(description, 20)
  return head
}

/** The bytes of a combined file, piece after piece, so that a writer can stream them. */
export function* parameterChunks(arrays: ReadonlyMap<string, HostArray>): Generator<Uint8Array> {
  for (const name of parameterOrder(arrays.keys())) {
    const array = arrays.get(name)!
    yield tensorHead(array)
    if (array.data.byteLength > 0) yield bytesOf(array)
  }
}
