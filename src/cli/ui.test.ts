import { describe, expect, test } from 'vitest'
import { displayWidth, formatBytes, formatDuration, formatTable, padDisplay, useColor } from './ui.ts'

test('colour is for terminals, and the user decides', () => {
  const terminal = { isTTY: true }
  expect(useColor(terminal, {})).toBe(true)
  expect(useColor({}, {})).toBe(false)
  expect(useColor(terminal, { NO_COLOR: '1' })).toBe(false)
  expect(useColor(terminal, { TERM: 'dumb' })).toBe(false)
  expect(useColor({}, { FORCE_COLOR: '1' })).toBe(true)
  expect(useColor(terminal, { FORCE_COLOR: '0' })).toBe(false)
})

describe('widths', () => {
  test.each([
    ['abc', 3],
    ['龙舟', 4],
    ['￥１２', 6],
    ['壹佰元整。', 10],
    ['\u001b[31mred\u001b[39m', 3],
    ['e\u0301', 1],
    ['𠮷', 2],
    ['', 0],
  ])('%j takes %i columns', (text, width) => {
    expect(displayWidth(text)).toBe(width)
  })

  test('padding counts columns, not characters', () => {
    expect(padDisplay('龙', 4)).toBe('龙  ')
    expect(padDisplay('7', 3, 'right')).toBe('  7')
    expect(padDisplay('long', 2)).toBe('long')
  })
})

test('tables align Chinese and Latin text, without spaces at line ends', () => {
  const table = formatTable(
    [
      ['text', 'confidence', 'truth'],
      ['招商银行', '0.99', '招商银行'],
      ['A1', '1', 'A'],
    ],
    ['left', 'right'],
  )
  expect(table).toBe(
    ['text      confidence  truth', '招商银行        0.99  招商银行', 'A1                 1  A'].join('\n'),
  )
})

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [32 * 1024, '32 KiB'],
  [3 * 1024 ** 3, '3 GiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [4.21, '4.2 s'],
  [65, '1:05'],
  [7389, '2:03:09'],
  [Infinity, '-'],
])('%f seconds are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text)
})
