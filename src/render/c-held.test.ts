import { expect, test } from 'vitest'
import { add, constant, fma, index, load, variable, type BufferParameter } from '../codegen/builder.ts'
import type { Expr, Kernel, Stmt } from '../codegen/kernel.ts'
import { renderKernel } from './c.ts'
import { heldVectors } from './c-held.ts'

const memory: BufferParameter = { parameter: 0, dtype: 'float32' }
const vector = { scalar: 'f32', lanes: 8 } as const

/** Loads of `lanes` elements by name, and what is added to a sum for each of `terms`. */
function kernelOf(loads: readonly string[], terms: readonly ((sum: Expr) => Expr)[], lanes = 8): Kernel {
  const type = { ...vector, lanes }
  const body = [
    ...loads.map((name, i): Stmt => ({ kind: 'let', name, value: load(memory, index(lanes * i), lanes) })),
    ...terms.map((_, i): Stmt => ({ kind: 'declare', name: `sum${i}`, value: constant(0, 'f32', lanes) })),
    ...terms.map((term, i): Stmt => ({ kind: 'assign', name: `sum${i}`, value: term(variable(`sum${i}`, type)) })),
  ]
  return { title: '', parameters: [{ kind: 'buffer', dtype: 'float32', access: 'read' }], body }
}

const value = (name: string, lanes = 8): Expr => variable(name, { ...vector, lanes })
const times =
  (name: string, lanes = 8) =>
  (sum: Expr): Expr =>
    fma(value(name, lanes), constant(2, 'f32', lanes), sum)

test('loaded vectors are held that several products have for a factor', () => {
  const kernel = kernelOf(['once', 'twice'], [times('once'), times('twice'), times('twice')])

  expect([...heldVectors(kernel)]).toEqual(['twice'])
  expect(renderKernel(kernel, 32).text.match(/= held_\w+\(/g)).toEqual(['= held_f32x8('])
})

test('sums and single elements are not', () => {
  const plus = (name: string) => (sum: Expr) => add(sum, value(name))

  expect(heldVectors(kernelOf(['x'], [plus('x'), plus('x'), times('x')])).size).toBe(0)
  expect(heldVectors(kernelOf(['x'], [times('x', 1), times('x', 1)], 1)).size).toBe(0)
})
