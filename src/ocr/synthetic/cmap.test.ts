import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../../common/errors.ts'
import { readCodePoints } from './cmap.ts'

const read = (path: string) => readFileSync(new URL(`../../../node_modules/${path}`, import.meta.url))

describe('readCodePoints', () => {
  it('reads TrueType and OpenType', () => {
    const cousine = readCodePoints(read('@expo-google-fonts/cousine/400Regular/Cousine_400Regular.ttf'))
    expect(cousine.has(0x41)).toBe(true)
    expect(cousine.has(0x4e2d)).toBe(false)
    const sans = readCodePoints(read('@embedpdf/fonts-sc/fonts/NotoSansHans-Regular.otf'))
    for (const character of '中国银行壹贰叁，￥Aa1') expect(sans.has(character.codePointAt(0) as number)).toBe(true)
    expect(sans.has(0x10fffd)).toBe(false)
  })

  it('reads the same from WOFF and WOFF2', () => {
    const woff = readCodePoints(read('@fontsource/unifontex/files/unifontex-latin-400-normal.woff'))
    const woff2 = readCodePoints(read('@fontsource/unifontex/files/unifontex-latin-400-normal.woff2'))
    expect(woff.size).toBeGreaterThan(60000)
    expect([...woff2].sort((a, b) => a - b)).toEqual([...woff].sort((a, b) => a - b))
  })

  it('says what is wrong with a file that is no font, or a damaged one', () => {
    expect(() => readCodePoints(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))).toThrow(/Not a font/)
    const font = read('@expo-google-fonts/vt323/400Regular/VT323_400Regular.ttf')
    for (const length of [0, 4, 100, 300]) expect(() => readCodePoints(font.subarray(0, length))).toThrow(FormatError)
    const woff2 = read('@fontsource/unifontex/files/unifontex-latin-400-normal.woff2')
    expect(() => readCodePoints(woff2.subarray(0, 5000))).toThrow(FormatError)
  })
})
