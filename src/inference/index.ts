/** `longzhou/inference`: models prepared for running, as Paddle Inference. */
export { readModel, writeModel, modelFormats, type ModelFormat } from '../io/formats/model-files.ts'
export type { OperatorProgram } from '../io/formats/program/program.ts'
export { Config } from './config.ts'
export { precisions, type Model, type PortInfo, type Precision } from './engine.ts'
export { createPredictor, engineNames, type EngineName, type PredictorOptions } from './engines.ts'
export type { InputHandle, OutputHandle } from './handles.ts'
export { describePort, Predictor, type PredictorInputs } from './predictor.ts'
