/** `nn`: layers, their functions and initialisers, as `paddle.nn`. */
export * as functional from './functional/index.ts'
export * as utils from './utils/index.ts'
export * as initializer from './initializer/index.ts'
export {
  ClipGradByGlobalNorm,
  ClipGradByNorm,
  ClipGradByValue,
  type GradientClip,
  type ParameterGradient,
} from './clip.ts'
export { LayerDict, LayerList, ParameterDict, ParameterList, Sequential, type TensorLayer } from './container.ts'
export * from './clip.ts'
export {
  Layer,
  type CreateParameterOptions,
  type ForwardPostHook,
  type ForwardPreHook,
  type StateDictReport,
} from './layer.ts'
export * from './layers/activation.ts'
export * from './layers/alignment-loss.ts'
export { MultiHeadAttention, type AttentionCache, type MultiHeadAttentionOptions } from './layers/attention.ts'
export * from './layers/common.ts'
export * from './layers/conv.ts'
export * from './layers/dropout.ts'
export * from './layers/loss.ts'
export * from './layers/many-classes.ts'
export * from './layers/norm.ts'
export * from './layers/pad.ts'
export * from './layers/pooling.ts'
export * from './layers/random-activation.ts'
export * from './layers/rnn.ts'
export {
  GRUCell,
  LSTMCell,
  RNNCellBase,
  SimpleRNNCell,
  type CellAttributes,
  type RNNActivation,
  type States,
  type StateShape,
} from './layers/rnn-cell.ts'
export * from './layers/vision.ts'
export * from './layers/transformer.ts'
export {
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type AttributeList,
  type DecoderCache,
  type TransformerActivation,
  type TransformerLayerOptions,
} from './layers/transformer-layer.ts'
export { Parameter, ParamAttr, type ParamAttrLike, type ParamAttrOptions, type Regularizer } from './parameter.ts'
