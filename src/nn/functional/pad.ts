/** Padding with a value, by reflection, by repetition of the edge, or around a circle, as in paddle.nn.functional.pad. */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { binary, constant, gather, iota, pad as padNode, reshape, slice, unary, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { checkTensor, constantLike } from '../../tensor/promotion.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, notesOperators } from '../../tensor/tracer.ts'
import { channelsFirst, spatialAxes, type DataFormat } from './geometry.ts'

export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular'

export interface PadOptions {
  /** Default `'constant'`. */
  readonly mode?: PadMode
  /** Of constant padding. Default 0. */
  readonly value?: number
  readonly dataFormat?: DataFormat
}

/** Amounts an axis; negative ones cut. */
export interface AxisPads {
  readonly low: readonly number[]
  readonly high: readonly number[]
}

/** Where a padded array shows the original: true inside `low` and `high`. */
export function insideMask(shape: readonly number[], { low, high }: AxisPads): Node | null {
  let inside: Node | null = null
  shape.forEach((d, axis) => {
    const bounds: Node[] = []
    const at = (): Node => iota(shape, axis, 'int32')
    if (low[axis]! > 0) bounds.push(binary('ge', at(), constant(low[axis]!, 'int32', shape)))
    if (high[axis]! > 0) bounds.push(binary('lt', at(), constant(d - high[axis]!, 'int32', shape)))
    for (const b of bounds) inside = inside ? binary('and', inside, b) : b
  })
  return inside
}

/** Padding with a number; amounts must not be negative. */
export function padConstant(x: Node, pads: AxisPads, value: number): Node {
  const padded = padNode(x, pads.low, pads.high)
  if (value === 0) return padded
  const inside = insideMask(padded.shape, pads)
  return inside ? where(inside, padded, constantLike(padded, value)) : padded
}

/** Positions in an axis of `size` from which a padded axis takes its elements. */
function sourcePositions(mode: Exclude<PadMode, 'constant'>, low: number, high: number, size: number): Node {
  const shape = [low + size + high]
  const number = (v: number): Node => constant(v, 'int64', shape)
  const at = binary('sub', iota(shape, 0, 'int64'), number(low))
  if (mode === 'circular') return binary('mod', at, number(size))
  if (mode === 'replicate') return binary('min', binary('max', at, number(0)), number(size - 1))
  const last = number(size - 1)
  return binary('sub', last, unary('abs', binary('sub', last, unary('abs', at))))
}

/** Padding of single axes by a mode. Reflection needs more elements than it adds. */
export function padAxes(x: Node, pads: AxisPads, mode: PadMode, value: number, op: string): Node {
  const cut = (p: readonly number[]): number[] => p.map((v) => Math.max(-v, 0))
  const grow = (p: readonly number[]): number[] => p.map((v) => Math.max(v, 0))
  const stop = x.shape.map((d, i) => d - cut(pads.high)[i]!)
  if (stop.some((s, i) => s < cut(pads.low)[i]!))
    throw new ShapeError(`${op}: negative padding cuts more than there is of ${formatShape(x.shape)}`)
  let node = slice(x, cut(pads.low), stop)
  const [low, high] = [grow(pads.low), grow(pads.high)]
  if (mode === 'constant') return padConstant(node, { low, high }, value)
  low.forEach((l, axis) => {
    const h = high[axis]!
    if (l === 0 && h === 0) return
    const size = node.shape[axis]!
    const most = { reflect: size - 1, replicate: size === 0 ? 0 : Infinity, circular: size }[mode]
    if (Math.max(l, h) > most)
      throw new ShapeError(
        `${op}: ${mode} padding of [${l}, ${h}] needs a longer axis than ${axis} of ${formatShape(x.shape)}`,
      )
    node = gather(node, sourcePositions(mode, l, h, size), axis)
  })
  return node
}

/**
 * Pads spatial axes, the last one first: `[left, right]`, `[left, right, top, bottom]`, `[left, right, top, bottom, front, back]`; one
 * number pads all of them. With as many pairs as x has axes a constant padding covers all axes, the first one first. `paddle.nn.functional.pad`.
 * @example pad(x, [1, 2, 0, 3], { mode: 'reflect' }) // x: [N, C, H, W]
 */
export function pad(x: Tensor, padding: number | readonly number[], options: PadOptions = {}): Tensor {
  checkTensor(x, 'pad')
  const { mode = 'constant', value = 0 } = options
  const rank = x.ndim
  const first = channelsFirst(options.dataFormat, 'pad')
  const amounts =
    typeof padding === 'number' ? new Array<number>(2 * Math.max(rank - 2, 1)).fill(padding) : [...padding]
  if (!['constant', 'reflect', 'replicate', 'circular'].includes(mode))
    throw new ArgumentError(`pad: mode '${mode}' is not known; use constant, reflect, replicate or circular`)
  if (
    amounts.length === 0 ||
    amounts.length % 2 !== 0 ||
    amounts.some((p) => !Number.isInteger(p)) ||
    amounts.length > 2 * rank
  )
    throw new ArgumentError(
      `pad: needs pairs of integers for at most ${rank} axes of ${formatShape(x.shape)}, got [${amounts.join(', ')}]`,
    )
  const pairs = amounts.length / 2
  const whole = pairs === rank && mode === 'constant'
  const spatial = rank >= 3 ? spatialAxes(rank - 2, first) : x.shape.map((_, i) => i)
  if (!whole && pairs > spatial.length)
    throw new ArgumentError(`pad: ${pairs} pairs for the ${spatial.length} spatial axes of ${formatShape(x.shape)}`)
  const low = x.shape.map(() => 0)
  const high = x.shape.map(() => 0)
  for (let i = 0; i < pairs; i++) {
    const axis = whole ? i : spatial[spatial.length - 1 - i]!
    low[axis] = amounts[2 * i]!
    high[axis] = amounts[2 * i + 1]!
  }
  const out = new Tensor(padAxes(x.node, { low, high }, mode, value, 'pad'))
  if (whole || rank < 3 || rank > 5)
    return mode === 'constant'
      ? asOperator('pad', out, () => ({
          inputs: { x },
          attributes: { paddings: low.flatMap((p, i) => [p, high[i]!]), pad_value: value },
        }))
      : out
  if (!notesOperators()) return out
  // Programs know padding of spatial axes over three of them only.
  const lifted = [...new Array<number>(5 - rank).fill(1)]
  const at = first ? 2 : 1
  const inside = new Tensor(reshape(x.node, [...x.shape.slice(0, at), ...lifted, ...x.shape.slice(at)]))
  const node = reshape(out.node, [...out.shape.slice(0, at), ...lifted, ...out.shape.slice(at)])
  const wide = asOperator('pad3d', new Tensor(node), () => ({
    inputs: { x: inside },
    attributes: {
      paddings: [...amounts, ...new Array<number>(6 - amounts.length).fill(0)],
      mode,
      pad_value: value,
      data_format: first ? 'NCDHW' : 'NDHWC',
    },
  }))
  return new Tensor(reshape(wide.node, out.shape))
}

/** Pads the last two axes with zeros: `[left, right, top, bottom]`, `paddle.nn.functional.zeropad2d`. */
export function zeropad2d(
  x: Tensor,
  padding: number | readonly number[],
  options: { readonly dataFormat?: DataFormat } = {},
): Tensor {
  const amounts = typeof padding === 'number' ? new Array<number>(4).fill(padding) : padding
  if (amounts.length !== 4)
    throw new ArgumentError(
      `zeropad2d: padding must be a number or [left, right, top, bottom], got [${amounts.join(', ')}]`,
    )
  return pad(x, amounts, options)
}
