/** `jit`: recordings that are frozen and replayed, as `paddle.jit`. */
export { InputSpec, type SpecShape } from './input-spec.ts'
export { ConcreteProgram, type CapturedLeaf, type Draw, type ProgramWrite } from './program.ts'
export { notToStatic, StaticFunction, staticFunctionOf, toStatic, type ToStaticOptions } from './to-static.ts'
