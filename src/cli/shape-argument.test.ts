import { expect, it } from 'vitest'
import { UsageError } from './errors.ts'
import { shapeChoices } from './shape-argument.ts'

const x = { name: 'x', dtype: 'float32', shape: [-1, 3, 48, -1] } as const
const ids = { name: 'ids', dtype: 'int64', shape: [-1, -1] } as const
const mask = { ...ids, name: 'mask' }

it('reads a shape for each input, and needs no name where there is one', () => {
  expect(shapeChoices('x=1x3x48x320', [x], 'compile')).toEqual([{ x: [1, 3, 48, 320] }])
  expect(shapeChoices('1x3x48x320', [x], 'compile')).toEqual([{ x: [1, 3, 48, 320] }])
  expect(shapeChoices('ids=1x8,mask=1x8', [ids, mask], 'compile')).toEqual([{ ids: [1, 8], mask: [1, 8] }])
})

it('makes a choice of each size of a range, and takes ranges that are written alike for one size', () => {
  expect(shapeChoices('1..2x3x48x320..384:32', [x], 'compile').map((c) => c['x'])).toEqual([
    [1, 3, 48, 320],
    [1, 3, 48, 352],
    [1, 3, 48, 384],
    [2, 3, 48, 320],
    [2, 3, 48, 352],
    [2, 3, 48, 384],
  ])
  expect(shapeChoices('ids=1..2x8,mask=1..2x8', [ids, mask], 'compile')).toEqual([
    { ids: [1, 8], mask: [1, 8] },
    { ids: [2, 8], mask: [2, 8] },
  ])
})

it('says what is wrong', () => {
  const of = (text: string) => () => shapeChoices(text, [ids, mask], 'compile')
  expect(of('1x8')).toThrow(
    "--shape '1x8' must look like ids=NxN,mask=NxN, with numbers for N, or ranges (1..8, 320..640:32)",
  )
  expect(of('ids=1xW')).toThrow(UsageError)
  expect(of('ids=8..1x8')).toThrow('the range 8..1 is empty')
  expect(of('ids=1..8:0x8')).toThrow('the range 1..8:0 is empty')
  expect(of('ids=1..1000000000x8')).toThrow('has 1000000000 sizes, at most 256')
  expect(of('ids=1..20x1..21')).toThrow('stands for 420 shapes, at most 256')
})
