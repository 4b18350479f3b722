/** The package's root: tensors, their functions and autograd, the way `import paddle` gives them. */
export * from './common/errors.ts'
export { dtypes, isDType, type DType, type FloatDType, type HostArray, type HostData } from './common/dtype.ts'
export * from './tensor/index.ts'
export * as amp from './amp/index.ts'
export * as metric from './metric/index.ts'
export * as nn from './nn/index.ts'
export * as optimizer from './optimizer/index.ts'
export { Parameter, ParamAttr } from './nn/parameter.ts'
