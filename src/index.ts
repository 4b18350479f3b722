/** The package's root: tensors, their functions and autograd at the top, the rest in namespaces, the way `import paddle` gives them. */
import './io/wiring.ts'

export * from './common/errors.ts'
export { dtypes, isDType, type DType, type FloatDType, type HostArray, type HostData } from './common/dtype.ts'
export * from './tensor/index.ts'
export * as amp from './amp/index.ts'
export * as autograd from './tensor/autograd.ts'
export * as io from './io/index.ts'
export { load, save } from './io/save.ts'
export * as jit from './jit/index.ts'
export * as nn from './nn/index.ts'
export { Parameter, ParamAttr } from './nn/parameter.ts'
export * as optimizer from './optimizer/index.ts'
