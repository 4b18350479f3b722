/**
 * Initial values on the host: one function for each way of filling a weight. Random ones draw from the generator in row-major
 * order, in float32 for float16 and bfloat16 (rounded afterwards) and in float64 for float64, as Paddle's CPU kernels do; so
 * a model built layer by layer after `seed(s)` starts from the weights that `paddle.seed(s)` gives.
 */
import { allocateHost, getElement, isFloat, setElement, type DType, type HostArray } from '../../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../../common/errors.ts'
import { contiguousStrides, formatShape, numel, sameShape, type Shape } from '../../common/shape.ts'
import type { FloatArray, Generator } from '../../tensor/generator.ts'

/** Every element `value`. */
export function fillConstant(shape: Shape, dtype: DType, value: number): HostArray {
  const data = allocateHost(dtype, numel(shape))
  if (data.length > 0) setElement(dtype, data, 0, value)
  if (data instanceof BigInt64Array) data.fill(data[0] ?? 0n)
  else data.fill(data[0] ?? 0)
  return { dtype, shape, data }
}

/** Uniform on [low, high). */
export function fillUniform(shape: Shape, dtype: DType, generator: Generator, low: number, high: number): HostArray {
  return drawn(shape, dtype, 'Uniform', (out) => generator.uniform(out, low, high))
}

/** Normal with the given mean and standard deviation. */
export function fillNormal(shape: Shape, dtype: DType, generator: Generator, mean: number, std: number): HostArray {
  return drawn(shape, dtype, 'Normal', (out) => generator.normal(out, mean, std))
}

/** Normal with the given mean and standard deviation, truncated to [a, b]. */
export function fillTruncatedNormal(
  shape: Shape,
  dtype: DType,
  generator: Generator,
  mean: number,
  std: number,
  a: number,
  b: number,
): HostArray {
  return drawn(shape, dtype, 'TruncatedNormal', (out) => generator.truncatedNormal(out, mean, std, a, b))
}

/**
 * A (semi-)orthogonal matrix of shape[0] rows and the product of the other dimensions as columns, times `gain`: Q of the QR
 * decomposition of a normal matrix, with signs such that R's diagonal is positive, which makes it unique (Saxe et al. 2013).
 * Within about 1e-6 of Paddle's, which decomposes in float32. Costs 2 * long * short^2 operations, done twice.
 */
export function fillOrthogonal(shape: Shape, dtype: DType, generator: Generator, gain: number): HostArray {
  if (shape.length < 2) {
    throw new ShapeError(`Orthogonal: needs a weight of at least 2 dimensions, got shape ${formatShape(shape)}`)
  }
  const rows = shape[0]!
  const columns = numel(shape.slice(1))
  const long = Math.max(rows, columns)
  const short = Math.min(rows, columns)
  return drawn(shape, dtype, 'Orthogonal', (out) => {
    // The normal matrix is [long, short]; its columns become the orthonormal vectors.
    const normal = generator.normal(out.slice())
    const vectors = Array.from({ length: short }, (_, j) =>
      Float64Array.from({ length: long }, (_, i) => normal[i * short + j]!),
    )
    orthonormalize(vectors)
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        out[i * columns + j] = gain * (rows < columns ? vectors[i]![j]! : vectors[j]![i]!)
      }
    }
  })
}

/**
 * Convolution weight [out, in, ...kernel] that passes its input through: 1 at the centre of kernel [d, d] of each group, for d
 * up to the smaller of in and out / groups; 0 elsewhere. Rank 3, 4 or 5.
 */
export function fillDirac(shape: Shape, dtype: DType, groups: number): HostArray {
  if (shape.length < 3 || shape.length > 5) {
    throw new ShapeError(`Dirac: needs a convolution weight of 3 to 5 dimensions, got shape ${formatShape(shape)}`)
  }
  if (!Number.isInteger(groups) || groups <= 0 || shape[0]! % groups !== 0) {
    throw new ArgumentError(`Dirac: groups must be positive and divide the first dimension ${shape[0]}, got ${groups}`)
  }
  const result = fillConstant(shape, dtype, 0)
  const strides = contiguousStrides(shape)
  const outPerGroup = shape[0]! / groups
  if (result.data.length === 0) return result
  let center = 0
  for (let k = 2; k < shape.length; k++) center += Math.floor(shape[k]! / 2) * strides[k]!
  for (let group = 0; group < groups; group++) {
    for (let d = 0; d < Math.min(outPerGroup, shape[1]!); d++) {
      setElement(dtype, result.data, (group * outPerGroup + d) * strides[0]! + d * strides[1]! + center, 1)
    }
  }
  return result
}

/**
 * Weight [c, 1 or in, k, k] with which a transposed convolution upsamples bilinearly: the same tent, the product of two
 * triangles, in every kernel. (Paddle 3 forgets to round the row index down, which skews its rows; this is the kernel that
 * its documentation describes.)
 */
export function fillBilinear(shape: Shape, dtype: DType): HostArray {
  if (shape.length !== 4 || shape[2] !== shape[3]) {
    throw new ShapeError(
      `Bilinear: needs a weight [out, in, k, k] with square kernels, got shape ${formatShape(shape)}`,
    )
  }
  const data = allocateHost(dtype, numel(shape))
  const size = shape[3]!
  const factor = Math.ceil(size / 2)
  const center = (2 * factor - 1 - (factor % 2)) / (2 * factor)
  const triangle = (x: number): number => 1 - Math.abs(x / factor - center)
  for (let i = 0; i < data.length; i++) {
    setElement(dtype, data, i, Math.fround(triangle(i % size) * triangle(Math.floor(i / size) % size)))
  }
  return { dtype, shape, data }
}

/** Numbers in nested lists, as Paddle's `Assign([[1, 2], [3, 4]])` takes them. */
export type NestedNumbers = readonly (number | NestedNumbers)[]

export type AssignedValue = HostArray | NestedNumbers | FloatArray

/** Given values in row-major order, cast to `dtype`. */
export function fillAssign(shape: Shape, dtype: DType, value: AssignedValue): HostArray {
  const { read, length, given } = elementsOf(value)
  if (length !== numel(shape) || (given !== undefined && !sameShape(given, shape))) {
    const got = given ? `shape ${formatShape(given)}` : `${length} values`
    throw new ShapeError(`Assign: the parameter has shape ${formatShape(shape)}, but ${got} were given`)
  }
  const data = allocateHost(dtype, length)
  for (let i = 0; i < length; i++) setElement(dtype, data, i, read(i))
  return { dtype, shape, data }
}

function elementsOf(value: AssignedValue): { read: (i: number) => number; length: number; given?: Shape } {
  if ('data' in value) {
    return { read: (i) => getElement(value.dtype, value.data, i), length: value.data.length, given: value.shape }
  }
  const flat = (Array.isArray(value) ? value.flat(Infinity) : value) as ArrayLike<number>
  return { read: (i) => flat[i]!, length: flat.length }
}

/** Fills a float array by `draw`, in float32 first where the dtype is a half. */
function drawn(shape: Shape, dtype: DType, name: string, draw: (out: FloatArray) => void): HostArray {
  if (!isFloat(dtype)) {
    throw new DTypeError(`${name}: draws real numbers, so the parameter must be of a float dtype, got ${dtype}`)
  }
  const data = allocateHost(dtype, numel(shape))
  if (data instanceof Float32Array || data instanceof Float64Array) {
    draw(data)
    return { dtype, shape, data }
  }
  const wide = new Float32Array(data.length)
  draw(wide)
  for (let i = 0; i < data.length; i++) setElement(dtype, data, i, wide[i]!)
  return { dtype, shape, data }
}

/** Gram-Schmidt in place, each vector cleaned twice ("twice is enough", Giraud et al. 2005). */
function orthonormalize(vectors: readonly Float64Array[]): void {
  const dot = (a: Float64Array, b: Float64Array): number => {
    let sum = 0
    for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
    return sum
  }
  vectors.forEach((vector, j) => {
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < j; k++) {
        const other = vectors[k]!
        const projection = dot(vector, other)
        for (let i = 0; i < vector.length; i++) vector[i]! -= projection * other[i]!
      }
    }
    const norm = Math.sqrt(dot(vector, vector))
    for (let i = 0; i < vector.length; i++) vector[i]! /= norm
  })
}
