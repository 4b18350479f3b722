/**
 * Draws samples of the synthetic lines on one picture a family, to be looked at:
 *
 *     npx tsx scripts/contact-sheet.ts [--out out/contact-sheets] [--seed 1] [--count 40] [--height 32] [--zoom 1] [--severity 0..1]
 *
 * and prints how many lines a second of processor time makes.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ImageData, createCanvas } from '@napi-rs/canvas'
import { renderSample } from '../src/ocr/synthetic/dataset.ts'
import type { Sample } from '../src/ocr/synthetic/dataset.ts'
import { families } from '../src/ocr/synthetic/receipts.ts'
import type { Family } from '../src/ocr/synthetic/receipts.ts'

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'out/contact-sheets' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '40' },
    height: { type: 'string', default: '32' },
    zoom: { type: 'string', default: '1' },
    severity: { type: 'string' }, // by default drawn for each line
  },
})
const [seed, count, height, zoom] = [values.seed, values.count, values.height, values.zoom].map(Number) as [
  number,
  number,
  number,
  number,
]

const severity = values.severity === undefined ? {} : { severity: Number(values.severity) }

mkdirSync(values.out, { recursive: true })
for (const family of families) {
  const samples: Sample[] = []
  for (let index = 0; index < count; index++)
    samples.push(await renderSample({ seed, index, family, height, ...severity }))
  const path = join(values.out, `${family}.png`)
  writeFileSync(path, drawSheet(samples))
  console.log(`${path}: ${count} lines; ${(await measureRate(family)).toFixed(0)} lines a second of processor time`)
}

/** Lines a second of one core, over all of this process's threads, once its fonts are read and its code is warm. */
async function measureRate(family: Family): Promise<number> {
  const lines = 300
  for (let index = 0; index < lines; index++) await renderSample({ seed: seed + 1, index, family, height, ...severity })
  const before = process.cpuUsage()
  for (let index = 0; index < lines; index++) await renderSample({ seed: seed + 2, index, family, height, ...severity })
  const used = process.cpuUsage(before)
  return lines / ((used.user + used.system) / 1e6)
}

/** The samples in two columns. */
function drawSheet(samples: readonly Sample[]): Buffer {
  const [columnWidth, rowHeight] = [(height * 10 + 12) * zoom, (height + 6) * zoom]
  const canvas = createCanvas(columnWidth * 2, Math.ceil(samples.length / 2) * rowHeight)
  const context = canvas.getContext('2d')
  context.fillStyle = '#7f8790'
  context.fillRect(0, 0, canvas.width, canvas.height)
  samples.forEach((sample, index) => {
    const pixels = new Uint8ClampedArray(sample.width * sample.height * 4).fill(255)
    for (let i = 0; i < sample.width * sample.height; i++) pixels.set(sample.data.subarray(i * 3, i * 3 + 3), i * 4)
    const tile = createCanvas(sample.width, sample.height)
    tile.getContext('2d').putImageData(new ImageData(pixels, sample.width, sample.height), 0, 0)
    const [x, y] = [(index % 2) * columnWidth + 3, Math.floor(index / 2) * rowHeight + 3]
    context.drawImage(tile, x, y, sample.width * zoom, sample.height * zoom)
  })
  return canvas.toBuffer('image/png')
}
