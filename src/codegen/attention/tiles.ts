/**
 * Tiles of an attention. Scores are computed with lanes along queries, two vectors of them at once, so that maxima and sums are taken without
 * crossing lanes; results and gradients with lanes along features.
 */
import type { Capabilities } from '../capabilities.ts'
import { registerTile, roundUp, type RegisterTile } from '../contract/blocking.ts'

/** Vectors of queries in a tile. */
export const QUERY_VECTORS = 2

/** Keys that a block of scores has at most: with a tile of queries it stays in the first-level cache. */
const BLOCK_KEYS = 144

/** Features in panels of `tile.columns`. */
export interface FeatureTiles {
  readonly features: number
  readonly panels: number
  /** For results whose rows are queries, and for those whose rows are keys. */
  readonly byQuery: RegisterTile
  readonly byKey: RegisterTile
}

export interface Tiles {
  readonly lanes: number
  readonly queries: number
  /** Rows are keys, columns queries. */
  readonly scores: RegisterTile
  readonly ofKeys: FeatureTiles
  readonly ofValues: FeatureTiles
}

export function chooseTiles(capabilities: Capabilities, features: number, valueFeatures: number): Tiles {
  const wide = registerTile(capabilities)
  const { lanes } = wide
  const sums = wide.rows * wide.vectors
  const queries = QUERY_VECTORS * lanes
  const rows = Math.floor(sums / QUERY_VECTORS)
  const scores = { lanes, rows, vectors: QUERY_VECTORS, columns: queries }
  const tilesOf = (size: number): FeatureTiles => {
    const vectors = Array.from({ length: wide.vectors }, (_, i) => wide.vectors - i).reduce((best, v) =>
      roundUp(size, v * lanes) < roundUp(size, best * lanes) ? v : best,
    )
    const columns = vectors * lanes
    const tile = (of: number): RegisterTile => ({ lanes, rows: divisor(of, sums / vectors), vectors, columns })
    return { features: size, panels: Math.ceil(size / columns), byQuery: tile(queries), byKey: tile(rows) }
  }
  return { lanes, queries, scores, ofKeys: tilesOf(features), ofValues: tilesOf(valueFeatures) }
}

/** The largest divisor of n up to a limit. */
function divisor(n: number, limit: number): number {
  let d = Math.min(n, Math.floor(limit))
  while (n % d !== 0) d--
  return d
}

/** Keys of a block, a multiple of the rows of a tile, such that blocks are about equally long; and how many blocks there are. */
export function keyBlocks(tiles: Tiles, keys: number): { readonly size: number; readonly count: number } {
  const { rows } = tiles.scores
  const count = Math.ceil(keys / (Math.floor(BLOCK_KEYS / rows) * rows))
  return { size: roundUp(Math.ceil(keys / count), rows), count }
}
