/**
 * Model: a network with its optimizer, loss and metrics, trained, evaluated and used without a loop of one's own, as `paddle.Model`. The
 * loops are in fit.ts; here is what they do with one batch, and what is saved.
 */
import { existsSync } from 'node:fs'
import { autoCast, GradScaler, type AutoCastOptions, type GradScalerOptions } from '../amp/index.ts'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, StorageError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { saveStep } from '../io/checkpoint-steps.ts'
import { load, save } from '../io/save.ts'
import { codeOf } from '../io/storage-error.ts'
import type { InputSpec } from '../jit/index.ts'
import type { Metric } from '../metric/index.ts'
import { Layer, type StateDictReport } from '../nn/layer.ts'
import type { Parameter } from '../nn/parameter.ts'
import type { Optimizer, OptimizerState } from '../optimizer/index.ts'
import { noGrad } from '../tensor/autograd.ts'
import { hostArrays, realize } from '../tensor/doors.ts'
import { add } from '../tensor/math.ts'
import { Tensor } from '../tensor/tensor.ts'
import type { Logs } from './callbacks/callback.ts'
import { evaluateModel, predictModel, type EvaluateOptions, type PredictOptions } from './evaluate.ts'
import { fitModel, type FitOptions, type History, type Run } from './fit.ts'
import type { RunData } from './data.ts'
import { summary, type InputSizes, type SummaryOptions, type SummaryResult } from './summary.ts'

/** Outputs of the network, then labels; gives one loss or several, of which the sum is trained. */
export type Loss = Layer | ((...args: Tensor[]) => Tensor | Tensor[])

export interface AmpConfigs extends AutoCastOptions, Omit<GradScalerOptions, 'enable'> {
  /** Scales the loss. Default: true for float16, false for bfloat16. */
  readonly useGradScaler?: boolean
}

export interface PrepareOptions {
  /** Needed to train. */
  readonly optimizer?: Optimizer | null
  /** Needed to train; evaluation without one gives metrics only. */
  readonly loss?: Loss | null
  readonly metrics?: Metric | readonly Metric[] | null
  /** A level (`'O1'`, `'O2'`) or all options of autoCast and GradScaler. Default: float32. */
  readonly ampConfigs?: 'O0' | 'O1' | 'O2' | AmpConfigs | null
}

/** What a batch gave. */
export interface BatchResult {
  /** One number for each loss; empty without a loss. */
  readonly loss: readonly number[]
  /** Metrics over all batches since they were reset. */
  readonly metrics: Readonly<Record<string, number>>
}

const asList = <T>(value: T | readonly T[] | null | undefined): T[] =>
  value === null || value === undefined ? [] : Array.isArray(value) ? [...(value as readonly T[])] : [value as T]

/** Tensors of a network's output: a tensor, or a list or dictionary of them. */
function outputsOf(output: unknown): Tensor[] {
  if (output instanceof Tensor) return [output]
  const parts: unknown[] = typeof output === 'object' && output !== null ? Object.values(output) : [output]
  if (parts.every((p) => p instanceof Tensor)) return parts
  throw new ArgumentError('Model: the network must return a tensor, or a list or dictionary of tensors')
}

/**
 * @example
 *   const model = new Model(new SimpleCNN())
 *   model.prepare({ optimizer: adam, loss: new nn.CrossEntropyLoss(), metrics: new metric.Accuracy() })
 *   await model.fit({ trainData, evalData, batchSize: 32, epochs: 2, saveDir: 'out' })
 */
export class Model {
  readonly network: Layer
  /** Set by callbacks (or anybody) to end `fit` after this batch. */
  stopTraining = false
  #optimizer: Optimizer | null = null
  #loss: Loss | null = null
  #metrics: readonly Metric[] = []
  #amp: AutoCastOptions = { enable: false }
  #scaler: GradScaler | null = null
  #updated = false
  readonly #inputs: number
  #run: Run | null = null

  /** `inputs`: what the network takes; by default as many as the parameters of its `forward`, at least one. */
  constructor(network: Layer, inputs?: InputSpec | readonly InputSpec[], _labels?: InputSpec | readonly InputSpec[]) {
    if (!(network instanceof Layer)) throw new ArgumentError('Model: expected a Layer')
    this.network = network
    const declared = (Object.getPrototypeOf(network) as Layer).forward.length
    this.#inputs = inputs ? asList(inputs).length : Math.max(1, declared)
  }

  /** Says how to train and evaluate. Throws ArgumentError. */
  prepare(options: PrepareOptions = {}): this {
    const { optimizer = null, loss = null, ampConfigs = null } = options
    if (loss !== null && typeof loss !== 'function')
      throw new ArgumentError('Model.prepare: loss must be a Layer or a function of outputs and labels')
    this.#optimizer = optimizer
    this.#loss = loss
    this.#metrics = asList<Metric>(options.metrics)
    const amp = typeof ampConfigs === 'string' ? { level: ampConfigs } : (ampConfigs ?? { level: 'O0' as const })
    this.#amp = { ...amp, enable: amp.enable ?? amp.level !== 'O0' }
    const scales = this.#amp.enable && (amp.useGradScaler ?? (amp.dtype ?? 'float16') === 'float16')
    this.#scaler = scales ? new GradScaler(amp) : null
    return this
  }

  get optimizer(): Optimizer | null {
    return this.#optimizer
  }

  get scaler(): GradScaler | null {
    return this.#scaler
  }

  get metrics(): readonly Metric[] {
    return this.#metrics
  }

  /** Whether the last training batch updated the parameters. */
  get hasUpdated(): boolean {
    return this.#updated
  }

  /** Steps (batches) of the running or last `fit`, over all epochs. */
  get step(): number {
    return this.#run?.step ?? 0
  }

  /** Whether Ctrl-C ended the last `fit`. */
  get interrupted(): boolean {
    return this.#run?.interrupted ?? false
  }

  /** All parameters of the network. */
  parameters(): Parameter[] {
    return this.network.parameters()
  }

  /** Inputs and labels of a batch. */
  divide(tensors: readonly Tensor[]): { inputs: Tensor[]; labels: Tensor[] } {
    return { inputs: tensors.slice(0, this.#inputs), labels: tensors.slice(this.#inputs) }
  }

  // ---- one batch ----------------------------------------------------------------------------------------------------------

  /**
   * Trains on a batch. With `update: false` gradients add up until a call that updates, as Paddle's accumulation: they are summed, not
   * averaged. Throws ArgumentError before `prepare`.
   */
  async trainBatch(
    inputs: Tensor | readonly Tensor[],
    labels: Tensor | readonly Tensor[] = [],
    options: { readonly update?: boolean } = {},
  ): Promise<BatchResult> {
    const optimizer = this.#optimizer
    if (!optimizer || !this.#loss) throw new ArgumentError('Model: call prepare({ optimizer, loss }) before training')
    this.network.train()
    const { outputs, losses } = this.#forward(asList<Tensor>(inputs), asList<Tensor>(labels))
    this.#feedMetrics(outputs, asList<Tensor>(labels))
    for (const l of losses) l.keep()
    const total = losses.reduce((a, b) => add(a, b))
    const scaled = this.#scaler?.scale(total) ?? total
    scaled.backward()
    this.#updated = options.update ?? true
    if (this.#updated) {
      if (this.#scaler) this.#scaler.minimize(optimizer, scaled)
      else optimizer.minimize(total)
      optimizer.clearGrad()
    } else await realize([...losses, ...optimizer.parametersWithGradients().map(([, g]) => g)])
    return this.#result(losses)
  }

  /** Loss and metrics of a batch, without training. */
  async evalBatch(inputs: Tensor | readonly Tensor[], labels: Tensor | readonly Tensor[] = []): Promise<BatchResult> {
    this.network.eval()
    const losses = noGrad(() => {
      const { outputs, losses: own } = this.#forward(asList<Tensor>(inputs), asList<Tensor>(labels))
      this.#feedMetrics(outputs, asList<Tensor>(labels))
      return own
    })
    return this.#result(losses)
  }

  /** Outputs of the network for a batch. */
  async predictBatch(inputs: Tensor | readonly Tensor[]): Promise<HostArray[]> {
    this.network.eval()
    return hostArrays(noGrad(() => autoCast(this.#amp, () => this.#outputs(asList<Tensor>(inputs)))))
  }

  #outputs(inputs: readonly Tensor[]): Tensor[] {
    return outputsOf((this.network as unknown as (...args: readonly Tensor[]) => unknown)(...inputs))
  }

  #forward(inputs: readonly Tensor[], labels: readonly Tensor[]): { outputs: Tensor[]; losses: Tensor[] } {
    return autoCast(this.#amp, () => {
      const outputs = this.#outputs(inputs)
      const loss = this.#loss as ((...args: Tensor[]) => Tensor | Tensor[]) | null
      return { outputs, losses: loss ? asList<Tensor>(loss(...outputs, ...labels)) : [] }
    })
  }

  #feedMetrics(outputs: readonly Tensor[], labels: readonly Tensor[]): void {
    for (const m of this.#metrics) {
      const parts = asList<Tensor>(noGrad(() => m.compute(...outputs, ...labels)))
      ;(m.update as (...args: Tensor[]) => unknown)(...parts)
    }
  }

  async #result(losses: readonly Tensor[]): Promise<BatchResult> {
    const loss = await Promise.all(losses.map((l) => l.item()))
    return { loss, metrics: await this.accumulateMetrics() }
  }

  /** Names of all metrics' results. */
  metricNames(): string[] {
    return this.#metrics.flatMap((m) => m.name())
  }

  /** All metrics' results so far. */
  async accumulateMetrics(): Promise<Record<string, number>> {
    const values = await Promise.all(this.#metrics.map(async (m) => [await m.accumulate()].flat()))
    const names = this.#metrics.map((m) => [m.name()].flat())
    return Object.fromEntries(names.flatMap((list, i) => list.map((name, k) => [name, values[i]![k]!] as const)))
  }

  // ---- whole runs ---------------------------------------------------------------------------------------------------------

  /**
   * Trains for some epochs. The JS thread stays free between steps. With `saveDir`, the state of training is kept there, and Ctrl-C finishes
   * the step, saves it, says how to resume, and ends the process with code 130 (where nobody else listens for Ctrl-C; a library that does
   * gets `interrupted: true`). Throws ArgumentError, and what the data, the network and the disk throw.
   */
  async fit(options: FitOptions): Promise<History> {
    return fitModel(this, options, (run) => (this.#run = run))
  }

  /** Loss (mean over samples) and metrics over a dataset, as `{ loss, acc, ... }`. */
  async evaluate(evalData: RunData, options: EvaluateOptions = {}): Promise<Logs> {
    return evaluateModel(this, evalData, options)
  }

  /**
   * Outputs over a dataset: for each output of the network the list of its batches, or with `stackOutputs` one array. A batch's tensors
   * beyond the network's inputs are left out.
   */
  predict(testData: RunData, options: PredictOptions & { readonly stackOutputs: true }): Promise<HostArray[]>
  predict(testData: RunData, options?: PredictOptions): Promise<HostArray[][]>
  async predict(testData: RunData, options: PredictOptions = {}): Promise<HostArray[] | HostArray[][]> {
    return predictModel(this, testData, options)
  }

  // ---- files --------------------------------------------------------------------------------------------------------------

  /** Saves `PATH.safetensors`, and with `training` (default) the optimizer as `PATH.optimizer.safetensors`. */
  async save(path: string, options: { readonly training?: boolean } = {}): Promise<void> {
    await save(this.network.stateDict(), `${path}.safetensors`)
    if ((options.training ?? true) && this.#optimizer)
      await save(this.#optimizer.stateDict(), `${path}.optimizer.safetensors`)
  }

  /**
   * Loads what `save` wrote, or PaddlePaddle's `PATH.pdparams` and `PATH.pdopt` where there is no `PATH.safetensors`. `skipMismatch` leaves out weights that are missing or have another shape, otherwise they are an
   * ArgumentError; `resetOptimizer` (default false) leaves the optimizer as it is. Gives what did not match.
   */
  async load(
    path: string,
    options: { readonly skipMismatch?: boolean; readonly resetOptimizer?: boolean } = {},
  ): Promise<StateDictReport> {
    const ofPaddle = !existsSync(`${path}.safetensors`) && existsSync(`${path}.pdparams`)
    const file = path + (ofPaddle ? '.pdparams' : '.safetensors')
    const weights = await load(file, { returnHostArrays: true })
    const optimizerFile = path + (ofPaddle ? '.pdopt' : '.optimizer.safetensors')
    const optimizer = options.resetOptimizer || !this.#optimizer ? null : await loadIfPresent(optimizerFile)
    if (!options.skipMismatch) checkMatch(this.network, weights, file)
    const report = this.network.setStateDict(weights)
    if (optimizer) this.#optimizer!.setStateDict(optimizer)
    return report
  }

  /** Saves the running `fit` as `ROOT/step-N`, from which `fit({ resume: ROOT })` goes on. Gives the directory. */
  async checkpoint(root: string, options: { readonly keepLast?: number } = {}): Promise<string> {
    const run = this.#run
    if (!run) throw new ArgumentError('Model.checkpoint: there is no run to save; call it from a callback of fit')
    return saveStep(root, run.step, await run.capture(), options)
  }

  /** Prints the table of layers, and gives the numbers of parameters; see `summary`. */
  summary(inputSize?: InputSizes, options: SummaryOptions = {}): SummaryResult {
    return summary(this.network, inputSize, options)
  }
}

async function loadIfPresent(path: string): Promise<OptimizerState | null> {
  try {
    return await load<OptimizerState>(path)
  } catch (error) {
    if (error instanceof StorageError && codeOf(error.cause) === 'ENOENT') return null
    throw error
  }
}

function checkMatch(
  network: Layer,
  weights: Readonly<Record<string, { readonly shape: readonly number[] }>>,
  file: string,
): void {
  const own = network.stateDict()
  const problems = [...new Set([...Object.keys(own), ...Object.keys(weights)])].flatMap((name) => {
    const [here, there] = [own[name], weights[name]]
    if (here && there && sameShape(here.shape, there.shape)) return []
    const said = (x: { readonly shape: readonly number[] } | undefined): string =>
      x ? formatShape(x.shape) : 'missing'
    return [`${name} (network: ${said(here)}, file: ${said(there)})`]
  })
  if (problems.length > 0)
    throw new ArgumentError(
      `Model.load: '${file}' does not fit the network: ${problems.slice(0, 5).join('; ')}; pass skipMismatch: true to take the rest`,
    )
}
