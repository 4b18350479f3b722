import { describe, expect, test } from 'vitest'
import { InternalError } from '../common/errors.ts'
import * as ir from './builder.ts'
import { KernelBuilder } from './builder.ts'
import type { Kernel } from './kernel.ts'
import { verifyKernel } from './verify.ts'

const n = ir.variable('n', ir.typeOf('index'))
const x = ir.variable('x', ir.typeOf('f32'))

describe('folding', () => {
  test('index arithmetic with 0 and 1 vanishes, constants combine', () => {
    expect(ir.mul(n, 1)).toBe(n)
    expect(ir.add(0, n)).toBe(n)
    expect(ir.mul(n, 0)).toEqual(ir.index(0))
    expect(ir.add(ir.add(n, 3), 4)).toEqual(ir.add(n, 7))
    expect(ir.add(ir.add(n, 3), -3)).toBe(n)
    expect(ir.div(ir.index(-7), 2)).toEqual(ir.index(-3))
    expect(ir.rem(n, 1)).toEqual(ir.index(0))
  })

  test('floats fold only where no bit changes', () => {
    expect(ir.mul(x, 1)).toBe(x)
    expect(ir.add(x, 0).kind).toBe('binary')
    expect(ir.mul(ir.f32(0.1), 3)).toEqual(ir.f32(Math.fround(Math.fround(0.1) * 3)))
    expect(ir.neg(ir.f32(0))).toEqual(ir.f32(-0))
  })

  test('constants wrap as their type does', () => {
    expect(ir.i32(0xffffffff)).toMatchObject({ value: -1 })
    expect(ir.constant(2n ** 64n + 5n, 'i64')).toMatchObject({ value: 5 })
    expect(ir.add(ir.i32(2147483647), 1)).toMatchObject({ value: -2147483648 })
    expect(ir.convert(ir.f32(-2.7), 'i32')).toEqual(ir.i32(-2))
  })
})

test('scalars widen to the lanes of the other operand', () => {
  const v = ir.variable('v', ir.typeOf('f32', 8))
  expect(ir.add(v, x)).toMatchObject({ type: { scalar: 'f32', lanes: 8 }, b: { kind: 'splat' } })
  expect(ir.select(ir.lt(v, 0), x, v).type.lanes).toBe(8)
  expect(() => ir.add(v, n)).toThrow(InternalError)
})

test('names that are taken get a number', () => {
  const k = new KernelBuilder('names')
  const out = k.buffer('float32', 'write')
  const names: string[] = []
  const note = (e: ReturnType<typeof ir.variable>) => e.kind === 'variable' && names.push(e.name)
  k.parallel('i', (i) => {
    note(i)
    note(k.declare('t1', ir.f32(1)))
    note(k.declare('t', ir.f32(1)))
    note(k.declare('t', ir.f32(1)))
    k.loop('i', 0, 3, 1, (j) => {
      note(j)
      k.store(out, j, ir.f32(0))
    })
  })
  k.build()
  expect(names).toEqual(['i', 't1', 't', 't2', 'i1'])
})

describe('the verifier refuses', () => {
  const buffers = [
    { kind: 'buffer', dtype: 'float32', access: 'read' },
    { kind: 'buffer', dtype: 'int64', access: 'write' },
  ] as const
  const inLoop = (...body: Kernel['body']): Kernel => ({
    title: 'bad',
    parameters: buffers,
    body: [{ kind: 'for', loop: 'parallel', name: 'i', from: ir.index(0), to: ir.index(0), step: 1, body }],
  })
  const input = { parameter: 0, dtype: 'float32' } as const
  const i = ir.variable('i', ir.typeOf('index'))
  const store = (value: ReturnType<typeof ir.load>) => ({ kind: 'store', buffer: 1, at: i, value }) as const

  test.each<[string, Kernel, RegExp]>([
    ['an undeclared variable', inLoop({ kind: 'let', name: 'y', value: ir.neg(x) }), /x is used before it is declared/],
    ['another type in memory', inLoop(store(ir.load(input, i))), /parameter 1 \(int64\) is f32, expected i64/],
    ['a store to an input', inLoop({ kind: 'store', buffer: 0, at: i, value: ir.f32(0) }), /read-only/],
    ['a load from an output', inLoop(store(ir.load({ parameter: 1, dtype: 'int64' }, i))), /write-only/],
    ['no parallel loop', { title: 'bad', parameters: [], body: [] }, /0 parallel loops/],
    ['two parallel loops', { ...inLoop(), body: [...inLoop().body, ...inLoop().body] }, /2 parallel loops/],
    ['a nested parallel loop', inLoop(...inLoop().body), /stands inside another loop/],
    ['lanes of 64 bits', inLoop({ kind: 'let', name: 'v', value: ir.splat(i, 4) }), /lanes of index/],
    [
      'a call on lanes',
      inLoop({ kind: 'let', name: 'v', value: ir.call('exp', ir.f32(1, 4)) }),
      /call of exp on f32x4/,
    ],
    [
      'assignment of a let',
      inLoop({ kind: 'assign', name: 'i', value: ir.index(1) }),
      /i is assigned but not declared/,
    ],
  ])('%s', (_, kernel, message) => {
    expect(() => verifyKernel(kernel)).toThrow(InternalError)
    expect(() => verifyKernel(kernel)).toThrow(message)
  })

  test('assignment of an outer variable in a vector loop', () => {
    const k = new KernelBuilder('bad')
    k.parallel('i', () => {
      const s = k.declare('s', ir.f32(0))
      k.vector('j', 0, 8, () => k.assign(s, 1))
    })
    expect(() => k.build()).toThrow(/use accumulate/)
  })
})
