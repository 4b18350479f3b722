/**
 * What is known of a value before a program runs: dtype, shape, and of small integers (which decide the shapes of others) their numbers.
 * A size is a number, or the name of a size: two sizes of one name are equal. `''` is a size of which nothing is known.
 */
import type { DType } from '../../../../common/dtype.ts'

export type Dim = number | string

export interface Known {
  readonly dtype: DType
  /** Null where not even the rank is known. */
  readonly shape: readonly Dim[] | null
  /** The elements of a vector or scalar of integers, as far as they are known: names of sizes, or ''. */
  readonly content?: readonly Dim[] | undefined
}

/** The name of the size of an input's axis that may have any. */
export const axisName = (input: string, axis: number): string => `${input}.${axis}`

/** More elements than a shape has are not followed. */
export const MAX_CONTENT = 64

export const isNumber = (d: Dim | undefined): d is number => typeof d === 'number'

/** All as numbers, or null where one is not known. */
export function numbersOf(dims: readonly Dim[] | null | undefined): number[] | null {
  return dims && dims.every(isNumber) ? [...dims] : null
}

/** Whether both are known to be the same size. */
export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  return a !== undefined && a === b && a !== ''
}

/** Sizes as a program tells them: -1 where any size is possible. */
export function sizesOf(shape: readonly Dim[]): number[] {
  return shape.map((d) => (isNumber(d) ? d : -1))
}

export function dimsOf(sizes: readonly number[]): Dim[] {
  return sizes.map((d) => (d < 0 ? '' : d))
}

function broadcastDim(a: Dim, b: Dim): Dim {
  if (a === 1) return b
  if (b === 1) return a
  if (isNumber(a)) return a
  if (isNumber(b)) return b
  return sameDim(a, b) ? a : ''
}

/** NumPy's broadcasting of what is known. */
export function broadcastDims(shapes: readonly (readonly Dim[] | null)[]): Dim[] | null {
  let out: Dim[] = []
  for (const shape of shapes) {
    if (!shape) return null
    const rank = Math.max(out.length, shape.length)
    out = Array.from({ length: rank }, (_, i) =>
      broadcastDim(out[i - rank + out.length] ?? 1, shape[i - rank + shape.length] ?? 1),
    )
  }
  return out
}

/** Arithmetic of sizes; '' where an operand is not a number. */
export function arithmetic(a: Dim | undefined, b: Dim | undefined, f: (a: number, b: number) => number): Dim {
  return isNumber(a) && isNumber(b) ? f(a, b) : ''
}

/** Product of sizes; '' where one is not a number and none is 0. */
export function productOf(dims: readonly Dim[]): Dim {
  return dims.includes(0)
    ? 0
    : dims.reduce<Dim>((a, b) => (a === 1 ? b : b === 1 ? a : arithmetic(a, b, (x, y) => x * y)), 1)
}

/** The axis counted from the front. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)
