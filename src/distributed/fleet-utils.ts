/** `distributed.fleet.utils`: helpers for large models. */
export { recompute, recomputeSequential, type RecomputeOptions } from '../tensor/recompute.ts'
