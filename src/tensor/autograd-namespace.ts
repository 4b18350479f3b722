/** `autograd`: gradients under the names of `paddle.autograd`. */
export * from './autograd.ts'
export { hessian, jacobian, type BatchAxis } from './jacobian.ts'
export { PyLayer, PyLayerContext, type PyLayerClass, type PyLayerGradients } from './py-layer.ts'
export { recompute, type RecomputeOptions } from './recompute.ts'
