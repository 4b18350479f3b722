/** The loops of `Model.evaluate` and `Model.predict`. */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import type { DataLoader } from '../io/dataloader.ts'
import { bytesOf, fromBytes } from '../io/host-array.ts'
import type { Callback, Logs, RunParameters } from './callbacks/callback.ts'
import { CallbackList } from './callbacks/callback.ts'
import { ProgBarLogger } from './callbacks/progress-bar.ts'
import { batchesOf, loaderOf, tensorsOf, type RunData } from './data.ts'
import type { Model } from './model.ts'

interface PassOptions {
  /** For a dataset; a DataLoader has its own. Default 1. */
  readonly batchSize?: number
  /** Default 0. */
  readonly numWorkers?: number
  /** 0 silent, 1 progress bar, 2 lines. */
  readonly verbose?: number
  readonly callbacks?: readonly Callback[]
  /** Batches to look at. Default: all. */
  readonly numIters?: number
}

export interface EvaluateOptions extends PassOptions {
  /** Batches between two lines where `verbose` is 2 (the default). Default 10. */
  readonly logFreq?: number
}

export interface PredictOptions extends PassOptions {
  /** One array for each output instead of a list of batches. Default false. */
  readonly stackOutputs?: boolean
}

/** Parameters of a pass that does not train. */
function passParameters(
  mode: 'eval' | 'predict',
  model: Model,
  loader: DataLoader<unknown, unknown>,
  options: EvaluateOptions,
): RunParameters {
  const steps = batchesOf(loader)
  return {
    mode,
    epochs: 1,
    steps: steps === null ? null : Math.min(steps, options.numIters ?? Infinity),
    verbose: options.verbose ?? (mode === 'eval' ? 2 : 1),
    logFreq: options.logFreq ?? 10,
    batchSize: options.batchSize ?? null,
    saveDir: null,
    saveFreq: 1,
    evaluates: mode === 'eval',
    metrics: model.metricNames(),
  }
}

function callbacksOf(model: Model, own: readonly Callback[], params: RunParameters): CallbackList {
  const all = own.some((c) => c instanceof ProgBarLogger) ? own : [new ProgBarLogger(), ...own]
  return new CallbackList(all, model, params)
}

export async function evaluateModel(model: Model, data: RunData, options: EvaluateOptions): Promise<Logs> {
  const loader = loaderOf(data, options)
  const callbacks = callbacksOf(model, options.callbacks ?? [], passParameters('eval', model, loader, options))
  try {
    return await evaluatePass(model, loader, callbacks, options.numIters)
  } finally {
    if (loader !== data) await loader.close()
  }
}

/** One pass over evaluation data: mean loss over the samples, metrics over all. */
export async function evaluatePass(
  model: Model,
  loader: DataLoader<unknown, unknown>,
  callbacks: CallbackList,
  numIters = Infinity,
): Promise<Logs> {
  for (const m of model.metrics) m.reset()
  const steps = batchesOf(loader)
  await callbacks.call('onEvalBegin', steps === null ? {} : { steps: Math.min(steps, numIters) })
  let step = 0
  let samples = 0
  const sums: number[] = []
  let results: Logs = {}
  if (numIters > 0)
    for await (const batch of loader) {
      await callbacks.call('onEvalBatchBegin', step, {})
      const { inputs, labels } = model.divide(tensorsOf(batch))
      const { loss, metrics } = await model.evalBatch(inputs, labels)
      const batchSize = inputs[0]?.shape[0] ?? 1
      samples += batchSize
      loss.forEach((l, i) => (sums[i] = (sums[i] ?? 0) + l * batchSize))
      results = metrics
      await callbacks.call('onEvalBatchEnd', step, { ...lossLogs(loss), ...metrics, batchSize })
      if (++step >= numIters) break
    }
  const logs: Logs = { ...lossLogs(sums.map((s) => s / Math.max(samples, 1))), ...results }
  await callbacks.call('onEvalEnd', logs)
  return logs
}

/** Losses as logs: one is a number, several are a list. */
export function lossLogs(loss: readonly number[]): Logs {
  if (loss.length === 0) return {}
  return { loss: loss.length === 1 ? loss[0]! : loss }
}

export async function predictModel(
  model: Model,
  data: RunData,
  options: PredictOptions,
): Promise<HostArray[] | HostArray[][]> {
  const loader = loaderOf(data, options)
  const callbacks = callbacksOf(model, options.callbacks ?? [], passParameters('predict', model, loader, options))
  const outputs: HostArray[][] = []
  try {
    await callbacks.call('onPredictBegin', {})
    let step = 0
    for await (const batch of loader) {
      if (step >= (options.numIters ?? Infinity)) break
      await callbacks.call('onPredictBatchBegin', step, {})
      const { inputs } = model.divide(tensorsOf(batch))
      ;(await model.predictBatch(inputs)).forEach((array, i) => (outputs[i] ??= []).push(array))
      await callbacks.call('onPredictBatchEnd', step, { batchSize: inputs[0]?.shape[0] ?? 1 })
      step++
    }
    await callbacks.call('onPredictEnd', {})
  } finally {
    if (loader !== data) await loader.close()
  }
  return options.stackOutputs ? outputs.map(joined) : outputs
}

/** Batches one behind the other. */
function joined(batches: readonly HostArray[]): HostArray {
  const [first, ...rest] = batches as [HostArray, ...HostArray[]]
  const different = rest.find((b) => formatShape(b.shape.slice(1)) !== formatShape(first.shape.slice(1)))
  if (different)
    throw new ArgumentError(
      `Model.predict: batches of ${formatShape(first.shape)} and ${formatShape(different.shape)} do not stack; leave stackOutputs out`,
    )
  const bytes = new Uint8Array(batches.reduce((sum, b) => sum + b.data.byteLength, 0))
  let at = 0
  for (const b of batches) {
    bytes.set(bytesOf(b), at)
    at += b.data.byteLength
  }
  const rows = batches.reduce((sum, b) => sum + (b.shape[0] ?? 1), 0)
  return fromBytes(first.dtype, [rows, ...first.shape.slice(1)], bytes)
}
