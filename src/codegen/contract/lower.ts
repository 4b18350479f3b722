/**
 * Chooses how a contraction is computed and writes the steps: the packed product where both operands have free letters, vectors along one
 * letter where one operand has none, the plain loop nest for the rest. The choice depends on the structure (letters, windows, strides of 0
 * and 1, dtype); sizes decide only whether a long sum is cut, and constants of a program (the size of a head) which tile is used.
 */
import { numel } from '../../common/shape.ts'
import type { Capabilities } from '../capabilities.ts'
import {
  affineCases,
  hasTerm,
  letterStride,
  positionLetters,
  tapLetters,
  withLonePositions,
  type AffineCase,
  type AffineDim,
} from './affine.ts'
import { isNarrow } from './blocking.ts'
import { formOf, laidOut, sortLetters, sourceOf, unchanged, type Contraction, type Side } from './contraction.ts'
import { lowerDepthwise } from './depthwise.ts'
import { lowerDepthwiseGradient } from './depthwise-gradient.ts'
import { depthwiseOf, type DepthwiseProblem } from './depthwise-scheme.ts'
import { lowerDirect } from './direct.ts'
import { formSize, StepList, type Form } from './form.ts'
import { lowerGemm, type GemmOptions } from './gemm.ts'
import { isWindow } from './letters.ts'
import { lowerNest } from './nest.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'
import { lowerPlaceProduct, placeOf } from './place-product.ts'
import { floatProduct, lowerProduct } from './product.ts'
import { afterRelayout, byStride, leavesAxes, reaches, relayout, type Source } from './relayout.ts'
import { lowerUnpackedGradient } from './unpacked-gradient.ts'
import { lowerUnpackedProduct } from './unpacked-product.ts'
import { isReadable, vectorWindow, type VectorWindow } from './unpacked.ts'
import { lowerRowProduct } from './row-product.ts'
import { isSmallResult, lowerSplitGemm } from './split.ts'
import { siblingsOnce, type Lowering } from './siblings.ts'
import { partsOfFactors } from './bf16-kind.ts'
import { tileConvolution } from './window-tiles.ts'
import { winogradForm } from './winograd.ts'
import { zipped, zippedRow } from './zipped.ts'

/** Contracted elements from which on the sum of a small result is cut. */
const LONG_SUM = 2048

export function lowerContract(given: ContractProblem): LoweredContract {
  if (numel(given.out.shape) === 0) return new StepList()
  const problem = withLonePositions(given)
  const c: Contraction = {
    problem,
    cases: affineCases(problem),
    taps: tapLetters(problem),
    positions: positionLetters(problem),
    title: titleOf(problem),
  }
  if (problem.dtype !== 'float32' && problem.dtype !== 'bfloat16' && problem.dtype !== 'float16') return plainNest(c)
  // Tiles multiply bfloat16 faster than fewer products take in float32; pairs, at twice float32's speed, do not.
  const hasTiles = problem.dtype === 'bfloat16' && problem.capabilities.bfloat16 === 'tiles'
  const winograd = hasTiles ? null : winogradForm(problem, c.cases, c.taps, c.title)
  const byTiles = tileConvolution(c)
  // Three products of parts take less time than Winograd's transforms, six do not.
  const isShort = partsOfFactors(problem.dtype, problem.capabilities) === 2
  const forms = (isShort ? [byTiles, winograd] : [winograd, byTiles]).filter((form) => form !== null)
  const direct: Lowering = { pays: true, lower: () => directly(c) }
  const chosen = forms.find((form) => form.pays) ?? direct
  const lowered = chosen.lower()
  const { constant } = problem
  // A predictor has one size, or a few.
  if (forms.length === 0 || constant?.lhs || constant?.rhs) return lowered
  // Of three forms the last is for tiny images: it is compiled when it is met.
  const others = [...forms, direct].slice(0, 2).filter((form) => form !== chosen)
  return { ...lowered, siblings: siblingsOnce(lowered, forms[0]!.depth, others) }
}

function directly(c: Contraction): LoweredContract {
  const absent = absentLetters(c)
  const { left, right } = sortLetters(c.cases[0]!, absent)
  if (left.length === 0 || right.length === 0)
    return rowProduct(c, absent) ?? zippedRow(c, absent) ?? alongVectors(c, absent)
  return unpacked(c, absent) ?? zipped(c, absent) ?? fewRows(c, absent) ?? product(c, absent)
}

/**
 * Letters that need no loops: taps that are 1 at most (cases without any are sums of nothing), and axes of one element, as a batch of one,
 * unless the sum goes over positions: the gradient of weights is a long sum, which products cut.
 */
function absentLetters({ cases, taps, positions }: Contraction): ReadonlySet<number> {
  const isSummed = (l: number): boolean => !hasTerm(cases[0]!.out, l)
  const ofWeights = [...positions].some(isSummed)
  const isAbsent = (l: number): boolean =>
    taps.has(l) ? cases.every((k) => k.sizes.get(l)! <= 1) : !ofWeights && cases.every((k) => k.sizes.get(l) === 1)
  return new Set([...cases[0]!.sizes.keys()].filter(isAbsent))
}

function titleOf(problem: ContractProblem): string {
  const { spec } = problem
  const windowed = [...spec.lhs, ...spec.rhs, ...spec.out].some(isWindow)
  return `${windowed ? 'convolution' : 'matmul'}${problem.epilogue?.title ?? ''}`
}

function plainNest(c: Contraction): LoweredContract {
  const list = new StepList()
  lowerNest(c.problem, c.title, list)
  return list
}

/** Both operands have free letters: products of matrices, one for each case. `isWhole`: without splitting elements. */
function product(c: Contraction, absent: ReadonlySet<number>, isWhole = false): LoweredContract {
  const { problem } = c
  const list = new StepList()
  const lhs = prepare(c, 'lhs', absent, list)
  const rhs = prepare(c, 'rhs', absent, list)
  const contracted = sortLetters(c.cases[0]!, absent).contracted
  const staysWhole = isWhole || isStrided(c)
  c.cases.forEach((one, i) => {
    const form = formOf(
      c,
      { sizes: one.sizes, lhs: lhs.dims[i]!, rhs: rhs.dims[i]!, out: one.out },
      [lhs.source, rhs.source],
      absent,
    )
    // A sum over positions (the gradient of a convolution's weights) has no bounds that a program knows.
    const overPositions = contracted.some((l) => c.positions.has(l))
    const isLong = overPositions || formSize(form.contracted) >= LONG_SUM
    if (isLong && isSmallResult(form, !overPositions)) {
      lowerSplitGemm(form, problem.capabilities, list)
    } else {
      const rows = rowsMode(form, c.taps.size > 0, problem.capabilities)
      const options = { rows, columns: form.b.isConstant ? 'once' : 'task', splits: 1, splitStride: 0 } as const
      // The steps of a recurrence have few rows for the tiles of the product of pairs.
      if (staysWhole || (problem.inLoop && form.b.isConstant)) lowerGemm(form, problem.capabilities, options, list)
      else lowerProduct(form, problem.capabilities, options, list)
    }
  })
  return list
}

/**
 * Whether an operand of float32 is read at every second position, or fewer: such elements are split one by one. On one core, 128 to 256 channels of
 * 28x28 with 1x1 windows and stride 2 took 1.8 times as long split, 256 to 512 of 8x8 1.4 times, their weights' gradients between 0.8 and 2.0 times.
 */
function isStrided({ problem, cases: [one], positions }: Contraction): boolean {
  const skips = (d: AffineDim): boolean => d.terms.some((t) => positions.has(t.letter) && Math.abs(t.factor) > 1)
  return problem.dtype === 'float32' && [...one!.lhs, ...one!.rhs].some(skips)
}

/** A product that has few rows or a short sum, or would have with another batch; whichever form it has, the others are compiled ahead. */
function fewRows(c: Contraction, absent: ReadonlySet<number>): LoweredContract | null {
  const { problem, cases, taps } = c
  if (taps.size > 0 || cases.length > 1) return null
  const form = formOf(c, cases[0]!, [sourceOf(problem, 'lhs'), sourceOf(problem, 'rhs')], absent)
  const place = placeOf(form, problem.capabilities)
  const whole = floatProduct(form, problem.capabilities)
  if (!place && !whole) return null
  const inPlace = (): LoweredContract => {
    const list = new StepList()
    lowerPlaceProduct(form, place!, problem.capabilities, list)
    return list
  }
  const forms: Lowering[] = [
    ...(place ? [{ pays: place.pays, lower: inPlace }] : []),
    ...(whole ? [{ pays: whole.pays, lower: () => product(c, absent, true) }] : []),
    { pays: true, lower: () => product(c, absent) },
  ]
  const chosen = forms.find((f) => f.pays)!
  const lowered = chosen.lower()
  const constants = [form.columns, form.contracted].map(formSize)
  const others = forms.filter((f) => f !== chosen)
  return { ...lowered, siblings: siblingsOnce(lowered, constants, others) }
}

/** A convolution whose operand with windows is read where it lies. */
function unpacked(c: Contraction, absent: ReadonlySet<number>): LoweredContract | null {
  const { problem, cases, taps, positions } = c
  const [one] = cases as readonly [AffineCase]
  if (taps.size === 0 || cases.length > 1 || problem.dtype !== 'float32') return null
  const x = vectorWindow(one, taps, positions, problem.capabilities)
  if (!x) return null
  const list = new StepList()
  const windowed = runs(c, x, list)
  const other: Side = { source: sourceOf(problem, x.side === 'lhs' ? 'rhs' : 'lhs'), dims: [] }
  const [lhs, rhs] = x.side === 'lhs' ? [windowed, other] : [other, windowed]
  const dims = { ...one, [x.side]: windowed.dims[0]! }
  const form = formOf(c, dims, [lhs.source, rhs.source], absent, x)
  const tapRun = { count: x.taps, step: x.step, dilation: x.dilation, run: windowed.run }
  if (hasTerm(one.out, x.position)) lowerUnpackedProduct(form, tapRun, problem.capabilities, list)
  else lowerUnpackedGradient(form, tapRun, problem.capabilities, list)
  return list
}

/** The operand with neighbours along the window of vectors. */
function runs(c: Contraction, x: VectorWindow, list: StepList): Side & { readonly run: number } {
  const { side, axis, step, position } = x
  const [one] = c.cases as readonly [AffineCase]
  const source = sourceOf(c.problem, side)
  const dims = one[side]
  if (isReadable(dims, x, one)) return { source, dims: [dims], run: 0 }
  const reach = reaches(c.cases, side)
  const copy = relayout(source, dims, reach, byStride(dims, axis), c.title, list, step)
  const copied = afterRelayout(dims, reach, copy.strides).map((d, i) =>
    i === axis ? { ...d, terms: d.terms.map((t) => (t.letter === position ? { ...t, factor: 1 } : t)) } : d,
  )
  return { source: copy.source, dims: [copied], run: copy.run }
}

/**
 * Rows are packed once if they are the weights of a convolution or never change, and not at all if a tile or two hold all columns, or if columns
 * lie packed already and rows are read in order.
 */
function rowsMode(form: Form, isConvolution: boolean, capabilities: Capabilities): GemmOptions['rows'] {
  if (isConvolution || form.a.isConstant) return 'once'
  // Elements of low precision are converted while they are packed, not for each column that they meet.
  if (form.a.dtype !== 'float32') return 'task'
  const isInOrder = form.contracted.at(-1)?.a === 1
  const isAddressed = capabilities.vectorBytes > 16 || form.b.isConstant === true
  return isNarrow(formSize(form.columns), capabilities) || (isAddressed && isInOrder) ? 'direct' : 'task'
}

/** One row times a large matrix. */
function rowProduct(c: Contraction, absent: ReadonlySet<number>): LoweredContract | null {
  const { problem, cases } = c
  const [one] = cases as readonly [AffineCase]
  const isPlain = [...one.lhs, ...one.rhs].every((d) => d.terms.length === 1 && d.shift === 0)
  if (c.taps.size > 0 || cases.length > 1 || problem.dtype !== 'float32' || !isPlain) return null
  const list = new StepList()
  const form = formOf(c, one, [sourceOf(problem, 'lhs'), sourceOf(problem, 'rhs')], absent)
  return lowerRowProduct(form, problem.capabilities, list) ? list : null
}

/** One operand has no free letters: loops with vectors, on planes in scratch or, failing that, on a copy of the operand. */
function alongVectors(c: Contraction, absentOrEmpty: ReadonlySet<number>): LoweredContract {
  const { problem, cases, taps, title } = c
  const absent = new Set([...absentOrEmpty].filter((l) => cases.every((k) => k.sizes.get(l) === 1)))
  const windowed = cases[0]!.rhs.some((dim) => dim.terms.length > 1) ? 'rhs' : 'lhs'
  const other = windowed === 'lhs' ? 'rhs' : 'lhs'
  const emit = (copied: Side | null, sides: Readonly<Record<'lhs' | 'rhs', Side>>, list: StepList): boolean =>
    cases.every((one, i) => {
      const view = (side: Side): { view: Source; dims: readonly AffineDim[] } => ({
        view: side.source,
        dims: side.dims[i]!,
      })
      const operands = { windowed: view(copied ?? sides[windowed]), other: view(sides[other]) }
      return lowerDirect({ problem, case: one, ...operands, absent, taps, isCopied: copied !== null, title }, list)
    })
  const list = new StepList()
  const view = (side: Side): DepthwiseProblem['windowed'] => ({ view: side.source, dims: side.dims })
  const d = {
    problem,
    cases,
    windowed: view(unchanged(c, windowed)),
    other: view(unchanged(c, other)),
    absent,
    taps,
    title,
  }
  const depthwise = depthwiseOf(d)
  if (depthwise) {
    const lower = depthwise.isGradient ? lowerDepthwiseGradient : lowerDepthwise
    lower(d, depthwise, problem.capabilities, list)
    return list
  }
  const sides = { lhs: turned(c, 'lhs', absent, list), rhs: turned(c, 'rhs', absent, list) }
  if (emit(null, sides, list)) return list
  const later = new StepList()
  const copied = prepare(c, windowed, absent, later)
  return emit(copied, { lhs: unchanged(c, 'lhs'), rhs: unchanged(c, 'rhs') }, later) ? later : plainNest(c)
}

/**
 * An operand as it is; a constant matrix whose rows are summed (the weights of a recurrent step) turned around, once, so that each lane sums for
 * itself: adding lanes takes longer than a short row.
 */
function turned(c: Contraction, side: 'lhs' | 'rhs', absent: ReadonlySet<number>, list: StepList): Side {
  const { problem, cases } = c
  const [{ [side]: dims, out }] = cases as readonly [AffineCase]
  const letterOf = (d: AffineDim): number => d.terms[0]!.letter
  const isLoop = (d: AffineDim): boolean => d.terms.length === 1 && !absent.has(letterOf(d))
  const isMatrix = dims.every((d) => d.terms.length === 1 && d.shift === 0)
  const free = dims.findIndex((d) => isLoop(d) && hasTerm(out, letterOf(d)) && letterStride(out, letterOf(d)) === 1)
  const isSummed = dims.some((d) => isLoop(d) && d.stride === 1 && !hasTerm(out, letterOf(d)))
  if (problem.constant?.[side] !== true || !isMatrix || free < 0 || !isSummed) return unchanged(c, side)
  return laidOut(c, side, byStride(dims, free), list)
}

/** Copies an operand to where its windows need no tests, if it has windows that leave it. */
function prepare(c: Contraction, side: 'lhs' | 'rhs', absent: ReadonlySet<number>, list: StepList): Side {
  const { cases, taps } = c
  const source = sourceOf(c.problem, side)
  const dims = cases[0]![side]
  const reach = reaches(cases, side)
  const isFree = (letter: number): boolean => hasTerm(cases[0]!.out, letter)
  const isWindowed = (d: AffineDim): boolean => d.terms.filter((t) => !absent.has(t.letter)).length > 1
  // Free taps (the gradient of weights): vectors run along a plain free axis, which then lies innermost.
  const hasFreeTap = dims.some((d) =>
    d.terms.some((t) => taps.has(t.letter) && !absent.has(t.letter) && isFree(t.letter)),
  )
  const isChannel = (d: AffineDim): boolean =>
    d.terms.length === 1 && isFree(d.terms[0]!.letter) && !taps.has(d.terms[0]!.letter)
  const channel = hasFreeTap ? dims.findLastIndex(isChannel) : -1
  const moves = channel >= 0 && dims[channel]!.stride !== 1 && dims.some((d) => d.terms.length > 1)
  // Windows with padding, or turned around, leave their axes for most sizes: copied for all, so that sizes do not change the kernels.
  const isPadded = (d: AffineDim): boolean => isWindowed(d) && (d.shift < 0 || d.terms.some((t) => t.factor < 0))
  if (!moves && !dims.some(isPadded) && !leavesAxes(dims, reach)) return { source, dims: cases.map((one) => one[side]) }
  return laidOut(c, side, byStride(dims, moves ? channel : -1), list)
}
