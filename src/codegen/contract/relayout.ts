/**
 * Copies a windowed operand to a temporary in which windows need no tests: zeros stand where coordinates leave an axis, and the axis along
 * which the product packs vectors lies innermost. The operand is read once; a convolution reads each element of it many times.
 */
import { sizeOf } from '../../common/dtype.ts'
import type { DType } from '../../common/dtype.ts'
import {
  add,
  and,
  constant,
  div,
  gather,
  ge,
  index,
  load,
  lt,
  max,
  min,
  mul,
  rem,
  sub,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, isStride, type Memory } from './assembler.ts'
import { reachOf, type AffineCase, type AffineDim } from './affine.ts'
import type { StepList } from './form.ts'

export interface Source {
  readonly memory: Memory
  readonly dtype: DType
  readonly offset: number
  /** Whether the values never change. */
  readonly isConstant?: boolean
}

/** Elements that a thread copies at a time. */
const GRAIN_ELEMENTS = 20_000

/** Coordinates [low, high] that an axis needs in any of the cases. */
export interface Reach {
  readonly low: number
  readonly high: number
}

export function reaches(cases: readonly AffineCase[], side: 'lhs' | 'rhs'): Reach[] {
  const read = cases.filter((c) => [...c.sizes.values()].every((n) => n > 0))
  return cases[0]![side].map((_, i) => {
    const all = read.map((c) => reachOf(c[side][i]!, c.sizes))
    if (all.length === 0) return { low: 0, high: 0 }
    return { low: Math.min(...all.map((r) => r.low)), high: Math.max(...all.map((r) => r.high)) }
  })
}

/** Numbers of the axes as they lie in memory, outermost first; `last`, where it is an axis, behind all others. */
export function byStride(dims: readonly AffineDim[], last = -1): number[] {
  const order = dims.map((_, i) => i).sort((i, j) => Math.abs(dims[j]!.stride) - Math.abs(dims[i]!.stride) || i - j)
  return last < 0 ? order : [...order.filter((i) => i !== last), last]
}

/** Whether any coordinate that is needed lies outside the operand. */
export function leavesAxes(dims: readonly AffineDim[], reach: readonly Reach[]): boolean {
  return dims.some((dim, i) => reach[i]!.low < 0 || reach[i]!.high >= dim.size)
}

/**
 * Copies the operand's axes in `order` (outer to inner) with the coordinates that `reach` names, and returns the copy with the stride of
 * each axis. With `phases` p > 1 each row of the innermost axis is p runs, of every p-th element each, of `run` elements.
 */
export function relayout(
  source: Source,
  dims: readonly AffineDim[],
  reach: readonly Reach[],
  order: readonly number[],
  title: string,
  list: StepList,
  phases = 1,
): { source: Source; strides: number[]; run: number } {
  const lengths = reach.map((r) => r.high - r.low + 1)
  const run = Math.ceil(lengths[order.at(-1)!]! / phases)
  lengths[order.at(-1)!] = run * phases
  const strides = new Array<number>(dims.length).fill(0)
  let elements = 1
  for (const i of [...order].reverse()) {
    strides[i] = elements
    elements *= lengths[i]!
  }
  const memory = list.temporary(elements * sizeOf(source.dtype))

  const k = new Assembler(`lay out ${order.length} ${phases}`, `lay out ${title}`)
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
  const runSize = phases === 1 ? inner.length : k.size(run)
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
    const place = { outerAt, outerInside, target: k.let('target', mul(t, mul(middle.length, inner.length))) }
    if (phases > 1 || isStride(inner.stride, 1)) copyRows(k, { from, to, zero }, middle, inner, place, phases, runSize)
    else copyTransposed(k, { from, to, zero }, middle, inner, place)
  })
  const block = lengths[order.at(-1)!]! * (order.length > 1 ? lengths[order.at(-2)!]! : 1)
  list.steps.push(k.step(elements / block, GRAIN_ELEMENTS / block, 0, 2 * elements * sizeOf(source.dtype)))
  return { source: { ...source, memory, offset: 0 }, strides, run }
}

export interface CopyAxis {
  readonly size: Expr
  readonly stride: Expr
  readonly low: Expr
  readonly length: Expr
}

export interface CopyBuffers {
  readonly from: BufferParameter
  readonly to: BufferParameter
  readonly zero: Expr
}

export interface CopyPlace {
  readonly outerAt: Expr
  /** Null where there are no axes but the two innermost. */
  readonly outerInside: Expr | null
  readonly target: Expr
}

/**
 * The part [begin, end) of a run of the copy's axis that lies inside the operand's. With `phases` p > 1 a run has every p-th element of the axis,
 * from `phase` on.
 */
export function insideOf(
  k: Assembler,
  axis: Pick<CopyAxis, 'size' | 'low'>,
  run: Expr,
  phases = 1,
  phase: Expr | number = 0,
): { begin: Expr; end: Expr } {
  const ceilPhases = (x: Expr): Expr => (phases === 1 ? x : div(add(x, phases - 1), phases))
  const begin = k.let('begin', min(run, max(ceilPhases(sub(sub(0, axis.low), phase)), 0)))
  return { begin, end: k.let('end', max(begin, min(run, ceilPhases(sub(sub(axis.size, axis.low), phase))))) }
}

/**
 * Row by row: zeros, the part inside, zeros. With `phases` p > 1 a row is p runs, of every p-th element each, `run` elements long: a window
 * that moves by p then reads neighbours.
 */
export function copyRows(
  k: Assembler,
  b: CopyBuffers,
  middle: CopyAxis,
  inner: CopyAxis,
  place: CopyPlace,
  phases = 1,
  run: Expr = inner.length,
): void {
  const copyRun = (inside: Expr, start: Expr, target: Expr, phase: Expr): void => {
    const { begin, end } = insideOf(k, inner, run, phases, phase)
    const fill = (from: Expr | number, to: Expr): void => {
      k.vector('i', from, to, (i) => k.store(b.to, add(target, i), b.zero))
    }
    k.if(
      inside,
      () => {
        const step = mul(inner.stride, phases)
        fill(0, begin)
        k.vector('i', begin, end, (i) => k.store(b.to, add(target, i), load(b.from, add(start, mul(i, step)))))
        fill(end, run)
      },
      () => fill(0, run),
    )
  }
  k.loop('row', 0, middle.length, 1, (row) => {
    const c = k.let('c', add(row, middle.low))
    const insideRow = and(ge(c, 0), lt(c, middle.size))
    const inside = place.outerInside ? and(place.outerInside, insideRow) : insideRow
    const start = k.let('start', add(add(place.outerAt, mul(c, middle.stride)), mul(inner.low, inner.stride)))
    const target = k.let('to', add(place.target, mul(row, mul(run, phases))))
    if (phases === 1) {
      copyRun(inside, start, target, index(0))
    } else {
      k.loop('phase', 0, phases, 1, (phase) => {
        copyRun(
          inside,
          k.let('from', add(start, mul(phase, inner.stride))),
          k.let('to', add(target, mul(phase, run))),
          phase,
        )
      })
    }
  })
}

/**
 * For an inner axis that is not innermost in the operand: tiles of 16 rows, one cache line of the operand each, and four lines at a
 * time, because the lines of neighbouring inner elements may all fall into one set of the cache.
 */
function copyTransposed(k: Assembler, b: CopyBuffers, middle: CopyAxis, inner: CopyAxis, place: CopyPlace): void {
  const { begin, end } = insideOf(k, inner, inner.length)
  const rows = insideOf(k, middle, middle.length)
  const zeroRows = (from: Expr, to: Expr): void => {
    const stop = k.let('stop', add(place.target, mul(to, inner.length)))
    k.vector('i', add(place.target, mul(from, inner.length)), stop, (i) => k.store(b.to, i, b.zero))
  }
  const inside = (): void => {
    zeroRows(index(0), rows.begin)
    k.loop('tile', rows.begin, rows.end, 16, (tile) => {
      const tileEnd = k.let('tileEnd', min(add(tile, 16), rows.end))
      const zeroColumns = (from: Expr | number, to: Expr): void => {
        k.loop('row', tile, tileEnd, 1, (row) => {
          const at = k.let('at', add(place.target, mul(row, inner.length)))
          k.loop('i', from, to, 1, (i) => k.store(b.to, add(at, i), b.zero))
        })
      }
      zeroColumns(0, begin)
      const columns = (i: Expr, lanes: number): void => {
        const start = add(place.outerAt, add(mul(middle.low, middle.stride), mul(add(i, inner.low), inner.stride)))
        const source = k.let('source', start)
        const target = k.let('to', add(place.target, i))
        k.loop('row', tile, tileEnd, 1, (row) => {
          const at = k.let('at', add(source, mul(row, middle.stride)))
          const value = lanes === 1 ? load(b.from, at) : gather(b.from, at, inner.stride, lanes)
          k.store(b.to, add(target, mul(row, inner.length)), value)
        })
      }
      const whole = k.let('whole', sub(end, rem(sub(end, begin), 4)))
      k.loop('i', begin, whole, 4, (i) => columns(i, 4))
      k.loop('i', whole, end, 1, (i) => columns(i, 1))
      zeroColumns(end, inner.length)
    })
    zeroRows(rows.end, middle.length)
  }
  if (place.outerInside) k.if(place.outerInside, inside, () => zeroRows(index(0), middle.length))
  else inside()
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
