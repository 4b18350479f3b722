/** How windows lie over the axes behind batch and channel. */
import { isNumber, type Dim } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'

/** How windows lie, for `axes` spatial axes. */
export interface Geometry {
  readonly strides: number[]
  readonly dilations: number[]
  /** Both ends of each axis, one after the other. */
  readonly paddings: number[]
  readonly padding_algorithm: string
}

export function geometryOf(n: NodeCall, kernel: readonly number[]): Geometry {
  const axes = kernel.length
  const ones = new Array<number>(axes).fill(1)
  const strides = n.ints('strides', ones)
  const dilations = n.ints('dilations', ones)
  const auto = n.text('auto_pad', 'NOTSET')
  const base = { strides, dilations, padding_algorithm: 'EXPLICIT' }
  if (auto === 'NOTSET' || auto === '') {
    const pads = n.ints('pads', new Array<number>(2 * axes).fill(0))
    return { ...base, paddings: ones.flatMap((_, i) => [pads[i]!, pads[i + axes]!]) }
  }
  const zeros = new Array<number>(2 * axes).fill(0)
  if (auto === 'VALID') return { ...base, paddings: zeros }
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') n.refuse(`auto_pad '${auto}'`)
  const sizes = n.known(0).shape?.slice(2)
  const fits = kernel.map((k, i) => sameEnds(sizes?.[i], k, strides[i]!, dilations[i]!))
  if (fits.every((f) => f !== null))
    return { ...base, paddings: fits.flatMap(([low, high]) => (auto === 'SAME_UPPER' ? [low, high] : [high, low])) }
  // The algorithm knows no dilation and puts the odd element behind.
  if (auto === 'SAME_UPPER' && dilations.every((d) => d === 1))
    return { ...base, paddings: zeros, padding_algorithm: 'SAME' }
  return n.refuse(`auto_pad '${auto}' of an axis whose size is not known`)
}

/** The padding for which the output has the size of the input over the stride; null where the size must be known for it. */
function sameEnds(size: Dim | undefined, kernel: number, stride: number, dilation: number): [number, number] | null {
  const reach = dilation * (kernel - 1) + 1
  if (stride !== 1 && !isNumber(size)) return null
  const total = isNumber(size) ? Math.max((Math.ceil(size / stride) - 1) * stride + reach - size, 0) : reach - 1
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

export const layout = (axes: number): string => (axes === 2 ? 'NCHW' : 'NCDHW')

/** Windows over one axis run as windows over two, the first of which has one element. */
export function overTwoAxes(geometry: Geometry): Geometry {
  return {
    strides: [1, ...geometry.strides],
    dilations: [1, ...geometry.dilations],
    paddings: [0, 0, ...geometry.paddings],
    padding_algorithm: geometry.padding_algorithm,
  }
}

export const WINDOW_LIMITS = 'automatic padding where the sizes that it needs are known'
