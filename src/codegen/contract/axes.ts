/**
 * Flattened axes: several letters counted by one number, and the way back to the memory offsets of the views that carry them.
 * Neighbouring letters that are one run of memory in every view are merged first, so that common layouts need no division.
 */
import { add, div, index, max, min, mul, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import type { Assembler } from './assembler.ts'

/** One loop of an iteration space, with its stride in each of the views that go through the space together. */
export interface Axis {
  readonly size: number
  readonly strides: readonly number[]
}

/** Axes in the order outer to inner, fewer of them if possible. At least one is left. */
export function mergeAxes(axes: readonly Axis[], views: number): Axis[] {
  const merged: Axis[] = []
  for (const axis of axes) {
    const outer = merged.at(-1)
    if (outer && outer.strides.every((s, v) => s === axis.strides[v]! * axis.size)) {
      merged[merged.length - 1] = { size: outer.size * axis.size, strides: axis.strides }
    } else {
      merged.push(axis)
    }
  }
  return merged.length > 0 ? merged : [{ size: 1, strides: new Array<number>(views).fill(0) }]
}

export function axesSize(axes: readonly Axis[]): number {
  return axes.reduce((n, a) => n * a.size, 1)
}

/** Where a flat coordinate lies. */
export interface Position {
  /** In each view. */
  readonly offsets: readonly Expr[]
  /** Coordinate on the innermost axis. */
  readonly inner: Expr
}

/** Axes whose sizes and strides are parameters of a kernel. */
export class FlatAxes {
  readonly sizes: readonly Expr[]
  readonly strides: readonly (readonly Expr[])[]
  private readonly views: number

  /** `isEverySecond`: strides of 2 on the innermost axis stand in the kernel. */
  constructor(assembler: Assembler, axes: readonly Axis[], views: number, isEverySecond = false) {
    this.views = views
    assembler.note(`axes ${axes.length} ${views}`)
    // An empty axis is never walked, but its size divides.
    this.sizes = axes.map((a) => assembler.size(Math.max(1, a.size)))
    const two = (n: number): boolean => isEverySecond && n === axes.length - 1
    this.strides = axes.map((a, n) => a.strides.map((s) => (two(n) ? assembler.smallStride(s) : assembler.stride(s))))
  }

  get innerSize(): Expr {
    return this.sizes[this.sizes.length - 1]!
  }

  innerStride(view: number): Expr {
    return this.strides[this.strides.length - 1]![view]!
  }

  /** Emits the divisions that take a flat coordinate apart. */
  locate(k: Assembler, flat: Expr): Position {
    return this.fold(k, flat, this.sizes.length)
  }

  /** The same for a coordinate that counts all axes but the innermost. */
  locateOuter(k: Assembler, flat: Expr): readonly Expr[] {
    return this.fold(k, flat, this.sizes.length - 1).offsets
  }

  private fold(k: Assembler, flat: Expr, axes: number): Position {
    const offsets: Expr[] = new Array<Expr>(this.views).fill(index(0))
    let inner: Expr = index(0)
    let rest = flat
    for (let a = axes - 1; a >= 0; a--) {
      const coordinate = a === 0 ? rest : k.let('c', rem(rest, this.sizes[a]!))
      if (a === axes - 1) inner = coordinate
      this.strides[a]!.forEach((s, v) => (offsets[v] = add(offsets[v]!, mul(coordinate, s))))
      if (a > 0) rest = k.let('q', div(rest, this.sizes[a]!))
    }
    return { offsets: offsets.map((o) => k.let('o', o)), inner }
  }
}

/** Several iterations of a run at once. */
export interface Wide {
  readonly step: number
  readonly body: (iteration: Expr, offset: Expr) => void
}

/**
 * Loops over the flat range [from, to) as runs along the innermost axis, so that only a run's start needs divisions. `body` gets the
 * number of the iteration counted from `from`, and the offset in view 0; it is laid out `copies` times. `wide` does `wide.step` iterations where
 * a run has as many.
 */
export function loopRuns(
  k: Assembler,
  axes: FlatAxes,
  from: Expr,
  to: Expr,
  body: (iteration: Expr, offset: Expr) => void,
  copies = 1,
  wide: Wide | null = null,
): void {
  const walk = (from: Expr, to: Expr, at: (i: Expr) => readonly [iteration: Expr, offset: Expr]): void => {
    let first = from
    if (wide) {
      const whole = k.let('whole', sub(to, rem(sub(to, from), wide.step)))
      k.loop('k', from, whole, wide.step, (i) => wide.body(...at(i)))
      first = whole
    }
    if (copies === 1) k.loop('k', first, to, 1, (i) => body(...at(i)))
    else k.unrolled('k', first, to, copies, (i) => body(...at(i)))
  }
  const stride = axes.innerStride(0)
  if (axes.sizes.length === 1) {
    const start = k.let('start', mul(from, stride))
    walk(index(0), k.let('n', sub(to, from)), (i) => [i, add(start, mul(i, stride))])
    return
  }
  const size = axes.innerSize
  k.loop('run', div(from, size), div(add(to, sub(size, 1)), size), 1, (run) => {
    const [start] = axes.locateOuter(k, run)
    const first = k.let('first', mul(run, size))
    const begin = k.let('begin', sub(max(from, first), first))
    const end = k.let('end', sub(min(to, add(first, size)), first))
    const shift = k.let('shift', sub(first, from))
    walk(begin, end, (i) => [add(shift, i), add(start!, mul(i, stride))])
  })
}
