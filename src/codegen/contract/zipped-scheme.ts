/**
 * Contractions whose result is windowed with a stride s: input gradients of strided convolutions, and transposed convolutions. Elements of
 * coordinate s q + r, one class for each r below s, are reached by every s-th tap from one on, at positions q + f - j for the taps j of the class:
 * each class is an ordinary convolution with stride 1, and all of them read the same few shifts of the same positions.
 */
import type { Window } from '../../graph/node.ts'
import type { AffineCase, AffineDim } from './affine.ts'
import { isWindow } from './letters.ts'
import type { Form } from './form.ts'
import type { ContractProblem } from './problem.ts'
import type { ZippedColumns } from './zipped-store.ts'

/** A windowed axis of the result. */
export interface ZippedAxis {
  readonly position: number
  readonly tap: number
  /** Number of its axis in the result. */
  readonly axis: number
  /** Elements of the result, and classes of them. */
  readonly size: number
  readonly classes: number
  /** Values of q. */
  readonly count: number
  readonly padding: number
  readonly taps: number
  /** Positions from one tap of a class to the next. */
  readonly step: number
  /** Shifts q + low, q + low + step, ... that any class reads. */
  readonly low: number
  readonly shifts: number
}

export interface ZippedScheme {
  /** The operand with positions; the other one has the taps. */
  readonly side: 'lhs' | 'rhs'
  /** The axis along which elements of the result are neighbours. */
  readonly x: ZippedAxis
  readonly y: ZippedAxis | null
}

/** What the numbers of classes and shifts follow from. */
export type ClassAxis = Pick<ZippedAxis, 'classes' | 'padding' | 'taps' | 'step' | 'low' | 'shifts'>

/** In place of y where there is none. */
export const ONE_CLASS: ClassAxis = { classes: 1, padding: 0, taps: 1, step: 1, low: 0, shifts: 1 }

/** A problem as its kernels take it. */
export interface ZippedProblem {
  readonly scheme: ZippedScheme
  /** Columns are the positions (the last is that of x), rows and contracted axes what is no tap. */
  readonly form: Form
  /** The same with the taps, y before x, as the outermost contracted axes of rows. */
  readonly weights: Form
  readonly columns: ZippedColumns
  /** Elements from one shift of the columns to the next along y and x. */
  readonly shiftStrides: readonly [number, number]
  /** Whether the columns' operand is a copy, behind which a vector may be read. */
  readonly isCopied: boolean
}

/** A tap of a class, and the shift at which it reads. */
export interface ClassTap {
  readonly tap: number
  readonly shift: number
}

/** The taps of each class. */
export function classesOf({ classes, padding, taps, step, low }: ClassAxis): ClassTap[][] {
  return Array.from({ length: classes }, (_, r) => {
    const first = (r + padding) % classes
    const count = Math.max(0, Math.ceil((taps - first) / classes))
    const shift = (Math.floor((r + padding) / classes) - low) / step
    return Array.from({ length: count }, (__, n) => ({ tap: first + n * classes, shift: shift - n }))
  })
}

/** How a problem falls into classes, or null where it is none of these. */
export function zippedScheme(problem: ContractProblem, c: AffineCase): ZippedScheme | null {
  const { spec, out } = problem
  const windows = spec.out.flatMap((axis, i) => (isWindow(axis) ? [{ window: axis, axis: i }] : []))
  if (windows.length > 2 || !windows.some((w) => w.window.stride > 1)) return null
  const [x, other] = windows.toSorted((v, w) => out.strides[v.axis]! - out.strides[w.axis]!)
  if (!x || out.strides[x.axis] !== 1 || out.shape[x.axis]! < x.window.stride) return null
  const side = spec.lhs.includes(x.window.position) ? 'lhs' : 'rhs'
  const [positions, taps] = side === 'lhs' ? [spec.lhs, spec.rhs] : [spec.rhs, spec.lhs]
  const once = (axes: ContractProblem['spec']['lhs'], letter: number): boolean =>
    axes.filter((axis) => axis === letter).length === 1
  const fits = ({ position, tap }: Window): boolean =>
    once(positions, position) && once(taps, tap) && !once(positions, tap) && !once(taps, position)
  if (!windows.every((w) => fits(w.window)) || [...spec.lhs, ...spec.rhs].some(isWindow)) return null
  const axes = [x, other].map((w) => w && zippedAxis(w.window, w.axis, out.shape[w.axis]!, tapsOf(problem, w.window)))
  if (axes[0] === null || axes[1] === null || !axes[0]) return null
  if ([...c.sizes.values()].some((n) => n === 0)) return null
  return { side, x: axes[0], y: axes[1] ?? null }
}

function tapsOf({ spec, lhs, rhs }: ContractProblem, { tap }: Window): number {
  const at = spec.lhs.indexOf(tap)
  return at >= 0 ? lhs.shape[at]! : rhs.shape[spec.rhs.indexOf(tap)]!
}

/** Null where no tap reaches anything, or taps of a class are apart (a stride with dilation). */
function zippedAxis(w: Window, axis: number, size: number, taps: number): ZippedAxis | null {
  const { stride, dilation, padding } = w
  if (stride > 1 && dilation !== 1) return null
  let [low, high] = [Infinity, -Infinity]
  for (let r = 0; r < stride; r++) {
    const own = Math.ceil((taps - ((r + padding) % stride)) / stride)
    if (own <= 0) continue
    const first = Math.floor((r + padding) / stride)
    low = Math.min(low, first - (own - 1) * dilation)
    high = Math.max(high, first)
  }
  if (low > high) return null
  return {
    position: w.position,
    tap: w.tap,
    axis,
    size,
    classes: stride,
    count: Math.ceil(size / stride),
    padding,
    taps,
    step: dilation,
    low,
    shifts: (high - low) / dilation + 1,
  }
}

/** A problem, given as any of its cases, with all classes at once: positions run over q, the letter of a tap counts shifts in the one operand. */
export function shiftedCase(c: AffineCase, s: ZippedScheme): AffineCase {
  const axes = s.y ? [s.y, s.x] : [s.x]
  const sizes = new Map([
    ...c.sizes,
    ...axes.flatMap((a) => [[a.position, a.count] as const, [a.tap, a.shifts] as const]),
  ])
  const shifted = (dims: readonly AffineDim[]): AffineDim[] =>
    dims.map((dim) => {
      const a = axes.find((one) => dim.terms.some((t) => t.letter === one.position))
      if (!a) return dim
      const terms = [
        { letter: a.position, factor: 1 },
        { letter: a.tap, factor: a.step },
      ]
      return { ...dim, terms, shift: a.low }
    })
  const withTaps = (dims: readonly AffineDim[]): AffineDim[] =>
    dims.map((dim) => {
      const a = axes.find((one) => dim.terms.some((t) => t.letter === one.tap))
      return a ? { ...dim, terms: [{ letter: a.tap, factor: 1 }], shift: 0 } : dim
    })
  const other = s.side === 'lhs' ? 'rhs' : 'lhs'
  const out = c.out.map((dim, i) => {
    const a = axes.find((one) => one.axis === i)
    return a ? { ...dim, terms: [{ letter: a.position, factor: a.classes }], shift: 0 } : dim
  })
  return { ...c, sizes, [s.side]: shifted(c[s.side]), [other]: withTaps(c[other]), out }
}

/** The columns of a form as the store meets them; `letters` are those of its columns. */
export function zippedColumns(
  problem: ContractProblem,
  s: ZippedScheme,
  form: Form,
  letters: readonly number[],
): ZippedColumns {
  const operands = problem.epilogue?.operands ?? []
  const stridesOf = (axis: ZippedAxis | null): number[] =>
    [problem.out, ...operands].map((v) => (axis ? v.strides[axis.axis]! : 0))
  return {
    axes: form.columns.map((a, i) => ({
      size: a.size,
      strides: [a.out, ...a.operands, Number(letters[i] === s.y?.position)],
    })),
    classStrides: stridesOf(s.y),
    laneStrides: stridesOf(s.x),
    height: s.y?.size ?? 1,
    heightClasses: s.y?.classes ?? 1,
    width: s.x.size,
    widthClasses: s.x.classes,
  }
}
