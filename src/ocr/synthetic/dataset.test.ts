import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import sharp from 'sharp'
import { afterAll, describe, expect, it } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import { renderSample, writeLines } from './dataset.ts'
import { families } from './receipts.ts'
import type { Family } from './receipts.ts'

const scratch = mkdtempSync(join(tmpdir(), 'longzhou-lines-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

async function digests(family: Family, indices: number[]): Promise<Record<number, string>> {
  const result: Record<number, string> = {}
  for (const index of indices) result[index] = digest((await renderSample({ seed: 1, index, family, height: 32 })).data)
  return result
}

/** The same digests from a thread of its own. */
function digestsInWorker(family: Family, indices: number[]): Promise<Record<number, string>> {
  const module = JSON.stringify(new URL('./dataset.ts', import.meta.url).href)
  const code = `
    const { parentPort } = require('node:worker_threads')
    const { createHash } = require('node:crypto')
    import('tsx/esm/api').then(({ tsImport }) => tsImport(${module}, ${module})).then(async ({ renderSample }) => {
      const result = {}
      for (const index of ${JSON.stringify(indices)}) {
        const { data } = await renderSample({ seed: 1, index, family: '${family}', height: 32 })
        result[index] = createHash('sha256').update(data).digest('hex')
      }
      parentPort.postMessage(result)
    })`
  return new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

describe('renderSample', () => {
  it.each(families)('gives images of the asked form for %s', async (family) => {
    for (const channels of [1, 3] as const) {
      const sample = await renderSample({ seed: 2, index: 5, family, height: 40, channels })
      expect(sample.height).toBe(40)
      expect(sample.channels).toBe(channels)
      expect(sample.data).toHaveLength(40 * sample.width * channels)
      expect(sample.text.length).toBeGreaterThan(0)
    }
  })

  it('depends on seed, family and index alone, whichever thread makes it and in whatever order', async () => {
    const indices = Array.from({ length: 24 }, (_, i) => i)
    const even = indices.filter((index) => index % 2 === 0)
    const odd = indices.filter((index) => index % 2 === 1).reverse()
    const [here, ...there] = await Promise.all([
      digests('tune', indices),
      digestsInWorker('tune', even),
      digestsInWorker('tune', odd),
    ])
    expect(Object.assign({}, ...there)).toEqual(here)
    expect(new Set(Object.values(here)).size).toBe(indices.length)
  })

  it('gives other contents for another seed and another family', async () => {
    const texts = await Promise.all(
      [1, 2].flatMap((seed) => families.map(async (family) => (await renderSample({ seed, index: 0, family })).text)),
    )
    expect(new Set(texts).size).toBe(texts.length)
  })

  it('refuses bad requests', async () => {
    await expect(renderSample({ seed: 1, index: -1, family: 'tune' })).rejects.toThrow(ArgumentError)
    await expect(renderSample({ seed: 1, index: 0, family: 'other' as Family })).rejects.toThrow(
      /pretrain, tune, heldout/,
    )
  })
})

describe('writeLines', () => {
  it('writes real image files and labels that say what they show', async () => {
    const directory = join(scratch, 'png')
    await writeLines({ directory, count: 6, seed: 3, family: 'heldout', height: 32, format: 'png' })
    const labels = readFileSync(join(directory, 'labels.txt'), 'utf8').trimEnd().split('\n')
    expect(labels).toHaveLength(6)
    for (const [index, label] of labels.entries()) {
      const [path, text] = label.split('\t') as [string, string]
      const { data, info } = await sharp(join(directory, path)).raw().toBuffer({ resolveWithObject: true })
      const sample = await renderSample({ seed: 3, index, family: 'heldout', height: 32 })
      expect(text).toBe(sample.text)
      expect([info.width, info.height]).toEqual([sample.width, sample.height])
      expect(digest(data)).toBe(digest(sample.data))
    }
    expect(readdirSync(directory).sort()).toEqual(['images', 'labels.txt'])
  })

  it('writes the same bytes in parts as at once', async () => {
    const request = { seed: 4, family: 'tune', height: 32 } as const
    const whole = await writeLines({ ...request, directory: join(scratch, 'whole'), count: 6 })
    const parts = join(scratch, 'parts')
    const labels = await Promise.all(
      [0, 3].map((first) =>
        writeLines({ ...request, directory: parts, first, count: 3, labels: `labels-${first}.txt` }),
      ),
    )
    expect(labels.flat()).toEqual(whole)
    for (const { path } of whole)
      expect(readFileSync(join(parts, path)).equals(readFileSync(join(scratch, 'whole', path)))).toBe(true)
  })
})
