/** `longzhou/inference`: models prepared for running, as Paddle Inference. */
export { readModel, writeModel, modelFormats, type ModelFormat } from '../io/formats/model-files.ts'
export type { OperatorProgram } from '../io/formats/program/program.ts'
export type { Model, PortInfo, Precision } from './engine.ts'
export { createPredictor, engineNames, type EngineName, type PredictorOptions } from './engines.ts'
export { describePort, Predictor, type PredictorInputs } from './predictor.ts'
