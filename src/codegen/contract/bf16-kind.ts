/** The templates of products by pairs of bfloat16, and which products take one. */
import type { DType } from '../../common/dtype.ts'
import type { Capabilities, ProductParts } from '../capabilities.ts'
import type { FactorParts } from '../kernel.ts'
import type { WordLayout } from './bf16-pack.ts'
import { registerTile, rowLanes, type RegisterTile } from './blocking.ts'
import { formSize, type Form, type FormAxis } from './form.ts'
import { BLOCK_PAIRS } from './word-offsets.ts'

/** Whether the device has instructions for this product, and offsets along the sum fit their table. */
export function hasPairProducts(form: Form, capabilities: Capabilities): boolean {
  const reach = (view: 'a' | 'b'): number =>
    form.contracted.reduce((n: number, x: FormAxis) => n + Math.abs(x[view]) * Math.max(0, x.size - 1), 0)
  const of = (dtype: DType): boolean => form.a.dtype === dtype && form.b.dtype === dtype
  const isFaster =
    (of('bfloat16') && capabilities.bfloat16 !== undefined) || (of('float32') && splitsPay(form, capabilities))
  return isFaster && Math.max(reach('a'), reach('b')) < 2 ** 31
}

/** Middle extents from which on elements are used often enough for splitting them, by parts, also where one operand was split before. */
const SPLIT_EXTENT = { 2: { both: 64, one: 32 }, 3: { both: 192, one: 96 } } as const
/**
 * Elements of each extent from which on tiles save more than splitting float32 in three takes: each element of an operand is split for as many
 * products as the other has rows or columns, and sums are stored for as many as they are long. On one core, 64 x 4096 x 256 ran at 125 GFLOP/s
 * split and at 148 whole, 1800 x 199 x 57 at 89 and 124, 128 x 221 x 397 at the same speed, 2048 x 312 x 312 at 215 and 168.
 */
export const LEAST_SPLIT = 96
/** The same where one operand was split before: as many as fill a tile. */
const LEAST_BESIDE_SPLIT = 32

/** Parts that tiles multiply of factors of this type; 0 where they multiply none. */
export function partsOfFactors(dtype: DType, { bfloat16, productParts = 3 }: Capabilities): 1 | ProductParts {
  if (bfloat16 !== 'tiles') return 0
  return dtype === 'bfloat16' ? 1 : dtype === 'float32' ? productParts : 0
}

/**
 * Whether elements in several parts pay. Two of the three extents of a product with weights are constants of a program, columns among them, so that
 * batches and lengths do not decide; but for networks whose weights never change, few rows do. Convolutions with windows would split each element once
 * for every tap; they have a form of their own (window-tiles.ts).
 */
function splitsPay(form: Form, capabilities: Capabilities): boolean {
  const parts = partsOfFactors('float32', capabilities)
  if ((parts !== 2 && parts !== 3) || form.isConvolution) return false
  const extents = [form.rows, form.columns, form.contracted].map(formSize)
  const [least, middle] = extents.toSorted((x, y) => x - y) as [number, number]
  const isFixed = form.a.isConstant === true || form.b.isConstant === true
  if (middle < SPLIT_EXTENT[parts][isFixed ? 'one' : 'both']) return false
  return isFixed ? least >= LEAST_BESIDE_SPLIT : formSize(form.columns) >= LEAST_SPLIT
}

/** A template for pairs. */
export interface Kind {
  readonly name: string
  readonly isTiles: boolean
  readonly tile: RegisterTile
  /** Of elements. */
  readonly parts: FactorParts
  /** Words as they are multiplied. */
  readonly rows: WordLayout
  readonly columns: WordLayout
}

/** By tiles. */
export function tileKind(parts: FactorParts): Kind {
  const side = { rows: 32, lanes: BLOCK_PAIRS, wholeBlocks: true, parts, isWhole: false } as const
  return {
    name: (['', 'tiles', 'tiles of two parts', 'tiles of three parts'] as const)[parts],
    isTiles: true,
    tile: { lanes: 16, rows: 32, vectors: 2, columns: 32 },
    parts,
    rows: { ...side, order: 'tiles' },
    columns: { ...side, order: 'pairs' },
  }
}

export function kindOf(form: Form, capabilities: Capabilities): Kind {
  const parts = partsOfFactors(form.a.dtype, capabilities)
  if (parts !== 0) return tileKind(parts)
  const tile = registerTile(capabilities)
  const side = { order: 'pairs', wholeBlocks: false, parts: 1, isWhole: false } as const
  return {
    name: 'pairs',
    isTiles: false,
    tile,
    parts: 1,
    rows: { ...side, rows: tile.rows, lanes: rowLanes(tile) },
    columns: { ...side, rows: tile.columns, lanes: tile.lanes },
  }
}
