/**
 * Sizes of the blocked product after Goto and van de Geijn (2008) and BLIS: a register tile of rows x columns, panels of the second
 * operand that stay in the first-level cache, blocks of both that stay in the second. All but the register tile are arguments at run time.
 */
import type { Capabilities } from '../capabilities.ts'

export interface RegisterTile {
  readonly lanes: number
  readonly rows: number
  /** Vectors side by side. */
  readonly vectors: number
  readonly columns: number
}

/** Elements of float32 in a cache line. */
export const LINE = 16

/** 12 accumulators of the 16 registers of SSE and AVX2, 24 of the 32 of AVX-512, 8 where there are fewer. */
export function registerTile(capabilities: Capabilities): RegisterTile {
  const lanes = Math.max(4, capabilities.vectorBytes / 4)
  const rows = lanes >= 16 ? 8 : 4
  const vectors = (capabilities.vectorRegisters ?? 16) < 16 ? 2 : 3
  return { lanes, rows, vectors, columns: vectors * lanes }
}

/**
 * The tile for a product of a few columns: fewer vectors side by side and more rows, where that leaves fewer lanes idle. Such columns are
 * constants of a program (the size of an attention head), unlike batch and length.
 */
export function narrowTile(capabilities: Capabilities, columns: number): RegisterTile {
  const wide = registerTile(capabilities)
  const { lanes } = wide
  const vectors = [3, 2, 1].reduce((best, v) =>
    roundUp(columns, v * lanes) < roundUp(columns, best * lanes) ? v : best,
  )
  return { lanes, rows: (wide.rows * 3) / vectors, vectors, columns: vectors * lanes }
}

/** Whether a product has so few columns that the tile should be chosen by them. */
export function isNarrow(columns: number, capabilities: Capabilities): boolean {
  return columns <= 4 * registerTile(capabilities).lanes
}

/** For the names of structures. */
export function tileName(tile: RegisterTile): string {
  return `${tile.rows}x${tile.vectors}x${tile.lanes}`
}

/** Rows that one vector load packs: as many lanes as there are vectors of, and that divide the tile's; else one by one. */
export function rowLanes(tile: RegisterTile): number {
  return [8, 4].find((lanes) => tile.rows % lanes === 0) ?? 1
}

export function roundUp(n: number, to: number): number {
  return Math.ceil(n / to) * to
}

/** Tasks that every thread should get of a product, so that none waits long for another. */
export const TASKS_PER_THREAD = 4

/** Panels of a task, at most so many, where all tasks have about as many. */
export function evenShare(all: number, most: number): number {
  return Math.max(1, Math.ceil(all / Math.ceil(all / most)))
}

export interface Blocking {
  /** Contracted elements between two visits of a tile, and the number of such blocks in a split. */
  readonly depth: number
  readonly depthBlocks: number
  /** Panels of rows and columns in a task, and of rows that are kept in the cache meanwhile. */
  readonly rowPanels: number
  readonly columnPanels: number
  readonly cachedRowPanels: number
  readonly rowTasks: number
  readonly columnTasks: number
}

export interface ProductSize {
  readonly batch: number
  readonly rows: number
  readonly columns: number
  /** Contracted elements of one split. */
  readonly depth: number
  /** As in GemmOptions: rows that a task packs should stay in the cache. */
  readonly mode: 'once' | 'task' | 'direct'
  /** Whether columns of the next task come into the second-level cache while those of one are multiplied. Default not. */
  readonly asksAhead?: boolean
}

const ceilDiv = (a: number, b: number): number => Math.ceil(a / b)

/**
 * Contracted elements between two visits of a tile: a panel of columns in three quarters of the first-level cache, and not less than 256, so
 * that fetching and keeping a tile's sums does not show; wide panels then come from the second level fast enough.
 */
export function deepestBlock(tile: RegisterTile, capabilities: Capabilities): number {
  const fitting = Math.floor((0.75 * capabilities.cacheBytes[0]) / (4 * tile.columns))
  return Math.min(DEEPEST, Math.max(256, fitting))
}

/** Of rows that are read where they lie, which need no place in a cache beside the panel of columns. */
const DEEPEST = 512

export function chooseBlocking(size: ProductSize, tile: RegisterTile, capabilities: Capabilities): Blocking {
  const [, l2] = capabilities.cacheBytes
  const isDirect = size.mode === 'direct'
  const depthBlocks = Math.max(1, ceilDiv(size.depth, isDirect ? DEEPEST : deepestBlock(tile, capabilities)))
  const depth = Math.max(4, ceilDiv(ceilDiv(size.depth, depthBlocks), 4) * 4)
  const panelBytes = 4 * depth

  const allRows = ceilDiv(size.rows, tile.rows)
  const allColumns = ceilDiv(size.columns, tile.columns)
  const cachedRowPanels = Math.max(4, Math.floor(l2 / 4 / (panelBytes * tile.rows)))
  let rows = size.mode === 'task' ? Math.min(allRows, cachedRowPanels) : allRows
  const columnBytes = size.asksAhead ? l2 / 4 : l2 / 2
  let columns = Math.min(allColumns, Math.max(1, Math.floor(columnBytes / (panelBytes * tile.columns))))
  // Rows that lie in the second-level cache can be read again for each panel of columns, so that columns are packed by one task only.
  const isNear = isDirect && 4 * size.rows * size.depth <= l2 / 2
  // Enough tasks that threads end together, as long as a task still uses what it packs a few dozen times.
  const wanted = capabilities.threads === 1 ? 1 : 4 * capabilities.threads
  const tasks = (): number => size.batch * ceilDiv(allRows, rows) * ceilDiv(allColumns, columns)
  while (tasks() < wanted) {
    const rowElements = rows * tile.rows
    const columnElements = columns * tile.columns
    const isWide = columnElements >= rowElements || rowElements <= 32
    if (columns > 1 && (isNear || (isWide && columnElements > 48))) columns = ceilDiv(columns, 2)
    else if (rows > 1 && rowElements > 32) rows = ceilDiv(rows, 2)
    else break
  }
  const rowTasks = Math.max(1, ceilDiv(allRows, rows))
  const columnTasks = evenTasks(
    Math.max(1, ceilDiv(allColumns, columns)),
    allColumns,
    size.batch * rowTasks,
    capabilities.threads,
  )
  const rowPanels = Math.max(1, ceilDiv(allRows, rowTasks))
  const columnPanels = Math.max(1, ceilDiv(allColumns, columnTasks))
  return {
    depth,
    depthBlocks,
    rowPanels,
    columnPanels,
    cachedRowPanels,
    rowTasks: Math.max(1, ceilDiv(allRows, rowPanels)),
    columnTasks: Math.max(1, ceilDiv(allColumns, columnPanels)),
  }
}

/** A few more parts, where tasks are few and would not come out even among the threads. */
function evenTasks(parts: number, most: number, others: number, threads: number): number {
  if (parts * others >= 8 * threads) return parts
  for (let p = parts; p <= Math.min(most, 2 * parts + threads); p++) {
    const actual = ceilDiv(most, ceilDiv(most, p))
    if ((actual * others) % threads === 0) return actual
  }
  return parts
}
