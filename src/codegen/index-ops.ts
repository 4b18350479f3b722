/**
 * Kernels of the ops that address memory by data or by order: scatter, argsort, running sums. Their operands are dense; an axis splits
 * them into [before, axis, after].
 */
import { sizeOf, type DType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'
import type { NodeOf } from '../graph/node.ts'
import type { CumulateKind } from '../graph/ops.ts'
import * as ir from './builder.ts'
import type { Expr } from './kernel.ts'
import type { Step, StepArgument } from './step.ts'

/** The result, or source `n` of the node. */
export type IndexRole = 'out' | number

class Template {
  readonly ir: ir.KernelBuilder
  readonly arguments: StepArgument<IndexRole>[] = []

  constructor(title: string) {
    this.ir = new ir.KernelBuilder(title)
  }

  memory(role: IndexRole, dtype: DType): ir.BufferParameter {
    this.arguments.push({ kind: 'memory', role })
    return this.ir.buffer(dtype, role === 'out' ? 'update' : 'read')
  }

  index(value: number): Expr {
    this.arguments.push({ kind: 'index', value })
    return this.ir.index()
  }

  scratch(dtype: 'float32' | 'float64' | 'int32' | 'int64'): ir.BufferParameter {
    this.arguments.push({ kind: 'scratch' })
    return this.ir.scratch(dtype)
  }

  finish(extent: number, scratchBytes: number, bytes: number): Step<IndexRole> {
    return { kernel: this.ir.build(), arguments: this.arguments, extent, grain: 1, scratchBytes, flops: 0, bytes }
  }
}

const around = (shape: Shape, axis: number): [before: number, after: number] => [
  numel(shape.slice(0, axis)),
  numel(shape.slice(axis + 1)),
]

/** Columns that one parallel iteration takes: a fixed split, so that results never depend on the number of threads. */
const columnChunk = (after: number): number => Math.max(64, Math.ceil(after / 8))

/** Adds or puts updates into `out`, which holds the base already. Each column is one thread's: no races, a fixed order. */
export function scatterStep(node: NodeOf<'scatter'>): Step<IndexRole> {
  const [base, index, updates] = node.sources as [NodeOf<'buffer'>, NodeOf<'buffer'>, NodeOf<'buffer'>]
  const { axis, mode } = node.attributes
  const [before, after] = around(base.shape, axis)
  const count = numel(index.shape)
  const t = new Template(`scatter ${mode} ${base.dtype}`)
  const out = t.memory('out', base.dtype)
  const positions = t.memory(1, index.dtype)
  const source = t.memory(2, updates.dtype)
  const size = t.index(base.shape[axis]!)
  const length = t.index(after)
  const entries = t.index(count)
  const width = columnChunk(after)
  const chunk = t.index(width)
  const chunks = Math.ceil(after / width)
  const chunkCount = t.index(chunks)
  t.ir.parallel('p', (p) => {
    const from = t.ir.let('from', ir.mul(ir.rem(p, chunkCount), chunk))
    const to = t.ir.let('to', ir.min(ir.add(from, chunk), length))
    const block = t.ir.let('block', ir.div(p, chunkCount))
    t.ir.loop('i', 0, entries, 1, (i) => {
      const { at, outside } = t.ir.position(ir.load(positions, i), size)
      t.ir.if(
        outside,
        () => t.ir.fail(1),
        () => {
          const target = t.ir.let('target', ir.mul(ir.add(ir.mul(block, size), at), length))
          const origin = t.ir.let('origin', ir.mul(ir.add(ir.mul(block, entries), i), length))
          t.ir.vector('k', from, to, (k) => {
            const value = ir.load(source, ir.add(origin, k))
            t.ir.store(out, ir.add(target, k), mode === 'add' ? ir.add(ir.load(out, ir.add(target, k)), value) : value)
          })
        },
      )
    })
  })
  return t.finish(before * chunks, 0, 3 * numel(updates.shape) * sizeOf(base.dtype))
}

/** Stable merge sort of positions, bottom up; NaN is greater than every number. */
export function argsortStep(node: NodeOf<'argsort'>): Step<IndexRole> {
  const x = node.sources[0]!
  const { axis, descending } = node.attributes
  const [before, after] = around(x.shape, axis)
  const n = x.shape[axis]!
  const t = new Template(`argsort ${x.dtype}`)
  const out = t.memory('out', 'int64')
  const keys = t.memory(0, x.dtype)
  const length = t.index(n)
  const stride = t.index(after)
  const passCount = Math.ceil(Math.log2(Math.max(n, 1)))
  const passes = t.index(passCount)
  const runs = t.scratch('int32')
  t.ir.parallel('p', (p) => {
    const start = t.ir.let('start', ir.add(ir.mul(ir.div(p, stride), ir.mul(length, stride)), ir.rem(p, stride)))
    const key = (position: Expr): Expr => ir.load(keys, ir.add(start, ir.mul(ir.convert(position, 'index'), stride)))
    t.ir.loop('i', 0, length, 1, (i) => t.ir.store(runs, i, ir.convert(i, 'i32')))
    t.ir.loop('pass', 0, passes, 1, (pass) => {
      const width = t.ir.let('width', ir.shl(ir.index(1), pass))
      const from = t.ir.let('from', ir.mul(ir.rem(pass, 2), length))
      const into = t.ir.let('into', ir.sub(length, from))
      const pairs = t.ir.let('pairs', ir.div(ir.add(length, ir.sub(ir.mul(width, 2), 1)), ir.mul(width, 2)))
      t.ir.loop('pair', 0, pairs, 1, (pair) => {
        const first = t.ir.let('first', ir.mul(pair, ir.mul(width, 2)))
        const middle = t.ir.let('middle', ir.min(ir.add(first, width), length))
        const end = t.ir.let('end', ir.min(ir.add(middle, width), length))
        const left = t.ir.declare('left', first)
        const right = t.ir.declare('right', middle)
        t.ir.loop('k', first, end, 1, (k) => {
          const a = t.ir.let('a', ir.load(runs, ir.add(from, ir.min(left, ir.sub(length, 1)))))
          const b = t.ir.let('b', ir.load(runs, ir.add(from, ir.min(right, ir.sub(length, 1)))))
          const ka = t.ir.let('ka', key(a))
          const kb = t.ir.let('kb', key(b))
          const rightFirst = ir.and(ir.lt(right, end), ir.or(ir.ge(left, middle), precedes(kb, ka, descending)))
          const take = t.ir.let('take', rightFirst)
          t.ir.store(runs, ir.add(into, k), ir.select(take, b, a))
          t.ir.assign(left, ir.add(left, ir.select(take, ir.index(0), ir.index(1))))
          t.ir.assign(right, ir.add(right, ir.select(take, ir.index(1), ir.index(0))))
        })
      })
    })
    const result = t.ir.let('result', ir.mul(ir.rem(passes, 2), length))
    t.ir.loop('i', 0, length, 1, (i) => {
      t.ir.store(out, ir.add(start, ir.mul(i, stride)), ir.convert(ir.load(runs, ir.add(result, i)), 'i64'))
    })
  })
  return t.finish(before * after, 2 * n * 4, numel(x.shape) * 16)
}

/** Whether key `a` must stand before key `b` (strictly). */
function precedes(a: Expr, b: Expr, descending: boolean): Expr {
  const floating = a.type.scalar === 'f32' || a.type.scalar === 'f64'
  const before = ir.compare(descending ? 'gt' : 'lt', a, b)
  if (!floating) return before
  const [nan, number] = descending ? [a, b] : [b, a]
  return ir.or(before, ir.and(ir.ne(nan, nan), ir.eq(number, number)))
}

const combinations: Record<CumulateKind, (a: Expr, x: Expr) => Expr> = {
  sum: (a, x) => ir.add(a, x),
  prod: (a, x) => ir.mul(a, x),
  max: (a, x) => keepNaN(a, x, 'gt'),
  min: (a, x) => keepNaN(a, x, 'lt'),
}

function keepNaN(a: Expr, x: Expr, op: 'gt' | 'lt'): Expr {
  const floating = a.type.scalar === 'f32' || a.type.scalar === 'f64'
  const take = ir.compare(op, a, x)
  return ir.select(floating ? ir.or(take, ir.ne(a, a)) : take, a, x)
}

/** Running sums and the like: along contiguous rows with one accumulator, else over blocks of columns. */
export function cumulateStep(node: NodeOf<'cumulate'>): Step<IndexRole> {
  const x = node.sources[0]!
  const { axis, kind } = node.attributes
  const [before, after] = around(x.shape, axis)
  const combine = combinations[kind]
  const t = new Template(`cumulative ${kind} ${x.dtype}`)
  const out = t.memory('out', x.dtype)
  const source = t.memory(0, x.dtype)
  const length = t.index(x.shape[axis]!)
  const moved = numel(x.shape) * sizeOf(x.dtype) * 2
  if (after === 1) {
    t.ir.parallel('p', (p) => {
      const row = t.ir.let('row', ir.mul(p, length))
      const acc = t.ir.declare('acc', ir.load(source, row))
      t.ir.store(out, row, acc)
      t.ir.loop('i', 1, length, 1, (i) => {
        const at = t.ir.let('at', ir.add(row, i))
        t.ir.assign(acc, combine(acc, ir.load(source, at)))
        t.ir.store(out, at, acc)
      })
    })
    return t.finish(before, 0, moved)
  }
  const columns = t.index(after)
  const width = columnChunk(after)
  const chunk = t.index(width)
  const chunks = Math.ceil(after / width)
  const chunkCount = t.index(chunks)
  // Low precision is accumulated beside the result, which would round at each step.
  const wide = sizeOf(x.dtype) === 2 ? t.scratch('float32') : null
  t.ir.parallel('p', (p) => {
    const from = t.ir.let('from', ir.mul(ir.rem(p, chunkCount), chunk))
    const to = t.ir.let('to', ir.min(ir.add(from, chunk), columns))
    const block = t.ir.let('block', ir.mul(ir.div(p, chunkCount), ir.mul(length, columns)))
    const put = (k: Expr, at: Expr, value: Expr): void => {
      const v = t.ir.let('v', value)
      if (wide) t.ir.store(wide, ir.sub(k, from), v)
      t.ir.store(out, at, v)
    }
    t.ir.vector('k', from, to, (k) => {
      const at = t.ir.let('at', ir.add(block, k))
      put(k, at, ir.load(source, at))
    })
    t.ir.loop('i', 1, length, 1, (i) => {
      const row = t.ir.let('row', ir.add(block, ir.mul(i, columns)))
      t.ir.vector('k', from, to, (k) => {
        const at = t.ir.let('at', ir.add(row, k))
        const before = wide ? ir.load(wide, ir.sub(k, from)) : ir.load(out, ir.sub(at, columns))
        put(k, at, combine(before, ir.load(source, at)))
      })
    })
  })
  return t.finish(before * chunks, wide ? width * 4 : 0, moved)
}
