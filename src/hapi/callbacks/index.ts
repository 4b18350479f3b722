/** `callbacks`, as `paddle.callbacks`. */
export { Callback, type Logs, type RunParameters } from './callback.ts'
export { ModelCheckpoint, type ModelCheckpointOptions } from './checkpoint.ts'
export { EarlyStopping, type EarlyStoppingOptions } from './early-stopping.ts'
export {
  LRScheduler,
  ReduceLROnPlateau,
  type LRSchedulerOptions,
  type ReduceLROnPlateauOptions,
} from './learning-rate.ts'
export { CSVLogger, JSONLogger, type LogFileOptions } from './log-file.ts'
export type { MonitorOptions } from './monitor.ts'
export { ProgBarLogger, type ProgBarLoggerOptions } from './progress-bar.ts'
