/**
 * The functions of this folder as methods of Tensor: `x.add(y)` is `add(x, y)`. Functions that keep shape and dtype also get a variant
 * that replaces the value, `x.add_(y)`, made from the same table. Importing this file attaches them.
 */
import type { DType } from '../common/dtype.ts'
import { ShapeError } from '../common/errors.ts'
import { backward, type BackwardOptions } from './autograd.ts'
import * as comparison from './comparison.ts'
import { clone, diag, diagEmbed, diagonal, diagflat, tril, triu } from './creation.ts'
import * as indexing from './indexing.ts'
import { fill_, reform, replaceValue } from './inplace.ts'
import { bmm, dot, inner, matmul, mm, mv, outer, tensordot } from './linalg.ts'
import * as logic from './logic.ts'
import * as manipulation from './manipulation.ts'
import * as math from './math.ts'
import * as reduction from './reduction.ts'
import type { Scalar } from './promotion.ts'
import * as search from './search.ts'
import { Tensor } from './tensor.ts'

const { multiplex: _multiplex, ...arithmetic } = math
const {
  broadcastShape: _broadcastShape,
  broadcastTensors: _broadcastTensors,
  columnStack: _columnStack,
  concat: _concat,
  concatNodes: _concatNodes,
  dstack: _dstack,
  hstack: _hstack,
  isTensor: _isTensor,
  rowStack: _rowStack,
  shape: _shape,
  stack: _stack,
  vstack: _vstack,
  ...arrangement
} = manipulation
const { allNode: _allNode, ...comparisons } = comparison
const { variance, ...reductions } = reduction
const { alongAxis: _alongAxis, elementOffsets: _elementOffsets, indexNode: _indexNode, ...access } = indexing

/** Every function whose first argument becomes `this`. */
const methods = {
  ...arithmetic,
  ...comparisons,
  ...logic,
  ...arrangement,
  ...reductions,
  var: variance,
  ...search,
  ...access,
  ...{ clone, diag, diagEmbed, diagonal, diagflat, tril, triu },
  ...{ bmm, dot, inner, matmul, mm, mv, outer, tensordot },
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
] as const

/** Functions with a variant that changes the tensor's shape or dtype. */
const reforming = [
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

type Table = typeof methods
type Method<F> = F extends (x: never, ...rest: infer R) => infer O ? (...rest: R) => O : never
type Replacing<F> = F extends (x: never, ...rest: infer R) => unknown ? (...rest: R) => Tensor : never

/** The functions of the table as methods. Casts are written out: their result's type depends on an argument. */
export type FunctionMethods = { [K in Exclude<keyof Table, 'cast' | 'astype'>]: Method<Table[K]> } & {
  cast<D extends DType>(dtype: D): Tensor<D>
  astype<D extends DType>(dtype: D): Tensor<D>
}

/** Variants that replace the value of the tensor and return it. They throw AutogradError on a leaf that wants a gradient, outside noGrad. */
export type ReplacingMethods = {
  [K in (typeof replacing)[number] | (typeof reforming)[number] as `${K}_`]: Replacing<Table[K]>
}

/** What a Tensor has beyond its core. */
export interface TensorMethods extends FunctionMethods, ReplacingMethods {
  /** Adds gradients of this tensor (of its sum, where it has more than one element) to the variables it depends on, `Tensor.backward`. */
  backward(gradient?: Tensor | null, options?: BackwardOptions): void
  /** Every element replaced by a number. */
  fill_(value: number | bigint | boolean): Tensor
  /** Every element replaced by 0. */
  zero_(): Tensor
  /** Number of axes, `Tensor.dim`. */
  dim(): number
  /** Number of elements, `Tensor.numel`. */
  numel(): number
  /** Size of the first axis. Throws ShapeError for rank 0. */
  len(): number
  /** Axes reversed. */
  readonly T: Tensor
  /** The last two axes exchanged. */
  readonly mT: Tensor
}

declare module './tensor.ts' {
  interface Tensor<D extends DType = DType> extends TensorMethods {}
}

type AnyFunction = (x: Tensor, ...rest: unknown[]) => unknown

function attach(name: string, value: (this: Tensor, ...rest: unknown[]) => unknown): void {
  Object.defineProperty(Tensor.prototype, name, { value, writable: true, configurable: true })
}

for (const [name, f] of Object.entries(methods as unknown as Record<string, AnyFunction>)) {
  attach(name, function (...rest) {
    return f(this, ...rest)
  })
}

const table = methods as unknown as Record<string, (x: Tensor, ...rest: unknown[]) => Tensor>

for (const name of replacing) {
  const f = table[name]!
  attach(`${name}_`, function (...rest) {
    return replaceValue(this, f(this, ...rest), `${name}_`)
  })
}

for (const name of reforming) {
  const f = table[name]!
  attach(`${name}_`, function (...rest) {
    return reform(this, f(this, ...rest), `${name}_`)
  })
}

const own = {
  backward(this: Tensor, gradient?: Tensor | null, options?: BackwardOptions): void {
    backward(this, [gradient ?? null], options)
  },
  fill_(this: Tensor, value: Scalar): Tensor {
    return fill_(this, value)
  },
  zero_(this: Tensor): Tensor {
    return fill_(this, 0)
  },
  dim(this: Tensor): number {
    return this.ndim
  },
  numel(this: Tensor): number {
    return this.size
  },
  len(this: Tensor): number {
    if (this.ndim === 0) throw new ShapeError('len: a tensor of rank 0 has no first axis')
    return this.shape[0]!
  },
}
for (const [name, f] of Object.entries(own)) attach(name, f as (this: Tensor, ...rest: unknown[]) => unknown)

Object.defineProperty(Tensor.prototype, 'T', {
  get(this: Tensor) {
    return manipulation.transpose(this)
  },
  configurable: true,
})

Object.defineProperty(Tensor.prototype, 'mT', {
  get(this: Tensor) {
    return manipulation.swapaxes(this, -2, -1)
  },
  configurable: true,
})
