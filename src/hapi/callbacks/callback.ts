/** Callback, what a run calls at its milestones, as `paddle.callbacks.Callback`, and the list that calls several. */
import type { StateValue } from '../../io/state-json.ts'
import type { Model } from '../model.ts'

/** Results by name: `loss`, metrics, `lr`. Several losses or results are lists. */
export type Logs = Readonly<Record<string, number | readonly number[]>>

/** What a callback knows about the run. */
export interface RunParameters {
  readonly mode: 'train' | 'eval' | 'predict'
  readonly epochs: number
  /** Batches in an epoch; null where the dataset does not say. */
  readonly steps: number | null
  /** 0 silent, 1 progress bar, 2 a line now and then. */
  readonly verbose: number
  readonly logFreq: number
  readonly batchSize: number | null
  /** Where the run keeps checkpoints, or null. */
  readonly saveDir: string | null
  readonly saveFreq: number
  /** Whether training is interrupted by evaluations. */
  readonly evaluates: boolean
  /** Names of the metrics. */
  readonly metrics: readonly string[]
}

type Result = void | Promise<void>

/**
 * Override what you need; every method may be async, and the run waits for it. Epochs and steps (in the epoch) count from 0. An epoch's
 * evaluation comes before its `onEpochEnd`, whose logs hold its results under `eval_` names.
 */
export class Callback {
  /** Set before the run begins. */
  protected model!: Model
  protected params!: RunParameters

  setModel(model: Model): void {
    this.model = model
  }

  setParams(params: RunParameters): void {
    this.params = params
  }

  onTrainBegin(_logs: Logs): Result {}
  onTrainEnd(_logs: Logs): Result {}
  onEpochBegin(_epoch: number, _logs: Logs): Result {}
  onEpochEnd(_epoch: number, _logs: Logs): Result {}
  onTrainBatchBegin(_step: number, _logs: Logs): Result {}
  onTrainBatchEnd(_step: number, _logs: Logs): Result {}
  onEvalBegin(_logs: Logs): Result {}
  onEvalEnd(_logs: Logs): Result {}
  onEvalBatchBegin(_step: number, _logs: Logs): Result {}
  onEvalBatchEnd(_step: number, _logs: Logs): Result {}
  onPredictBegin(_logs: Logs): Result {}
  onPredictEnd(_logs: Logs): Result {}
  onPredictBatchBegin(_step: number, _logs: Logs): Result {}
  onPredictBatchEnd(_step: number, _logs: Logs): Result {}

  /** What a resumed run needs to go on; null where there is nothing. */
  stateDict(): StateValue {
    return null
  }

  /** Goes on from what `stateDict` returned. */
  setStateDict(_state: StateValue): void {}
}

type Hook = Exclude<keyof Callback, 'setModel' | 'setParams' | 'stateDict' | 'setStateDict' | 'model' | 'params'>

/** Calls a method of several callbacks, one after the other. */
export class CallbackList {
  readonly callbacks: readonly Callback[]

  constructor(callbacks: readonly Callback[], model: Model, params: RunParameters) {
    this.callbacks = callbacks
    for (const c of callbacks) {
      c.setModel(model)
      c.setParams(params)
    }
  }

  async call<K extends Hook>(hook: K, ...args: Parameters<Callback[K]>): Promise<void> {
    for (const c of this.callbacks) await (c[hook] as (...a: unknown[]) => Result)(...args)
  }

  /** States by place and class, so that they go back only where they came from. */
  stateDict(): StateValue {
    return this.callbacks.map((c) => ({ name: c.constructor.name, state: c.stateDict() }))
  }

  setStateDict(saved: StateValue): void {
    if (!Array.isArray(saved)) return
    this.callbacks.forEach((c, i) => {
      const entry = saved[i] as { name?: unknown; state?: StateValue } | undefined
      if (entry?.name === c.constructor.name && entry.state !== undefined) c.setStateDict(entry.state)
    })
  }
}

/** A result as one number: the first where there are several. Undefined where the name is not in the logs. */
export function logNumber(logs: Logs, name: string): number | undefined {
  const value = logs[name]
  return typeof value === 'number' || value === undefined ? value : value[0]
}
