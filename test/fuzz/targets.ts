/**
 * The parsers of foreign files, each with good files to damage. A new parser is one row here; `npm run fuzz` and the test of this folder take
 * the rows as they stand. Small files are best: what matters is the number of inputs.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { HostArray } from '../../src/common/dtype.ts'
import { parseNaiveBuffer, serializeNaiveBuffer } from '../../src/io/formats/naive-buffer/naive-buffer.ts'
import { decodeState } from '../../src/io/formats/pdparams/decode.ts'
import { readPickle } from '../../src/io/formats/pickle/read.ts'
import { parseNpy, serializeNpy } from '../../src/io/npy.ts'
import { parseNpz, serializeNpz } from '../../src/io/npz.ts'
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.ts'

export interface FuzzTarget {
  readonly name: string
  /** Good files; each must be accepted as it is. */
  readonly seeds: () => readonly Uint8Array[]
  readonly parse: (bytes: Uint8Array) => unknown
}

const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))))

const floats: HostArray = { dtype: 'float32', shape: [3, 5], data: Float32Array.from({ length: 15 }, (_, i) => i / 7) }
const longs: HostArray = { dtype: 'int64', shape: [4], data: BigInt64Array.of(1n, -1n, 1n << 40n, 0n) }
const arrays = { floats, longs, 'a.b.c': { dtype: 'bfloat16', shape: [], data: Uint16Array.of(0x3f80) } as HostArray }

/** A .npy file with another header. */
function npyOf(descr: string, fortran: boolean, elementBytes: number): Uint8Array {
  const header =
    `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (3, 5), }`.padEnd(117) + '\n'
  return new Uint8Array(
    Buffer.concat([
      Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'),
      Buffer.from(header),
      Buffer.alloc(15 * elementBytes, 1),
    ]),
  )
}

const pickles = [
  'proto2.pdparams',
  'proto3.pdparams',
  'proto4.pdparams',
  'nested.pd',
  'dtypes.pdparams',
  'sliced_proto2.pdparams',
  'tensor.pdtensor',
]

/** The recorded program with few weights. */
function smallNaiveBuffer(): Uint8Array {
  const model = parseNaiveBuffer(fixture('lite/simplecnn_v32.x86.nb'))
  return serializeNaiveBuffer({ ...model, parameters: arrays })
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'pickle',
    seeds: () => pickles.map((name) => fixture(`pickles/${name}`)),
    parse: (bytes) => readPickle(bytes),
  },
  {
    name: 'pdparams',
    seeds: () => [...pickles, 'adamw_sched.pdopt'].map((name) => fixture(`pickles/${name}`)),
    parse: (bytes) => decodeState(bytes, (array) => array),
  },
  { name: 'nb', seeds: () => [smallNaiveBuffer()], parse: parseNaiveBuffer },
  {
    name: 'npy',
    seeds: () => [
      serializeNpy(floats),
      serializeNpy(longs),
      npyOf('>u2', true, 2),
      npyOf('|b1', false, 1),
      npyOf('<u8', true, 8),
    ],
    parse: (bytes) => parseNpy(bytes),
  },
  {
    name: 'npz',
    seeds: () => [serializeNpz(arrays), serializeNpz(arrays, { compress: true })],
    parse: (bytes) => parseNpz(bytes),
  },
  {
    name: 'safetensors',
    seeds: () => [serializeSafetensors(arrays, { author: 'none' }), fixture('safetensors/reference.safetensors')],
    parse: parseSafetensors,
  },
]
