import { describe, expect, it } from 'vitest'
import { SmallRandom } from '../../common/random.ts'
import { MAX_EMS, families, generateLine } from './receipts.ts'
import type { Family, Line } from './receipts.ts'
import { drawAccount, emWidth, formatFen, grouped } from './text.ts'

const lines = (family: Family, count: number): Line[] =>
  Array.from({ length: count }, (_, index) => generateLine(new SmallRandom(3, index), family))

describe('generateLine', () => {
  it.each(families)('gives %s lines that are never empty, blank at an end, or too wide', (family) => {
    for (const { text, cells } of lines(family, 3000)) {
      expect(text).toMatch(/^\S(.*\S)?$/)
      expect(cells ? text.length : emWidth(text)).toBeLessThanOrEqual(MAX_EMS)
    }
  })

  it('gives the same line for the same numbers', () => {
    expect(lines('tune', 50)).toEqual(lines('tune', 50))
  })

  it('says everything that a receipt says, in both families', () => {
    const kinds = ['account', 'amount', 'bank', 'capitals', 'company', 'date', 'label', 'person', 'purpose', 'serial']
    for (const family of ['tune', 'heldout'] as const)
      expect([...new Set(lines(family, 2000).map(({ kind }) => kind))].sort()).toEqual(kinds)
  })

  it('keeps the formats to measure on out of those to tune on', () => {
    const formats = [/^\d{4}年\d\d?月\d\d?日$/, /^\d{4}-\d\d-\d\d$/, /：/, /整$/, /^(\d{4} ){3}/]
    const heldOutFormats = [/^\d{4}\.\d\d\.\d\d$/, /\d{4} 年 \d/, /正$/, /[【＞]/, /\*{4}/, /^CNY/]
    const tuned = lines('tune', 4000).map(({ text }) => text)
    const heldOut = lines('heldout', 4000).map(({ text }) => text)
    for (const format of formats) expect(tuned.some((text) => format.test(text))).toBe(true)
    for (const format of heldOutFormats) {
      expect(heldOut.some((text) => format.test(text))).toBe(true)
      expect(tuned.some((text) => format.test(text))).toBe(false)
    }
    const common = new Set(tuned)
    // Bare names, places and amounts in capitals may be the same; labels and layouts may not.
    expect(heldOut.filter((text) => common.has(text)).length / heldOut.length).toBeLessThan(0.05)
  })

  it('shows every character of the dictionary to pre-training', async () => {
    const { charset } = await import('./charset.ts')
    const seen = new Set(
      lines('pretrain', 12000)
        .map(({ text }) => text)
        .join(''),
    )
    expect(charset.filter((character) => !seen.has(character))).toEqual([])
  })
})

describe('the pieces of lines', () => {
  it('formats amounts', () => {
    expect(formatFen(123456789)).toBe('1,234,567.89')
    expect(formatFen(123456789, false)).toBe('1234567.89')
    expect(formatFen(5)).toBe('0.05')
    expect(formatFen(100000)).toBe('1,000.00')
  })

  it('groups digits', () => {
    expect(grouped('6222021234567890123', 4, ' ')).toBe('6222 0212 3456 7890 123')
  })

  it('draws account numbers of 15 to 19 digits', () => {
    for (let index = 0; index < 300; index++) expect(drawAccount(new SmallRandom(4, index))).toMatch(/^\d{15,19}$/)
  })
})
