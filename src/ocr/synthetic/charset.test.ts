import { createCanvas } from '@napi-rs/canvas'
import { describe, expect, it } from 'vitest'
import { SmallRandom } from '../../common/random.ts'
import { toChineseCapitals } from './capitals.ts'
import { charset, formatDictionary } from './charset.ts'
import { fontSets, getFace } from './fonts.ts'
import type { FaceName } from './fonts.ts'
import * as lexicon from './lexicon.ts'
import { families, generateLine } from './receipts.ts'

const known = new Set(charset)
const unknown = (text: string) => [...text].filter((character) => !known.has(character))

describe('the dictionary', () => {
  it('has at least 1,000 different characters, each one code point', () => {
    expect(charset.length).toBeGreaterThanOrEqual(1000)
    expect(known.size).toBe(charset.length)
    for (const character of charset) expect([...character]).toHaveLength(1)
  })

  it('has ASCII, full-width forms, Chinese punctuation, and digits in capitals', () => {
    for (let point = 32; point < 127; point++) expect(known).toContain(String.fromCharCode(point))
    expect(
      unknown('０１２３４５６７８９，。、；：？！（）％￥《》【】“”…壹贰叁肆伍陆柒捌玖拾佰仟万亿元角分整正零'),
    ).toEqual([])
    expect(charset.filter((character) => /\p{Script=Han}/u.test(character)).length).toBeGreaterThan(900)
  })

  it('has every word of the lexicon', () => {
    for (const list of Object.values(lexicon)) expect(unknown(list.join(''))).toEqual([])
    expect(unknown(toChineseCapitals(Number.MAX_SAFE_INTEGER))).toEqual([])
  })

  it.each(families)('has everything that lines of %s say', (family) => {
    const texts = Array.from({ length: 4000 }, (_, index) => generateLine(new SmallRandom(17, index), family).text)
    expect(texts.filter((text) => unknown(text).length > 0)).toEqual([])
  })

  it('is written as PaddleOCR reads it: a character a line, without the blank', () => {
    const file = formatDictionary()
    expect(file.endsWith('\n')).toBe(true)
    expect([...file.slice(0, -1).split('\n'), ' ']).toEqual(charset)
  })
})

const CELL = 48
const NO_CHARACTER = '\u{10fffd}'

/** Draws each character in a cell of one picture: its alpha, and how much of its own bounding box it fills. */
function inspectGlyphs(name: FaceName, characters: readonly string[]): { pixels: Uint8Array; fill: number }[] {
  const face = getFace(name)
  const context = createCanvas(CELL, CELL * characters.length).getContext('2d')
  characters.forEach((character, row) => {
    face.select(context, character, 32, undefined)
    context.fillText(character, (CELL - 32 * face.measure(character).advance) / 2, row * CELL + 36)
  })
  const { data } = context.getImageData(0, 0, CELL, CELL * characters.length)
  return characters.map((_, row) => {
    const pixels = Uint8Array.from({ length: CELL * CELL }, (_, i) => data[(row * CELL * CELL + i) * 4 + 3] as number)
    let [left, right, top, bottom] = [CELL, -1, CELL, -1]
    pixels.forEach((ink, i) => {
      if (ink < 40) return
      left = Math.min(left, i % CELL)
      right = Math.max(right, i % CELL)
      top = Math.min(top, Math.floor(i / CELL))
      bottom = Math.max(bottom, Math.floor(i / CELL))
    })
    const sum = pixels.reduce((total, ink) => total + ink / 255, 0)
    return { pixels, fill: right < 0 ? 0 : sum / ((right - left + 1) * (bottom - top + 1)) }
  })
}

const chineseFaces = [...new Set(Object.values(fontSets).flatMap(({ chinese }) => Object.keys(chinese) as FaceName[]))]

describe('the glyphs of the dictionary', () => {
  it.each(['sans-regular', 'song', 'dots'] as const)('%s has all of them', (name) => {
    expect(charset.filter((character) => !getFace(name).covers(character))).toEqual([])
  })

  it.each(chineseFaces)('%s draws what it claims to have: no blanks, boxes or blocks', (name) => {
    const claimed = charset.filter((character) => character !== ' ' && getFace(name).covers(character))
    expect(claimed.length).toBeGreaterThan(1100)
    const [tofu, ...glyphs] = inspectGlyphs(name, [NO_CHARACTER, ...claimed])
    const wrong = claimed.filter((character, index) => {
      const { pixels, fill } = glyphs[index]!
      const block = /\p{Script=Han}/u.test(character) && character !== '一' && fill > 0.8
      return fill === 0 || Buffer.compare(pixels, tofu!.pixels) === 0 || block
    })
    expect(wrong).toEqual([])
  })
})
