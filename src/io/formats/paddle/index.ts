/** PaddlePaddle's inference models: read into programs, and written from them. */
export {
  INFERENCE_CONFIG,
  parseInferenceConfig,
  type ConfigStep,
  type ConfigValue,
  type InferenceConfig,
} from './inference-config.ts'
export { readPaddleModel, type PaddleReadOptions } from './read.ts'
export { writePaddleModel, type PaddleFormat, type PaddleWriteOptions } from './write.ts'
