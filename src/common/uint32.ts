/**
 * Unsigned 32-bit arithmetic that JavaScript lacks: the high half of a product. The random generators build their 64- and
 * 128-bit products from it, since BigInt would cost them two orders of magnitude.
 */

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers (`Math.imul` gives the low ones). */
export function mulHigh32(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const carry = aLow * bHigh + (middle & 0xffff)
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0
}
