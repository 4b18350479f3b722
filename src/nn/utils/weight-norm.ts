/** Reparametrisations of a layer's weight, computed before each `forward`, as in paddle.nn.utils. */
import { ArgumentError } from '../../common/errors.ts'
import { binary, reduce, reshape, unary } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import { withGrad, type Node } from '../../graph/node.ts'
import { defaultGenerator } from '../../tensor/generator.ts'
import { constantLike } from '../../tensor/promotion.ts'
import { fromHost, Tensor } from '../../tensor/tensor.ts'
import { spectralNorm as normalizedBySpectrum } from '../functional/norm.ts'
import { Constant, Normal } from '../initializer/index.ts'
import type { Layer } from '../layer.ts'
import { Parameter, ParamAttr } from '../parameter.ts'

/** The layer's properties by name. */
type Fields = Record<string, unknown>

/** How to undo each reparametrisation: by layer and name of the weight. */
const undo = new WeakMap<Layer, Map<string, () => void>>()

function remember(layer: Layer, name: string, remove: () => void): void {
  const known = undo.get(layer) ?? new Map<string, () => void>()
  known.set(name, remove)
  undo.set(layer, known)
}

function weightOf(op: string, layer: Layer, name: string): Parameter {
  const weight = (layer as unknown as Fields)[name]
  if (!(weight instanceof Parameter)) {
    const names = layer.namedParameters({ includeSublayers: false }).map(([n]) => n)
    throw new ArgumentError(`${op}: the layer has no parameter '${name}'; it has ${names.join(', ') || 'none'}`)
  }
  if (undo.get(layer)?.has(name)) throw new ArgumentError(`${op}: '${name}' is already reparametrised`)
  return weight
}

/** Replaces a parameter by one with another role: it keeps dtype, device and training attributes. */
function derived(weight: Parameter, value: Node, name: string): Parameter {
  const attr = new ParamAttr({
    learningRate: weight.optimizeAttr.learningRate,
    trainable: weight.trainable,
    needClip: weight.needClip,
  })
  const zeros = new Constant(0).initialize(value.shape, weight.dtype)
  const parameter = new Parameter(zeros, name, attr, weight.place)
  withGrad(false, () => parameter.assign(new Tensor(value)))
  return parameter
}

/** Length of the weight for each index of `dim`, or of the whole weight where dim is null: [size] or [1]. */
function lengths(weight: Node, dim: number | null): { length: Node; axes: number[] } {
  const axes = weight.shape.map((_, i) => i).filter((i) => i !== dim)
  const squares = reduce('reduceSum', binary('mul', weight, weight), axes)
  return { length: unary('sqrt', binary('max', squares, constantLike(squares, 1e-12))), axes }
}

/** g * v / ||v||. */
function composed(v: Node, g: Node, dim: number | null): Node {
  const { length, axes } = lengths(v, dim)
  const scale = binary('div', dim === null ? reshape(g, []) : g, length)
  return binary('mul', v, spread(scale, v.shape, axes))
}

/**
 * Splits a weight into a length and a direction (Salimans & Kingma 2016), `paddle.nn.utils.weight_norm`: `weight` = `weight_g` * `weight_v` /
 * ||`weight_v`||, with one length for each index of `dim` (default 0), or one in all for null. Returns the layer.
 */
export function weightNorm<L extends Layer>(layer: L, name = 'weight', dim: number | null = 0): L {
  const weight = weightOf('weightNorm', layer, name)
  const rank = weight.ndim
  if (dim !== null && !(Number.isInteger(dim) && dim >= -1 && dim < rank))
    throw new ArgumentError(`weightNorm: dim must be null or lie within [-1, ${rank}), got ${dim}`)
  const along = dim === -1 ? null : dim
  const fields = layer as unknown as Fields
  const { length } = lengths(weight.node, along)
  const g = derived(weight, along === null ? reshape(length, [1]) : length, `${weight.name}_g`)
  const v = derived(weight, weight.node, `${weight.name}_v`)
  delete fields[name]
  layer.addParameter(`${name}_v`, v)
  layer.addParameter(`${name}_g`, g)
  const compute = (): Tensor => new Tensor(composed(v.node, g.node, along))
  fields[name] = compute()
  const removeHook = layer.registerForwardPreHook(() => {
    fields[name] = compute()
  })
  remember(layer, name, () => {
    removeHook()
    delete fields[`${name}_g`]
    delete fields[`${name}_v`]
    withGrad(false, () => weight.assign(compute().detach()))
    fields[name] = weight
  })
  return layer
}

/** Makes one parameter of a normalised weight again, `paddle.nn.utils.remove_weight_norm`. Returns the layer. */
export function removeWeightNorm<L extends Layer>(layer: L, name = 'weight'): L {
  const remove = undo.get(layer)?.get(name)
  if (!remove) throw new ArgumentError(`removeWeightNorm: '${name}' is not normalised`)
  undo.get(layer)!.delete(name)
  remove()
  return layer
}

export interface SpectralNormHookOptions {
  /** Default `'weight'`. */
  readonly name?: string
  /** Default 1. */
  readonly nPowerIterations?: number
  /** Default 1e-12. */
  readonly eps?: number
  /** The axis of the outputs. Default 0; 1 for Linear and transposed convolutions. */
  readonly dim?: number
}

/** Layers whose weights are [in, out, ..]. */
const outputsSecond = new Set(['Linear', 'Conv1DTranspose', 'Conv2DTranspose', 'Conv3DTranspose'])

/**
 * Divides a weight by its largest singular value before each `forward` (Miyato et al. 2018), `paddle.nn.utils.spectral_norm`. While training the
 * singular vectors go on from the step before. Returns the layer.
 */
export function spectralNorm<L extends Layer>(layer: L, options: SpectralNormHookOptions = {}): L {
  const { name = 'weight', nPowerIterations = 1, eps = 1e-12 } = options
  const weight = weightOf('spectralNorm', layer, name)
  const dim = options.dim ?? (outputsSecond.has(layer.constructor.name) ? 1 : 0)
  if (!(Number.isInteger(dim) && dim >= 0 && dim < weight.ndim))
    throw new ArgumentError(`spectralNorm: dim must lie within [0, ${weight.ndim}), got ${dim}`)
  if (!Number.isInteger(nPowerIterations) || nPowerIterations < 1)
    throw new ArgumentError(`spectralNorm: nPowerIterations must be a positive integer, got ${nPowerIterations}`)
  const fields = layer as unknown as Fields
  const vector = (size: number): Tensor =>
    fromHost(new Normal().initialize([size], weight.dtype, defaultGenerator()), { place: weight.place })
  const height = weight.shape[dim]!
  delete fields[name]
  layer.addParameter(`${name}_orig`, weight)
  const u = layer.registerBuffer(`${name}_u`, vector(height))
  const v = layer.registerBuffer(`${name}_v`, vector(weight.size / height))
  const compute = (): Tensor => {
    // Outside training the vectors stand still: one iteration from them changes little, and nothing is written.
    const result = normalizedBySpectrum(weight, u, v, { dim, powerIters: nPowerIterations, epsilon: eps })
    if (layer.training)
      withGrad(false, () => {
        u.assign(result.u)
        v.assign(result.v)
      })
    return result.weight
  }
  fields[name] = compute()
  layer.registerForwardPreHook(() => {
    fields[name] = compute()
  })
  remember(layer, name, () => {
    throw new ArgumentError('removeWeightNorm: this weight is divided by its spectrum; build the layer anew instead')
  })
  return layer
}
