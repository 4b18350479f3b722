/** `distributed`, as `paddle.distributed`: so far what one process has of it. */
export * as fleet from './fleet.ts'
