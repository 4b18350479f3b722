import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FormatError } from '../../common/errors.ts'
import { encodePng } from '../../io/index.ts'
import { Dictionary } from './dictionary.ts'
import { LineGroups, placedBatches, textProblem, type LineGroupsOptions, type LineSource } from './line-groups.ts'
import type { LabelledFile, LineBatch } from './lines.ts'
import { divide } from './training-data.ts'

const root = mkdtempSync(join(tmpdir(), 'line-groups-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Twelve pictures with the texts a to l, of growing width. */
const files: LabelledFile[] = []
beforeAll(async () => {
  for (const [i, text] of [...'abcdefghijkl'].entries()) {
    const file = join(root, `${i}.png`)
    const width = 40 + i
    const data = new Uint8Array(32 * width).fill(i * 20)
    writeFileSync(file, await encodePng({ dtype: 'uint8', shape: [32, width, 1], data }))
    files.push({ file, text })
  }
})

const groupsOf = (sources: readonly LineSource[], more: Partial<LineGroupsOptions> = {}): LineGroups =>
  new LineGroups({
    seed: 5,
    sources,
    batchSize: 2,
    characters: [...'abcdefghijklmnop'],
    height: 32,
    maxWidth: 320,
    shuffle: true,
    onBadSample: 'skip',
    ...more,
  })
const texts = (batches: readonly LineBatch[]): string[] => batches.flatMap((b) => b.texts)
const fileSource = (perGroup: number, own = files): LineSource => ({ kind: 'files', files: own, perGroup })

describe('LineGroups', () => {
  test('every picture once in a pass, in another order in the next', async () => {
    const groups = groupsOf([fileSource(4)])
    const pass = async (n: number): Promise<string[]> =>
      (await Promise.all([0, 1, 2].map((i) => groups.getItem(n * 3 + i)))).flatMap((g) => texts(g.batches))
    const [first, second] = [await pass(0), await pass(1)]
    expect(first.toSorted().join('')).toBe('abcdefghijkl')
    expect(second.toSorted().join('')).toBe('abcdefghijkl')
    expect(second).not.toEqual(first)
  })

  test('a group is the same whoever asks for it, and when', async () => {
    const one = await groupsOf([fileSource(4)]).getItem(7)
    const groups = groupsOf([fileSource(4)])
    await groups.getItem(2)
    expect(await groups.getItem(7)).toEqual(one)
    expect(await groupsOf([fileSource(4)], { seed: 6 }).getItem(7)).not.toEqual(one)
  })

  test('sources are mixed in their shares; batches hold lines of similar width', async () => {
    const synthetic: LineSource = { kind: 'synthetic', seed: 1, family: 'tune', perGroup: 2 }
    const characters = [...new Set([...'abcdefghijkl', ...(await charactersOfReceipts())])]
    const { batches } = await groupsOf([fileSource(6), synthetic], { characters, shuffle: false }).getItem(0)
    expect(texts(batches).filter((t) => /^[a-l]$/.test(t))).toHaveLength(6)
    expect(texts(batches)).toHaveLength(8)
    const widths = batches.map((b) => b.images.shape[3]!)
    expect(widths).toEqual(widths.toSorted((a, b) => b - a))
  })

  test('what cannot be read or learnt is left out with its reason, or fails', async () => {
    const broken = join(root, 'broken.png')
    writeFileSync(broken, 'no picture')
    const bad: LabelledFile[] = [
      { file: broken, text: 'a' },
      { file: join(root, 'missing.png'), text: 'a' },
      { file: files[0]!.file, text: 'aZ' },
      { file: files[0]!.file, text: 'abcabcabcabc' },
      { file: files[0]!.file, text: 'aaaaaa' },
    ]
    const source = fileSource(6, [...bad, files[3]!])
    const { batches, leftOut } = await groupsOf([source]).getItem(0)
    expect(texts(batches)).toEqual(['d'])
    expect(leftOut.toSorted()).toEqual([
      expect.stringMatching(/0.png': its text of 12 characters does not fit into 40 x 32 pixels \(9 columns\)/),
      expect.stringMatching(/0.png': its text of 6 characters does not fit/),
      expect.stringMatching(/0.png': the dictionary lacks Z/),
      expect.stringMatching(/broken.png/),
      expect.stringMatching(/missing.png/),
    ])
    await expect(groupsOf([source], { onBadSample: 'fail' }).getItem(0)).rejects.toThrow(/png/)
  })
})

async function charactersOfReceipts(): Promise<readonly string[]> {
  return (await import('../synthetic/charset.ts')).charset
}

describe('placedBatches', () => {
  const take = async (groups: LineGroups, place: unknown, count: number) => {
    const taken: { texts: readonly string[]; next: unknown }[] = []
    const options = { workers: 0, patience: 2, onLeftOut: () => {} }
    for await (const { batch, next } of placedBatches(groups, place as null, options)) {
      taken.push({ texts: batch.texts, next })
      if (taken.length === count) break
    }
    return taken
  }

  test('goes on from any place with the same batches', async () => {
    const whole = await take(groupsOf([fileSource(4)]), null, 7)
    for (const done of [1, 2, 5])
      expect(await take(groupsOf([fileSource(4)]), whole[done - 1]!.next, 7 - done)).toEqual(whole.slice(done))
  })

  test('gives up where nothing can be trained on', async () => {
    const missing: LabelledFile[] = [{ file: join(root, 'missing.png'), text: 'a' }]
    await expect(take(groupsOf([fileSource(2, missing)]), null, 1)).rejects.toThrow(FormatError)
    await expect(take(groupsOf([fileSource(2, missing)]), null, 1)).rejects.toThrow(/none of the lines.*missing.png/)
  })
})

test.each([
  [8, [1, 1], [4, 4]],
  [8, [3, 1], [6, 2]],
  [10, [1, 1, 1], [4, 3, 3]],
  [7, [1, 1e-3], [7, 0]],
])('%d lines in shares %j are %j', (total, shares, parts) => expect(divide(total, shares)).toEqual(parts))

test('texts that cannot be learnt', () => {
  const dictionary = new Dictionary([...'ab'])
  expect(textProblem('ab', dictionary)).toBeNull()
  expect(textProblem('', dictionary)).toMatch(/empty/)
  expect(textProblem('aXbX', dictionary)).toBe('the dictionary lacks X (in "aXbX")')
})
