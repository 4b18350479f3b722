/** `nn`: layers, their functions and initialisers, as `paddle.nn`. */
export * as functional from './functional/index.ts'
export * as initializer from './initializer/index.ts'
export * from './clip.ts'
export * from './container.ts'
export {
  Layer,
  type CreateParameterOptions,
  type ForwardPostHook,
  type ForwardPreHook,
  type StateDictReport,
} from './layer.ts'
export * from './layers/activation.ts'
export * from './layers/common.ts'
export * from './layers/conv.ts'
export * from './layers/loss.ts'
export * from './layers/pooling.ts'
export { Parameter, ParamAttr, type ParamAttrLike, type ParamAttrOptions, type Regularizer } from './parameter.ts'
