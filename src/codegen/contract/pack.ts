/**
 * Packing of an operand into panels, the layout that the micro-kernel reads: `rows` neighbours on the free axis side by side, one group
 * after another along the contracted axis, zeros where the free axis has ended. Where the operand has unit stride along the free axis
 * whole vectors are copied; elsewhere element by element.
 */
import { add, and, constant, index, le, load, lt, mul, sub, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { isStride, type Assembler } from './assembler.ts'
import { loopRuns, type FlatAxes, type Position } from './axes.ts'

export interface PanelSource {
  readonly buffer: BufferParameter
  /** The operand's free axes and contracted axes; view 0 is the operand. */
  readonly free: FlatAxes
  readonly contracted: FlatAxes
  /** Number of free elements. */
  readonly size: Expr
}

export interface PanelShape {
  /** Elements of the free axis in a panel: a multiple of `lanes`. */
  readonly rows: number
  readonly lanes: number
}

/** Emits the packing of one panel: free elements from `row`, contracted elements [from, to), operand offset `base`. */
export function emitPackPanel(
  k: Assembler,
  source: PanelSource,
  shape: PanelShape,
  place: { base: Expr; row: Expr; from: Expr; to: Expr; target: BufferParameter; at: Expr },
): void {
  const { rows, lanes } = shape
  const { base, row, from, to, target, at } = place
  const unit = isStride(source.free.innerStride(0), 1)
  const locate = (r: Expr): { position: Position; start: Expr } => {
    const position = source.free.locate(k, r)
    return { position, start: k.let('s', add(base, position.offsets[0]!)) }
  }
  const copy = (starts: readonly Expr[], width: number, column: Expr | number): void => {
    loopRuns(k, source.contracted, from, to, (i, offset) => {
      const o = k.let('o', offset)
      const d = k.let('d', add(at, add(mul(i, rows), column)))
      if (width > 1) k.prefetch(source.buffer, add(add(starts[0]!, o), mul(source.contracted.innerStride(0), 12)))
      starts.forEach((s, n) => k.store(target, add(d, n * width), load(source.buffer, add(s, o), width)))
    })
  }
  /** Columns one at a time, with zeros behind the end of the free axis. */
  const single = (first: Expr, count: number): void => {
    k.loop('column', first, add(first, count), 1, (column) => {
      const r = k.let('r', add(row, column))
      k.if(
        lt(r, source.size),
        () => copy([locate(r).start], 1, column),
        () => {
          const zero = constant(0, load(target, 0).type.scalar)
          k.loop('k', 0, sub(to, from), 1, (i) => k.store(target, add(at, add(mul(i, rows), column)), zero))
        },
      )
    })
  }

  if (!unit) {
    const group = [8, 7, 6, 5, 4, 3, 2, 1].find((g) => rows % g === 0)!
    k.loop('group', 0, rows, group, (column) => {
      const first = k.let('r', add(row, column))
      k.if(
        le(add(first, group), source.size),
        () => {
          const starts = Array.from({ length: group }, (_, n) => locate(k.let('r', add(first, n))).start)
          copy(starts, 1, column)
        },
        () => single(column, group),
      )
    })
    return
  }
  const vectors = Array.from({ length: rows / lanes }, (_, n) => {
    const r = k.let('r', add(row, n * lanes))
    const { position, start } = locate(r)
    const whole = le(add(position.inner, lanes), source.free.innerSize)
    return { start, whole: source.free.sizes.length > 1 ? and(whole, lt(r, source.size)) : whole }
  })
  k.if(
    vectors.map((v) => v.whole).reduce((a, b) => and(a, b)),
    () =>
      copy(
        vectors.map((v) => v.start),
        lanes,
        0,
      ),
    () => {
      vectors.forEach((v, n) =>
        k.if(
          v.whole,
          () => copy([v.start], lanes, n * lanes),
          () => single(index(n * lanes), lanes),
        ),
      )
    },
  )
}
