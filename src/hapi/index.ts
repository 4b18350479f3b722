/** The high-level interface: Model, its callbacks, summaries. */
import '../io/wiring.ts'

export * as callbacks from './callbacks/index.ts'
export type { LoaderOptions, RunData } from './data.ts'
export type { EvaluateOptions, PredictOptions } from './evaluate.ts'
export type { FitOptions, History } from './fit.ts'
export { flops, type FlopsOptions } from './flops.ts'
export { Model, type AmpConfigs, type BatchResult, type Loss, type PrepareOptions } from './model.ts'
export { summary, type InputSizes, type SummaryOptions, type SummaryResult } from './summary.ts'
