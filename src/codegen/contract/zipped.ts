/** Writes the steps of a contraction whose result has windows with a stride (see zipped-scheme.ts). */
import { letterStride, type AffineDim } from './affine.ts'
import { formOf, laidOut, sortLetters, sourceOf, unchanged, type Contraction } from './contraction.ts'
import { StepList } from './form.ts'
import type { LoweredContract } from './problem.ts'
import { byStride, leavesAxes, reaches } from './relayout.ts'
import { PACK_SLACK } from './zipped-pack.ts'
import { lowerZippedProduct } from './zipped-product.ts'
import { fitsZippedRow, lowerZippedRow } from './zipped-row.ts'
import { shiftedCase, zippedColumns, zippedScheme, type ZippedAxis, type ZippedScheme } from './zipped-scheme.ts'

/** All classes at once, or null where the problem has none. Both operands have free letters. */
export function zipped(c: Contraction, absent: ReadonlySet<number>): LoweredContract | null {
  const scheme = zippedScheme(c.problem, c.cases[0]!)
  // Instructions for bfloat16 multiply faster.
  if (!scheme || (c.problem.dtype === 'bfloat16' && c.problem.capabilities.bfloat16 !== undefined)) return null
  return lowerZipped(c, absent, scheme, lowerZippedProduct)
}

/** The same where only the operand with positions has free letters, and something is summed beside the taps. */
export function zippedRow(c: Contraction, absent: ReadonlySet<number>): LoweredContract | null {
  const { problem, cases, taps } = c
  const scheme = zippedScheme(problem, cases[0]!)
  if (!scheme || problem.dtype !== 'float32' || !fitsZippedRow({ scheme })) return null
  const { left, right, contracted } = sortLetters(cases[0]!, absent)
  if ((scheme.side === 'lhs' ? right : left).length > 0 || contracted.every((l) => taps.has(l))) return null
  if (letterStride(cases[0]![scheme.side], scheme.x.position) !== 1) return null
  return lowerZipped(c, absent, scheme, lowerZippedRow)
}

function lowerZipped(
  c: Contraction,
  absent: ReadonlySet<number>,
  scheme: ZippedScheme,
  lower: typeof lowerZippedProduct,
): LoweredContract {
  const { problem, cases } = c
  const { side, x, y } = scheme
  const other = side === 'lhs' ? 'rhs' : 'lhs'
  const list = new StepList()
  const shifted = shiftedCase(cases[0]!, scheme)
  const axes = y ? [y, x] : [x]
  const isCopied = axes.some((a) => a.shifts > 1) || leavesAxes(shifted[side], reaches([shifted], side))
  const all: Contraction = { ...c, cases: [shifted] }
  const positions = isCopied ? laidOut(all, side, byStride(shifted[side]), list) : unchanged(all, side)
  if (isCopied) list.extend(positions.source.memory, PACK_SLACK)
  const [dims] = positions.dims as [readonly AffineDim[]]

  const taps = new Set(axes.map((a) => a.tap))
  const withoutTaps = (of: readonly AffineDim[]): AffineDim[] =>
    of.flatMap((d) => {
      const terms = d.terms.filter((t) => !taps.has(t.letter))
      return terms.length > 0 ? [{ ...d, terms }] : []
    })
  const one = { ...shifted, [side]: withoutTaps(dims), [other]: withoutTaps(shifted[other]) }
  const isPosition = (l: number): boolean => axes.some((a) => a.position === l)
  const gone = new Set([...taps, ...[...absent].filter((l) => !isPosition(l))])
  const weights = sourceOf(problem, other)
  const sources = side === 'lhs' ? ([positions.source, weights] as const) : ([weights, positions.source] as const)
  const form = formOf(c, one, sources, gone, { side, position: x.position, tap: x.tap })
  const { left, right } = sortLetters(one, gone)
  const columns = [...(side === 'lhs' ? left : right).filter((l) => l !== x.position), x.position]
  const tapAxis = (a: ZippedAxis) => ({
    size: a.taps,
    a: letterStride(shifted[other], a.tap),
    b: 0,
    out: 0,
    operands: [],
  })
  const shiftStride = (a: ZippedAxis | null): number => (a ? letterStride(dims, a.tap) : 0)
  lower(
    {
      scheme,
      form,
      weights: { ...form, contracted: [...axes.map(tapAxis), ...form.contracted] },
      columns: zippedColumns(problem, scheme, form, columns),
      shiftStrides: [shiftStride(y), shiftStride(x)],
      isCopied,
    },
    problem.capabilities,
    list,
  )
  return list
}
