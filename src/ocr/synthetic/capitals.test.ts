import { assert, integer, nat, oneof, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import { toChineseCapitals, toChineseDateCapitals } from './capitals.ts'

/** Reads capitals back, by a grammar of its own: sections up to 亿, up to 万, and the rest. */
function parseCapitals(text: string): number {
  const section = (part: string): number => {
    for (const [name, unit] of [
      ['亿', 1e8],
      ['万', 1e4],
      ['仟', 1000],
      ['佰', 100],
      ['拾', 10],
    ] as const) {
      const at = part.lastIndexOf(name)
      if (at > 0) return section(part.slice(0, at)) * unit + section(part.slice(at + 1))
    }
    const digits = part.replace(/^零+(?=.)/, '')
    return digits === '' ? 0 : '零壹贰叁肆伍陆柒捌玖'.indexOf(digits)
  }
  const match = /^(?:(.+)元)?零?(?:(.)角)?(?:(.)分)?整?$/.exec(text)
  if (!match) throw new Error(`no amount: ${text}`)
  return section(match[1] ?? '') * 100 + section(match[2] ?? '') * 10 + section(match[3] ?? '')
}

describe('toChineseCapitals', () => {
  it.each([
    [0, '零元整'],
    [1, '壹分'],
    [10, '壹角整'],
    [15, '壹角伍分'],
    [100, '壹元整'],
    [101, '壹元零壹分'],
    [1000, '壹拾元整'],
    [1010, '壹拾元壹角整'],
    [1005_00, '壹仟零伍元整'],
    [1_0000_00, '壹万元整'],
    [1_0001_00, '壹万零壹元整'],
    [10_5000_00, '壹拾万伍仟元整'],
    [100_0500_00, '壹佰万零伍佰元整'],
    [1_0000_0000_00, '壹亿元整'],
    [1_0000_0001_00, '壹亿零壹元整'],
    [1_0001_0000_00, '壹亿零壹万元整'],
    [1_0100_0000_00, '壹亿零壹佰万元整'],
    [20_3000_0400_00, '贰拾亿叁仟万零肆佰元整'],
    [1_0000_0000_0000_00, '壹万亿元整'],
    [1_2000_0000_0000_00, '壹万贰仟亿元整'],
    [1234567_89, '壹佰贰拾叁万肆仟伍佰陆拾柒元捌角玖分'],
  ])('writes %i fen as %s', (fen, text) => {
    expect(toChineseCapitals(fen)).toBe(text)
  })

  it.each([
    // The examples of the rules for filling in bills.
    [1409_50, '壹仟肆佰零玖元伍角'],
    [6007_14, '陆仟零柒元壹角肆分'],
    [1680_32, '壹仟陆佰捌拾元叁角贰分'],
    [107000_53, '壹拾万柒仟元伍角叁分'],
    [16409_02, '壹万陆仟肆佰零玖元零贰分'],
    [325_04, '叁佰贰拾伍元零肆分'],
  ])('follows the example of the payment rules for %i fen', (fen, text) => {
    expect(toChineseCapitals(fen, { endAfterJiao: false })).toBe(text)
  })

  it('ends with 正 where asked', () => {
    expect(toChineseCapitals(500, { ending: '正' })).toBe('伍元正')
    expect(toChineseCapitals(550, { ending: '正' })).toBe('伍元伍角正')
  })

  it('never loses or adds a digit, and never writes 零 twice or before 元', () => {
    const amounts = oneof(integer({ min: 0, max: 1e9 }), nat({ max: Number.MAX_SAFE_INTEGER }))
    assert(
      property(amounts, (fen) => {
        const text = toChineseCapitals(fen)
        expect(parseCapitals(text)).toBe(fen)
        expect(text).not.toMatch(/零零|零[拾佰仟万亿]|.零元/)
      }),
      { numRuns: 1000, seed: 1 },
    )
  })

  it('refuses what is no amount', () => {
    for (const fen of [-1, 0.5, NaN, Infinity, 2 ** 53]) expect(() => toChineseCapitals(fen)).toThrow(ArgumentError)
  })
})

describe('toChineseDateCapitals', () => {
  it.each([
    [2026, 1, 15, '贰零贰陆年零壹月壹拾伍日'],
    [2026, 10, 20, '贰零贰陆年零壹拾月零贰拾日'],
    [2026, 11, 9, '贰零贰陆年壹拾壹月零玖日'],
    [2008, 3, 31, '贰零零捌年叁月叁拾壹日'],
  ])('writes %i-%i-%i as %s', (year, month, day, text) => {
    expect(toChineseDateCapitals(year, month, day)).toBe(text)
  })
})
