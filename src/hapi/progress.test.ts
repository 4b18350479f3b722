import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { Progress } from './progress.ts'

function setUp(terminal: boolean, options: { total: number; start?: number; label?: string; lineIntervalMs?: number }) {
  const stream = Object.assign(new PassThrough(), { isTTY: terminal, columns: 120 })
  let output = ''
  stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  let time = 0
  const progress = new Progress({ ...options, stream, now: () => time })
  return { progress, advance: (ms: number) => (time += ms), output: () => stripVTControlCharacters(output) }
}

test('without a terminal it writes a line now and then, and one for the last step', () => {
  const { progress, advance, output } = setUp(false, { total: 100, label: 'tune', lineIntervalMs: 1_000 })
  for (let step = 1; step <= 100; step++) {
    advance(100)
    progress.update({ step, samples: 16, loss: 2 / step, learningRate: 1e-3 })
  }
  progress.stop()
  const lines = output().trimEnd().split('\n')
  expect(lines[0]).toBe('tune step 1/100  loss 2.0000  lr 1.00e-3  160 samples/s  9.9 s left')
  expect(lines[1]).toBe('tune step 11/100  loss 0.1818  lr 1.00e-3  160 samples/s  8.9 s left')
  expect(lines.at(-1)).toBe('tune step 100/100  loss 0.0200  lr 1.00e-3  160 samples/s')
  expect(lines).toHaveLength(11)
})

test('a resumed run counts its rate from where it began', () => {
  const { progress, advance, output } = setUp(false, { total: 1_000, start: 900 })
  advance(1_000)
  progress.update({ step: 910 })
  expect(output()).toBe('step 910/1000  9.0 s left\n')
})

test('the rate follows a change of speed', () => {
  const { progress, advance, output } = setUp(false, { total: 10_000, lineIntervalMs: 0 })
  let step = 0
  for (const [count, ms] of [
    [100, 100],
    [1_000, 50],
  ] as const) {
    for (let i = 0; i < count; i++) {
      advance(ms)
      progress.update({ step: ++step, samples: 1 })
    }
  }
  expect(output().trimEnd().split('\n').at(-1)).toMatch(/20 samples\/s/)
})

test('losses that print badly in fixed digits', () => {
  const { progress, output } = setUp(false, { total: 3, lineIntervalMs: 0 })
  for (const [index, loss] of [0.00012345, NaN, 0].entries()) progress.update({ step: index + 1, loss })
  expect(output()).toMatch(/loss 1\.234e-4\n.*loss NaN\n.*loss 0\.0000\n/)
})

test('on a terminal it draws a bar', () => {
  const { progress, advance, output } = setUp(true, { total: 10, label: 'tune' })
  advance(500)
  progress.update({ step: 5, loss: 1.5 })
  progress.stop()
  expect(output()).toMatch(/tune █{12}░{12} step 5\/10 {2}loss 1\.5000 {2}0\.5 s left/)
})

test('a message has a line of its own, with a terminal and without', () => {
  for (const terminal of [true, false]) {
    const { progress, output } = setUp(terminal, { total: 10 })
    progress.update({ step: 1 })
    progress.message('saved')
    progress.stop()
    expect(output()).toMatch(/(^|[\r\n])saved\n/)
  }
})
