/**
 * Which contractions are depthwise convolutions along one or two windows, and what their kernels have to know: an operand whose windows lie on
 * one or two of its axes, another that has only their taps (or only their positions), and letters that both share.
 */
import { hasTerm, letterStride, reachOf, type AffineCase, type AffineDim } from './affine.ts'
import type { Axis } from './axes.ts'
import type { FormView } from './form.ts'
import type { ContractProblem } from './problem.ts'

/** One step down and one to the right inside windows are written out for every tap: up to so many of them. */
const MOST_TAPS = 64

export interface DepthwiseProblem {
  readonly problem: ContractProblem
  readonly cases: readonly AffineCase[]
  readonly windowed: { readonly view: FormView; readonly dims: readonly (readonly AffineDim[])[] }
  readonly other: { readonly view: FormView; readonly dims: readonly (readonly AffineDim[])[] }
  /** Letters without loops, and letters that are taps. */
  readonly absent: ReadonlySet<number>
  readonly taps: ReadonlySet<number>
  readonly title: string
}

/** A window along one axis: coordinate = position * step + tap * dilation + shift. */
export interface Along {
  readonly count: number
  readonly taps: number
  readonly step: number
  readonly dilation: number
  readonly shift: number
  /** Strides of the tap in the other operand, or in the result and the epilogue's operands. */
  readonly tapStrides: readonly number[]
  /** Of a case: elements of the result from one position to the next, and where the first one lies. */
  readonly outStep: number
  readonly outShift: number
}

/** The windowed operand's axis: the elements that it has, and those that windows reach, zeros among them. */
export interface PlaneAxis {
  readonly size: number
  readonly stride: number
  readonly low: number
  /** Elements that the windows of one position reach, over all cases. */
  readonly span: number
  readonly step: number
}

export interface Depthwise {
  readonly y: PlaneAxis | null
  readonly x: PlaneAxis
  /** By case. */
  readonly cases: readonly { readonly y: Along | null; readonly x: Along }[]
  /** Letters of the result beside those of windows: strides in the windowed operand, the other, the result and the epilogue's operands. */
  readonly tasks: readonly Axis[]
  /** Letters that are summed beside those of windows: strides in both operands. */
  readonly around: readonly Axis[]
  /** Strides of the positions' axes in the result and the epilogue's operands, or in the other operand of a sum over positions. */
  readonly down: readonly number[]
  readonly right: readonly number[]
  /** Whether the sum goes over positions. */
  readonly isGradient: boolean
}

/** Null where it is none of these. */
export function depthwiseOf(d: DepthwiseProblem): Depthwise | null {
  const { taps, absent, problem } = d
  const [one] = d.cases as readonly [AffineCase]
  const dims = d.windowed.dims[0]!
  const windows = dims.flatMap((dim, i) => (dim.terms.length > 1 ? [i] : []))
  const xNumber = windows.findLast((i) => dims[i]!.stride === 1) ?? -1
  const yNumber = windows.find((i) => i !== xNumber) ?? -1
  if (xNumber < 0 || windows.length > 2) return null
  const numbers = yNumber < 0 ? [xNumber] : [yNumber, xNumber]
  const letters = (of: 'position' | 'tap'): number[] =>
    numbers.flatMap((i) => dims[i]!.terms.map((t) => t.letter).filter((l) => taps.has(l) === (of === 'tap')))
  const [positions, ownTaps] = [letters('position'), letters('tap')]
  if (positions.length !== numbers.length || [...taps].some((t) => !ownTaps.includes(t) && !absent.has(t))) return null
  // Each letter of a window is on one axis of the operand only.
  const isElsewhere = (l: number): boolean => dims.some((dim, i) => !numbers.includes(i) && hasTerm([dim], l))
  if ([...positions, ...ownTaps].some(isElsewhere)) return null
  const otherDims = d.other.dims[0]!
  const isGradient = !positions.some((l) => hasTerm(one.out, l))
  const [withPositions, withTaps] = isGradient ? [otherDims, one.out] : [one.out, otherDims]
  const isOnly = (l: number, here: readonly AffineDim[], not: readonly AffineDim[]): boolean =>
    hasTerm(here, l) && !hasTerm(not, l)
  if (!positions.every((l) => isOnly(l, withPositions, withTaps))) return null
  if (!ownTaps.every((l) => isOnly(l, withTaps, withPositions))) return null
  if (isGradient && d.cases.length > 1) return null

  const rest = [...one.sizes.keys()].filter(
    (l) => !positions.includes(l) && !ownTaps.includes(l) && !taps.has(l) && !absent.has(l),
  )
  const around = rest.filter((l) => !hasTerm(one.out, l))
  if (!isGradient && around.length > 0) return null
  const beside = (problem.epilogue?.operands ?? []).map((o) =>
    one.out.map((dim, i) => ({ ...dim, stride: o.strides[i]! })),
  )
  const axis = (l: number, views: readonly (readonly AffineDim[])[]): Axis => ({
    size: one.sizes.get(l)!,
    strides: views.map((v) => letterStride(v, l)),
  })
  const axisOf = (number: number): PlaneAxis => {
    const all = d.cases.map((c, i) => {
      const dim = d.windowed.dims[i]![number]!
      const single = new Map([...c.sizes].map(([l, n]) => [l, taps.has(l) ? Math.max(1, n) : 1]))
      return reachOf(dim, single)
    })
    const [low, high] = [Math.min(...all.map((r) => r.low)), Math.max(...all.map((r) => r.high))]
    const { size, stride, terms } = dims[number]!
    return { size, stride, low, span: high - low + 1, step: terms.find((t) => positions.includes(t.letter))!.factor }
  }
  const along = (i: number, number: number): Along => {
    const c = d.cases[i]!
    const dim = d.windowed.dims[i]![number]!
    const position = dim.terms.find((t) => positions.includes(t.letter))!
    const tap = dim.terms.find((t) => taps.has(t.letter))
    const outDim = c.out.find((o) => hasTerm([o], position.letter))
    return {
      count: c.sizes.get(position.letter)!,
      taps: tap ? c.sizes.get(tap.letter)! : 1,
      step: position.factor,
      dilation: tap?.factor ?? 0,
      shift: dim.shift,
      tapStrides: (isGradient ? [c.out, ...beside] : [d.other.dims[i]!]).map((v) =>
        tap ? letterStride(v, tap.letter) : 0,
      ),
      outStep: outDim?.terms[0]!.factor ?? 1,
      outShift: outDim?.shift ?? 0,
    }
  }
  const cases = d.cases.map((_, i) => ({
    y: yNumber < 0 ? null : along(i, yNumber),
    x: along(i, xNumber),
  }))
  const all = cases.reduce((n, c) => n + (c.y?.taps ?? 1) * c.x.taps, 0)
  if (all > MOST_TAPS) return null
  const views = isGradient ? [otherDims] : [one.out, ...beside]
  const strides = (l: number): number[] => views.map((v) => v.find((dim) => hasTerm([dim], l))!.stride)
  const xPosition = positions.at(-1)!
  const scheme: Depthwise = {
    y: yNumber < 0 ? null : axisOf(yNumber),
    x: axisOf(xNumber),
    cases,
    tasks: rest.filter((l) => hasTerm(one.out, l)).map((l) => axis(l, [dims, otherDims, one.out, ...beside])),
    around: around.map((l) => axis(l, [dims, otherDims])),
    down: yNumber < 0 ? views.map(() => 0) : strides(positions[0]!),
    right: strides(xPosition),
    isGradient,
  }
  return isSound(scheme) ? scheme : null
}

/** Whether vectors can run along x: results (or the other operand) are neighbours there, and cases, if any, fill every second place each. */
function isSound(s: Depthwise): boolean {
  if (s.right[0] !== 1) return false
  const [one] = s.cases as readonly [Depthwise['cases'][number]]
  const steps = [one.y?.outStep ?? 1, one.x.outStep]
  if (steps[1]! > 2 || s.cases.length !== steps[0]! * steps[1]!) return false
  // Taps that move backwards meet no phases.
  if (s.x.step > 1 && (s.cases.length > 1 || one.x.dilation < 0)) return false
  return s.x.step >= 1 && (s.y?.step ?? 1) >= 1
}
