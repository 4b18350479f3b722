/** Philox 4x32-10 on BigInt, straight from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 3.3. */
export function philox4x32(counter: bigint, key: bigint): [number, number, number, number] {
  const low = (v: bigint): number => Number(v & 0xffffffffn)
  let c0 = low(counter)
  let c1 = low(counter >> 32n)
  let c2 = 0
  let c3 = 0
  let k0 = low(key)
  let k1 = low(key >> 32n)
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * BigInt(c0)
    const p1 = 0xcd9e8d57n * BigInt(c2)
    const n0 = (low(p1 >> 32n) ^ c1 ^ k0) >>> 0
    const n2 = (low(p0 >> 32n) ^ c3 ^ k1) >>> 0
    c1 = low(p1)
    c3 = low(p0)
    c0 = n0
    c2 = n2
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  return [c0, c1, c2, c3]
}
