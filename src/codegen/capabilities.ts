/** What templates may know of a device when they choose tiles and blocks. */
export interface Capabilities {
  /** Bytes of a vector register that kernels should use; 0 for none. */
  readonly vectorBytes: number
  /** Vector registers that a kernel may fill before values go to memory; 16 if not given. */
  readonly vectorRegisters?: number
  /**
   * What multiplies bfloat16 and adds in float32: `pairs` two products a lane of full vectors (vdpbf16ps of AVX-512), `tiles` 32 x 32 sums at a
   * time (AMX). Absent: bfloat16 is storage, and is computed in float32.
   */
  readonly bfloat16?: 'pairs' | 'tiles'
  readonly threads: number
  /** Data cache of a core in bytes, level 1 and 2, and what a core may count on of level 3. */
  readonly cacheBytes: readonly [number, number, number]
  /** Whether results can be waited for without leaving the JS thread. */
  readonly blocking: boolean
  /** Whether convolutions may be computed in Winograd's form, which rounds a little differently; true if not given. */
  readonly winograd?: boolean
  /** Parts of bfloat16 that `tiles` may multiply of the factors of float32; 3 if not given. */
  readonly productParts?: ProductParts
}

/** All of a float32 is in three parts, 16 bits of its significand in two; 0: products of float32 are computed in float32. */
export type ProductParts = 0 | 2 | 3

const numbers = new WeakMap<Capabilities, number>()
/** Numbers of what capabilities say. */
const known = new Map<string, number>()

/** Equal for equal capabilities; all that is lowered for a plan has the same object. */
export function capabilitiesNumber(capabilities: Capabilities): number {
  let number = numbers.get(capabilities)
  if (number === undefined) {
    const text = JSON.stringify(capabilities)
    number = known.get(text) ?? known.size
    known.set(text, number)
    numbers.set(capabilities, number)
  }
  return number
}
