/** Blocks and tasks of products by pairs of bfloat16. */
import type { Capabilities } from '../capabilities.ts'
import type { Kind } from './bf16-kind.ts'
import { formSize, type Form } from './form.ts'
import { cutTasks, WORDS_COST } from './tile-tasks.ts'
import { BLOCK } from './word-offsets.ts'

/** The operand that tasks pack. */
export type Own = 'rows' | 'columns' | null

/** Panels that pass through the cache: the one that is multiplied, and the one that is asked for meanwhile. */
const PASSING_PANELS = 2
/** Panels of rows that should be multiplied by each one of columns, if there are as many. */
const USED_AGAIN = 4

/** Sizes of blocks; all are arguments at run time. */
export interface PairBlocking {
  /** Contracted elements of a block, blocks of a split, and of the whole sum. */
  readonly depth: number
  readonly blocks: number
  readonly allBlocks: number
  /** Panels of a task, and of rows that stay in the second-level cache meanwhile. */
  readonly rowPanels: number
  readonly columnPanels: number
  readonly cachedRowPanels: number
  /** Whether columns are packed panel by panel, each once. */
  readonly isPerPanel: boolean
  readonly rowTasks: number
  readonly columnTasks: number
}

export function choosePairBlocking(
  form: Form,
  kind: Kind,
  own: Own,
  splits: number,
  capabilities: Capabilities,
): PairBlocking {
  const [, l2] = capabilities.cacheBytes
  const { tile } = kind
  const sum = Math.max(1, formSize(form.contracted))
  const bytes = 2 * kind.parts
  const allRows = Math.ceil(formSize(form.rows) / tile.rows)
  const allColumns = Math.ceil(formSize(form.columns) / tile.columns)
  const isByTiles = kind.isTiles
  // Products read from the second-level cache as fast as from the first. Tiles: panels of rows that are used again, the one of columns and the one that is
  // asked for. Pairs: an eighth for the panel of columns; in the first-level cache blocks are so short that sums are fetched and kept too often (2048 x 312 x 1248
  // on one core: 154 GFLOP/s; 188).
  const room = l2 / (isByTiles ? 2 * (PASSING_PANELS + Math.min(allRows, USED_AGAIN)) : 8) / bytes
  const deepest = Math.max(BLOCK, Math.floor(room / (tile.columns * BLOCK)) * BLOCK)
  const share = Math.ceil(sum / splits)
  const blocks = Math.ceil(share / deepest)
  const depth = Math.ceil(share / blocks / BLOCK) * BLOCK
  const panel = (rows: number): number => bytes * rows * depth

  const fit = (share: number, panelBytes: number): number => Math.max(1, Math.floor((share * l2) / panelBytes))
  // Where all rows stay in the cache, a task packs a panel of columns right before it is multiplied.
  const isPerPanel = own === 'columns' && allRows * panel(tile.rows) <= l2 / 2
  const cachedRowPanels = isPerPanel
    ? allRows
    : isByTiles
      ? Math.max(1, fit(1 / 2, panel(tile.rows)) - PASSING_PANELS)
      : fit(1 / 4, panel(tile.rows))
  // What a task packs should stay in the second-level cache; of the other operand, which passes through, it takes all.
  let rows = own === 'rows' ? Math.min(allRows, cachedRowPanels) : allRows
  let columns = own === 'columns' && !isPerPanel ? Math.min(allColumns, fit(1 / 4, panel(tile.columns))) : allColumns
  // Sums wait in the cache between blocks.
  const waiting = (): number => fit(1 / 2, 4 * tile.rows * tile.columns * (own === 'rows' ? rows : columns))
  if (blocks > 1 && own === 'rows') columns = Math.min(columns, waiting())
  else if (blocks > 1) rows = Math.min(rows, waiting())
  // What a task does not pack for itself was packed before; of float32 it was kept whole.
  const words = (view: Own): number => (view === own ? WORDS_COST.pack : WORDS_COST.split)[kind.parts]
  const [perRow, perColumn] = [words('rows'), words('columns')]
  const { rows: rowPanels, columns: columnPanels } = cutTasks(
    { rows: allRows, columns: allColumns },
    { rows, columns },
    formSize(form.batch) * splits,
    capabilities.threads,
    (task) => task.rows * task.columns + perRow * task.rows + perColumn * task.columns,
  )
  return {
    depth,
    blocks,
    allBlocks: Math.ceil(sum / depth),
    rowPanels,
    columnPanels,
    cachedRowPanels,
    isPerPanel,
    rowTasks: Math.ceil(allRows / rowPanels),
    columnTasks: Math.ceil(allColumns / columnPanels),
  }
}
