import { describe, expect, it } from 'vitest'
import { SmallRandom } from '../../common/random.ts'
import { chooseFonts, fontSets, getFace, isLatin } from './fonts.ts'
import type { FaceName } from './fonts.ts'

const namesOf = (family: keyof typeof fontSets): FaceName[] =>
  [...Object.keys(fontSets[family].chinese), ...Object.keys(fontSets[family].latin)] as FaceName[]

describe('fonts', () => {
  it('holds whole typefaces out: none of them is in a set to train on', () => {
    const typefaces = (family: keyof typeof fontSets) => new Set(namesOf(family).map((name) => getFace(name).typeface))
    const training = new Set([...typefaces('pretrain'), ...typefaces('tune')])
    expect([...typefaces('heldout')].filter((typeface) => training.has(typeface))).toEqual([])
  })

  it('chooses only fonts that have every glyph', () => {
    const seen = new Set<FaceName>()
    for (let index = 0; index < 300; index++) {
      const { face, latin } = chooseFonts(new SmallRandom(1, index), 'heldout', '赎回·№“A1”')
      seen.add(face.name)
      expect(face.covers('赎回·№“”')).toBe(true)
      expect(latin?.covers('A1')).not.toBe(false)
    }
    // ZCOOL XiaoWei draws 回 as a block and has no · and №.
    expect([...seen]).toEqual(['kai'])
  })

  it('draws Latin characters in any of the set, now and then in a face of their own', () => {
    const faces = new Set<string>()
    for (let index = 0; index < 300; index++) {
      const { face, latin } = chooseFonts(new SmallRandom(2, index), 'tune', '金额：¥1,234.50')
      faces.add(latin?.name ?? face.name)
    }
    expect([...faces].sort()).toEqual(namesOf('tune').sort())
  })

  it('has all of ASCII in every Latin face', () => {
    const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i))
    expect([...ascii].every(isLatin)).toBe(true)
    const names = Object.values(fontSets).flatMap(({ latin }) => Object.keys(latin) as FaceName[])
    expect(names.filter((name) => !getFace(name).covers(`${ascii}¥`))).toEqual([])
  })
})
