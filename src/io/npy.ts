/**
 * The .npy format of NumPy (versions 1.0, 2.0 and 3.0): one array with a header that is a Python dictionary literal.
 * Source: NumPy Enhancement Proposal 1 and `numpy.lib.format`. Reads C and Fortran order, both byte orders, and widens the
 * integers that have no dtype here; writes version 1.0, little-endian, C order.
 */
import type { HostArray } from '../common/dtype.ts'
import { FormatError } from '../common/errors.ts'
import { bytesOf } from './host-array.ts'
import { arrayFromNumpy, numpyDescr, type NumpyLayout, type NumpyReadOptions } from './numpy-array.ts'

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const MAX_HEADER = 1 << 20

export type NpyReadOptions = NumpyReadOptions

/**
 * Reads one .npy file. Elements that need no conversion are viewed in place where they are aligned.
 * Throws FormatError on anything that is not a whole .npy file of numbers.
 */
export function parseNpy(bytes: Uint8Array, options: NpyReadOptions = {}): HostArray {
  const { header, dataStart } = readHeader(bytes)
  const layout = parseHeader(header)
  try {
    return arrayFromNumpy(layout, bytes.subarray(dataStart), options)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new FormatError(`npy: ${cause.message}`, { cause })
  }
}

/** The bytes of a .npy file, version 1.0. */
export function serializeNpy(array: HostArray): Uint8Array {
  const comma = array.shape.length === 1 ? ',' : ''
  const dictionary = `{'descr': '${numpyDescr[array.dtype]}', 'fortran_order': False, 'shape': (${array.shape.join(', ')}${comma}), }`
  const headerLength = Math.ceil((MAGIC.length + 4 + dictionary.length + 1) / 64) * 64 - MAGIC.length - 4
  const header = `${dictionary.padEnd(headerLength - 1)}\n`
  const out = new Uint8Array(MAGIC.length + 4 + headerLength + array.data.byteLength)
  out.set(MAGIC)
  out.set([1, 0, headerLength & 0xff, headerLength >>> 8], MAGIC.length)
  out.set(new TextEncoder().encode(header), MAGIC.length + 4)
  out.set(bytesOf(array), MAGIC.length + 4 + headerLength)
  return out
}

function readHeader(bytes: Uint8Array): { header: string; dataStart: number } {
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new FormatError("npy: not a .npy file (it does not begin with '\\x93NUMPY')")
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 12) throw new FormatError(`npy: truncated in the header: ${bytes.byteLength} bytes`)
  const major = bytes[6]!
  if (major < 1 || major > 3)
    throw new FormatError(`npy: version ${major}.${bytes[7]} is unknown (1.0, 2.0 and 3.0 are)`)
  const start = major === 1 ? 10 : 12
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > MAX_HEADER || start + length > bytes.byteLength) {
    throw new FormatError(`npy: truncated or corrupt: a header of ${length} bytes in a file of ${bytes.byteLength}`)
  }
  const text = new TextDecoder(major === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, start + length))
  return { header: text, dataStart: start + length }
}

function parseHeader(header: string): NumpyLayout {
  const foreign = (what: string) =>
    new FormatError(`npy: the header has no usable ${what}: ${JSON.stringify(header.trim().slice(0, 200))}`)
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1]
  if (!descr) throw foreign("'descr' (structured types are not supported)")
  const fortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1]
  if (!fortran) throw foreign("'fortran_order'")
  const tuple = /'shape':\s*\(([\s\d,L]*)\)/.exec(header)?.[1]
  if (tuple === undefined) throw foreign("'shape'")
  const fields = tuple.split(',').map((field) => field.trim())
  if (fields.at(-1) === '') fields.pop()
  const shape = fields.map((field) => {
    if (!/^\d+L?$/.test(field)) throw foreign("'shape'")
    return Number.parseInt(field, 10)
  })
  return { descr, fortran: fortran === 'True', shape }
}
