/** Names of the formats of model files. */

export const modelFormats = ['pir', 'pdmodel', 'onnx', 'safetensors', 'nb'] as const
/** `pir`: Paddle 3's `.json` + `.pdiparams`; `pdmodel`: Paddle 2's `.pdmodel` + `.pdiparams`; `nb`: Paddle Lite's. */
export type ModelFormat = (typeof modelFormats)[number]
