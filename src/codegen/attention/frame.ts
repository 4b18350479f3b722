/**
 * What the kernels of an attention have in common: their parameters, the walk over heads and tiles, tiles of scores, the mask, and the draws.
 */
import {
  add,
  and,
  convert,
  div,
  f32,
  fma,
  ge,
  index,
  load,
  max,
  min,
  mul,
  ne,
  ramp,
  select,
  splat,
  sub,
  ushr,
  type BufferParameter,
} from '../builder.ts'
import { DECISION_KEYS, FORBIDDEN } from '../../graph/attention.ts'
import { Assembler, isStride } from '../contract/assembler.ts'
import { emitMicroKernel } from '../contract/gemm.ts'
import type { Expr } from '../kernel.ts'
import { featureRows, type Panels, type Rows } from './panels.ts'
import { operandNumbers, scalarNumbers, type AttentionProblem, type HeadsView } from './problem.ts'
import { chooseTiles, keyBlocks, QUERY_VECTORS, type FeatureTiles, type Tiles } from './tiles.ts'

/** An operand's parameters. */
interface HeadsParameters {
  readonly buffer: BufferParameter
  readonly offset: Expr
  readonly batch: Expr
  readonly position: Expr
  readonly head: Expr
}

/** The tile of queries at hand. */
export interface QueryTile {
  readonly batch: Expr
  readonly head: Expr
  /** First query, and how many there are: fewer at the end. */
  readonly from: Expr
  readonly count: Expr
}

/** The block of keys at hand. */
export interface KeyBlock {
  readonly from: Expr
  readonly count: Expr
}

export class Frame {
  readonly k: Assembler
  readonly tiles: Tiles
  /** Keys of a block, and the keys with zeros behind them so that blocks are whole tiles. */
  readonly blockKeys: number
  readonly paddedKeys: number
  readonly size: {
    readonly heads: Expr
    readonly groups: Expr
    readonly shared: Expr
    readonly queries: Expr
    readonly keys: Expr
    readonly padded: Expr
    readonly block: Expr
  }
  readonly scale: Expr
  private readonly problem: AttentionProblem
  /** 1 / (1 - p) */
  readonly keptFactor: Expr | null
  private readonly mask: {
    readonly buffer: BufferParameter
    readonly offset: Expr
    readonly strides: readonly Expr[]
  } | null
  /** The mask of a block turned, where it differs by query. */
  private readonly turnedMask: { readonly buffer: BufferParameter; readonly at: Expr } | null

  constructor(template: string, title: string, problem: AttentionProblem) {
    const { sizes, capabilities, mask, dropout } = problem
    const tiles = chooseTiles(capabilities, sizes.features, sizes.valueFeatures)
    const { lanes, scores } = tiles
    const name = `${template} ${lanes} ${scores.rows} ${sizes.features} ${sizes.valueFeatures} ${problem.isCausal}`
    const k = new Assembler(name, title)
    this.k = k
    this.problem = problem
    this.tiles = tiles
    const blocks = keyBlocks(tiles, sizes.keys)
    this.blockKeys = blocks.size
    this.paddedKeys = blocks.size * blocks.count
    this.size = {
      heads: k.size(sizes.heads),
      groups: k.size(sizes.groups),
      shared: k.size(sizes.heads / sizes.groups),
      queries: k.size(sizes.queries),
      keys: k.size(sizes.keys),
      padded: k.size(this.paddedKeys),
      block: k.size(blocks.size),
    }
    this.scale = k.number(scalarNumbers.scale, 'f32')
    this.mask = mask && {
      buffer: k.memory({ kind: 'operand', number: operandNumbers.mask }, mask.dtype, 'read'),
      offset: k.size(mask.offset),
      // Whether it differs by query is structure; the other axes are sizes.
      strides: mask.strides.map((s, axis) => (axis === 2 && s === 0 ? k.stride(0) : k.size(s))),
    }
    const isTurned = this.mask !== null && !isStride(this.mask.strides[2]!, 0)
    this.turnedMask = isTurned ? k.reserve('float32', this.blockKeys * tiles.queries) : null
    k.note(dropout ? 'dropped' : 'whole')
    this.keptFactor = dropout ? k.number(scalarNumbers.kept, 'f32') : null
  }

  /** The parameters of an operand. */
  operand(number: number, view: HeadsView): HeadsParameters {
    const { k } = this
    return {
      buffer: k.memory({ kind: 'operand', number }, view.dtype, 'read'),
      offset: k.size(view.offset),
      batch: k.size(view.batch),
      position: k.size(view.position),
      head: k.size(view.head),
    }
  }

  /** Rows of one head from `from` on. */
  rows(of: HeadsParameters, batch: Expr, head: Expr, from: Expr, count: Expr): Rows {
    const start = add(add(of.offset, mul(batch, of.batch)), add(mul(head, of.head), mul(from, of.position)))
    return { buffer: of.buffer, start: this.k.let('rows', start), stride: of.position, count, head: of.head }
  }

  /** Scratch for panels of `rows` rows. */
  panels(tiles: FeatureTiles, rows: number): Panels {
    const stride = rows * tiles.byQuery.columns
    const stored = this.k.reserve('float32', stride * tiles.panels)
    return { ...stored, stride: tiles.panels > 1 ? this.k.size(stride) : index(0) }
  }

  /** Calls `body` for blocks of keys from 0 to `end`. */
  eachBlock(end: Expr, body: (block: KeyBlock) => void): void {
    const { k } = this
    const { block } = this.size
    k.loop('block', 0, div(add(end, sub(block, 1)), block), 1, (n) => {
      const from = k.let('keyFrom', mul(n, block))
      body({ from, count: k.let('keyCount', min(block, sub(end, from))) })
    })
  }

  /**
   * Keys that a tile of queries may see: those up to the last query's position where the attention is causal and no mask can make the others
   * worth as much. Whole tiles of keys, since gradients are added to all keys of a tile.
   */
  visibleKeys(tile: QueryTile): Expr {
    const { k, problem, size } = this
    if (!problem.isCausal || this.mask) return size.keys
    const { rows } = this.tiles.scores
    return k.let('end', min(size.keys, mul(div(add(add(tile.from, tile.count), rows - 1), rows), rows)))
  }

  /** Products of the keys of a block with a tile of queries (turned), by key: one row of the tile's width after the other. */
  products(ofKeys: FeatureTiles, keys: Panels, queries: Expr, block: KeyBlock, target: Expr): void {
    const { k, tiles } = this
    const { scores } = tiles
    const width = ofKeys.byQuery.columns
    k.loop('row', 0, block.count, scores.rows, (row) => {
      const at = k.let('at', add(keys.at, mul(add(block.from, row), width)))
      const sums = emitMicroKernel(k, scores, featureRows(k, ofKeys, keys, at), keys.buffer, queries)
      const to = k.let('to', add(target, mul(row, tiles.queries)))
      sums.forEach((vectors, r) =>
        vectors.forEach((sum, v) => k.store(keys.buffer, add(to, r * tiles.queries + v * tiles.lanes), sum)),
      )
    })
  }

  /** One of a kind for each vector of queries. */
  vectors<T>(value: (v: number) => T): T[] {
    return Array.from({ length: QUERY_VECTORS }, (_, v) => value(v))
  }

  /** What makes scores of products for a tile and a block, key by key. */
  scoring(tile: QueryTile, block: KeyBlock): (product: Expr, v: number, row: Expr) => Expr {
    const { k, tiles, mask, turnedMask } = this
    const { isCausal } = this.problem
    const { lanes } = tiles
    const maskAt = mask
      ? k.let(
          'mask',
          add(
            add(mask.offset, mul(tile.batch, mask.strides[0]!)),
            add(
              mul(tile.head, mask.strides[1]!),
              add(mul(tile.from, mask.strides[2]!), mul(block.from, mask.strides[3]!)),
            ),
          ),
        )
      : null
    if (mask && maskAt && turnedMask) {
      k.loop('query', 0, tile.count, 1, (query) => {
        const from = k.let('from', add(maskAt, mul(query, mask.strides[2]!)))
        const to = k.let('to', add(turnedMask.at, query))
        k.unrolled('key', 0, block.count, 4, (key) =>
          k.store(
            turnedMask.buffer,
            add(to, mul(key, tiles.queries)),
            load(mask.buffer, add(from, mul(key, mask.strides[3]!))),
          ),
        )
      })
      // Lanes behind the last query hold anything but what would trap: zeros.
      k.loop('query', tile.count, tiles.queries, 1, (query) =>
        k.loop('key', 0, block.count, 1, (key) =>
          k.store(turnedMask.buffer, add(add(turnedMask.at, query), mul(key, tiles.queries)), f32(0)),
        ),
      )
    }
    const positions = isCausal ? this.vectors((v) => k.let('position', ramp(add(tile.from, v * lanes), lanes))) : []
    return (product, v, row) => {
      let score: Expr = mul(product, splat(this.scale, lanes))
      if (mask && maskAt) {
        const masked = turnedMask
          ? load(turnedMask.buffer, add(add(turnedMask.at, mul(row, tiles.queries)), v * lanes), lanes)
          : splat(load(mask.buffer, add(maskAt, mul(row, mask.strides[3]!))), lanes)
        score = fma(product, splat(this.scale, lanes), masked)
      }
      if (!isCausal) return score
      const key = splat(convert(add(block.from, row), 'i32'), lanes)
      return select(ge(positions[v]!, key), score, f32(FORBIDDEN, lanes))
    }
  }

  /**
   * Visits the keys of a block; `words` gives the decisions for the keys from a multiple of 32 on,
   * and `kept` reads them: null where all weights stay.
   */
  eachKey(
    block: KeyBlock,
    words: ((first: Expr) => readonly Expr[]) | null,
    visit: (row: Expr, kept: (v: number) => Expr | null) => void,
  ): void {
    const { k } = this
    if (!words) {
      k.loop('row', 0, block.count, 1, (row) => visit(row, () => null))
      return
    }
    const end = k.let('blockEnd', add(block.from, block.count))
    const last = div(add(end, DECISION_KEYS - 1), DECISION_KEYS)
    // A word that lies in two blocks is asked for in both.
    k.loop('word', div(block.from, DECISION_KEYS), last, 1, (word) => {
      const first = k.let('key', mul(word, DECISION_KEYS))
      const decided = words(first)
      const from = k.let('bitFrom', sub(max(first, block.from), first))
      const to = k.let('bitTo', sub(min(add(first, DECISION_KEYS), end), first))
      const before = k.let('before', sub(block.from, first))
      k.loop('bit', from, to, 1, (bit) => {
        const shift = k.let('shift', convert(bit, 'i32'))
        visit(k.let('row', sub(bit, before)), (v) => ne(and(ushr(decided[v]!, shift), 1), 0))
      })
    })
  }
}
