/**
 * Philox 4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * Each block of four 32-bit words is a pure function of a 128-bit counter and a 64-bit key, so the `random` op of the graph
 * can be replayed, split and reordered without changing a number. This is the reference that every backend must match.
 */
import { mulHigh32 } from './uint32.ts'

export type PhiloxBlock = readonly [number, number, number, number]

const rounds = 10
const multiplierA = 0xd2511f53
const multiplierB = 0xcd9e8d57
// Key increments of the Weyl sequence: golden ratio and sqrt(3) - 1.
const weylA = 0x9e3779b9
const weylB = 0xbb67ae85

/** The four words at counter (c0, c1, c2, c3) under key (k0, k1); all are unsigned 32-bit integers, lowest word first. */
export function philox4x32Words(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): [number, number, number, number] {
  for (let round = 0; round < rounds; round++) {
    const highA = mulHigh32(multiplierA, c0)
    const lowA = Math.imul(multiplierA, c0) >>> 0
    const highB = mulHigh32(multiplierB, c2)
    const lowB = Math.imul(multiplierB, c2) >>> 0
    c0 = (highB ^ c1 ^ k0) >>> 0
    c1 = lowB
    c2 = (highA ^ c3 ^ k1) >>> 0
    c3 = lowA
    k0 = (k0 + weylA) >>> 0
    k1 = (k1 + weylB) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** The block at a 64-bit counter (the upper 64 bits of Philox's counter are zero) under a 64-bit key. */
export function philox4x32(counterLo: number, counterHi: number, keyLo: number, keyHi: number): PhiloxBlock {
  return philox4x32Words(counterLo >>> 0, counterHi >>> 0, 0, 0, keyLo >>> 0, keyHi >>> 0)
}

const two32 = 2 ** 32

/**
 * Element `index` of the uniform stream that starts at block `offset` of `key`: word `index mod 4` of block
 * `offset + floor(index / 4)`, its upper 24 bits as a multiple of 2^-24, so in [0, 1) and exact in float32.
 * `key` and `offset` are non-negative integers up to 2^53.
 */
export function uniformAt(key: number, offset: number, index: number): number {
  const counter = offset + Math.floor(index / 4)
  const block = philox4x32(counter, Math.floor(counter / two32), key, Math.floor(key / two32))
  return (block[index % 4]! >>> 8) * 2 ** -24
}
