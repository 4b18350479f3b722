/**
 * The functions of this folder as methods of Tensor: `x.add(y)` is `add(x, y)`. Functions that keep shape and dtype also get a variant
 * that replaces the value, `x.add_(y)`, made from the same table. Importing this file attaches them.
 */
import { isDType, sizeOf, type DType } from '../common/dtype.ts'
import { ShapeError } from '../common/errors.ts'
import { backward, type BackwardOptions } from './autograd.ts'
import * as alongAxes from './along-axis.ts'
import * as binning from './binning.ts'
import * as brackets from './brackets.ts'
import * as comparison from './comparison.ts'
import { clone } from './creation.ts'
import * as cumulative from './cumulative.ts'
import { maskedSelect, nonzero, unique, uniqueConsecutive, type UniqueOptions } from './data-dependent.ts'
import { backendOf } from './device.ts'
import * as diagonals from './diagonal.ts'
import * as elementary from './elementary.ts'
import type { IndexItem } from './index-expression.ts'
import * as indexing from './indexing.ts'
import { fill_, reform, replaceValue, zero_ } from './inplace.ts'
import * as linalg from './linalg.ts'
import * as decompositions from './linalg-namespace.ts'
import * as logic from './logic.ts'
import * as manipulation from './manipulation.ts'
import * as math from './math.ts'
import * as norms from './norm.ts'
import { bernoulli, bernoulli_, exponential_, multinomial, normal_, uniform_ } from './random.ts'
import * as reduction from './reduction.ts'
import type { ReduceOptions } from './reduction.ts'
import type { Operand } from './promotion.ts'
import * as search from './search.ts'
import * as shaping from './shaping.ts'
import * as solving from './solve.ts'
import * as special from './special.ts'
import * as statistics from './statistics.ts'
import { fromHost, Tensor } from './tensor.ts'

/** Functions of these files that are no methods: their first argument is not a tensor, or they are for the library itself. */
const { multiplex: _multiplex, logaddexpNodes: _logaddexpNodes, ...arithmetic } = math
const { allNode: _allNode, ...comparisons } = comparison
const { broadcastShape: _broadcastShape, broadcastTensors: _broadcastTensors, ...reshaping } = shaping
const { isTensor: _isTensor, shape: _shape, ...shapes } = reshaping
const { columnStack: _columnStack, concat: _concat, dstack: _dstack, hstack: _hstack, ...arranging } = manipulation
const { rowStack: _rowStack, stack: _stack, vstack: _vstack, concatNodes: _concatNodes, ...arrangement } = arranging
const { isNaNNode: _isNaNNode, ...moments } = statistics
const { trilIndices: _trilIndices, triuIndices: _triuIndices, ...diagonalFunctions } = diagonals
const { variance, ...reductions } = reduction
const { alongAxis: _alongAxis, elementOffsets: _elementOffsets, ...elementAccess } = alongAxes
const { checkMask: _checkMask, indexNode: _indexNode, vectorIndex: _vectorIndex, ...access } = indexing
const { getItem, setItem, ...slicing } = brackets
const { choleskyInverse, cond, eigvalsh, householderProduct, lstsq, lu, luUnpack, ormqr } = decompositions
const { pcaLowrank, pinv, qr, svdLowrank } = decompositions
const { blockDiag: _blockDiag, contractible: _contractible, multiDot: _multiDot, ...products } = linalg

/** Every function whose first argument becomes `this`. */
const methods = {
  ...arithmetic,
  ...elementary,
  ...special,
  ...comparisons,
  ...logic,
  ...shapes,
  ...arrangement,
  ...diagonalFunctions,
  ...reductions,
  ...cumulative,
  ...moments,
  ...binning,
  ...search,
  ...access,
  ...elementAccess,
  ...slicing,
  ...products,
  ...norms,
  ...solving,
  bernoulli,
  choleskyInverse,
  clone,
  cond,
  eigvalsh,
  householderProduct,
  lstsq,
  lu,
  luUnpack,
  maskedSelect,
  multinomial,
  ormqr,
  pcaLowrank,
  pinv,
  qr,
  svdLowrank,
  var: variance,
}

/** Functions with a variant that replaces the value: their result has the shape and dtype of the tensor. */
const replacing = [
  ...([
    'abs',
    'acos',
    'acosh',
    'add',
    'asin',
    'asinh',
    'atan',
    'atanh',
    'bitwiseAnd',
    'bitwiseNot',
    'bitwiseOr',
  ] as const),
  ...(['bitwiseXor', 'ceil', 'clip', 'copysign', 'cos', 'cosh', 'deg2rad', 'divide', 'erf', 'exp', 'expm1'] as const),
  ...(['floor', 'floorDivide', 'floorMod', 'frac', 'hypot', 'increment', 'ldexp', 'lerp', 'log', 'log10'] as const),
  ...(['log1p', 'log2', 'logicalAnd', 'logicalNot', 'logicalOr', 'logicalXor', 'logit', 'mod', 'multiply'] as const),
  ...(['nanToNum', 'neg', 'pow', 'rad2deg', 'reciprocal', 'remainder', 'round', 'rsqrt', 'scale', 'sigmoid'] as const),
  ...(['sign', 'sin', 'sinh', 'sqrt', 'square', 'stanh', 'subtract', 'tan', 'tanh', 'tril', 'triu', 'trunc'] as const),
  ...(['cumprod', 'cumsum', 'digamma', 'erfinv', 'gcd', 'indexAdd', 'indexFill', 'indexPut', 'lcm', 'lgamma'] as const),
  ...(['maskedFill', 'maskedScatter', 'putAlongAxis', 'renorm', 'scatter', 'sinc', 'logaddexp'] as const),
  ...(['addmm', 'baddbmm', 'bitwiseInvert', 'bitwiseLeftShift', 'bitwiseRightShift', 'gammaln'] as const),
  ...(['multigammaln', 'polygamma'] as const),
] as const

/** Functions with a variant that changes the tensor's shape or dtype. */
const reforming = [
  ...(['equal', 'greaterEqual', 'greaterThan', 'lessEqual', 'lessThan', 'notEqual'] as const),
  'astype',
  'cast',
  'flatten',
  'reshape',
  'squeeze',
  'swapaxes',
  't',
  'transpose',
  'unsqueeze',
] as const

/** Variants that have no function of the same kind beside them. */
const redrawing = { bernoulli_, exponential_, fill_, normal_, uniform_, zero_ }

type Table = typeof methods
type Method<F> = F extends (x: never, ...rest: infer R) => infer O ? (...rest: R) => O : never
type Replacing<F> = F extends (x: never, ...rest: infer R) => unknown ? (...rest: R) => Tensor : never

/** The functions of the table as methods; generic and overloaded ones are written out below. */
export type FunctionMethods = {
  [K in Exclude<keyof Table, 'cast' | 'astype' | 'median' | 'where'>]: Method<Table[K]>
}

/** Variants that replace the value of the tensor and return it. They throw AutogradError on a leaf that wants a gradient, outside noGrad. */
export type ReplacingMethods = {
  [K in (typeof replacing)[number] | (typeof reforming)[number] as `${K}_`]: Replacing<Table[K]>
} & { [K in keyof typeof redrawing]: Replacing<(typeof redrawing)[K]> }

/** What a Tensor has beyond its core. */
export interface TensorMethods extends FunctionMethods, ReplacingMethods {
  /** The same numbers in another dtype. */
  cast<D extends DType>(dtype: D): Tensor<D>
  /** The same numbers in another dtype. */
  astype<D extends DType>(dtype: D): Tensor<D>
  /** See `getItem`: `x.get(0, '1:3')`, `await x.get(x.greaterThan(0))`. */
  get(mask: Tensor<'bool'>): Promise<Tensor>
  get(...index: IndexItem[]): Tensor
  /** Replaces the elements at an index or under a mask, and returns the tensor; see `setItem`. */
  set(index: IndexItem | readonly IndexItem[], value: Operand): Tensor
  /** See the function `median`. */
  median(axis?: number | null, options?: ReduceOptions & { readonly mode?: 'avg' }): Tensor
  median(axis: number | null | undefined, options: ReduceOptions & { readonly mode: 'min' }): [Tensor, Tensor]
  /** x where this condition holds, y elsewhere. */
  where(x: Operand, y: Operand): Tensor
  /** Positions of the elements that are not 0. */
  nonzero(asTuple?: false): Promise<Tensor>
  nonzero(asTuple: true): Promise<Tensor[]>
  /** The distinct elements in ascending order. */
  unique<O extends UniqueOptions = UniqueOptions>(options?: O): ReturnType<typeof unique<O>>
  /** The elements without immediate repetitions. */
  uniqueConsecutive<O extends Omit<UniqueOptions, 'returnIndex'> = Omit<UniqueOptions, 'returnIndex'>>(
    options?: O,
  ): ReturnType<typeof uniqueConsecutive<O>>
  /** Adds gradients of this tensor (of its sum, where it has more than one element) to the variables that it depends on. */
  backward(gradient?: Tensor | null | BackwardOptions, options?: BackwardOptions): void
  /** Another dtype, or a copy on another device. Throws DeviceError, with what is present, for one that is absent. */
  to(target: DType | (string & {})): Tensor
  /** A copy on the device `cpu`. */
  cpu(): Tensor
  /** A copy on the device `gpu`. */
  cuda(deviceId?: number): Tensor
  /** Number of axes. */
  dim(): number
  /** Number of elements. */
  numel(): number
  /** Size of the first axis. Throws ShapeError for rank 0. */
  len(): number
  /** Bytes of an element. */
  elementSize(): number
  /** Axes reversed. */
  readonly T: Tensor
  /** The last two axes exchanged. */
  readonly mT: Tensor
}

declare module './tensor.ts' {
  interface Tensor<D extends DType = DType> extends TensorMethods {}
}

type Function = (x: Tensor, ...rest: unknown[]) => unknown
type Functions = Readonly<Record<string, Function>>

function attach(name: string, f: Function): void {
  const value = function (this: Tensor, ...rest: unknown[]): unknown {
    return f(this, ...rest)
  }
  Object.defineProperty(Tensor.prototype, name, { value, writable: true, configurable: true })
}

function attachGetter(name: string, get: (x: Tensor) => Tensor): void {
  Object.defineProperty(Tensor.prototype, name, {
    get(this: Tensor) {
      return get(this)
    },
    configurable: true,
  })
}

/** Methods that are not simply a function of the table. */
const own = {
  get: getItem,
  set: (x: Tensor, index: IndexItem | readonly IndexItem[], value: Operand): Tensor =>
    replaceValue(x, setItem(x, index, value), 'set'),
  nonzero,
  unique,
  uniqueConsecutive,
  backward(x: Tensor, gradient?: Tensor | null | BackwardOptions, options?: BackwardOptions): void {
    if (gradient instanceof Tensor || gradient === null || gradient === undefined)
      backward(x, [gradient ?? null], options)
    else backward(x, [null], gradient)
  },
  to: (x: Tensor, target: string): Tensor => (isDType(target) ? shaping.cast(x, target) : toDevice(x, target)),
  cpu: (x: Tensor): Tensor => toDevice(x, 'cpu'),
  cuda: (x: Tensor, deviceId?: number): Tensor => toDevice(x, deviceId === undefined ? 'gpu' : `gpu:${deviceId}`),
  dim: (x: Tensor): number => x.ndim,
  numel: (x: Tensor): number => x.size,
  len(x: Tensor): number {
    if (x.ndim === 0) throw new ShapeError('len: a tensor of rank 0 has no first axis')
    return x.shape[0]!
  },
  elementSize: (x: Tensor): number => sizeOf(x.dtype),
}

/** A copy on another device, a leaf there; the tensor itself where it is there already. */
function toDevice(x: Tensor, device: string): Tensor {
  backendOf(device)
  if (x.place === device) return x
  return fromHost(x.hostArraySync(), { place: device, stopGradient: x.stopGradient })
}

const table = methods as unknown as Functions
const plain = { ...table, ...redrawing, ...own } as unknown as Functions

/** Names of the methods attached here. */
export const tensorMethods: readonly string[] = [
  ...Object.keys(plain),
  ...[...replacing, ...reforming].map((name) => `${name}_`),
]

for (const [name, f] of Object.entries(plain)) attach(name, f)
for (const name of replacing)
  attach(`${name}_`, (x, ...rest) => replaceValue(x, table[name]!(x, ...rest) as Tensor, `${name}_`))
for (const name of reforming)
  attach(`${name}_`, (x, ...rest) => reform(x, table[name]!(x, ...rest) as Tensor, `${name}_`))
attachGetter('T', (x) => shaping.transpose(x))
attachGetter('mT', (x) => shaping.swapaxes(x, -2, -1))
