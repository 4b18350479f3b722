/** `longzhou/inference`: models prepared for running, as Paddle Inference. */
export { readModel, writeModel, modelFormats, type ModelFormat } from '../io/formats/model-files.ts'
export type { OperatorProgram } from '../io/formats/program/program.ts'
export type { Model, PortInfo, Precision } from './engine.ts'
export { createPredictor, engineNames, type EngineName, type PredictorOptions } from './engines.ts'
export { describePort, Predictor, type PredictorInputs } from './predictor.ts'
export { compileModel, type CompileModelOptions } from './ahead/compile.ts'
export { isCompiledModel, readManifest, type Manifest } from './ahead/manifest.ts'
export { isTargetName, targetNames, type TargetName } from '../runtime/ahead/target.ts'
