/**
 * What runs models behind a `Predictor`. An engine makes a session of a model; a session takes arrays that have been checked and gives
 * arrays. Engines stand in the table of engines.ts; nothing else tells them apart.
 */
import type { DType, HostArray } from '../common/dtype.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'

/** What a model takes or gives: -1 for an axis of any size. */
export interface PortInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Names of axes of any size, where the model has them; null for others. */
  readonly axisNames?: readonly (string | null)[]
}

export const precisions = ['float32', 'high', 'bfloat16'] as const
export type Precision = (typeof precisions)[number]

/** A model: a file or directory of any kind, or a program that was read or exported. */
export type Model = string | OperatorProgram

export interface EngineOptions {
  /** Default: the engine's own; of `longzhou` the current device. */
  readonly device?: string
  /**
   * Threads that may work for one run of this predictor. Default: of `longzhou` what `setNumThreads` says (the physical cores), of other engines
   * their own. All predictors of `longzhou` in a process share one pool, which serves one run at a time; results do not depend on it.
   */
  readonly threads?: number
  /**
   * What products and convolutions multiply. Default `float32`. `high`, on processors with AMX: factors of 16 bits of significand where that is faster, as
   * PyTorch's `set_float32_matmul_precision('high')`; products then err by 4 millionths (rms), and large ones take half the time; elsewhere as `float32`.
   * `bfloat16` packs weights in half the memory; sums are float32, what lies between products is as under `amp.autoCast` (level O1), and outputs are float32.
   */
  readonly precision?: Precision
  /** Directory that keeps compiled kernels; false: nothing is kept. Default: LONGZHOU_CACHE_DIR, else ~/.cache/longzhou. */
  readonly cache?: string | false
  /** Shapes whose plans are kept; the one not used for longest goes first. Default 64. */
  readonly maxShapes?: number
}

/** A model that is ready to run. Predictors that are clones of each other share one. */
export interface Session {
  /** What the model takes, in order. */
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  /** What travels with the model. */
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  /** Bytes of packed weights and other constants, as far as the engine tells. */
  readonly constantBytes: number
  /**
   * Runs the model on inputs in order, which fit `inputs`; resolves to the outputs in the order of their names. May be called again before it
   * resolves. The inputs are not looked at after the call has returned.
   */
  run(inputs: readonly HostArray[]): Promise<readonly HostArray[]>
  /** Gives memory back. Called once, when nothing runs and nobody will run it again. */
  dispose(): void | Promise<void>
}

export interface Engine {
  /** Options besides `model` and `engine` that the engine takes; others are refused. */
  readonly takes: readonly (keyof EngineOptions)[]
  /** Whether a path is a kind of model that this engine alone runs, so that it need not be named. Absent: there is no such kind. */
  owns?(path: string): Promise<boolean>
  /** Throws ArgumentError, DeviceError, StorageError, FormatError. */
  load(model: Model, options: EngineOptions): Promise<Session>
}
