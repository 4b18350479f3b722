/** The templates of products by pairs of bfloat16, and which products take one. */
import type { DType } from '../../common/dtype.ts'
import type { Capabilities } from '../capabilities.ts'
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

/**
 * Middle extents from which on elements are used often enough for splitting them, also where one operand was split before; the smallest one of
 * weights has to fill a tile.
 */
const SPLIT_EXTENT = { both: 192, one: 96 }
const SPLIT_LEAST = 32

/**
 * Whether elements in three parts pay. Two of the three extents of a product with weights are constants of a program, columns among them, so that
 * batches and lengths do not decide; but for networks whose weights never change, few rows do. Convolutions with windows would split each element once
 * for every tap; they have a form of their own (window-tiles.ts).
 */
function splitsPay(form: Form, capabilities: Capabilities): boolean {
  if (capabilities.bfloat16 !== 'tiles' || capabilities.splitProducts === false || form.isConvolution) return false
  const extents = [form.rows, form.columns, form.contracted].map(formSize)
  const [least, middle] = extents.toSorted((x, y) => x - y) as [number, number]
  const isFixed = form.a.isConstant === true || form.b.isConstant === true
  if (middle < (isFixed ? SPLIT_EXTENT.one : SPLIT_EXTENT.both)) return false
  return (isFixed ? least : formSize(form.columns)) >= SPLIT_LEAST
}

/** A template for pairs. */
export interface Kind {
  readonly name: 'pairs' | 'tiles' | 'split tiles'
  readonly tile: RegisterTile
  /** Of elements. */
  readonly parts: 1 | 3
  /** Words as they are multiplied. */
  readonly rows: WordLayout
  readonly columns: WordLayout
}

/** By tiles; elements of float32 in three parts. */
export function tileKind(dtype: DType): Kind {
  const parts = dtype === 'float32' ? 3 : 1
  const side = { rows: 32, lanes: BLOCK_PAIRS, wholeBlocks: true, parts } as const
  return {
    name: parts === 1 ? 'tiles' : 'split tiles',
    tile: { lanes: 16, rows: 32, vectors: 2, columns: 32 },
    parts,
    rows: { ...side, order: 'tiles' },
    columns: { ...side, order: 'pairs' },
  }
}

export function kindOf(form: Form, capabilities: Capabilities): Kind {
  if (capabilities.bfloat16 === 'tiles') return tileKind(form.a.dtype)
  const tile = registerTile(capabilities)
  const side = { order: 'pairs', wholeBlocks: false, parts: 1 } as const
  return {
    name: 'pairs',
    tile,
    parts: 1,
    rows: { ...side, rows: tile.rows, lanes: rowLanes(tile) },
    columns: { ...side, rows: tile.columns, lanes: tile.lanes },
  }
}
