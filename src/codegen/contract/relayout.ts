/**
 * Copies a windowed operand to a temporary in which windows need no tests: zeros stand where coordinates leave an axis, and the axis along
 * which the product packs vectors lies innermost. The operand is read once; a convolution reads each element of it many times.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { DType } from '../../common/dtype.ts'
import { add, and, constant, div, ge, index, load, lt, max, min, mul, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, type Memory } from './assembler.ts'
import { reachOf, type AffineCase, type AffineDim } from './affine.ts'
import type { StepList } from './form.ts'

export interface Source {
  readonly memory: Memory
  readonly dtype: DType
  readonly offset: number
}

/** Elements that a thread copies at a time. */
const GRAIN_ELEMENTS = 20_000

/** Coordinates [low, high] that an axis needs in any of the cases. */
export interface Reach {
  readonly low: number
  readonly high: number
}

export function reaches(cases: readonly AffineCase[], side: 'lhs' | 'rhs'): Reach[] {
  return cases[0]![side].map((_, i) => {
    const all = cases.map((c) => reachOf(c[side][i]!, c.sizes))
    return { low: Math.min(...all.map((r) => r.low)), high: Math.max(...all.map((r) => r.high)) }
  })
}

/** Whether any coordinate that is needed lies outside the operand. */
export function leavesAxes(dims: readonly AffineDim[], reach: readonly Reach[]): boolean {
  return dims.some((dim, i) => reach[i]!.low < 0 || reach[i]!.high >= dim.size)
}

/**
 * Copies the operand's axes in `order` (outer to inner) with the coordinates that `reach` names, and returns the copy with the stride and
 * the first coordinate of each axis.
 */
export function relayout(
  source: Source,
  dims: readonly AffineDim[],
  reach: readonly Reach[],
  order: readonly number[],
  title: string,
  list: StepList,
): { source: Source; strides: number[] } {
  const lengths = reach.map((r) => r.high - r.low + 1)
  const strides = new Array<number>(dims.length).fill(0)
  let elements = 1
  for (const i of [...order].reverse()) {
    strides[i] = elements
    elements *= lengths[i]!
  }
  const memory = list.temporary(elements * sizeOf(source.dtype))

  const k = new Assembler(`lay out ${title}`)
  const from = k.memory(source.memory, source.dtype, 'read')
  const to = k.memory(memory, source.dtype, 'write')
  const offset = k.size(source.offset)
  const axes = order.map((i) => ({
    size: k.size(dims[i]!.size),
    stride: k.stride(dims[i]!.stride),
    low: k.size(reach[i]!.low),
    length: k.size(lengths[i]!),
  }))
  const inner = axes.at(-1)!
  const middle = axes.length > 1 ? axes.at(-2)! : { size: index(1), stride: index(0), low: index(0), length: index(1) }
  const outer = axes.slice(0, -2)
  const zero = constant(0, load(from, 0).type.scalar)
  k.parallel('t', (t) => {
    let rest = t
    let at = offset
    let inside: Expr | null = null
    const visit = (axis: (typeof axes)[number], position: Expr): void => {
      const c = k.let('c', add(position, axis.low))
      const ok = and(ge(c, 0), lt(c, axis.size))
      inside = inside ? and(inside, ok) : ok
      at = add(at, mul(c, axis.stride))
    }
    outer.toReversed().forEach((axis, n) => {
      const last = n === outer.length - 1
      visit(axis, last ? rest : k.let('p', rem(rest, axis.length)))
      if (!last) rest = k.let('q', div(rest, axis.length))
    })
    const outerAt = k.let('at', at)
    const outerInside = inside as Expr | null
    // The inner axis: zeros, the part inside, zeros.
    const begin = k.let('begin', min(inner.length, max(sub(0, inner.low), index(0))))
    const end = k.let('end', max(begin, min(inner.length, sub(inner.size, inner.low))))
    k.loop('row', 0, middle.length, 1, (row) => {
      at = outerAt
      inside = outerInside
      visit(middle, row)
      const target = k.let('target', mul(add(mul(t, middle.length), row), inner.length))
      const start = k.let('start', add(at, mul(inner.low, inner.stride)))
      const fill = (a: Expr | number, b: Expr): void => k.vector('i', a, b, (i) => k.store(to, add(target, i), zero))
      k.if(
        inside!,
        () => {
          fill(0, begin)
          k.vector('i', begin, end, (i) => k.store(to, add(target, i), load(from, add(start, mul(i, inner.stride)))))
          fill(end, inner.length)
        },
        () => fill(0, inner.length),
      )
    })
  })
  const block = lengths[order.at(-1)!]! * (order.length > 1 ? lengths[order.at(-2)!]! : 1)
  list.steps.push(k.step(elements / block, GRAIN_ELEMENTS / block, 0, 2 * elements * sizeOf(source.dtype)))
  return { source: { memory, dtype: source.dtype, offset: 0 }, strides }
}

/** The dims of an operand that was laid out anew: no coordinate leaves its axis. */
export function afterRelayout(
  dims: readonly AffineDim[],
  reach: readonly Reach[],
  strides: readonly number[],
): AffineDim[] {
  return dims.map((dim, i) => ({
    size: reach[i]!.high - reach[i]!.low + 1,
    stride: strides[i]!,
    terms: dim.terms,
    shift: dim.shift - reach[i]!.low,
  }))
}
