/**
 * Contractions with every axis in one form: its coordinate is a sum of letters times factors plus a shift. Windows of inputs are that
 * already. A windowed result (the gradient of a convolution by its input) is turned around: instead of adding into the window of each
 * position, each element gathers from the positions that reach it. With a stride, elements of one remainder are reached by one set of
 * taps, so the result falls into a case for each remainder; all cases are the same kernel with other numbers.
 */
import type { ContractAxis, Window } from '../../graph/node.ts'
import { isWindow, lettersOf } from './letters.ts'
import type { ContractProblem, StridedView } from './problem.ts'

export interface Term {
  readonly letter: number
  readonly factor: number
}

/** An axis of an operand; coordinates outside [0, size) read as zero. */
export interface AffineDim {
  readonly size: number
  readonly stride: number
  readonly terms: readonly Term[]
  readonly shift: number
}

export interface AffineCase {
  readonly sizes: ReadonlyMap<number, number>
  readonly lhs: readonly AffineDim[]
  readonly rhs: readonly AffineDim[]
  readonly out: readonly AffineDim[]
}

/** Letters that are taps of a window: their sizes are constants of the program. */
export function tapLetters(problem: ContractProblem): ReadonlySet<number> {
  const { lhs, rhs, out } = problem.spec
  return new Set([...lhs, ...rhs, ...out].filter(isWindow).map((w) => w.tap))
}

/** Letters that are positions of a window. */
export function positionLetters(problem: ContractProblem): ReadonlySet<number> {
  const { lhs, rhs, out } = problem.spec
  return new Set([...lhs, ...rhs, ...out].filter(isWindow).map((w) => w.position))
}

/** Taps of a window up to which each remainder of a result has a class of its own. */
const MOST_LONE_TAPS = 3

/**
 * The same problem where a windowed result has one position along an axis (the input gradient of a convolution whose output is one row): its stride means
 * nothing there, so that it may be as long as the window. Elements are then reached by one tap each, and not by those that multiply zeros.
 */
export function withLonePositions(problem: ContractProblem): ContractProblem {
  const { spec } = problem
  if (!spec.out.some(isWindow)) return problem
  const sizes = new Map(lettersOf(problem).map((l) => [l.letter, l.size]))
  const out = spec.out.map((axis, i) => {
    if (!isWindow(axis) || axis.dilation !== 1 || sizes.get(axis.position) !== 1) return axis
    const taps = sizes.get(axis.tap)!
    // Neighbours in memory are stored by classes only where there is one of each.
    const hasAll = problem.out.strides[i] !== 1 || problem.out.shape[i]! >= taps
    return hasAll && taps > axis.stride && taps <= MOST_LONE_TAPS ? { ...axis, stride: taps } : axis
  })
  return { ...problem, spec: { ...spec, out } }
}

export function affineCases(problem: ContractProblem): AffineCase[] {
  const { spec } = problem
  const sizes = new Map(lettersOf(problem).map((l) => [l.letter, l.size]))
  let cases: AffineCase[] = [
    {
      sizes,
      lhs: dimsOf(spec.lhs, problem.lhs),
      rhs: dimsOf(spec.rhs, problem.rhs),
      out: dimsOf(spec.out, problem.out),
    },
  ]
  spec.out.forEach((axis, i) => {
    if (isWindow(axis)) cases = cases.flatMap((c) => turnAround(c, axis, i))
  })
  return cases
}

function dimsOf(axes: readonly ContractAxis[], view: StridedView): AffineDim[] {
  return axes.map((axis, i) => ({
    size: view.shape[i]!,
    stride: view.strides[i]!,
    terms: isWindow(axis)
      ? [
          { letter: axis.position, factor: axis.stride },
          { letter: axis.tap, factor: axis.dilation },
        ]
      : [{ letter: axis, factor: 1 }],
    shift: isWindow(axis) ? -axis.padding : 0,
  }))
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/**
 * coordinate + padding = position * stride + tap * dilation, for the coordinates with remainder r (of coordinate + padding by the stride):
 * coordinate = stride * (q + first) + r - padding, tap = tap0 + t * stride / g and
 * position = q + first + (r - tap0 * dilation) / stride - t * dilation / g, where g = gcd(stride, dilation). The letter of the position
 * becomes q, the letter of the tap t.
 */
function turnAround(c: AffineCase, window: Window, axis: number): AffineCase[] {
  const { stride, dilation, padding, position, tap } = window
  const g = gcd(stride, dilation)
  const size = c.out[axis]!.size
  const taps = c.sizes.get(tap)!
  const cases: AffineCase[] = []
  for (let r = 0; r < stride; r++) {
    const first = Math.ceil((padding - r) / stride)
    const count = Math.floor((size - 1 + padding - r) / stride) - first + 1
    if (count <= 0) continue
    const tap0 = Array.from({ length: stride / g }, (_, t) => t).find((t) => (t * dilation) % stride === r) ?? taps
    const tapCount = Math.max(0, Math.ceil((taps - tap0) / (stride / g)))
    const shift = first + (tapCount > 0 ? (r - tap0 * dilation) / stride : 0)
    const input = (dims: readonly AffineDim[]): AffineDim[] =>
      dims.map((dim) => {
        const letter = dim.terms.length === 1 ? dim.terms[0]!.letter : -1
        if (letter === position) {
          const terms = [
            { letter: position, factor: 1 },
            { letter: tap, factor: -dilation / g },
          ]
          return { ...dim, terms, shift }
        }
        if (letter === tap)
          return { ...dim, terms: [{ letter: tap, factor: stride / g }], shift: tapCount > 0 ? tap0 : 0 }
        return dim
      })
    cases.push({
      sizes: new Map([...c.sizes, [position, count], [tap, tapCount]]),
      lhs: input(c.lhs),
      rhs: input(c.rhs),
      out: c.out.map((dim, i) =>
        i === axis
          ? { ...dim, terms: [{ letter: position, factor: stride }], shift: stride * first + r - padding }
          : dim,
      ),
    })
  }
  return cases
}

/** Whether no tap reaches the case's elements: they are sums of nothing. */
export function isEmptyCase(c: AffineCase, taps: ReadonlySet<number>): boolean {
  return [...taps].some((t) => c.sizes.get(t) === 0)
}

/** Smallest and largest coordinate that the letters reach. */
export function reachOf(dim: AffineDim, sizes: ReadonlyMap<number, number>): { low: number; high: number } {
  let low = dim.shift
  let high = dim.shift
  for (const { letter, factor } of dim.terms) {
    const most = factor * Math.max(0, sizes.get(letter)! - 1)
    low += Math.min(0, most)
    high += Math.max(0, most)
  }
  return { low, high }
}

/** Elements by which one step of a letter moves in memory. */
export function letterStride(dims: readonly AffineDim[], letter: number): number {
  let stride = 0
  for (const dim of dims) for (const t of dim.terms) if (t.letter === letter) stride += t.factor * dim.stride
  return stride
}

export function hasTerm(dims: readonly AffineDim[], letter: number): boolean {
  return dims.some((dim) => dim.terms.some((t) => t.letter === letter))
}

/** Offset of the element at which all letters are 0. */
export function originOf(dims: readonly AffineDim[]): number {
  return dims.reduce((at, dim) => at + dim.shift * dim.stride, 0)
}
