import { describe, expect, it } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import { SmallRandom } from '../../common/random.ts'
import { ageLine } from './age.ts'
import { families, generateLine } from './receipts.ts'
import { renderLine } from './render.ts'
import type { LineImage } from './render.ts'

const line = { text: '人民币壹佰元整 ¥100.00', kind: 'amount', cells: false } as const
const inkIn = (image: LineImage, include: (x: number, y: number) => boolean) => {
  const { width } = image.paper
  return image.ink.reduce((sum, value, i) => sum + (include(i % width, Math.floor(i / width)) ? value : 0), 0)
}

describe('renderLine', () => {
  it.each(families)('clips no text of %s', (family) => {
    const clipped: string[] = []
    for (let index = 0; index < 120; index++) {
      const random = new SmallRandom(5, index)
      const drawn = generateLine(random, family)
      const image = renderLine(random, drawn, { family, height: 32 })
      const { width, height } = image.paper
      const atEdge = inkIn(image, (x, y) => x === 0 || y === 0 || x === width - 1 || y === height - 1)
      if (atEdge > 0 || image.clearance === 0) clipped.push(drawn.text)
      expect(inkIn(image, () => true)).toBeGreaterThan(0)
      expect(width).toBeLessThanOrEqual(320)
    }
    expect(clipped).toEqual([])
  })

  it('keeps to the greatest width by setting the text narrower', () => {
    const options = { family: 'tune', height: 48 } as const
    const free = renderLine(new SmallRandom(6), line, options)
    const held = renderLine(new SmallRandom(6), line, { ...options, maxAspect: 5 })
    expect(free.paper.width).toBeGreaterThan(240)
    expect(held.paper.width).toBeLessThanOrEqual(240)
    const { width, height } = held.paper
    expect(inkIn(held, (x, y) => x >= width - 2 || y >= height - 1)).toBe(0)
  })

  it('puts each character in the middle of its cell', () => {
    const random = new SmallRandom(7)
    const image = renderLine(
      random,
      { text: '88888888', kind: 'amount', cells: true },
      { family: 'heldout', height: 40 },
    )
    expect(image.paper.height).toBe(40)
    const columns = Array.from({ length: image.paper.width }, (_, column) => inkIn(image, (x) => x === column) > 0)
    const runs = columns.filter((inked, x) => inked && !columns[x - 1]).length
    expect(runs).toBe(8)
  })

  it('refuses sizes and texts that cannot be drawn', () => {
    const random = new SmallRandom(8)
    expect(() => renderLine(random, line, { family: 'tune', height: 8 })).toThrow(ArgumentError)
    expect(() => renderLine(random, { ...line, text: '' }, { family: 'tune', height: 32 })).toThrow(ArgumentError)
    expect(() => renderLine(random, { ...line, text: '龘' }, { family: 'tune', height: 32 })).toThrow(/龘/)
  })
})

describe('ageLine', () => {
  const draw = (index: number) => renderLine(new SmallRandom(9, index), line, { family: 'tune', height: 32 })

  it('changes nothing but the ink on the paper at severity 0', async () => {
    const image = draw(0)
    const ink = image.ink.slice()
    const bare = image.paper.data.slice()
    const aged = await ageLine(new SmallRandom(10), image, 0)
    expect(image.ink).toEqual(ink)
    const changed = [...ink.keys()].filter((i) => aged.data[i * 3] !== bare[i * 3])
    expect(changed.filter((i) => ink[i] === 0)).toEqual([])
    expect(changed.length).toBeGreaterThan(500)
  })

  it('ages more with severity, and always leaves the text darker than the paper around it', async () => {
    const change = [0.1, 1].map(() => 0)
    for (let index = 0; index < 40; index++) {
      for (const [at, severity] of [0.1, 1].entries()) {
        const fresh = await ageLine(new SmallRandom(0), draw(index), 0)
        const image = draw(index)
        const mask = image.ink.slice()
        const aged = await ageLine(new SmallRandom(11, index), image, severity)
        let difference = 0
        const mean = [0, 0]
        const count = [0, 0]
        for (let i = 0; i < mask.length; i++) {
          difference += Math.abs((aged.data[i * 3 + 1] as number) - (fresh.data[i * 3 + 1] as number))
          const part = (mask[i] as number) > 128 ? 1 : 0
          mean[part]! += aged.data[i * 3 + 1] as number
          count[part]! += 1
        }
        change[at]! += difference / mask.length
        expect(mean[0]! / count[0]! - mean[1]! / count[1]!).toBeGreaterThan(12)
      }
    }
    expect(change[1]!).toBeGreaterThan(3 * change[0]!)
  })

  it('refuses a severity outside 0 to 1', async () => {
    await expect(ageLine(new SmallRandom(0), draw(0), 1.5)).rejects.toThrow(ArgumentError)
  })
})
