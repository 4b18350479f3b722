/** `nn.functional`: what layers do, without their parameters. */
export * from './activation.ts'
export * from './adaptive-pooling.ts'
export * from './common.ts'
export * from './conv.ts'
export * from './loss/cross-entropy.ts'
export * from './pad.ts'
export * from './pooling.ts'
