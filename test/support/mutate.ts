/** Hostile input for parsers: seeded damage to a good file. What a parser may do with it: give a value, or throw one of ours. */
import { RandomState } from '../../src/common/numpy-random.ts'

type Damage = (bytes: Uint8Array, random: RandomState) => Uint8Array

function place(bytes: Uint8Array, random: RandomState): number {
  return random.randint(0, Math.max(1, bytes.length))
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** What lengths and offsets are replaced by: limits of their types, and numbers near the file's size. */
const numbers: readonly ((bytes: Uint8Array) => bigint)[] = [
  () => 0n,
  () => 1n,
  () => 0x7fn,
  () => 0xffn,
  () => 0x7fffn,
  () => 0xffffn,
  () => 0x7fffffffn,
  () => 0x80000000n,
  () => 0xffffffffn,
  () => 0x7fffffffffffffffn,
  () => 0xffffffffffffffffn,
  () => 1n << 53n,
  (bytes) => BigInt(bytes.length),
  (bytes) => BigInt(bytes.length + 1),
  (bytes) => BigInt(bytes.length >> 1),
]

const damages: readonly Damage[] = [
  (bytes, random) => bytes.slice(0, place(bytes, random)),
  (bytes, random) => {
    const out = bytes.slice()
    for (let i = random.randint(1, 4); i > 0; i--) out[place(out, random)]! ^= 1 << random.randint(0, 8)
    return out
  },
  (bytes, random) => {
    const out = bytes.slice()
    const at = place(out, random)
    out.fill([0, 0x7f, 0x80, 0xff][random.randint(0, 4)]!, at, at + random.randint(1, 9))
    return out
  },
  (bytes, random) => {
    const at = place(bytes, random)
    const end = Math.min(bytes.length, at + random.randint(1, 17))
    return joined(bytes.subarray(0, at), bytes.subarray(end))
  },
  (bytes, random) => {
    const from = place(bytes, random)
    const piece = bytes.subarray(from, from + random.randint(1, 17))
    const at = place(bytes, random)
    return joined(bytes.subarray(0, at), piece, bytes.subarray(at))
  },
  (bytes, random) => {
    const out = bytes.slice()
    // One of the digits near some place: of shapes, offsets and sizes that stand as text.
    const from = place(out, random)
    for (let i = 0; i < Math.min(out.length, 4096); i++) {
      const at = (from + i) % out.length
      if (out[at]! < 0x30 || out[at]! > 0x39) continue
      out[at] = 0x30 + random.randint(0, 10)
      break
    }
    return out
  },
  (bytes, random) => {
    const out = bytes.slice()
    const size = [1, 2, 4, 8][random.randint(0, 4)]!
    const at = place(out, random)
    let value = numbers[random.randint(0, numbers.length)]!(out)
    for (let k = 0; k < size && at + k < out.length; k++, value >>= 8n) out[at + k] = Number(value & 0xffn)
    return out
  },
  (bytes, random) => {
    const out = bytes.slice()
    const [from, to] = [place(out, random), place(out, random)]
    out.copyWithin(to, from, from + random.randint(1, 65))
    return out
  },
]

/** One damaged copy of `good`, with one to three damages. */
export function mutated(good: Uint8Array, random: RandomState): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(good)
  for (let n = random.randint(1, 4); n > 0; n--) bytes = damages[random.randint(0, damages.length)]!(bytes, random)
  return bytes
}

/** `count` damaged copies of `good`. */
export function* mutations(good: Uint8Array, count: number): Generator<Uint8Array> {
  const random = new RandomState(20240611)
  for (let i = 0; i < count; i++) yield mutated(good, random)
}

/** Calls `parse` on `count` damaged copies of `good`; returns how many were refused. Anything but `allowed` errors passes through. */
export function parseMutations(
  good: Uint8Array,
  count: number,
  parse: (bytes: Uint8Array) => unknown,
  allowed: new (message: string) => Error,
): number {
  let refused = 0
  for (const bytes of mutations(good, count)) {
    try {
      parse(bytes)
    } catch (error) {
      if (!(error instanceof allowed)) throw error
      refused++
    }
  }
  return refused
}
