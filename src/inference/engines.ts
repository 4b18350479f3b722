/** The table of engines, and `createPredictor`, which chooses one. */
import { ArgumentError } from '../common/errors.ts'
import { nearestName } from '../common/nearest-name.ts'
import { isThreadCount, MAX_THREADS } from '../common/thread-count.ts'
import { isCompiledModel } from './ahead/manifest-file.ts'
import { Config } from './config.ts'
import type { Engine, EngineOptions, Model } from './engine.ts'
import { longzhou } from './longzhou.ts'
import { Predictor } from './predictor.ts'

/** In the order in which they are asked whether a path is theirs; the first is for all that is nobody's. */
const engines = {
  longzhou,
  compiled: {
    takes: ['device', 'threads'],
    owns: isCompiledModel,
    load: async (model, options) => (await import('./compiled.ts')).openCompiled(model, options),
  },
  onnxruntime: {
    takes: ['device', 'threads'],
    load: async (model, options) => (await import('./onnxruntime.ts')).openForeign(model, options),
  },
} satisfies Record<string, Engine>

export type EngineName = keyof typeof engines

/** Names of the engines that this build has. */
export const engineNames = Object.keys(engines) as readonly EngineName[]

export interface PredictorOptions extends EngineOptions {
  /** A model file or directory, of any format, a recogniser's file, a compiled model, or a program that was read or exported. */
  readonly model: Model
  /**
   * Default: the engine whose kind of model it is; `longzhou` for model files and programs, `compiled` for directories that `compileModel` made.
   * Loading one of those executes its library. `onnxruntime` needs the package onnxruntime-node and
   * runs on device `cpu`, `gpu` (CUDA), `tensorrt` or `webgpu`, in the calling thread.
   */
  readonly engine?: EngineName
}

/** Callers of JavaScript may pass anything. */
const isModel = (value: unknown): value is Model =>
  (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null && 'operations' in value)

function checkName(name: string): void {
  if (Object.hasOwn(engines, name)) return
  const near = nearestName(name, engineNames)
  throw new ArgumentError(
    `createPredictor: there is no engine '${name}'; use ${engineNames.join(', ')}${near ? ` (did you mean ${near}?)` : ''}`,
  )
}

async function engineFor(model: Model): Promise<EngineName> {
  const all: Readonly<Record<EngineName, Engine>> = engines
  if (typeof model === 'string') for (const name of engineNames) if (await all[name].owns?.(model)) return name
  return 'longzhou'
}

async function configured(config: Config): Promise<PredictorOptions> {
  const { model, parameters, ...options } = config.options()
  return { ...options, model: parameters === undefined ? model : await readWith(model, parameters) }
}

async function readWith(model: string, parameters: string): Promise<Model> {
  const { readPaddleModel } = await import('../io/formats/paddle/index.ts')
  return readPaddleModel(model, { parameters })
}

/**
 * Prepares a model for running, as `paddle.inference.create_predictor`. Throws ArgumentError, DeviceError for a device that is absent,
 * StorageError, and FormatError that lists all operators that are not supported.
 * @example const predictor = await createPredictor({ model: 'model.onnx', device: 'cpu' })
 */
export async function createPredictor(given: PredictorOptions | Config): Promise<Predictor> {
  if (typeof given !== 'object' || given === null || !(given instanceof Config || isModel(given.model)))
    throw new ArgumentError(
      `createPredictor: give { model }, the path of a model or a program, or a Config; got ${typeof given === 'string' ? `'${String(given)}'` : typeof given}`,
    )
  const { model, engine, ...options } = given instanceof Config ? await configured(given) : given
  if (engine !== undefined) checkName(engine)
  const name = engine ?? (await engineFor(model))
  const chosen: Engine = engines[name]
  const unknown = (Object.keys(options) as (keyof EngineOptions)[]).filter(
    (o) => options[o] !== undefined && !chosen.takes.includes(o),
  )
  if (unknown.length > 0)
    throw new ArgumentError(
      `createPredictor: engine '${name}' does not take ${unknown.join(', ')}; it takes ${chosen.takes.join(', ')}`,
    )
  const { threads, maxShapes } = options
  if (threads !== undefined && !isThreadCount(threads))
    throw new ArgumentError(
      `createPredictor: threads must be an integer from 1 to ${MAX_THREADS}, got ${String(threads)}`,
    )
  if (maxShapes !== undefined && !(Number.isInteger(maxShapes) && maxShapes >= 1))
    throw new ArgumentError(`createPredictor: maxShapes must be a positive integer, got ${String(maxShapes)}`)
  return new Predictor(await chosen.load(model, options))
}
