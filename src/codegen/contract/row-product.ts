/**
 * One row times a large matrix whose rows are summed: bound by reading the matrix. Each task takes some of its rows and reads them in order, a
 * few at a time and far along each, while a row of sums stays in the nearest cache; parts of the sum are added behind that. A task that took columns
 * instead would meet another page of memory with every row.
 */
import type { Capabilities } from '../capabilities.ts'
import { add, constant, div, fma, index, load, min, mul, rem, splat, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { mergeAxes, type Axis } from './axes.ts'
import { registerTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { addParts } from './split.ts'

/** Elements from which on a matrix is read so: 1 MiB, which no first-level cache holds. */
const LEAST_ELEMENTS = 1 << 18
/** Columns of a task: their sums take a sixth of a first-level cache of 48 KiB, and rows come in runs of two pages. */
const BLOCK = 2048
/** Rows read at a time: a sum is fetched and kept once for as many products. */
const ROWS = 4
/** Tasks that there should be, of not less than so many rows. */
const ENOUGH_TASKS = 16
const LEAST_ROWS = 32

interface Matrix {
  readonly columns: Axis
  readonly contracted: Axis
}

/** The two axes of a form that is one row times such a matrix; else null. */
function matrixOf(form: Form): Matrix | null {
  if (form.batch.length > 0 || form.rows.length > 0) return null
  const operands = form.epilogue?.operands.length ?? 0
  const columns = mergeAxes(axesIn(form.columns, ['b', 'out', 'operands']), 2 + operands)
  const contracted = mergeAxes(axesIn(form.contracted, ['a', 'b']), 2)
  if (columns.length > 1 || contracted.length > 1) return null
  const [column] = columns as [Axis]
  return column.strides[0] === 1 && column.strides[1] === 1 ? { columns: column, contracted: contracted[0]! } : null
}

/** Writes the steps, or returns false where the form is another. */
export function lowerRowProduct(form: Form, capabilities: Capabilities, list: StepList): boolean {
  const matrix = matrixOf(form)
  const [columns, depth] = [formSize(form.columns), formSize(form.contracted)]
  if (!matrix || columns * depth < LEAST_ELEMENTS) return false
  const blocks = Math.ceil(columns / BLOCK)
  const most = Math.max(1, Math.floor(depth / LEAST_ROWS))
  const wanted = Math.min(most, Math.ceil(ENOUGH_TASKS / blocks))
  const perSplit = Math.ceil(depth / wanted)
  const splits = Math.ceil(depth / perSplit)
  const parts = list.temporary(4 * columns * splits)

  const { lanes } = registerTile(capabilities)
  const k = new Assembler(`row product ${lanes}`, `row of ${form.title}`)
  const a = k.memory(form.a.memory, form.a.dtype, 'read')
  const b = k.memory(form.b.memory, form.b.dtype, 'read')
  const sums = k.memory(parts, 'float32', 'update')
  const [aStride, bStride] = matrix.contracted.strides.map((s) => k.stride(s)) as [Expr, Expr]
  const [aOffset, bOffset] = [k.size(form.a.offset), k.size(form.b.offset)]
  const [columnCount, depthSize] = [k.size(columns), k.size(depth)]
  const [blockCount, blockSize, splitSize] = [blocks, Math.min(BLOCK, columns), perSplit].map((n) => k.size(n)) as Three

  k.parallel('t', (t) => {
    const split = k.let('split', div(t, blockCount))
    const column = k.let('column', mul(rem(t, blockCount), blockSize))
    const width = k.let('width', min(blockSize, sub(columnCount, column)))
    const from = k.let('from', mul(split, splitSize))
    const to = k.let('to', min(add(from, splitSize), depthSize))
    const at = k.let('at', add(mul(split, columnCount), column))
    const start = k.let('start', add(bOffset, column))
    k.vector('v', 0, width, (v) => k.store(sums, add(at, v), constant(0, 'f32')))
    const whole = k.let('whole', sub(to, rem(sub(to, from), ROWS)))
    const rows = (row: Expr, count: number): void => {
      const own = Array.from({ length: count }, (_, r) => {
        const number = k.let('row', add(row, r))
        return {
          factor: k.let('factor', load(a, add(aOffset, mul(number, aStride)))),
          at: k.let('rowAt', add(start, mul(number, bStride))),
        }
      })
      const step = (v: Expr, n: number): void => {
        const sum = own.reduce<Expr>(
          (x, r) => fma(n === 1 ? r.factor : splat(r.factor, n), load(b, add(r.at, v), n), x),
          load(sums, add(at, v), n),
        )
        k.store(sums, add(at, v), sum)
      }
      let first: Expr = index(0)
      for (const n of new Set([lanes, 4, 1])) {
        const end = n === 1 ? width : k.let('end', sub(width, rem(width, n)))
        k.loop('v', first, end, n, (v) => step(v, n))
        first = end
      }
    }
    k.loop('k', from, whole, ROWS, (row) => rows(row, ROWS))
    k.loop('k', whole, to, 1, (row) => rows(row, 1))
  })
  const flops = 2 * columns * depth
  list.steps.push(k.step(blocks * splits, 1, flops, 4 * (columns * depth + depth + columns * splits)))
  addParts(form, capabilities, parts, { batch: 1, rows: 1, columns, slab: columns, splits }, list)
  return true
}

type Three = [Expr, Expr, Expr]
