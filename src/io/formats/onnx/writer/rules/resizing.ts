/** Resizing. */
import { fromFront } from '../../../program/inference/known.ts'
import { floatAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'
import { channelsFirst } from './layout.ts'

const modes: Readonly<Record<string, string>> = {
  nearest: 'nearest',
  bilinear: 'linear',
  linear: 'linear',
  trilinear: 'linear',
  bicubic: 'cubic',
}

const interpolation: WriteRule = (c) => {
  const ours = c.operation.type.replace('_interp', '')
  const mode = modes[ours] ?? c.refuse(`mode '${ours}'`)
  const isNearest = mode === 'nearest'
  const halfPixel = c.number('align_mode') !== 1 || mode === 'cubic'
  const transform = isNearest
    ? 'asymmetric'
    : c.bool('align_corners')
      ? 'align_corners'
      : halfPixel
        ? 'pytorch_half_pixel'
        : 'asymmetric'
  const attributes = {
    mode,
    coordinate_transformation_mode: transform,
    ...(isNearest ? { nearest_mode: 'floor' } : {}),
  }
  const rank = c.rank()
  channelsFirst(c, 'x', (x, out) => {
    const spatial = rank - 2
    const scale = c.numbers('scale')
    const sizes = sizesOf(c, spatial)
    const factors = Array.from({ length: spatial }, (_, i) => scale[i] ?? scale[0]!)
    const isWhole = transform !== 'align_corners' || factors.every(Number.isInteger)
    if (sizes === null && scale.length > 0 && !isWhole) {
      // Corners are those of the sizes rounded down, and ONNX counts with factors as they are.
      const shape = c.e.cast(c.e.one('Shape', [x]), 'float32')
      const grown = c.e.one('Mul', [shape, floats(c, [1, 1, ...factors], 'scales')])
      return void c.e.one('Resize', [x, null, null, c.e.cast(grown, 'int64')], attributes, out)
    }
    if (sizes === null && scale.length > 0) {
      const scales = floats(c, [1, 1, ...factors], 'scales')
      return void c.e.one('Resize', [x, null, scales], attributes, out)
    }
    if (sizes === null) return c.refuse('a size that is not told')
    const leading = c.e.one('Slice', [c.e.one('Shape', [x]), c.e.ints([0]), c.e.ints([2]), c.e.ints([0])])
    const all = c.e.one('Concat', [leading, sizes], { axis: 0 })
    c.e.one('Resize', [x, null, null, all], attributes, out)
  })
}

/** Sizes of the spatial axes as a vector, or null where a factor is given. */
function sizesOf(c: WriteCall, spatial: number): string | null {
  if (c.has('size_tensor')) return c.intsIn('size_tensor')
  if (c.has('out_size')) return c.intsIn('out_size')
  if (c.has('scale_tensor')) return c.refuse('factors that are computed')
  for (const name of ['size_tensor', 'out_size']) {
    const given = c.numbers(name)
    if (given.length > 0) return c.e.ints(given)
  }
  const fixed = ['out_d', 'out_h', 'out_w'].slice(3 - spatial).map((name) => c.number(name))
  return fixed.every((s) => s > 0) && c.numbers('scale').length === 0 ? c.e.ints(fixed) : null
}

/** Numbers of some axes for all of them, where the version of the operator set does not know "axes". */
function forAll(numbers: readonly number[], axes: readonly number[], otherwise: number[]): number[] {
  if (axes.length === 0) return [...numbers]
  axes.forEach((axis, k) => (otherwise[fromFront(axis, otherwise.length)] = numbers[k]!))
  return otherwise
}

const resize: WriteRule = (c) => {
  const [mode, transform, policy] = [c.text('mode'), c.text('transform'), c.text('policy')]
  const isCropped = transform === 'tf_crop_and_resize'
  const axes = c.numbers('axes')
  const isVariable = ['sizes', 'scales', 'roi'].some((name) => c.has(name))
  const hasAxes = axes.length > 0 && (isVariable || isCropped || policy !== 'stretch')
  const attributes = {
    mode,
    coordinate_transformation_mode: transform,
    ...(mode === 'nearest' ? { nearest_mode: c.text('nearest') } : {}),
    ...(mode === 'cubic' ? { cubic_coeff_a: floatAttribute(c.number('cubic_coeff')) } : {}),
    ...(c.bool('exclude_outside') ? { exclude_outside: 1 } : {}),
    ...(c.bool('antialias') ? { antialias: 1 } : {}),
    ...(policy === 'stretch' ? {} : { keep_aspect_ratio_policy: policy }),
    ...(isCropped ? { extrapolation_value: floatAttribute(c.number('extrapolation')) } : {}),
    ...(hasAxes ? { axes } : {}),
  }
  if (c.bool('antialias')) c.e.require(18, 'antialias')
  if (policy !== 'stretch') c.e.require(18, `the policy '${policy}'`)
  if (hasAxes) c.e.require(18, 'axes')
  if (transform === 'half_pixel_symmetric') c.e.require(19, 'half_pixel_symmetric')
  const roi = isCropped ? floatsIn(c, 'roi') : null
  const spread = hasAxes ? [] : axes
  if (c.has('scales')) return void c.e.one('Resize', [c.in('x'), roi, c.in('scales')], attributes, c.out())
  const scales = c.numbers('scales')
  if (scales.length > 0) {
    const factors = forAll(scales, spread, spread.length > 0 ? c.known('x').shape!.map(() => 1) : [])
    return void c.e.one('Resize', [c.in('x'), roi, floats(c, factors, 'scales')], attributes, c.out())
  }
  const whole = (): number[] => Array.from({ length: c.rank() }, (_, i) => c.size('x', i))
  const sizes = spread.length > 0 ? c.e.ints(forAll(c.numbers('sizes'), spread, whole())) : c.intsIn('sizes')
  c.e.one('Resize', [c.in('x'), roi, null, sizes], attributes, c.out())
}

function floats(c: WriteCall, numbers: readonly number[], hint: string): string {
  return c.e.array({ dtype: 'float32', shape: [numbers.length], data: Float32Array.from(numbers) }, hint)
}

const floatsIn = (c: WriteCall, name: string): string => (c.has(name) ? c.in(name) : floats(c, c.numbers(name), name))

export const resizingWriters: WriteRules = {
  bicubic_interp: interpolation,
  bilinear_interp: interpolation,
  linear_interp: interpolation,
  nearest_interp: interpolation,
  trilinear_interp: interpolation,
  'onnx.Resize': resize,
}
