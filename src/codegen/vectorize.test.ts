import { describe, expect, test } from 'vitest'
import * as ir from './builder.ts'
import { KernelBuilder, type BufferParameter } from './builder.ts'
import type { Expr, Kernel } from './kernel.ts'
import { vectorize, type VectorizeOptions } from './vectorize.ts'
import { verifyKernel } from './verify.ts'
import { expressionsOf, flatten, operands } from './walk.ts'

const laneOptions: VectorizeOptions = {
  lanes: [4],
  accumulatorRegisters: 4,
  narrowStores: true,
  stridedStores: false,
  otherwise: 'sequential',
}

interface Parts {
  readonly k: KernelBuilder
  readonly x: BufferParameter
  readonly out: BufferParameter
  readonly n: Expr
}

/** A kernel with one vector loop over a float32 buffer to another, vectorised for four lanes. */
function vectorized(body: (parts: Parts, i: Expr) => void, options = laneOptions, to?: number): Kernel {
  const k = new KernelBuilder('k')
  const parts = { k, x: k.buffer('float32', 'read'), out: k.buffer('float32', 'write'), n: k.index() }
  k.parallel('block', () => k.vector('i', 0, to ?? parts.n, (i) => body(parts, i)))
  const made = vectorize(k.build(), options)
  verifyKernel(made)
  return made
}

/** Steps of the loops inside the parallel one, from outer to inner and first to last. */
function steps(kernel: Kernel): number[] {
  const found = flatten(kernel.body).flatMap((s) => (s.kind === 'for' ? [s.loop === 'vector' ? NaN : s.step] : []))
  return found.slice(1)
}

/** Kinds of the vector expressions of a kernel. */
function vectorKinds(kernel: Kernel): Set<string> {
  const found = new Set<string>()
  const expression = (e: Expr): void => {
    if (e.type.lanes > 1) found.add(e.kind)
    operands(e).forEach(expression)
  }
  for (const s of flatten(kernel.body)) expressionsOf(s).forEach(expression)
  return found
}

describe('what becomes lanes', () => {
  test('a contiguous loop: lanes, then a tail', () => {
    const kernel = vectorized(({ k, x, out }, i) => k.store(out, i, ir.sqrt(ir.load(x, i))))
    expect(steps(kernel)).toEqual([4, 1])
    expect(vectorKinds(kernel)).toEqual(new Set(['unary', 'load']))
  })

  test('stores to every second element and to the ones between: stores of neighbours, if nothing reads the memory in between', () => {
    const strided = { ...laneOptions, stridedStores: true }
    const both = (order: readonly [number, number]): Kernel =>
      vectorized(({ k, x, out }, i) => {
        const value = k.let('value', ir.load(x, i))
        for (const at of order) k.store(out, ir.add(ir.mul(i, 2), at), ir.mul(value, at + 1))
      }, strided)
    const stores = (kernel: Kernel) => flatten(kernel.body).filter((s) => s.kind === 'store' && s.value.type.lanes > 1)
    expect(stores(both([0, 1])).map((s) => 'stride' in s)).toEqual([false, false])
    expect(vectorKinds(both([0, 1])).has('zip')).toBe(true)
    expect(vectorKinds(both([1, 0])).has('zip')).toBe(false)
    expect(vectorKinds(both([0, 2])).has('zip')).toBe(false)
  })

  test('no tail where the extent is a known multiple, no lanes where it is known to be too small', () => {
    const body = ({ k, x, out }: Parts, i: Expr): void => k.store(out, i, ir.load(x, i))
    expect(steps(vectorized(body, undefined, 12))).toEqual([4])
    expect(steps(vectorized(body, undefined, 3))).toEqual([1])
  })

  test('strides: 0 is copied to all lanes, an unchanging one is gathered', () => {
    const kernel = vectorized(({ k, x, out, n }, i) => k.store(out, i, ir.add(ir.load(x, n), ir.load(x, ir.mul(n, i)))))
    expect(vectorKinds(kernel)).toEqual(new Set(['binary', 'splat', 'gather']))
  })

  test('accumulators get several registers first, then one, then none', () => {
    const kernel = vectorized(({ k, x, out, n }, i) => {
      const sum = k.declare('sum', ir.f32(0))
      k.vector('j', 0, n, (j) => k.accumulate(sum, 'add', ir.load(x, ir.add(j, i))))
      k.store(out, i, sum)
    })
    expect(steps(kernel)).toEqual([1, 16, 4, 1])
  })

  test('an outer vector loop over a sequential one, with a branch that all lanes take alike', () => {
    const kernel = vectorized(({ k, x, out, n }, i) => {
      const sum = k.declare('sum', ir.f32(0))
      k.loop('j', 0, n, 1, (j) =>
        k.if(ir.lt(j, 7), () => k.accumulate(sum, 'max', ir.load(x, ir.add(ir.mul(j, n), i)))),
      )
      k.store(out, i, sum)
    })
    expect(steps(kernel)).toEqual([4, 1, 1, 1])
    expect(vectorKinds(kernel)).toContain('load')
  })
})

describe('what stays scalar', () => {
  const cases: [string, (parts: Parts, i: Expr) => void][] = [
    ['a store that is not contiguous', ({ k, x, out }, i) => k.store(out, ir.mul(i, 2), ir.load(x, i))],
    ['an index that is not linear', ({ k, x, out, n }, i) => k.store(out, i, ir.load(x, ir.rem(i, n)))],
    [
      'an index from memory',
      ({ k, x, out }, i) => k.store(out, i, ir.load(x, ir.convert(ir.convert(ir.load(x, i), 'i32'), 'index'))),
    ],
    [
      'a branch that differs between lanes',
      ({ k, x, out }, i) => k.if(ir.lt(ir.load(x, i), 0), () => k.store(out, i, ir.load(x, i))),
    ],
    ['a host function', ({ k, x, out }, i) => k.store(out, i, ir.call('sin', ir.load(x, i)))],
    [
      'numbers of 64 bits',
      ({ k, x, out }, i) => k.store(out, i, ir.convert(ir.mul(ir.convert(ir.load(x, i), 'f64'), ir.f64(3)), 'f32')),
    ],
    [
      'an inner loop whose end differs',
      ({ k, x, out }, i) => k.loop('j', 0, i, 1, () => k.store(out, i, ir.load(x, i))),
    ],
    [
      'a load behind a test of positions, also through names',
      ({ k, x, out, n }, i) => {
        const inside = k.let('inside', ir.and(ir.ge(i, 3), ir.lt(ir.sub(i, 3), n)))
        k.store(out, i, ir.select(inside, ir.load(x, ir.sub(i, 3)), 0))
      },
    ],
  ]
  test.each(cases)('%s', (_, body) => {
    const kernel = vectorized(body)
    expect(vectorKinds(kernel)).toEqual(new Set())
    expect(steps(kernel)[0]).toBe(1)
  })

  test('stores of few bits, unless the dialect has them', () => {
    const make = (narrowStores: boolean): Set<string> => {
      const k = new KernelBuilder('k')
      const [x, out, n] = [k.buffer('bfloat16', 'read'), k.buffer('bfloat16', 'write'), k.index()]
      k.parallel('b', () => k.vector('i', 0, n, (i) => k.store(out, i, ir.load(x, i))))
      return vectorKinds(vectorize(k.build(), { ...laneOptions, narrowStores }))
    }
    expect(make(true)).toEqual(new Set(['load']))
    expect(make(false)).toEqual(new Set())
  })
})
