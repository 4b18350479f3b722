/** Tensors from host data and from rules: `toTensor`, `zeros`, `arange`, `eye`, ... as in paddle.tensor.creation. */
import {
  allocateHost,
  isDType,
  isFloat,
  setElement,
  type DType,
  type HostArray,
  type HostData,
} from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { checkShape, coordinateType, formatShape, numel as countElements, type Shape } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast as castNode,
  constant,
  detach,
  gather,
  iota,
  pad,
  reshape,
  unary,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { checkTensor, getDefaultDtype, scalarNode, scalarType, type Scalar } from './promotion.ts'
import { fromHost, Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

/** Anything that `toTensor` takes: a number, nested arrays of numbers, a typed array, host data, or a tensor. */
export type TensorData = Scalar | TypedArray | HostArray | Tensor | readonly TensorData[]

export type TypedArray = HostData | Uint8ClampedArray | Int16Array | Uint32Array | BigUint64Array

export interface ToTensorOptions {
  /** Default: int64 for integers, the default floating dtype for fractions, bool for booleans, a typed array's own. */
  readonly dtype?: DType
  /** Device name; the current device by default. */
  readonly place?: string
  /** Default true: data wants no gradient. */
  readonly stopGradient?: boolean
}

function dtypeOfTypedArray(data: TypedArray): DType {
  if (data instanceof Float32Array) return 'float32'
  if (data instanceof Float64Array) return 'float64'
  if (data instanceof BigInt64Array || data instanceof BigUint64Array || data instanceof Uint32Array) return 'int64'
  if (data instanceof Int32Array || data instanceof Int16Array) return 'int32'
  if (data instanceof Int8Array) return 'int8'
  if (data instanceof Uint16Array) {
    throw new DTypeError(
      "toTensor: a Uint16Array holds the bits of float16 or bfloat16; say which with { dtype: 'float16' }, or convert the numbers to an Int32Array",
    )
  }
  return 'uint8'
}

const isTypedArray = (v: unknown): v is TypedArray => ArrayBuffer.isView(v) && !(v instanceof DataView)
const isHostArray = (v: unknown): v is HostArray =>
  typeof v === 'object' && v !== null && 'dtype' in v && 'shape' in v && 'data' in v && isTypedArray(v.data)

/** Writes any number into host data of `dtype`. */
function put(dtype: DType, data: HostData, i: number, value: Scalar): void {
  if (typeof value === 'bigint' && dtype === 'int64') data[i] = value as never
  else setElement(dtype, data, i, Number(value))
}

function convertTyped(data: TypedArray, dtype: DType): HostData {
  if (data instanceof Uint16Array && (dtype === 'float16' || dtype === 'bfloat16')) return data
  if (
    !(data instanceof Uint16Array) &&
    dtypeOfTypedArray(data) === dtype &&
    data.constructor === allocateHost(dtype, 0).constructor
  )
    return data as HostData
  const out = allocateHost(dtype, data.length)
  for (let i = 0; i < data.length; i++) put(dtype, out, i, data[i]!)
  return out
}

/** The elements and the shape of nested arrays; throws ShapeError where rows differ in length. */
function flattenNested(data: readonly unknown[]): { values: Scalar[]; shape: number[]; typed: DType | null } {
  const shape: number[] = []
  for (let d: unknown = data; Array.isArray(d) || isTypedArray(d); d = d[0]) shape.push(d.length)
  const values: Scalar[] = []
  let typed: DType | null = null
  const walk = (d: unknown, axis: number): void => {
    if (axis === shape.length) {
      if (typeof d !== 'number' && typeof d !== 'bigint' && typeof d !== 'boolean')
        throw new ShapeError(
          `toTensor: nested arrays must be rectangular and hold numbers; expected a number at depth ${axis}, got ${Array.isArray(d) ? 'an array' : String(d)}`,
        )
      values.push(d)
      return
    }
    if (!(Array.isArray(d) || isTypedArray(d)) || d.length !== shape[axis])
      throw new ShapeError(
        `toTensor: nested arrays must be rectangular; axis ${axis} has rows of ${shape[axis]} and of ${(d as ArrayLike<unknown>).length ?? 'no'} elements`,
      )
    if (isTypedArray(d)) typed ??= dtypeOfTypedArray(d)
    for (let i = 0; i < d.length; i++) walk(d[i], axis + 1)
  }
  walk(data, 0)
  return { values, shape, typed }
}

function inferType(values: readonly Scalar[]): DType {
  if (values.length === 0) return getDefaultDtype()
  let integers = false
  for (const v of values) {
    const t = scalarType(v)
    if (isFloat(t)) return t
    integers ||= t === 'int64'
  }
  return integers ? 'int64' : 'bool'
}

/** Host data as `toTensor` reads it. */
export function toHostArray(data: Exclude<TensorData, Tensor>, dtype?: DType): HostArray {
  if (isHostArray(data)) {
    if (dtype === undefined || dtype === data.dtype) return data
    throw new DTypeError(`toTensor: host data of ${data.dtype} cannot become ${dtype}; make the tensor and cast it`)
  }
  if (isTypedArray(data)) {
    const to = dtype ?? dtypeOfTypedArray(data)
    return { dtype: to, shape: [data.length], data: convertTyped(data, to) }
  }
  const { values, shape, typed } = Array.isArray(data)
    ? flattenNested(data as readonly unknown[])
    : { values: [data as Scalar], shape: [], typed: null }
  if (!Array.isArray(data) && typeof data !== 'number' && typeof data !== 'bigint' && typeof data !== 'boolean')
    throw new ArgumentError(`toTensor: cannot make a tensor from ${data === null ? 'null' : typeof data}`)
  const to = dtype ?? typed ?? inferType(values)
  const out = allocateHost(to, values.length)
  values.forEach((v, i) => put(to, out, i, v))
  return { dtype: to, shape, data: out }
}

/**
 * A tensor from host data: a number (rank 0), nested arrays, a typed array (rank 1), `{ dtype, shape, data }`, or another tensor
 * (copied). Integers give int64, fractions float32, booleans bool, as `paddle.to_tensor`. JavaScript does not tell 1.0 from 1: `toTensor([1, 2])` is int64.
 * Throws ShapeError where nested rows differ in length.
 * @example const x = toTensor([[1, 2], [3, 4]], 'float32')
 */
export function toTensor<D extends DType = DType>(
  data: TensorData,
  options: D | (ToTensorOptions & { readonly dtype?: D }) = {},
): Tensor<D> {
  const { dtype, place, stopGradient } =
    typeof options === 'string' ? ({ dtype: options } as ToTensorOptions) : (options as ToTensorOptions)
  if (dtype !== undefined) checkDtype(dtype, 'toTensor')
  if (data instanceof Tensor) {
    const copy = new Tensor<D>(detach(castNode(data.node, dtype ?? data.dtype)))
    if (stopGradient === false) copy.stopGradient = false
    return copy
  }
  return fromHost<D>(toHostArray(data, dtype), {
    ...(place === undefined ? {} : { place }),
    ...(stopGradient === undefined ? {} : { stopGradient }),
  })
}

export function checkDtype(dtype: string, op: string): void {
  if (!isDType(dtype)) throw new DTypeError(`${op}: '${dtype}' is not a dtype`)
}

/** A constant over a shape, as a tensor. */
function filled(shape: Shape, value: Scalar, dtype: DType, op: string): Tensor {
  if (!Array.isArray(shape))
    throw new ArgumentError(`${op}: the shape must be an array of integers, got ${typeof shape}`)
  checkShape(shape, op)
  checkDtype(dtype, op)
  return new Tensor(broadcastTo(castNode(scalarNode(value, dtype), dtype), [...shape]))
}

/** Zeros of a shape, `paddle.zeros`. Default dtype float32. */
export function zeros<D extends DType = DType>(shape: Shape, dtype: DType = getDefaultDtype()): Tensor<D> {
  return filled(shape, 0, dtype, 'zeros') as Tensor<D>
}

/** Ones of a shape, `paddle.ones`. Default dtype float32. */
export function ones(shape: Shape, dtype: DType = getDefaultDtype()): Tensor {
  return filled(shape, 1, dtype, 'ones')
}

/** `fillValue` over a shape, `paddle.full`. Without a dtype: bool for booleans, else float32. */
export function full(shape: Shape, fillValue: Scalar, dtype?: DType): Tensor {
  return filled(shape, fillValue, dtype ?? (typeof fillValue === 'boolean' ? 'bool' : getDefaultDtype()), 'full')
}

/** A tensor whose values nobody asked for, `paddle.empty`: zeros here, since memory is never shown uninitialised. */
export function empty(shape: Shape, dtype: DType = getDefaultDtype()): Tensor {
  return filled(shape, 0, dtype, 'empty')
}

/** Zeros of x's shape, and dtype unless another is given, `paddle.zeros_like`. */
export function zerosLike(x: Tensor, dtype?: DType): Tensor {
  return fullLike(x, 0, dtype)
}

/** Ones of x's shape, and dtype unless another is given, `paddle.ones_like`. */
export function onesLike(x: Tensor, dtype?: DType): Tensor {
  return fullLike(x, 1, dtype)
}

/** `fillValue` over x's shape, `paddle.full_like`. */
export function fullLike(x: Tensor, fillValue: Scalar, dtype?: DType): Tensor {
  checkTensor(x, 'fullLike')
  return filled(x.shape, fillValue, dtype ?? x.dtype, 'fullLike')
}

/** As `zerosLike`, `paddle.empty_like`. */
export function emptyLike(x: Tensor, dtype?: DType): Tensor {
  return fullLike(x, 0, dtype)
}

/** start + i * step over one axis of `length`. */
function ramp(start: number, step: number, length: number, dtype: DType): Node {
  const i = iota([length], 0, dtype)
  const scaled = binary('mul', i, broadcastTo(scalarNode(step, dtype), [length]))
  return start === 0 ? scaled : binary('add', broadcastTo(scalarNode(start, dtype), [length]), scaled)
}

/**
 * start, start + step, ... below `end`, `paddle.arange`. With one argument it counts from 0. int64 where all are integers, else float32.
 * Throws ArgumentError for a step of 0.
 */
export function arange(start: number, end?: number, step = 1, dtype?: DType): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end]
  if (step === 0 || !Number.isFinite(from) || !Number.isFinite(to) || !Number.isFinite(step))
    throw new ArgumentError(`arange: from ${from} to ${to} by ${step}; bounds must be finite and the step not 0`)
  const type = dtype ?? ([from, to, step].every(Number.isInteger) ? 'int64' : getDefaultDtype())
  const length = Math.max(0, Math.ceil((to - from) / step))
  checkShape([length], 'arange')
  const exact = isFloat(type) || [from, step].every(Number.isInteger)
  return new Tensor(exact ? ramp(from, step, length, type) : castNode(ramp(from, step, length, 'float64'), type))
}

/** `num` numbers from start to stop, both included, `paddle.linspace`. Default dtype float32. */
export function linspace(start: number, stop: number, num: number, dtype: DType = getDefaultDtype()): Tensor {
  if (!Number.isInteger(num) || num < 1) throw new ArgumentError(`linspace: num must be a positive integer, got ${num}`)
  const wide = isFloat(dtype) ? dtype : 'float64'
  if (num === 1) return filled([1], start, dtype, 'linspace')
  const step = (stop - start) / (num - 1)
  // Counted from the nearer end, so that both ends are exact.
  const i = iota([num], 0, wide)
  const spread = (v: number): Node => broadcastTo(scalarNode(v, wide), [num])
  const up = binary('add', spread(start), binary('mul', i, spread(step)))
  const down = binary('sub', spread(stop), binary('mul', binary('sub', spread(num - 1), i), spread(step)))
  return new Tensor(castNode(where(binary('lt', i, spread(Math.floor(num / 2))), up, down), dtype))
}

/** base ** linspace(start, stop, num), `paddle.logspace`. */
export function logspace(
  start: number,
  stop: number,
  num: number,
  base = 10,
  dtype: DType = getDefaultDtype(),
): Tensor {
  const exponent = linspace(start, stop, num, isFloat(dtype) ? dtype : 'float64').node
  return new Tensor(
    castNode(binary('pow', broadcastTo(scalarNode(base, exponent.dtype), exponent.shape), exponent), dtype),
  )
}

/** Ones on the main diagonal of [numRows, numColumns], `paddle.eye`. */
export function eye(numRows: number, numColumns = numRows, dtype: DType = getDefaultDtype()): Tensor {
  const shape = [numRows, numColumns]
  checkShape(shape, 'eye')
  checkDtype(dtype, 'eye')
  const counted = coordinateType(shape)
  const onDiagonal = binary('eq', iota(shape, 0, counted), iota(shape, 1, counted))
  return new Tensor(castNode(onDiagonal, dtype))
}

/** Coordinates of a grid: the i-th result holds the i-th vector along axis i, `paddle.meshgrid`. */
export function meshgrid(...args: readonly (Tensor | readonly Tensor[])[]): Tensor[] {
  const vectors = args.flat() as Tensor[]
  if (vectors.length === 0) throw new ArgumentError('meshgrid: needs at least one vector')
  vectors.forEach((v) => {
    checkTensor(v, 'meshgrid')
    if (v.ndim > 1) throw new ShapeError(`meshgrid: needs vectors, got ${formatShape(v.shape)}`)
  })
  const shape = vectors.map((v) => v.size)
  return vectors.map((v, i) => {
    const place = shape.map((d, a) => (a === i ? d : 1))
    return new Tensor(broadcastTo(reshape(v.node, place), shape))
  })
}

/** A copy that is differentiable, `paddle.clone`. */
export function clone(x: Tensor): Tensor {
  checkTensor(x, 'clone')
  return new Tensor(x.node)
}

/** Copies data or a tensor into `output` if one is given, else into a new tensor, `paddle.assign`. Differentiable for tensors. */
export function assign(x: TensorData, output?: Tensor): Tensor {
  const value = x instanceof Tensor ? clone(x) : toTensor(x)
  if (!output) return value
  output.assign(value)
  return output
}

/** Number of elements, as an int64 tensor of rank 0, `paddle.numel`. */
export function numel(x: Tensor): Tensor {
  checkTensor(x, 'numel')
  return new Tensor(constant(countElements(x.shape), 'int64'))
}

/** One-hot rows: [...x.shape, numClasses] in float32, `paddle.nn.functional.one_hot`. */
export function oneHot(x: Tensor, numClasses: number): Tensor {
  checkTensor(x, 'oneHot')
  if (x.dtype !== 'int64' && x.dtype !== 'int32')
    throw new DTypeError(`oneHot: x must be int32 or int64, got ${x.dtype}`)
  if (!Number.isInteger(numClasses) || numClasses < 1)
    throw new ArgumentError(`oneHot: numClasses must be a positive integer, got ${numClasses}`)
  const shape = [...x.shape, numClasses]
  const index = broadcastTo(reshape(x.node, [...x.shape, 1]), shape)
  const out = castNode(binary('eq', index, iota(shape, shape.length - 1, x.dtype)), getDefaultDtype())
  return asOperator('one_hot', new Tensor(out), () => ({ inputs: { x }, attributes: { num_classes: numClasses } }))
}

/** The Vandermonde matrix [x.size, n]: powers of x from n - 1 down to 0, or up where `increasing`, `paddle.vander`. */
export function vander(x: Tensor, n: number = x.size, increasing = false): Tensor {
  checkTensor(x, 'vander')
  if (x.ndim !== 1) throw new ShapeError(`vander: needs a vector, got ${formatShape(x.shape)}`)
  const shape = [x.size, n]
  const column = iota(shape, 1, x.dtype)
  const exponent = increasing ? column : binary('add', constant(n - 1, x.dtype, shape), unary('neg', column))
  return new Tensor(binary('pow', broadcastTo(reshape(x.node, [x.size, 1]), shape), exponent))
}

/** All combinations of one element of each vector, one a row, `paddle.cartesian_prod`. */
export function cartesianProd(x: readonly Tensor[]): Tensor {
  const grid = meshgrid(x)
  if (grid.length === 1) return grid[0]!
  const size = countElements(grid[0]!.shape)
  const wide = grid.map((g, i) => pad(reshape(g.node, [size, 1]), [0, i], [0, grid.length - 1 - i]))
  return new Tensor(wide.reduce((sum, c) => binary('add', sum, c)))
}

/** All r-element combinations of a vector's elements in order, one a row, `paddle.combinations`. */
export function combinations(x: Tensor, r = 2, withReplacement = false): Tensor {
  checkTensor(x, 'combinations')
  if (x.ndim !== 1) throw new ShapeError(`combinations: needs a vector, got ${formatShape(x.shape)}`)
  if (!Number.isInteger(r) || r < 0) throw new ArgumentError(`combinations: r must be a non-negative integer, got ${r}`)
  const step = withReplacement ? 0 : 1
  // Positions that go up by at least `step` are as many as r-element subsets of a set that is larger by what the steps leave free.
  const count = r === 0 ? 0 : binomial(x.size + (withReplacement ? r - 1 : 0), r)
  if (count === 0) return new Tensor(constant(0, x.dtype, [0, r]))
  checkShape([count, r], 'combinations')
  const data = allocateHost('int32', count * r)
  const row = Array.from({ length: r }, (_, k) => k * step)
  for (let at = 0; at < data.length; at += r) {
    data.set(row, at)
    // The next row: the last position that can still rise does, and those behind it follow.
    let k = r - 1
    while (k > 0 && x.size - 1 - (r - 1 - k) * step === row[k]) k--
    for (let next = row[k]! + 1; k < r; k++, next += step) row[k] = next
  }
  return new Tensor(gather(x.node, fromHost({ dtype: 'int32', shape: [count, r], data }).node, 0))
}

/** The number of k-element subsets of n elements; inexact where it is beyond what can be counted anyway. */
function binomial(n: number, k: number): number {
  let out = k > n ? 0 : 1
  for (let i = 0; i < Math.min(k, n - k); i++) out = (out * (n - i)) / (i + 1)
  return Math.round(out)
}
