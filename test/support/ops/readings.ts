/** Ways to read an array of another shape: what the input of an op may be besides a plain array. */
import type { DType } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import type { Node } from '../../../src/graph/node.ts'

export interface Reading {
  readonly name: string
  readonly from: Shape
  read(x: Node): Node
}

export const readings: readonly Reading[] = [
  { name: 'rank 0', from: [], read: (x) => x },
  { name: 'one element', from: [1], read: (x) => x },
  { name: 'transposed', from: [5, 7], read: (x) => g.permute(x, [1, 0]) },
  { name: 'flipped', from: [33], read: (x) => g.flip(x, [0]) },
  { name: 'every second', from: [3, 17], read: (x) => g.slice(x, [0, 1], [3, 17], [1, 2]) },
  { name: 'repeated', from: [3, 1], read: (x) => g.expand(x, [3, 17]) },
  { name: 'padded', from: [3, 5], read: (x) => g.pad(x, [1, 0], [0, 2]) },
  { name: 'reshaped and moved', from: [2, 3, 4], read: (x) => g.reshape(g.permute(x, [2, 0, 1]), [8, 3]) },
  { name: 'windows', from: [9], read: (x) => g.window(x, 0, 3, 2) },
]

export const emptyReadings: readonly Reading[] = [
  { name: 'empty', from: [0], read: (x) => x },
  { name: 'empty rows', from: [3, 0], read: (x) => g.permute(x, [1, 0]) },
]

let turn = 0
/** The next reading in turn: over many ops all kinds come by. */
const nextReading = (): Reading => readings[turn++ % readings.length]!

/** Readings for an op with a dtype: of the dtypes that are computed as another one is, only some get a kernel more. */
export function readingsFor(dtype: DType): Reading[] {
  const often = dtype === 'float32' || dtype === 'int32' || dtype === 'bool'
  return often || turn++ % 4 === 0 ? [nextReading(), ...emptyReadings] : [...emptyReadings]
}
