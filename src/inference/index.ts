/** `longzhou/inference`: models prepared for running, as Paddle Inference. */
export { readModel, writeModel, modelFormats, type ModelFormat } from '../io/formats/model-files.ts'
export type { OperatorProgram } from '../io/formats/program/program.ts'
export {
  createPredictor,
  loadPredictor,
  Predictor,
  type PortInfo,
  type PredictorInputs,
  type PredictorOptions,
} from './predictor.ts'
