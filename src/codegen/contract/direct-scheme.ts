/**
 * How a contraction without a matrix product is computed: along which letter vectors run, whether its lanes are results or are added, which
 * letters are tasks and loops, and which two axes of an operand with windows are copied to scratch as a plane.
 */
import { hasTerm, letterStride, reachOf, type AffineCase, type AffineDim } from './affine.ts'
import type { Axis } from './axes.ts'
import type { FormView } from './form.ts'
import type { ContractProblem } from './problem.ts'

export interface DirectProblem {
  readonly problem: ContractProblem
  readonly case: AffineCase
  /** The operand with windows, or either. Its dims may leave their axes. */
  readonly windowed: { readonly view: FormView; readonly dims: readonly AffineDim[] }
  readonly other: { readonly view: FormView; readonly dims: readonly AffineDim[] }
  /** Letters without loops, and letters that are taps. */
  readonly absent: ReadonlySet<number>
  readonly taps: ReadonlySet<number>
  /** Whether the windowed operand was laid out so that no window leaves it. */
  readonly isCopied: boolean
  readonly title: string
}

/** The two axes of the windowed operand that lie innermost in memory, as they are copied to scratch. */
export interface Plane {
  readonly middle: AffineDim | null
  readonly inner: AffineDim
  /** Step of the inner axis' window: the copy has as many interleaved runs, of `run` elements. */
  readonly phases: number
  readonly run: number
  readonly rows: number
  readonly low: { readonly middle: number; readonly inner: number }
}

/** Memory order, outermost first. */
function byStride(dims: readonly AffineDim[]): AffineDim[] {
  return dims.toSorted((x, y) => Math.abs(y.stride) - Math.abs(x.stride))
}

/** Whether the operand has windows; whether they leave their axes often depends on sizes, which must not decide. */
export function needsPlane(d: DirectProblem): boolean {
  const isWindow = (dim: AffineDim): boolean => dim.terms.filter((t) => !d.absent.has(t.letter)).length > 1
  const inner = byStride(d.windowed.dims).at(-1)
  const gathers = (dim: AffineDim): boolean => dim === inner && windowStep(dim, d.taps) > 1
  return !d.isCopied && d.windowed.dims.some((dim) => isWindow(dim) || leaves(dim, d.case) || gathers(dim))
}

function leaves(dim: AffineDim, c: AffineCase): boolean {
  const { low, high } = reachOf(dim, c.sizes)
  return low < 0 || high >= dim.size
}

/** Factor of the letter that is no tap. */
function windowStep(dim: AffineDim, taps: ReadonlySet<number>): number {
  return dim.terms.length > 1 ? (dim.terms.find((t) => !taps.has(t.letter))?.factor ?? 1) : 1
}

/** The plane to copy, or null where windows lie on other axes than the two innermost. */
export function planeOf(d: DirectProblem): Plane | null {
  const order = byStride(d.windowed.dims)
  const inner = order.at(-1)!
  const middle = order.at(-2) ?? null
  if (d.windowed.dims.some((dim) => dim !== inner && dim !== middle && leaves(dim, d.case))) return null
  const letters = [inner, middle].map((dim) => (dim ? dim.terms.map((t) => t.letter) : []))
  if (letters[0]!.some((l) => letters[1]!.includes(l))) return null
  if (order.slice(0, -2).some((dim) => dim.terms.some((t) => letters.flat().includes(t.letter)))) return null
  const reach = reachOf(inner, d.case.sizes)
  const step = windowStep(inner, d.taps)
  // Runs interleave only where taps move forward from the first element.
  const phases = inner.terms.every((t) => t.factor > 0) ? step : 1
  const rows = middle ? reachOf(middle, d.case.sizes) : { low: 0, high: 0 }
  return {
    middle,
    inner,
    phases,
    run: Math.ceil((reach.high - reach.low + 1) / phases),
    rows: rows.high - rows.low + 1,
    low: { middle: rows.low, inner: reach.low },
  }
}

/** A letter's stride in the two operands, the result and the epilogue's operands; `tap` is its step inside a plane with phases. */
export interface Loop extends Axis {
  readonly letter: number
  readonly phasedStep: number
}

/** How a case is computed; null where no letter suits vectors. */
export interface Scheme {
  readonly vector: Loop
  readonly contracted: boolean
  /** Outer to inner: tasks, contracted letters around a plane, loops over results in a task, summed letters. */
  readonly tasks: readonly Loop[]
  readonly around: readonly Loop[]
  readonly results: readonly Loop[]
  readonly summed: readonly Loop[]
}

export function schemeOf(d: DirectProblem, plane: Plane | null): Scheme | null {
  const c = d.case
  const { epilogue } = d.problem
  const operands = (epilogue?.operands ?? []).map((o) => c.out.map((dim, i) => ({ ...dim, stride: o.strides[i]! })))
  const planeDims = plane ? [plane.inner, ...(plane.middle ? [plane.middle] : [])] : []
  const isInPlane = (l: number): boolean => hasTerm(planeDims, l)
  const planeStride = (l: number): number => {
    const p = plane!
    const inner = p.inner.terms.find((t) => t.letter === l)?.factor ?? 0
    const middle = p.middle?.terms.find((t) => t.letter === l)?.factor ?? 0
    return inner / (d.taps.has(l) ? 1 : p.phases) + middle * p.run * p.phases
  }
  const loop = (letter: number): Loop => {
    const phased = plane !== null && plane.phases > 1 && d.taps.has(letter) && hasTerm([plane.inner], letter)
    const views = [d.other.dims, c.out, ...operands].map((dims) => letterStride(dims, letter))
    const first = isInPlane(letter) ? planeStride(letter) : letterStride(d.windowed.dims, letter)
    return {
      letter,
      size: c.sizes.get(letter)!,
      strides: [phased ? 0 : first, ...views],
      phasedStep: phased ? plane.inner.terms.find((t) => t.letter === letter)!.factor : 0,
    }
  }
  const loops = [...c.sizes.keys()].filter((l) => !d.absent.has(l)).map(loop)
  const inOut = (l: Loop): boolean => hasTerm(c.out, l.letter)
  const smooth = (l: Loop): boolean => {
    const [a, b] = [l.strides[0]!, l.strides[1]!]
    return !d.taps.has(l.letter) && (a === 1 || b === 1) && (a === 1 || a === 0) && (b === 1 || b === 0)
  }
  // Each of its steps has a plane of its own.
  const isOutside = (l: Loop): boolean => plane !== null && !isInPlane(l.letter) && l.strides[0] !== 0
  const around = loops.filter((l) => !inOut(l) && isOutside(l))
  const free = loops.filter((l) => inOut(l) && smooth(l) && !isOutside(l))
  const vectorFree = around.length > 0 ? undefined : (free.find((l) => l.strides[2] === 1) ?? undefined)
  const vectorSummed = loops.find(
    (l) => !inOut(l) && smooth(l) && l.strides[0] === 1 && l.strides[1] === 1 && !around.includes(l),
  )
  const vector = vectorFree ?? vectorSummed ?? (around.length > 0 ? undefined : free[0])
  if (!vector) return null
  const others = loops.filter((l) => l !== vector)
  return {
    vector,
    contracted: !inOut(vector),
    tasks: others.filter((l) => inOut(l) && !isInPlane(l.letter)),
    around,
    results: others.filter((l) => inOut(l) && isInPlane(l.letter)),
    summed: others.filter((l) => !inOut(l) && !around.includes(l)),
  }
}

/** For the kernel's structure. */
export function structureOf(plane: Plane | null, scheme: Scheme): string {
  const loops = (list: readonly Loop[]): string => list.map((l) => l.phasedStep).join(',')
  const parts = [scheme.around, scheme.results, scheme.summed].map(loops)
  return `${plane ? `plane ${plane.phases} ${plane.middle !== null}` : 'flat'} ${scheme.contracted} ${parts.join(' | ')}`
}
