/** `optimizer.lr`: learning-rate schedules with the names, defaults and numbers of `paddle.optimizer.lr`. */
export * from './cosine.ts'
export * from './cyclic.ts'
export * from './decay.ts'
export * from './linear.ts'
export * from './plateau.ts'
export { LRScheduler, type LRState, type SchedulerOptions } from './scheduler.ts'
