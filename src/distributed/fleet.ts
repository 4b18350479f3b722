/** `distributed.fleet`. */
export * as utils from './fleet-utils.ts'
