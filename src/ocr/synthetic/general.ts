/**
 * Lines that are not about receipts, to pre-train a recogniser on: everyday words, numbers in any dress, and characters drawn
 * evenly over the whole dictionary, without which a rare character would hardly ever be seen.
 */
import { charset } from './charset.ts'
import * as lexicon from './lexicon.ts'
import type { Template } from './templates.ts'
import { drawFen, drawSerial, emWidth, formatFen, isWide } from './text.ts'
import type { Maker } from './text.ts'

const PUNCTUATION = ['，', '，', '。', '、', '；', '：', '！', '？', ' ', '', '', '']
const NUMBER_MARKS = '+-*/=%.,:;#()[]<>&@¥$'
const wideCharacters = charset.filter((character) => isWide(character))
const narrowCharacters = charset.filter((character) => !isWide(character) && character !== ' ')

const drawWords: Maker = (random) => {
  const limit = random.uniform(2, 12)
  let text = ''
  for (;;) {
    const word = random.chance(0.12) ? random.choice(lexicon.latinWords) : random.choice(lexicon.commonWords)
    if (text !== '' && emWidth(text + word) > limit) return text.trim()
    // Two Latin words in a row are told apart by a space.
    if (/[A-Za-z]$/.test(text) && /^[A-Za-z]/.test(word)) text += ' '
    text += word + random.choice(PUNCTUATION)
  }
}

const drawCharacters: Maker = (random) => {
  const count = random.integer(1, 11)
  let text = ''
  for (let i = 0; i < count; i++) text += random.choice(random.chance(0.9) ? wideCharacters : narrowCharacters)
  return text
}

const drawLatin: Maker = (random) => {
  const count = random.integer(1, 14)
  let text = ''
  for (let i = 0; i < count; i++) text += random.choice(narrowCharacters)
  return text
}

const drawNumbers: Maker = (random) => {
  let text = ''
  const parts = random.integer(1, 3)
  for (let i = 0; i < parts; i++) {
    if (i > 0) text += random.chance(0.4) ? ' ' : random.choice(NUMBER_MARKS)
    text +=
      random.uniform() < 0.6
        ? random.digits(random.integer(1, 8))
        : random.chance(0.5)
          ? formatFen(drawFen(random, 7), random.chance(0.5))
          : drawSerial(random, random.integer(1, 3), random.integer(0, 5))
  }
  return text
}

export const generalTemplates: readonly Template[] = [
  { kind: 'words', weight: 32, make: drawWords },
  { kind: 'characters', weight: 40, make: drawCharacters },
  { kind: 'characters', weight: 8, make: drawLatin },
  { kind: 'numbers', weight: 20, make: drawNumbers },
]
