/**
 * Small makers of text that the templates of both families share: numbers, dates, names; and the width of a text in ems.
 */
import type { SmallRandom } from '../../common/random.ts'
import * as lexicon from './lexicon.ts'

/** What makes one piece of text. */
export type Maker = (random: SmallRandom) => string

/** Two digits, as in clock times and months. */
export const pad2 = (value: number): string => String(value).padStart(2, '0')

export interface Day {
  year: number
  month: number
  day: number
}

export function drawDay(random: SmallRandom): Day {
  return { year: random.integer(1998, 2031), month: random.integer(1, 12), day: random.integer(1, 28) }
}

/** A clock time, with seconds. */
export const drawClock: Maker = (random) =>
  `${pad2(random.integer(0, 23))}:${pad2(random.integer(0, 59))}:${pad2(random.integer(0, 59))}`

/** An amount in 分: as many digits as on real receipts, a third of them whole yuan, a sixth whole hundreds. */
export function drawFen(random: SmallRandom, maxDigits = 8): number {
  const yuan = Number(random.digits(random.integer(1, maxDigits)))
  const kind = random.uniform()
  if (kind < 1 / 6 && yuan >= 100) return Math.round(yuan / 100) * 10000
  return yuan * 100 + (kind < 1 / 2 ? 0 : random.integer(0, 99))
}

/** 123456789 fen as 1,234,567.89; without `grouped` as 1234567.89. */
export function formatFen(fen: number, grouped = true): string {
  const yuan = String(Math.floor(fen / 100))
  return `${grouped ? yuan.replace(/\B(?=(\d{3})+$)/g, ',') : yuan}.${pad2(fen % 100)}`
}

/** The number of a bank card or of a company's account: 15 to 19 digits, many beginning as Chinese cards do. */
export const drawAccount: Maker = (random) => {
  const prefix = random.choice(['6222', '6217', '6228', '6214', '955', '4563', '1001', '3200', '0200', '7559', ''])
  return prefix + random.digits(random.choice([15, 16, 17, 18, 19, 19]) - prefix.length)
}

/** Digits in groups of `size`, the last group maybe shorter. */
export function grouped(digits: string, size: number, separator: string): string {
  const groups: string[] = []
  for (let i = 0; i < digits.length; i += size) groups.push(digits.slice(i, i + size))
  return groups.join(separator)
}

export const drawPerson: Maker = (random) => {
  let name = random.choice(lexicon.surnames) + random.choice(lexicon.givenCharacters)
  if (random.chance(0.65)) name += random.choice(lexicon.givenCharacters)
  return name
}

export const drawCompany: Maker = (random) => {
  if (random.chance(0.1)) return random.choice(lexicon.cities) + random.choice(lexicon.institutions)
  const city = random.choice(lexicon.cities)
  const place = random.chance(0.3) ? city + '市' : random.chance(0.7) ? city : ''
  return place + random.choice(lexicon.brands) + random.choice(lexicon.trades) + random.choice(lexicon.companyEndings)
}

/** A bank's outlet without the bank's name: 上海浦东支行. */
export const drawOutlet: Maker = (random) =>
  random.choice(lexicon.cities) +
  (random.chance(0.75) ? random.choice(lexicon.districts) : '') +
  random.choice(lexicon.outlets)

const SERIAL_LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ' // I and O are left out, as banks do: they pass for 1 and 0

/** A serial number of letters and digits. */
export function drawSerial(random: SmallRandom, letters: number, digits: number): string {
  let text = ''
  for (let i = 0; i < letters; i++) text += random.choice(SERIAL_LETTERS)
  return text + random.digits(digits)
}

/** The width of a text in ems: a Chinese or full-width character is one em wide, a Latin one a little more than half. */
export function emWidth(text: string): number {
  let width = 0
  for (const character of text) width += isWide(character) ? 1 : 0.55
  return width
}

/** Whether a character fills the square of a Chinese character. */
export function isWide(character: string): boolean {
  const point = character.codePointAt(0) as number
  return point >= 0x2e80 || (point >= 0x2014 && point <= 0x2026) || (point >= 0x2460 && point <= 0x26ff)
}
