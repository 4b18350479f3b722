/** The entry point `longzhou`: what every program needs, gathered from the folders. */
export type { DType, FloatDType } from './common/dtype.ts'
export * from './common/errors.ts'
