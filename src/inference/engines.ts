/** The table of engines, and `createPredictor`, which chooses one. */
import { ArgumentError } from '../common/errors.ts'
import { nearestName } from '../common/nearest-name.ts'
import type { Engine, EngineOptions, Model } from './engine.ts'
import { longzhou } from './longzhou.ts'
import { Predictor } from './predictor.ts'

/** In the order in which they are asked whether a path is theirs; the first is for all that is nobody's. */
const engines = { longzhou } satisfies Record<string, Engine>

export type EngineName = keyof typeof engines

/** Names of the engines that this build has. */
export const engineNames = Object.keys(engines) as readonly EngineName[]

export interface PredictorOptions extends EngineOptions {
  /** A model file or directory, of any format, or a program that was read or exported. */
  readonly model: Model
  /** Default: the engine whose kind of model it is; `longzhou` for model files and programs. */
  readonly engine?: EngineName
}

function engineNamed(name: string): Engine {
  if (Object.hasOwn(engines, name)) return engines[name as EngineName]
  const near = nearestName(name, engineNames)
  throw new ArgumentError(
    `createPredictor: there is no engine '${name}'; use ${engineNames.join(', ')}${near ? ` (did you mean ${near}?)` : ''}`,
  )
}

async function engineFor(model: Model): Promise<Engine> {
  const all: readonly Engine[] = Object.values(engines)
  if (typeof model === 'string') for (const engine of all) if (await engine.owns?.(model)) return engine
  return engines.longzhou
}

/**
 * Prepares a model for running, as `paddle.inference.create_predictor`. Throws ArgumentError, DeviceError for a device that is absent,
 * StorageError, and FormatError that lists all operators that are not supported.
 * @example const predictor = await createPredictor({ model: 'model.onnx', device: 'cpu' })
 */
export async function createPredictor({ model, engine, ...options }: PredictorOptions): Promise<Predictor> {
  const chosen = engine === undefined ? await engineFor(model) : engineNamed(engine)
  const unknown = (Object.keys(options) as (keyof EngineOptions)[]).filter(
    (o) => options[o] !== undefined && !chosen.takes.includes(o),
  )
  if (unknown.length > 0)
    throw new ArgumentError(
      `createPredictor: this engine does not take ${unknown.join(', ')}; it takes ${chosen.takes.join(', ')}`,
    )
  return new Predictor(await chosen.load(model, options))
}
