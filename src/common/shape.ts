/** Shape arithmetic: sizes, strides, axes, broadcasting. Shapes are plain arrays of non-negative integers; [] is rank 0. */
import { ArgumentError, ShapeError } from './errors.ts'

export type Shape = readonly number[]

/** Product of the dimensions: 1 for rank 0. */
export function numel(shape: Shape): number {
  let n = 1
  for (const d of shape) n *= d
  return n
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let s = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = s
    s *= shape[i]!
  }
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Shapes of several arrays as a key of maps. */
export function shapesKey(shapes: readonly Shape[]): string {
  return shapes.map((s) => s.join('x')).join(' ')
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

/** The axis counted from the front; negative axes count from the back. Throws ArgumentError outside [-rank, rank). */
export function normalizeAxis(axis: number, rank: number, op: string): number {
  const a = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || a < 0 || a >= rank) {
    throw new ArgumentError(
      `${op}: axis ${axis} is out of range for a tensor of rank ${rank} (allowed: ${-rank} to ${rank - 1})`,
    )
  }
  return a
}

/** The axes counted from the front, sorted; `undefined` means all. Throws ArgumentError on a repeated axis. */
export function normalizeAxes(axes: number | readonly number[] | undefined, rank: number, op: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i)
  const list = typeof axes === 'number' ? [axes] : axes
  const out = list.map((a) => normalizeAxis(a, rank, op)).sort((a, b) => a - b)
  for (let i = 1; i < out.length; i++) {
    if (out[i] === out[i - 1]) throw new ArgumentError(`${op}: axis ${out[i]} is given twice in [${list.join(', ')}]`)
  }
  return out
}

/** NumPy's broadcasting rule. Throws ShapeError that shows both shapes. */
export function broadcastShapes(a: Shape, b: Shape, op: string): number[] {
  const rank = Math.max(a.length, b.length)
  const out = new Array<number>(rank)
  for (let i = 0; i < rank; i++) {
    const da = a[i - rank + a.length] ?? 1
    const db = b[i - rank + b.length] ?? 1
    if (da !== db && da !== 1 && db !== 1) {
      throw new ShapeError(
        `${op}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast: ${da} and ${db} differ at axis ${i - rank} and neither is 1`,
      )
    }
    out[i] = da === 1 ? db : da
  }
  return out
}

/** The dtype in which coordinates of a shape, and sums of them with `reach`, are counted: the narrow one where it holds them. */
export function coordinateType(shape: Shape, reach = 0): 'int32' | 'int64' {
  return shape.every((d) => d < 2 ** 30) && Math.abs(reach) < 2 ** 30 ? 'int32' : 'int64'
}

/** Whether every entry is a non-negative integer and the elements can be addressed. */
export function isAddressable(shape: Shape): boolean {
  let n = 8
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0) return false
    n *= d
  }
  return n <= Number.MAX_SAFE_INTEGER
}

/** Checks that every entry is a non-negative safe integer and that the size can be addressed. */
export function checkShape(shape: Shape, op: string): void {
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0) {
      throw new ShapeError(`${op}: shape ${formatShape(shape)} has ${d}; dimensions must be non-negative integers`)
    }
  }
  if (!Number.isSafeInteger(numel(shape) * 8))
    throw new ShapeError(`${op}: shape ${formatShape(shape)} has too many elements to address`)
}
