/** Hostile input for parsers: seeded damage to a good file. What a parser may do with it: give a value, or throw one of ours. */
import { RandomState } from '../../src/common/numpy-random.ts'

type Damage = (bytes: Uint8Array, random: RandomState) => Uint8Array

function place(bytes: Uint8Array, random: RandomState): number {
  return random.randint(0, Math.max(1, bytes.length))
}

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
    return Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(end)])
  },
  (bytes, random) => {
    const from = place(bytes, random)
    const piece = bytes.subarray(from, from + random.randint(1, 17))
    const at = place(bytes, random)
    return Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at)])
  },
  (bytes, random) => {
    const out = bytes.slice()
    const digit = [...out.keys()].filter((i) => out[i]! >= 0x30 && out[i]! <= 0x39)
    if (digit.length > 0) out[digit[random.randint(0, digit.length)]!] = 0x30 + random.randint(0, 10)
    return out
  },
]

/** `count` damaged copies of `good`. */
export function* mutations(good: Uint8Array, count: number): Generator<Uint8Array> {
  const random = new RandomState(20240611)
  for (let i = 0; i < count; i++) {
    let bytes: Uint8Array = new Uint8Array(good)
    for (let n = random.randint(1, 4); n > 0; n--) bytes = damages[random.randint(0, damages.length)]!(bytes, random)
    yield bytes
  }
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
