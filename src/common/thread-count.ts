/** How many threads may be asked for: of the compute pool, of a predictor, of a compiled model. The native runtimes have room for as many. */
export const MAX_THREADS = 1024

export function isThreadCount(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= MAX_THREADS
}
