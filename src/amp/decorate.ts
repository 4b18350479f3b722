/** decorate: a model and its optimizers made ready for O2, where parameters themselves are low (paddle.amp.decorate). */
import { ArgumentError } from '../common/errors.ts'
import { isFloat } from '../common/dtype.ts'
import { Layer } from '../nn/layer.ts'
import * as norms from '../nn/layers/norm.ts'
import { moveTensor } from '../nn/move.ts'
import type { Optimizer } from '../optimizer/optimizer.ts'
import { RuleOptimizer } from '../optimizer/rule-optimizer.ts'
import type { AmpDtype } from './lists.ts'

/** A layer, or every layer of a class. */
export type LayerChoice = Layer | (abstract new (...args: never[]) => Layer)

export interface DecorateOptions<M, O> {
  /** A layer or several. */
  readonly models: M
  /** An optimizer or several. */
  readonly optimizers?: O
  /** O1 (default) changes nothing. O2 casts parameters. */
  readonly level?: 'O1' | 'O2'
  /** Default `'float16'`. */
  readonly dtype?: AmpDtype
  /** Whether optimizers keep float32 weights behind low ones. Default true at O2. */
  readonly masterWeight?: boolean | null
  /** Keeps gradients in float32, so that many small ones add up. Default false. */
  readonly masterGrad?: boolean
  /** Layers that stay float32, with all below them. */
  readonly excludedLayers?: LayerChoice | readonly LayerChoice[]
}

/** Layers that are never cast: their statistics need the digits. */
const alwaysWide = [norms.BatchNorm, norms.BatchNorm1D, norms.BatchNorm2D, norms.BatchNorm3D, norms.SyncBatchNorm]
/** Layers that are cast to bfloat16 only: float16 overflows in their sums. */
const wideForFloat16 = [norms.LayerNorm, norms.InstanceNorm1D, norms.InstanceNorm2D, norms.InstanceNorm3D]

function keepsFloat32(layer: Layer, dtype: AmpDtype): boolean {
  const among = (classes: readonly (abstract new (...args: never[]) => Layer)[]): boolean =>
    classes.some((c) => layer instanceof c)
  return among(alwaysWide) || (dtype === 'float16' && among(wideForFloat16))
}

const listOf = <T>(value: T | readonly T[] | undefined): readonly T[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly T[]) : [value as T]

/**
 * Casts the parameters of the models to `dtype`, but for batch normalisation (and, for float16, layer and instance normalisation), and
 * gives the optimizers master weights. Models and optimizers are changed in place and returned.
 * @example amp.decorate({ models: model, optimizers: adam, level: 'O2', dtype: 'bfloat16' })
 */
export function decorate<M extends Layer | readonly Layer[], O extends Optimizer | readonly Optimizer[] = never>(
  options: DecorateOptions<M, O>,
): { readonly models: M; readonly optimizers: O } {
  const { level = 'O1', dtype = 'float16', masterGrad = false } = options
  if (level !== 'O1' && level !== 'O2')
    throw new ArgumentError(`decorate: level must be 'O1' or 'O2', got '${String(level)}'`)
  const models = listOf<Layer>(options.models)
  for (const model of models)
    if (!(model instanceof Layer)) throw new ArgumentError('decorate: models must be layers; give { models: model }')
  if (level === 'O2') {
    const excluded = new Set(models.flatMap((model) => excludedLayers(model, listOf(options.excludedLayers))))
    for (const model of models)
      for (const layer of model.sublayers(true)) if (!excluded.has(layer)) castLayer(layer, dtype, masterGrad)
    for (const optimizer of listOf<Optimizer>(options.optimizers))
      if (optimizer instanceof RuleOptimizer) optimizer.multiPrecision = options.masterWeight !== false
  }
  return { models: options.models, optimizers: options.optimizers as O }
}

function excludedLayers(model: Layer, choices: readonly LayerChoice[]): Layer[] {
  const isChosen = (layer: Layer): boolean =>
    choices.some((c) => c === layer || (!(c instanceof Layer) && layer instanceof c))
  return model.sublayers(true).flatMap((layer) => (isChosen(layer) ? layer.sublayers(true) : []))
}

/** Casts a layer's own float32 parameters and buffers. */
function castLayer(layer: Layer, dtype: AmpDtype, masterGrad: boolean): void {
  if (keepsFloat32(layer, dtype)) return
  for (const tensor of [...layer.parameters(false), ...layer.buffers(false)]) {
    if (!isFloat(tensor.dtype) || tensor.dtype === 'float64') continue
    moveTensor(tensor, undefined, dtype)
    if (masterGrad && !tensor.stopGradient) tensor.registerHook((gradient) => gradient.astype('float32'))
  }
}
