/**
 * A contraction with what its structure tells, its operands as they are or copied to where windows need no tests, and the normal form that the
 * templates of products take.
 */
import { hasTerm, isEmptyCase, letterStride, originOf, type AffineCase, type AffineDim } from './affine.ts'
import { besideOut, epilogueOf, resultView, type Form, type FormAxis, type StepList } from './form.ts'
import type { ContractProblem } from './problem.ts'
import { afterRelayout, reaches, relayout, type Source } from './relayout.ts'
import type { VectorWindow } from './unpacked.ts'

/** A problem with what its structure tells. */
export interface Contraction {
  readonly problem: ContractProblem
  readonly cases: readonly AffineCase[]
  /** Letters that are taps and positions of windows. */
  readonly taps: ReadonlySet<number>
  readonly positions: ReadonlySet<number>
  readonly title: string
}

export interface Letters {
  readonly batch: readonly number[]
  readonly left: readonly number[]
  readonly right: readonly number[]
  readonly contracted: readonly number[]
}

/** Sorts letters by the operands that have them, in the order in which the result, then the operands, name them. */
export function sortLetters(c: AffineCase, absent: ReadonlySet<number>): Letters {
  const letters = [...c.sizes.keys()].filter((l) => !absent.has(l))
  const inLhs = (l: number): boolean => hasTerm(c.lhs, l)
  const inRhs = (l: number): boolean => hasTerm(c.rhs, l)
  const inOut = (l: number): boolean => hasTerm(c.out, l)
  return {
    batch: letters.filter((l) => inOut(l) && inLhs(l) && inRhs(l)),
    left: letters.filter((l) => inOut(l) && inLhs(l) && !inRhs(l)),
    right: letters.filter((l) => inOut(l) && !inLhs(l)),
    contracted: letters.filter((l) => !inOut(l)),
  }
}

export interface Side {
  readonly source: Source
  /** By case. */
  readonly dims: readonly (readonly AffineDim[])[]
}

export function unchanged({ problem, cases }: Contraction, side: 'lhs' | 'rhs'): Side {
  return { source: sourceOf(problem, side), dims: cases.map((one) => one[side]) }
}

/** A copy of an operand with the axes in this order, outermost first, in which windows stay inside. */
export function laidOut(c: Contraction, side: 'lhs' | 'rhs', order: readonly number[], list: StepList): Side {
  const { problem, cases, title } = c
  const reach = reaches(cases, side)
  const copy = relayout(sourceOf(problem, side), cases[0]![side], reach, order, title, list)
  return { source: copy.source, dims: cases.map((one) => afterRelayout(one[side], reach, copy.strides)) }
}

export function sourceOf(problem: ContractProblem, side: 'lhs' | 'rhs'): Source {
  const isConstant = problem.constant?.[side] === true
  return { memory: { kind: side }, dtype: problem.dtype, offset: problem[side].offset, isConstant }
}

/**
 * The normal form of one case. Columns, along which vectors run, are the free letters of the operand with windows over free taps; else of
 * the one that shares the result's unit stride; else of the one with positions of windows, which are many.
 */
export function formOf(
  c: Contraction,
  one: AffineCase,
  sources: readonly [Source, Source],
  absent: ReadonlySet<number>,
  x?: Pick<VectorWindow, 'side' | 'position' | 'tap'>,
): Form {
  const { problem, taps } = c
  const { epilogue } = problem
  const letters = sortLetters(one, absent)
  const stride = (side: 'lhs' | 'rhs' | 'out', letter: number): number => letterStride(one[side], letter)
  const score = (side: 'lhs' | 'rhs', free: readonly number[]): number => {
    const isWindowed = one[side].some((d) => d.terms.length > 1)
    const unit = Math.max(...free.map((l) => 4 * Number(stride('out', l) === 1) + 2 * Number(stride(side, l) === 1)), 0)
    const position = Number(free.some((l) => c.positions.has(l)))
    return unit + position + 8 * Number(isWindowed && free.some((l) => taps.has(l)))
  }
  const swap = x ? x.side === 'lhs' : score('lhs', letters.left) > score('rhs', letters.right)
  const [a, b] = swap ? (['rhs', 'lhs'] as const) : (['lhs', 'rhs'] as const)
  const isEmpty = isEmptyCase(one, taps)
  const isEverySecond = (l: number): boolean =>
    c.positions.has(l) && [...one.lhs, ...one.rhs].some((d) => d.terms.some((t) => t.letter === l && t.factor === 2))
  const axis = (l: number): FormAxis => ({
    size: one.sizes.get(l)!,
    a: stride(a, l),
    b: stride(b, l),
    out: stride('out', l),
    operands: (epilogue?.operands ?? []).map((o) => letterStride(besideOut(one.out, o.strides), l)),
    ...(isEverySecond(l) ? { isEverySecond: true } : {}),
  })
  const tapsFirst = (list: readonly number[]): number[] => [
    ...list.filter((l) => taps.has(l)),
    ...list.filter((l) => !taps.has(l)),
  ]
  // Taps are too few for vectors, and packing visits an operand with windows more often than the result is written.
  const vectorLast = (free: readonly number[]): FormAxis[] => {
    const list = free.map(axis)
    const plain = list.filter((_, i) => !taps.has(free[i]!))
    const best =
      list.find((x) => x.out === 1 && x.b === 1) ??
      (plain.length < list.length ? plain.find((x) => x.b === 1) : undefined) ??
      list.find((x) => x.out === 1) ??
      list.find((x) => x.b === 1)
    return [...list.filter((x) => x !== best), ...(best ? [best] : [])]
  }
  const view = (side: 'lhs' | 'rhs'): Source => {
    const s = sources[side === 'lhs' ? 0 : 1]
    return { ...s, offset: s.offset + originOf(one[side]) }
  }
  /** With the letters of the window of vectors innermost. */
  const windowLast = (list: readonly number[]): FormAxis[] => {
    const isLast = (l: number): boolean => l === x?.position || l === x?.tap
    return [...list.filter((l) => !isLast(l)), ...list.filter(isLast)].map(axis)
  }
  const contracted = x ? windowLast(letters.contracted) : tapsFirst(letters.contracted).map(axis)
  const columns = swap ? letters.left : letters.right
  return {
    title: c.title,
    isConvolution: [...taps].some((l) => one.sizes.get(l)! > 1),
    a: view(a),
    b: view(b),
    out: resultView(problem, originOf(one.out)),
    epilogue: epilogueOf(problem, one.out),
    batch: letters.batch.map(axis),
    rows: (swap ? letters.right : letters.left).map(axis),
    columns: x ? windowLast(columns) : vectorLast(tapsFirst(columns)),
    contracted: isEmpty ? emptied(contracted) : contracted,
  }
}

/** The same axes with nothing to sum. */
function emptied(axes: readonly FormAxis[]): FormAxis[] {
  if (axes.length === 0) return [{ size: 0, a: 0, b: 0, out: 0, operands: [] }]
  return axes.map(({ a, b, out, operands }) => ({ size: 0, a, b, out, operands }))
}
