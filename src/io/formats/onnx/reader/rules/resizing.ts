/** Resizing. */
import { isFloat } from '../../../../../common/dtype.ts'
import { fromFront, isNumber, type Dim } from '../../../program/inference/known.ts'
import type { Variable } from '../conversion.ts'
import type { NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

/** How positions are mapped; the rest of what Resize can be told goes to its own operator. */
interface Resizing {
  readonly mode: string
  readonly transform: string
  readonly nearest: string
}

/** What comes out: sizes, or factors on those of the input, of `axes`. */
interface Target {
  readonly sizes: Variable | number[]
  readonly scales: Variable | number[]
  /** All where there are none. */
  readonly axes: number[]
}

const resize: Convert = (n) => {
  const axes = n.ints('axes') ?? []
  const resizing = {
    mode: n.text('mode', 'nearest'),
    transform: n.text('coordinate_transformation_mode', 'half_pixel'),
    nearest: n.text('nearest_mode', 'round_prefer_floor'),
  }
  const given = (i: number): Variable | number[] => n.numbers(i) ?? n.variable(i)
  // Both may be there, one of them empty.
  const bySizes = n.has(3) && n.numbers(3)?.length !== 0
  const target = bySizes ? { sizes: given(3), scales: [], axes } : { sizes: [], scales: given(2), axes }
  const isPlain =
    n.int('antialias', 0) === 0 &&
    n.int('exclude_outside', 0) === 0 &&
    n.text('keep_aspect_ratio_policy', 'stretch') === 'stretch' &&
    (resizing.mode === 'nearest' || isFloat(n.dtype()))
  if (!isPlain || !byInterpolation(n, resizing, target, bySizes ? n.dims(3) : null)) inGeneral(n, resizing, target)
}

/** Before version 11: scales as the second operand, positions at multiples of the ratio, rounded down. */
const oldResize: Convert = (n) => {
  const scales = n.floats('scales') ?? n.numbers(1) ?? n.variable(1)
  const resizing = { mode: n.text('mode', 'nearest'), transform: 'asymmetric', nearest: 'floor' }
  const target = { sizes: [], scales, axes: [] }
  if (!byInterpolation(n, resizing, target, null)) inGeneral(n, resizing, target)
}

/** With Paddle's interpolation of two axes, where that gives the same; returns whether it does. */
function byInterpolation(n: NodeCall, resizing: Resizing, target: Target, dims: readonly Dim[] | null): boolean {
  const { shape } = n.known(0)
  if (shape?.length !== 4) return false
  const { scales, sizes } = target
  const positions = target.axes.length > 0 ? target.axes.map((a) => fromFront(a, 4)) : [0, 1, 2, 3]
  const spread = (list: readonly Dim[], rest: readonly Dim[]): Dim[] =>
    rest.map((d, axis) => (positions.includes(axis) ? (list[positions.indexOf(axis)] ?? '') : d))
  if (Array.isArray(scales) && scales.length > 0) {
    const factors = spread(scales, [1, 1, 1, 1]).map(Number)
    const spatial = interpolation(resizing, shape.slice(2), factors.slice(2), null)
    if (!spatial || factors[0] !== 1 || factors[1] !== 1) return false
    n.give(spatial.type, { x: n.operand(0) }, { ...spatial.attributes, scale: factors.slice(2) })
    return true
  }
  if (!dims) return false
  const whole = spread(dims, shape)
  const keepsLeading = [0, 1].every((i) => whole[i] !== '' && whole[i] === shape[i])
  const spatial = interpolation(resizing, shape.slice(2), null, whole.slice(2))
  if (!spatial || !keepsLeading) return false
  const [out_h, out_w] = whole.slice(2)
  if (isNumber(out_h) && isNumber(out_w)) {
    n.give(spatial.type, { x: n.operand(0) }, { ...spatial.attributes, out_h, out_w })
    return true
  }
  if (Array.isArray(sizes) || target.axes.length > 0) return false
  n.give(spatial.type, { x: n.operand(0), out_size: n.slice(n.operand(3), 0, 2, 4) }, spatial.attributes)
  return true
}

/** Paddle's interpolation of two axes by factors or to sizes; null where it gives something else. */
function interpolation(
  { mode, transform, nearest }: Resizing,
  from: readonly Dim[],
  scales: readonly number[] | null,
  sizes: readonly Dim[] | null,
) {
  const base = {
    data_format: 'NCHW',
    out_d: -1,
    out_h: -1,
    out_w: -1,
    scale: [],
    interp_method: mode === 'nearest' ? 'nearest' : 'bilinear',
    align_corners: transform === 'align_corners',
    align_mode: transform === 'asymmetric' || mode === 'nearest' ? 1 : 0,
  }
  if (mode === 'nearest') {
    // Whole multiples: the nearest element is the one that is repeated, from whichever side.
    const repeats =
      scales?.every((s) => Number.isInteger(s) && s >= 1) &&
      transform === 'half_pixel' &&
      nearest === 'round_prefer_floor'
    return repeats || (transform === 'asymmetric' && nearest === 'floor')
      ? { type: 'nearest_interp', attributes: base }
      : null
  }
  if (mode !== 'linear') return null
  // Paddle takes the first element where one comes out, ONNX what stands at the centre.
  const isCentred = scales
    ? scales.every((s) => s >= 1)
    : sizes!.every((s, i) => isNumber(s) && (s > 1 || from[i] === 1))
  // ONNX counts with the sizes before they are rounded down.
  const isWhole = scales?.every((s, i) => Number.isInteger(s) || Number.isInteger(Number(from[i] || NaN) * s)) ?? true
  const isSame =
    transform === 'asymmetric' ||
    transform === 'pytorch_half_pixel' ||
    (transform === 'half_pixel' && isCentred) ||
    (transform === 'align_corners' && isWhole)
  return isSame ? { type: 'bilinear_interp', attributes: base } : null
}

/** With the operator of its own. */
function inGeneral(n: NodeCall, { mode, transform, nearest }: Resizing, target: Target): void {
  if (!['nearest', 'linear', 'cubic'].includes(mode)) n.refuse(`mode '${mode}'`)
  const isCropped = transform === 'tf_crop_and_resize'
  if (isCropped && !n.has(1)) n.refuse('no region to crop')
  const attributes = {
    ...target,
    mode,
    transform,
    nearest,
    cubic_coeff: n.float('cubic_coeff_a', -0.75),
    exclude_outside: n.int('exclude_outside', 0) !== 0,
    antialias: n.int('antialias', 0) !== 0,
    policy: n.text('keep_aspect_ratio_policy', 'stretch'),
    ...(isCropped ? { roi: n.numbers(1) ?? n.variable(1), extrapolation: n.float('extrapolation_value', 0) } : {}),
  }
  n.give('onnx.Resize', { x: n.operand(0) }, attributes)
}

export const resizingRules: RuleTable = {
  Resize: versions({ 10: oldResize, 11: resize }),
  Upsample: always(oldResize),
}
