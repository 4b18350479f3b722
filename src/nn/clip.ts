/**
 * Gradient clipping, as in paddle.nn.clip: functions on lists of (parameter, gradient). Nothing is read: norms stay in the graph.
 * Parameters with `needClip: false` pass through.
 */
import type { DType } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { binary, broadcastTo, cast, constant, reduce, unary, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { Tensor } from '../tensor/tensor.ts'
import { Parameter } from './parameter.ts'

export type ParameterGradient = readonly [parameter: Tensor, gradient: Tensor]

/** What an optimizer takes as `gradClip`. */
export interface GradientClip {
  /** The pairs with clipped gradients, in the same order. */
  clip(pairs: readonly ParameterGradient[]): ParameterGradient[]
}

const needsClip = (parameter: Tensor): boolean => !(parameter instanceof Parameter) || parameter.needClip

function checkPositive(value: number, name: string): number {
  if (!(value > 0)) throw new ArgumentError(`${name}: the limit must be a positive number, got ${value}`)
  return value
}

/** The sum of squares, at least in float32: squares of float16 overflow early. */
function sumOfSquares(x: Node): Node {
  const wide = cast(x, x.dtype === 'float64' ? 'float64' : 'float32')
  return reduce(
    'reduceSum',
    binary('mul', wide, wide),
    x.shape.map((_, i) => i),
  )
}

/** x times a number of rank 0. */
function scaled(x: Node, factor: Node): Node {
  return binary('mul', x, broadcastTo(cast(factor, x.dtype), x.shape))
}

/** limit / max(norm, limit): 1 for norms within the limit. */
function shrinkage(norm: Node, limit: number): Node {
  const bound = constant(limit, norm.dtype)
  return binary('div', bound, binary('max', norm, bound))
}

/** Maps the gradients that take part. */
function mapGradients(pairs: readonly ParameterGradient[], clip: (gradient: Node) => Node): ParameterGradient[] {
  return pairs.map((pair) => (needsClip(pair[0]) ? [pair[0], new Tensor(clip(pair[1].node))] : pair))
}

/** Limits each element of a gradient to [min, max], `paddle.nn.ClipGradByValue`; min defaults to -max. */
export class ClipGradByValue implements GradientClip {
  readonly max: number
  readonly min: number

  constructor(max: number, min: number = -checkPositive(max, 'ClipGradByValue')) {
    if (!(min <= max)) throw new ArgumentError(`ClipGradByValue: min ${min} is above max ${max}`)
    this.max = max
    this.min = min
  }

  clip(pairs: readonly ParameterGradient[]): ParameterGradient[] {
    return mapGradients(pairs, (g) => {
      const low = constant(this.min, g.dtype, g.shape)
      const high = constant(this.max, g.dtype, g.shape)
      return binary('min', binary('max', g, low), high)
    })
  }
}

/** Scales each gradient by itself so that its L2 norm is at most `clipNorm`, `paddle.nn.ClipGradByNorm`. */
export class ClipGradByNorm implements GradientClip {
  readonly clipNorm: number

  constructor(clipNorm: number) {
    this.clipNorm = checkPositive(clipNorm, 'ClipGradByNorm')
  }

  clip(pairs: readonly ParameterGradient[]): ParameterGradient[] {
    return mapGradients(pairs, (g) => scaled(g, shrinkage(unary('sqrt', sumOfSquares(g)), this.clipNorm)))
  }
}

export interface ClipGradByGlobalNormOptions {
  /** Leaves gradients within the limit untouched, bit for bit, also where the norm is not finite. Default false. */
  readonly autoSkipClip?: boolean
}

/** Scales all gradients by clipNorm / max(norm, clipNorm) of their joint L2 norm, `paddle.nn.ClipGradByGlobalNorm`. */
export class ClipGradByGlobalNorm implements GradientClip {
  readonly clipNorm: number
  readonly autoSkipClip: boolean

  constructor(clipNorm: number, options: ClipGradByGlobalNormOptions = {}) {
    this.clipNorm = checkPositive(clipNorm, 'ClipGradByGlobalNorm')
    this.autoSkipClip = options.autoSkipClip ?? false
  }

  clip(pairs: readonly ParameterGradient[]): ParameterGradient[] {
    const norm = globalNorm(pairs.filter(([p]) => needsClip(p)).map(([, g]) => g.node))
    if (norm === null) return [...pairs]
    const limit = constant(this.clipNorm, norm.dtype)
    const factor = shrinkage(norm, this.clipNorm)
    const applied = this.autoSkipClip ? where(binary('gt', norm, limit), factor, constant(1, norm.dtype)) : factor
    return mapGradients(pairs, (g) => scaled(g, applied))
  }
}

/** The L2 norm of all gradients together, in the widest of their dtypes (at least float32); null of none. */
function globalNorm(gradients: readonly Node[]): Node | null {
  const dtype: DType = gradients.some((g) => g.dtype === 'float64') ? 'float64' : 'float32'
  const squares = gradients.map((g) => cast(sumOfSquares(g), dtype))
  return squares.length === 0
    ? null
    : unary(
        'sqrt',
        squares.reduce((a, b) => binary('add', a, b)),
      )
}

export interface ClipGradNormOptions {
  /** 2 by default; Infinity for the largest absolute element. */
  readonly normType?: number
}

/**
 * Scales the gradients of the parameters in place so that their joint norm is at most `maxNorm`, and returns that norm (not read yet),
 * `paddle.nn.utils.clip_grad_norm_`.
 */
export function clipGradNorm_(
  parameters: Tensor | readonly Tensor[],
  maxNorm: number,
  options: ClipGradNormOptions = {},
): Tensor {
  checkPositive(maxNorm, 'clipGradNorm_')
  const { normType = 2 } = options
  const list = (parameters instanceof Tensor ? [parameters] : parameters).filter((p) => p.grad !== null)
  const gradients = list.map((p) => p.grad!.node)
  const norm = gradients.length === 0 ? constant(0, 'float32') : normOf(gradients, normType)
  // The 1e-6 is Paddle's.
  const ratio = binary('div', constant(maxNorm, norm.dtype), binary('add', norm, constant(1e-6, norm.dtype)))
  const factor = binary('min', ratio, constant(1, norm.dtype))
  for (const p of list) p.grad = new Tensor(scaled(p.grad!.node, factor), p.grad!.name)
  return new Tensor(norm)
}

function normOf(gradients: readonly Node[], p: number): Node {
  if (p === 2) return globalNorm(gradients)!
  if (!(p > 0)) throw new ArgumentError(`clipGradNorm_: normType must be positive, got ${p}`)
  const parts = gradients.map((g) => {
    const size = unary('abs', cast(g, 'float32'))
    const axes = g.shape.map((_, i) => i)
    if (p === Infinity) return reduce('reduceMax', size, axes)
    return reduce('reduceSum', binary('pow', size, constant(p, 'float32', g.shape)), axes)
  })
  if (p === Infinity) return parts.reduce((a, b) => binary('max', a, b))
  return binary(
    'pow',
    parts.reduce((a, b) => binary('add', a, b)),
    constant(1 / p, 'float32'),
  )
}

/** Limits each element of the parameters' gradients to [-clipValue, clipValue] in place, `paddle.nn.utils.clip_grad_value_`. */
export function clipGradValue_(parameters: Tensor | readonly Tensor[], clipValue: number): void {
  const clip = new ClipGradByValue(clipValue)
  for (const p of parameters instanceof Tensor ? [parameters] : parameters) {
    if (p.grad) p.grad = clip.clip([[p, p.grad]])[0]![1]
  }
}
