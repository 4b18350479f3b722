/** The package's root: tensors, their functions and autograd, the way `import paddle` gives them. */
export * from './common/errors.ts'
export { dtypes, isDType, type DType, type FloatDType, type HostArray, type HostData } from './common/dtype.ts'
export * from './tensor/index.ts'
export * as nn from './nn/index.ts'
export { Parameter, ParamAttr } from './nn/parameter.ts'
