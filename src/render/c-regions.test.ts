import { expect, test } from 'vitest'
import { add, constant, fma, index, load, variable, type BufferParameter } from '../codegen/builder.ts'
import type { Kernel, Stmt } from '../codegen/kernel.ts'
import { needsRegions } from './c-regions.ts'

const memory: BufferParameter = { parameter: 0, dtype: 'float32' }
const at = (name: string) => variable(name, { scalar: 'index', lanes: 1 })
const vector = { scalar: 'f32', lanes: 8 } as const

/** Sums of products with elements at some addresses; `offsets` from each, as constants. */
function kernelOf(addresses: readonly string[], offsets: readonly number[], lanes = 8): Kernel {
  const sums = addresses.flatMap((name, a) =>
    offsets.map((offset, o): Stmt => {
      const sum = variable(`sum${a}_${o}`, { ...vector, lanes })
      const value = fma(constant(2, 'f32', lanes), load(memory, add(at(name), index(offset)), lanes), sum)
      return { kind: 'assign', name: `sum${a}_${o}`, value }
    }),
  )
  const loop: Stmt = { kind: 'for', loop: 'sequential', name: 'k', from: index(0), to: index(9), step: 1, body: sums }
  return { title: '', parameters: [{ kind: 'buffer', dtype: 'float32', access: 'read' }], body: [loop] }
}

test('loops of products need regions of registers where they read from many addresses, wherever from each', () => {
  expect(needsRegions(kernelOf(['a', 'b'], [0, 8, 16, 24]))).toBe(false)
  expect(needsRegions(kernelOf(['a', 'b', 'c', 'd', 'e'], [0]))).toBe(true)
  // One element at a time is no product of vectors.
  expect(needsRegions(kernelOf(['a', 'b', 'c', 'd', 'e'], [0], 1))).toBe(false)
})
