/**
 * ONNX's Resize in full (onnx.ai/onnx/operators/onnx__Resize.html): each axis by itself, as a product with a matrix of weights that is made on
 * the host from the sizes. Paddle's own interpolations are written with their own operators; this is for what these do not know.
 */
import { FormatError } from '../../../../common/errors.ts'
import { einsum } from '../../../../tensor/einsum.ts'
import { gather } from '../../../../tensor/indexing.ts'
import { cast } from '../../../../tensor/shaping.ts'
import { fromHost, type Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, floats, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'

interface Axis {
  readonly size: number
  readonly out: number
  readonly scale: number
}

type Transform = (i: number, axis: Axis) => number

/** Where element i of the output stands in the input. */
const transforms: Readonly<Record<string, Transform>> = {
  half_pixel: (i, { scale }) => (i + 0.5) / scale - 0.5,
  half_pixel_symmetric: (i, { size, out, scale }) => {
    const adjustment = out / (scale * size)
    const centre = size / 2
    return centre * (1 - adjustment) + (i + 0.5) / scale - 0.5
  },
  pytorch_half_pixel: (i, { out, scale }) => (out > 1 ? (i + 0.5) / scale - 0.5 : 0),
  align_corners: (i, { size, out }) => (out === 1 ? 0 : (i * (size - 1)) / (out - 1)),
  asymmetric: (i, { scale }) => i / scale,
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

function resize(call: OperatorCall): Tensor {
  let x = call.tensor('x')
  const sizes = call.numbers('sizes')
  const scales = call.numbers('scales')
  x.shape.forEach((size, axis) => {
    const wanted = sizes[axis] ?? -1
    const out = scales.length > 0 ? Math.floor(size * scales[axis]!) : wanted < 0 ? size : wanted
    const scale = scales.length > 0 ? scales[axis]! : out / size
    if (out === size && scale === 1) return
    x = resizeAxis(call, x, axis, { size, out, scale })
  })
  return x
}

export const onnxResize = {
  'onnx.Resize': {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      // One of them, for all axes; a size of -1 stays.
      sizes: variable(ints([])),
      scales: floats([]),
      mode: text('nearest'),
      transform: text('half_pixel'),
      nearest: text('round_prefer_floor'),
      cubic_coeff: float(-0.75),
      exclude_outside: bool(false),
      antialias: bool(false),
    },
    run: resize,
  },
} satisfies Record<string, Operator>
