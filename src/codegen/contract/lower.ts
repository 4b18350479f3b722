/**
 * Chooses how a contraction is computed and writes the steps: the packed product where both operands have free letters and share
 * contracted ones, the plain loop nest for the rest. The choice depends on the structure (letters, windows, strides of 0 and 1, dtype);
 * sizes decide only whether a long sum is cut.
 */
import { numel } from '../../common/shape.ts'
import {
  affineCases,
  hasTerm,
  letterStride,
  originOf,
  positionLetters,
  tapLetters,
  type AffineCase,
  type AffineDim,
} from './affine.ts'
import type { Capabilities } from '../capabilities.ts'
import { registerTile } from './blocking.ts'
import { lowerDirect } from './direct.ts'
import { formSize, StepList, type Form, type FormAxis } from './form.ts'
import { lowerGemm, type GemmOptions } from './gemm.ts'
import { isWindow } from './letters.ts'
import { lowerNest } from './nest.ts'
import { isSmallResult, lowerSplitGemm } from './split.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'
import { afterRelayout, leavesAxes, reaches, relayout, type Source } from './relayout.ts'

/** Contracted elements from which on the sum of a small result is cut. */
const LONG_SUM = 2048

export function lowerContract(problem: ContractProblem): LoweredContract {
  const list = new StepList()
  if (numel(problem.out.shape) === 0) return list
  const title = titleOf(problem)
  const taps = tapLetters(problem)
  const cases = affineCases(problem)
  // Taps of 1 in every case are no loops.
  const absent = new Set([...taps].filter((t) => cases.every((c) => c.sizes.get(t) === 1)))
  const groups = sortLetters(cases[0]!, absent)
  if (!isFloat32(problem)) {
    lowerNest(problem, title, list)
    return list
  }
  if (groups.left.length === 0 || groups.right.length === 0)
    return lowerWithoutProduct(problem, cases, taps, absent, title)
  const [left, right] = (['lhs', 'rhs'] as const).map((side) =>
    prepare(problem, cases, side, taps, absent, title, list),
  ) as [Side, Side]
  const positions = positionLetters(problem)
  for (const [i, c] of cases.entries()) {
    const form = formOf(
      problem,
      { ...c, lhs: left.dims[i]!, rhs: right.dims[i]! },
      [left.source, right.source],
      taps,
      absent,
      title,
    )
    // A sum over positions (the gradient of a convolution's weights) has no bounds that a program knows.
    const longSum = groups.contracted.some((l) => positions.has(l)) || formSize(form.contracted) >= LONG_SUM
    if (longSum && isSmallResult(form)) lowerSplitGemm(form, problem.capabilities, list)
    else
      lowerGemm(
        form,
        problem.capabilities,
        { rows: rowsMode(form, taps.size > 0, problem.capabilities), splits: 1, splitStride: 0 },
        list,
      )
  }
  return list
}

/** Rows are packed once if they are the weights of a convolution, and not at all if a tile or two hold all columns. */
function rowsMode(form: Form, isConvolution: boolean, capabilities: Capabilities): GemmOptions['rows'] {
  if (isConvolution) return 'once'
  return formSize(form.columns) <= 4 * registerTile(capabilities).lanes ? 'direct' : 'task'
}

function titleOf(problem: ContractProblem): string {
  const { spec } = problem
  const windowed = [...spec.lhs, ...spec.rhs, ...spec.out].some(isWindow)
  return `${windowed ? 'convolution' : 'matmul'}${problem.epilogue?.title ?? ''}`
}

interface Letters {
  readonly batch: readonly number[]
  readonly left: readonly number[]
  readonly right: readonly number[]
  readonly contracted: readonly number[]
}

/** Sorts letters by the operands that have them, in the order in which the result, then the operands, name them. */
function sortLetters(c: AffineCase, absent: ReadonlySet<number>): Letters {
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

function isFloat32(problem: ContractProblem): boolean {
  return problem.dtype === 'float32' || problem.dtype === 'bfloat16' || problem.dtype === 'float16'
}

/** One operand has no free letters: loops with vectors, on planes in scratch or, failing that, on a copy of the operand. */
function lowerWithoutProduct(
  problem: ContractProblem,
  cases: readonly AffineCase[],
  taps: ReadonlySet<number>,
  absent: ReadonlySet<number>,
  title: string,
): LoweredContract {
  const windowed = cases[0]!.rhs.some((dim) => dim.terms.length > 1) ? 'rhs' : 'lhs'
  const other = windowed === 'lhs' ? 'rhs' : 'lhs'
  const list = new StepList()
  const source = (side: 'lhs' | 'rhs'): Source => ({
    memory: { kind: side },
    dtype: problem.dtype,
    offset: problem[side].offset,
  })
  const emit = (view: Source, dims: readonly (readonly AffineDim[])[], isCopied: boolean, to: StepList): boolean =>
    cases.every((c, i) => {
      const operands = { windowed: { view, dims: dims[i]! }, other: { view: source(other), dims: c[other] } }
      return lowerDirect({ problem, case: c, ...operands, absent, taps, isCopied, title }, to)
    })
  const inPlace = cases.map((c) => c[windowed])
  if (emit(source(windowed), inPlace, false, list)) return list
  const plain = new StepList()
  const copied = prepare(problem, cases, windowed, taps, absent, title, plain)
  if (emit(copied.source, copied.dims, true, plain)) return plain
  const nest = new StepList()
  lowerNest(problem, title, nest)
  return nest
}

interface Side {
  readonly source: Source
  /** By case. */
  readonly dims: readonly (readonly AffineDim[])[]
}

/** Copies an operand to where its windows need no tests, if it has windows that leave it. */
function prepare(
  problem: ContractProblem,
  cases: readonly AffineCase[],
  side: 'lhs' | 'rhs',
  taps: ReadonlySet<number>,
  absent: ReadonlySet<number>,
  title: string,
  list: StepList,
): Side {
  const source: Source = { memory: { kind: side }, dtype: problem.dtype, offset: problem[side].offset }
  const dims = cases[0]![side]
  const reach = reaches(cases, side)
  // Free taps (the gradient of weights): vectors run along a plain free axis, which then lies innermost.
  const freeTap = dims.some((d) =>
    d.terms.some((t) => taps.has(t.letter) && !absent.has(t.letter) && hasTerm(cases[0]!.out, t.letter)),
  )
  const channel = freeTap
    ? dims.findLastIndex(
        (d) => d.terms.length === 1 && hasTerm(cases[0]!.out, d.terms[0]!.letter) && !taps.has(d.terms[0]!.letter),
      )
    : -1
  const moves = channel >= 0 && dims[channel]!.stride !== 1 && dims.some((d) => d.terms.length > 1)
  // Windows with padding, or turned around, leave their axes for most sizes: copied for all, so that sizes do not change the kernels.
  const isPadded = (d: AffineDim): boolean =>
    d.terms.filter((t) => !absent.has(t.letter)).length > 1 && (d.shift < 0 || d.terms.some((t) => t.factor < 0))
  if (!moves && !dims.some(isPadded) && !leavesAxes(dims, reach)) return { source, dims: cases.map((c) => c[side]) }
  const order = dims.map((_, i) => i).sort((i, j) => Math.abs(dims[j]!.stride) - Math.abs(dims[i]!.stride) || i - j)
  if (moves) order.push(...order.splice(order.indexOf(channel), 1))
  const copy = relayout(source, dims, reach, order, title, list)
  return { source: copy.source, dims: cases.map((c) => afterRelayout(c[side], reach, copy.strides)) }
}

/** The normal form of one case. The columns are the side along which the result or, failing that, an operand has unit stride. */
function formOf(
  problem: ContractProblem,
  c: AffineCase,
  sources: readonly [Source, Source],
  taps: ReadonlySet<number>,
  absent: ReadonlySet<number>,
  title: string,
): Form {
  const { epilogue } = problem
  const letters = sortLetters(c, absent)
  const strides = { lhs: c.lhs, rhs: c.rhs, out: c.out }
  const stride = (side: keyof typeof strides, letter: number): number => letterStride(strides[side], letter)
  const beside = (strides: readonly number[]): AffineDim[] => c.out.map((dim, i) => ({ ...dim, stride: strides[i]! }))
  const score = (side: 'lhs' | 'rhs', free: readonly number[]): number =>
    Math.max(...free.map((l) => 2 * Number(stride('out', l) === 1) + Number(stride(side, l) === 1)), 0)
  const freeTaps = (free: readonly number[]): number => 4 * Number(free.some((l) => taps.has(l)))
  const leftScore = score('lhs', letters.left) + freeTaps(letters.left) * Number(c.lhs.some((d) => d.terms.length > 1))
  const rightScore =
    score('rhs', letters.right) + freeTaps(letters.right) * Number(c.rhs.some((d) => d.terms.length > 1))
  const swap = leftScore > rightScore
  const [a, b] = swap ? (['rhs', 'lhs'] as const) : (['lhs', 'rhs'] as const)
  const axis = (l: number): FormAxis => ({
    size: c.sizes.get(l)!,
    a: stride(a, l),
    b: stride(b, l),
    out: stride('out', l),
    operands: (epilogue?.operands ?? []).map((o) => letterStride(beside(o.strides), l)),
  })
  const tapsFirst = (list: readonly number[]): number[] => [
    ...list.filter((l) => taps.has(l)),
    ...list.filter((l) => !taps.has(l)),
  ]
  const vectorLast = (list: readonly FormAxis[]): FormAxis[] => {
    const best =
      list.find((x) => x.out === 1 && x.b === 1) ?? list.find((x) => x.out === 1) ?? list.find((x) => x.b === 1)
    return [...list.filter((x) => x !== best), ...(best ? [best] : [])]
  }
  const view = (side: 'lhs' | 'rhs'): Source => {
    const s = sources[side === 'lhs' ? 0 : 1]
    return { ...s, offset: s.offset + originOf(c[side]) }
  }
  return {
    title,
    a: view(a),
    b: view(b),
    out: {
      memory: { kind: 'out' },
      dtype: problem.outDType ?? problem.dtype,
      offset: problem.out.offset + originOf(c.out),
    },
    epilogue: epilogue && {
      ...epilogue,
      operands: epilogue.operands.map(({ dtype, strides: s, offset }) => ({
        dtype,
        strides: s,
        offset: offset + originOf(beside(s)),
      })),
    },
    batch: letters.batch.map(axis),
    rows: (swap ? letters.right : letters.left).map(axis),
    columns: vectorLast(tapsFirst(swap ? letters.left : letters.right).map(axis)),
    contracted: tapsFirst(letters.contracted).map(axis),
  }
}
