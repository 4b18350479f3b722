import { describe, expect, test } from 'vitest'
import { MersenneTwister64 } from './mersenne-twister.ts'

function word(engine: MersenneTwister64): bigint {
  const i = engine.take()
  return (BigInt(engine.high[i]!) << 32n) | BigInt(engine.low[i]!)
}

describe('MersenneTwister64', () => {
  test('words of std::mt19937_64 seeded by std::seed_seq{42} (recorded from GCC 12)', () => {
    const engine = new MersenneTwister64(42)
    expect([word(engine), word(engine), word(engine), word(engine)]).toEqual([
      15673539002298030186n,
      15265596833508273048n,
      12600701164016148449n,
      18363421576172726034n,
    ])
    for (let i = 0; i < 1000; i++) engine.take()
    expect(word(engine)).toBe(13444665355549461839n)
  })

  test('float32 rounds the whole word: hash of two million draws of std::uniform_real_distribution<float>', () => {
    const engine = new MersenneTwister64(7)
    const draws = new Float32Array(2_000_000)
    for (let i = 0; i < draws.length; i++) draws[i] = engine.float32()
    let hash = 2166136261
    for (const bits of new Uint32Array(draws.buffer)) hash = Math.imul(hash ^ bits, 16777619)
    expect(hash >>> 0).toBe(2652745995)
  })

  test.each([
    // Short words, ties to even, a bit just beyond a tie, and the clamp below 1.
    [0x0000_0000_0000_0001n, 2 ** -64],
    [0x0000_0001_0000_0080n, 2 ** -32],
    [0x0000_0001_0000_0100n, 2 ** -32],
    [0x0000_0001_0000_0300n, 2 ** -32 + 2 ** -54],
    [0x8000_0080_0000_0000n, 0.5],
    [0x8000_0080_0000_0001n, 0.5 + 2 ** -24],
    [0x8000_0180_0000_0000n, 0.5 + 2 ** -23],
    [0xffff_ffff_ffff_ffffn, 1 - 2 ** -24],
  ])('float32 of word %s', (value, expected) => {
    const engine = new MersenneTwister64(0)
    const i = engine.take() + 1
    engine.high[i] = Number(value >> 32n)
    engine.low[i] = Number(value & 0xffffffffn)
    expect(engine.float32()).toBe(expected)
  })

  test('the state continues in the middle of a block and at its end', () => {
    for (const used of [0, 5, 312, 400]) {
      const engine = new MersenneTwister64(3)
      for (let i = 0; i < used; i++) engine.take()
      const { words, position } = engine.getState()
      const copy = new MersenneTwister64(99)
      copy.setState(words, position)
      for (let i = 0; i < 700; i++) expect(word(copy)).toBe(word(engine))
    }
  })
})
