/** `nn.utils`: reparametrised weights, gradient clipping by hand, parameters as vectors. */
export { clipGradNorm_, clipGradValue_, type ClipGradNormOptions } from '../clip.ts'
export * from './vectors.ts'
export * from './weight-norm.ts'
