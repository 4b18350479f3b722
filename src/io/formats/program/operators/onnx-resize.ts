/**
 * ONNX's Resize in full (onnx.ai/onnx/operators/onnx__Resize.html): each axis by itself, as a product with a matrix of weights that is made on
 * the host from the sizes. Paddle's own interpolations are written with their own operators; this is for what these do not know.
 */
import { isFloat } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import { normalizeAxis } from '../../../../common/shape.ts'
import { resizedBy } from '../../../../nn/functional/sampling.ts'
import { full } from '../../../../tensor/creation.ts'
import { einsum } from '../../../../tensor/einsum.ts'
import { gather } from '../../../../tensor/indexing.ts'
import { where } from '../../../../tensor/search.ts'
import { cast, reshape } from '../../../../tensor/shaping.ts'
import { fromHost, type Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, floats, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'

interface Axis {
  readonly size: number
  readonly out: number
  readonly scale: number
  /** The part of the axis that is cut out, as shares of it. */
  readonly region: readonly [start: number, end: number]
}

type Transform = (i: number, axis: Axis) => number

/** In the arithmetic of float32, as runtimes have it: where a position falls on an edge, its rounding decides. */
const f = Math.fround
const centred = (i: number, scale: number): number => f(f((i + 0.5) / f(scale)) - 0.5)

/** Where element i of the output stands in the input. */
const transforms: Readonly<Record<string, Transform>> = {
  half_pixel: (i, { scale }) => centred(i, scale),
  half_pixel_symmetric: (i, { size, out, scale }) => {
    const adjustment = out / (scale * size)
    const centre = size / 2
    return f(centre * (1 - adjustment) + centred(i, scale))
  },
  pytorch_half_pixel: (i, { out, scale }) => (out > 1 ? centred(i, scale) : 0),
  align_corners: (i, { size, out, scale }) => (out === 1 ? 0 : f((i * (size - 1)) / (f(size * scale) - 1))),
  asymmetric: (i, { scale }) => f(i / f(scale)),
  tf_crop_and_resize(i, { size, out, region: [start, end] }) {
    const share = out === 1 ? 0.5 * (start + end) : start + (i * (end - start)) / (out - 1)
    return f(share * (size - 1))
  },
}

const rounding: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
}

function known<T>(table: Readonly<Record<string, T>>, name: string, what: string): T {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined
  if (entry === undefined)
    throw new FormatError(
      `operator 'onnx.Resize': the ${what} '${name}' is unknown; known: ${Object.keys(table).join(', ')}`,
    )
  return entry
}

/** Weights by distance from the position. */
function kernelOf(call: OperatorCall): { readonly reach: number; readonly weight: (d: number) => number } {
  if (call.text('mode') === 'linear') return { reach: 1, weight: (d) => Math.max(1 - Math.abs(d), 0) }
  const a = call.number('cubic_coeff')
  return {
    reach: 2,
    weight(d) {
      const x = Math.abs(d)
      if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1
      return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
    },
  }
}

/** [out, size]: how much of each element of the input is in each element of the output. */
function weightsOf(call: OperatorCall, axis: Axis): Float32Array<ArrayBuffer> {
  const { size, out, scale } = axis
  const { reach, weight } = kernelOf(call)
  const transform = known(transforms, call.text('transform'), 'coordinate transformation')
  // Shrinking with antialias widens the kernel by the ratio.
  const stretch = call.bool('antialias') && scale < 1 ? 1 / scale : 1
  const onlyInside = call.bool('exclude_outside')
  const weights = new Float32Array(out * size)
  for (let i = 0; i < out; i++) {
    const at = transform(i, axis)
    const first = Math.ceil(at - reach * stretch)
    const last = Math.floor(at + reach * stretch)
    let sum = 0
    for (let j = first; j <= last; j++) if (!onlyInside || (j >= 0 && j < size)) sum += weight((j - at) / stretch)
    const divisor = onlyInside || stretch !== 1 ? sum : 1
    for (let j = first; j <= last; j++) {
      if (onlyInside && (j < 0 || j >= size)) continue
      const inside = Math.min(Math.max(j, 0), size - 1)
      weights[i * size + inside]! += weight((j - at) / stretch) / divisor
    }
  }
  return weights
}

function resizeAxis(call: OperatorCall, x: Tensor, axis: number, plan: Axis): Tensor {
  const { size, out } = plan
  if (call.text('mode') === 'nearest') {
    const transform = known(transforms, call.text('transform'), 'coordinate transformation')
    const round = known(rounding, call.text('nearest'), 'nearest mode')
    const index = BigInt64Array.from({ length: out }, (_, i) =>
      BigInt(Math.min(Math.max(round(transform(i, plan)), 0), size - 1)),
    )
    return gather(x, fromHost({ dtype: 'int64', shape: [out], data: index }), axis)
  }
  const weights = fromHost({ dtype: 'float32', shape: [out, size], data: weightsOf(call, plan) })
  const letters = Array.from({ length: x.ndim }, (_, i) => String.fromCharCode(97 + i))
  const before = letters.join('')
  const after = letters.map((l, i) => (i === axis ? 'z' : l)).join('')
  return einsum(`${before},z${letters[axis]}->${after}`, x, cast(weights, x.dtype))
}

/** x, with what stands for elements outside where positions along an axis lie there. */
function withOutside(call: OperatorCall, x: Tensor, axis: number, plan: Axis): Tensor {
  const isInside = Uint8Array.from({ length: plan.out }, (_, i) => {
    const at = transforms['tf_crop_and_resize']!(i, plan)
    return at >= 0 && at <= plan.size - 1 ? 1 : 0
  })
  if (isInside.every(Boolean)) return x
  const along = x.shape.map((_, i) => (i === axis ? plan.out : 1))
  const inside = reshape(fromHost({ dtype: 'bool', shape: [plan.out], data: isInside }), along)
  return where(inside, x, full([], call.number('extrapolation'), x.dtype))
}

const policies: Readonly<Record<string, (factors: readonly number[]) => number | null>> = {
  stretch: () => null,
  not_larger: (factors) => Math.min(...factors),
  not_smaller: (factors) => Math.max(...factors),
}

/** How each axis is resized; those that are not are left out. */
function plansOf(call: OperatorCall, shape: readonly number[]): Map<number, Axis> {
  const [sizes, scales, roi] = [call.numbers('sizes'), call.numbers('scales'), call.numbers('roi')]
  const given = call.numbers('axes')
  const axes = given.length > 0 ? given.map((a) => normalizeAxis(a, shape.length, call.type)) : shape.map((_, i) => i)
  const list = scales.length > 0 ? scales : sizes
  if (list.length !== axes.length)
    throw new FormatError(`operator '${call.type}': ${list.length} sizes or factors for ${axes.length} axes`)
  const common = known(policies, call.text('policy'), 'policy')(axes.map((a, k) => sizes[k]! / shape[a]!))
  const plans = axes.map((axis, k): [number, Axis] => {
    const size = shape[axis]!
    const region: Axis['region'] = roi.length > 0 ? [roi[k]!, roi[k + axes.length]!] : [0, 1]
    if (scales.length > 0) {
      const out = resizedBy(size, f(scales[k]! * (region[1] - region[0])))
      return [axis, { size, out, scale: scales[k]!, region }]
    }
    const scale = common ?? sizes[k]! / size
    return [axis, { size, out: common === null ? sizes[k]! : Math.floor(scale * size + 0.5), scale, region }]
  })
  const stays = ({ size, out, scale, region }: Axis): boolean =>
    out === size && scale === 1 && region[0] === 0 && region[1] === 1
  return new Map(plans.filter(([, plan]) => !stays(plan)))
}

function resize(call: OperatorCall): Tensor {
  const given = call.tensor('x')
  const plans = plansOf(call, given.shape)
  // Of bytes as of floats, rounded towards zero in the end.
  let x = isFloat(given.dtype) || call.text('mode') === 'nearest' ? given : cast(given, 'float32')
  for (const [axis, plan] of plans) x = resizeAxis(call, x, axis, plan)
  if (call.text('transform') === 'tf_crop_and_resize')
    for (const [axis, plan] of plans) x = withOutside(call, x, axis, plan)
  return x.dtype === given.dtype ? x : cast(x, given.dtype)
}

export const onnxResize = {
  'onnx.Resize': {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      // One of them, for all axes or for those that are told.
      sizes: variable(ints([])),
      scales: variable(floats([])),
      axes: ints([]),
      // Beginnings of a region, then ends, as shares of the axes.
      roi: variable(floats([])),
      mode: text('nearest'),
      transform: text('half_pixel'),
      nearest: text('round_prefer_floor'),
      cubic_coeff: float(-0.75),
      exclude_outside: bool(false),
      antialias: bool(false),
      // Whether one factor is for all axes: stretch, not_larger or not_smaller.
      policy: text('stretch'),
      extrapolation: float(0),
    },
    run: resize,
  },
} satisfies Record<string, Operator>
