/** Reading the messages of tensors: their bytes stay views of the file. */
import { FormatError } from '../../../common/errors.ts'
import { WireList, type WireReader } from '../protobuf/wire.ts'
import type { Budget } from './budget.ts'
import type { ExternalData, OnnxTensor, TensorContent } from './model.ts'

/** More axes than a tensor may have. */
export const MAX_RANK = 64

export function readTensor(reader: WireReader, budget: Budget): OnnxTensor {
  budget.spend()
  const dims: (number | bigint)[] = []
  const floats = new WireList((n) => new Float32Array(n))
  const doubles = new WireList((n) => new Float64Array(n))
  const int32s = new WireList((n) => new Int32Array(n))
  const int64s = new WireList((n) => new BigInt64Array(n))
  const external: [string, string][] = []
  let raw: Uint8Array | undefined
  let [name, dataType, location] = ['', 0, 0]
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        reader.int64Numbers(dims)
        break
      case 2:
        dataType = reader.int32()
        break
      case 4:
        reader.floats(floats)
        break
      case 5:
        reader.int32s(int32s)
        break
      case 7:
        reader.int64s(int64s)
        break
      case 8:
        name = reader.string()
        break
      case 9:
        raw = reader.bytes()
        break
      case 10:
        reader.doubles(doubles)
        break
      case 13:
        budget.spend()
        external.push(readEntry(reader.message()))
        break
      case 14:
        location = reader.int32()
        break
      default:
        reader.skip()
    }
  }
  return { name, dims: checkDims(name, dims), dataType, content: content() }

  function content(): TensorContent {
    if (location === 1) return { kind: 'external', at: externalData(name, Object.fromEntries(external)) }
    if (raw) return { kind: 'raw', bytes: raw }
    if (floats.elements.length > 0) return { kind: 'floats', values: floats.elements }
    if (doubles.elements.length > 0) return { kind: 'doubles', values: doubles.elements }
    if (int32s.elements.length > 0) return { kind: 'int32s', values: int32s.elements }
    if (int64s.elements.length > 0) return { kind: 'int64s', values: int64s.elements }
    return { kind: 'none' }
  }
}

/** Sizes of a tensor. Throws FormatError for what no tensor has, or cannot be addressed. */
function checkDims(name: string, dims: readonly (number | bigint)[]): number[] {
  const sizes = dims.map(Number)
  let elements = 1
  for (const d of sizes) elements *= d
  if (
    dims.length > MAX_RANK ||
    sizes.some((d) => !Number.isSafeInteger(d) || d < 0) ||
    !Number.isSafeInteger(elements * 8)
  )
    throw new FormatError(`ONNX: tensor '${name}' has the shape [${dims.slice(0, 8).join(', ')}], which no tensor has`)
  return sizes
}

function externalData(name: string, entries: Readonly<Record<string, string>>): ExternalData {
  const number = (key: string): number | undefined => {
    const text = entries[key]
    if (text === undefined) return undefined
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
      throw new FormatError(`ONNX: the ${key} of tensor '${name}' in its external file is '${text}'`)
    return value
  }
  const { location } = entries
  if (location === undefined) throw new FormatError(`ONNX: tensor '${name}' is in an external file that is not named`)
  return { location, offset: number('offset') ?? 0, length: number('length') }
}

/** One entry of a map of texts. */
export function readEntry(reader: WireReader): [key: string, value: string] {
  let key = ''
  let value = ''
  while (reader.next()) {
    if (reader.field === 1) key = reader.string()
    else if (reader.field === 2) value = reader.string()
    else reader.skip()
  }
  return [key, value]
}
