/**
 * The gradients of an attention (Dao, "FlashAttention-2", arXiv:2307.08691, algorithm 2): weights are computed again from the logarithms of
 * their sums. One task has all queries that use a head's keys, so that nothing is added up across tasks; where heads are few, queries and keys
 * have kernels of their own, whose tasks are pieces of them.
 */
import { sizeOf } from '../../common/dtype.ts'
import { add, constant, div, f32, index, load, min, mul, rem, select, splat, sub } from '../builder.ts'
import { emitMicroKernel, packedPanel, type RowReader } from '../contract/gemm.ts'
import type { RegisterTile } from '../contract/blocking.ts'
import type { ContractStep } from '../contract/problem.ts'
import { eachSum } from '../contract/store.ts'
import type { Expr } from '../kernel.ts'
import { mathUnary } from '../math.ts'
import { decisionsShape } from '../../graph/attention.ts'
import { DecisionsInMemory } from './decisions.ts'
import { Frame, type KeyBlock, type QueryTile } from './frame.ts'
import { keyRows, packPanels, packTurned, rowProduct, type Panels } from './panels.ts'
import { operandNumbers, type BackwardProblem } from './problem.ts'
import { storeRows, TileResult } from './result.ts'
import type { FeatureTiles } from './tiles.ts'

/** Heads of keys, over the whole batch, that are tasks enough. Not a matter of threads: results do not depend on how many there are. */
const ENOUGH_HEADS = 16

export function backwardSteps(problem: BackwardProblem): ContractStep[] {
  const { batch, groups } = problem.sizes
  if (batch * groups >= ENOUGH_HEADS) return [new Backward(problem, 'both').step()]
  return [new Backward(problem, 'queries').step(), new Backward(problem, 'keys').step()]
}

type Part = 'both' | 'queries' | 'keys'

class Backward {
  private readonly problem: BackwardProblem
  private readonly part: Part
  private readonly frame: Frame

  constructor(problem: BackwardProblem, part: Part) {
    this.problem = problem
    this.part = part
    this.frame = new Frame(`attention gradient ${part}`, `attention gradient${titles[part]}`, problem)
  }

  step(): ContractStep {
    const { frame, problem, part } = this
    const { sizes, outDTypes, capabilities } = problem
    const { k, tiles, size } = frame
    const { lanes, ofKeys, ofValues } = tiles
    const forQueries = part !== 'keys'
    const forKeys = part !== 'queries'
    const query = frame.operand(operandNumbers.query, problem.query)
    const key = frame.operand(operandNumbers.key, problem.key)
    const value = frame.operand(operandNumbers.value, problem.value)
    const given = frame.operand(operandNumbers.given, problem.given)
    const result = frame.operand(operandNumbers.result, problem.result)
    const logarithms = k.memory({ kind: 'operand', number: operandNumbers.logarithms }, 'float32', 'read')
    const decisions = problem.dropout && new DecisionsInMemory(frame, 'read', decisionsShape(sizes))
    const byQuery = forQueries ? new TileResult(k, 0, outDTypes[0], sizes.queries, sizes.heads, sizes.features) : null
    const byKey = forKeys ? new TileResult(k, 1, outDTypes[1], sizes.keys, sizes.groups, sizes.features) : null
    const byValue = forKeys ? new TileResult(k, 2, outDTypes[2], sizes.keys, sizes.groups, sizes.valueFeatures) : null
    // Tasks: heads of keys, times pieces of the queries or the keys where these are tasks of their own.
    const allTiles = Math.ceil(sizes.queries / tiles.queries)
    const allBlocks = frame.paddedKeys / frame.blockKeys
    const items = sizes.batch * sizes.groups
    const pieces = (of: number): number => Math.min(of, Math.max(1, Math.ceil((4 * capabilities.threads) / items)))
    const tilesPerTask = part === 'queries' ? Math.ceil(allTiles / pieces(allTiles)) : allTiles
    const blocksPerTask = part === 'keys' ? Math.ceil(allBlocks / pieces(allBlocks)) : allBlocks
    const tileTasks = Math.ceil(allTiles / tilesPerTask)
    const blockTasks = Math.ceil(allBlocks / blocksPerTask)
    const tileCount = k.size(allTiles)
    const taskTiles = k.size(tilesPerTask)
    const taskKeys = k.size(blocksPerTask * frame.blockKeys)
    const tileParts = k.size(tileTasks)
    const blockParts = k.size(blockTasks)
    const ownKeys = blocksPerTask * frame.blockKeys
    const packedKeys = frame.panels(ofKeys, ownKeys)
    const packedValues = frame.panels(ofValues, ownKeys)
    const keySums = forKeys ? frame.panels(ofKeys, ownKeys) : null
    const valueSums = forKeys ? frame.panels(ofValues, ownKeys) : null
    const turnedQueries = k.reserve('float32', sizes.features * tiles.queries)
    const turnedGiven = k.reserve('float32', sizes.valueFeatures * tiles.queries)
    const packedQueries = forKeys ? frame.panels(ofKeys, tiles.queries) : null
    const packedGiven = frame.panels(ofValues, tiles.queries)
    const querySums = forQueries ? frame.panels(ofKeys, tiles.queries) : null
    const weights = k.reserve('float32', frame.blockKeys * tiles.queries)
    const byScore = k.reserve('float32', frame.blockKeys * tiles.queries)
    const perQuery = k.reserve('float32', 2 * tiles.queries)
    const { buffer } = weights

    k.parallel('t', (t) => {
      const piece = k.let('piece', div(t, blockParts))
      const keyFrom = k.let('ownFrom', mul(rem(t, blockParts), taskKeys))
      const keyTo = k.let('ownTo', min(add(keyFrom, taskKeys), size.keys))
      const item = k.let('item', div(piece, tileParts))
      const firstTile = k.let('firstTile', mul(rem(piece, tileParts), taskTiles))
      const lastTile = k.let('lastTile', min(add(firstTile, taskTiles), tileCount))
      const batch = k.let('batch', div(item, size.groups))
      const group = k.let('group', rem(item, size.groups))
      const own = k.let('own', sub(keyTo, keyFrom))
      packPanels(k, frame.rows(key, batch, group, keyFrom, own), ofKeys, packedKeys, taskKeys)
      packPanels(k, frame.rows(value, batch, group, keyFrom, own), ofValues, packedValues, taskKeys)
      if (keySums) this.clear(ofKeys, keySums, taskKeys)
      if (valueSums) this.clear(ofValues, valueSums, taskKeys)
      k.loop('shared', 0, size.shared, 1, (shared) => {
        const head = k.let('head', add(mul(group, size.shared), shared))
        k.loop('tile', firstTile, lastTile, 1, (n) => {
          const from = k.let('from', mul(n, tiles.queries))
          const count = k.let('count', min(tiles.queries, sub(size.queries, from)))
          const tile: QueryTile = { batch, head, from, count }
          const queries = frame.rows(query, batch, head, from, count)
          const gradients = frame.rows(given, batch, head, from, count)
          packTurned(k, queries, sizes.features, tiles.queries, buffer, turnedQueries.at)
          packTurned(k, gradients, sizes.valueFeatures, tiles.queries, buffer, turnedGiven.at)
          if (packedQueries) packPanels(k, queries, ofKeys, packedQueries, index(tiles.queries), false)
          packPanels(k, gradients, ofValues, packedGiven, index(tiles.queries), false)
          const results = frame.rows(result, batch, head, from, count)
          const line = k.let('line', add(mul(add(mul(batch, size.heads), head), size.queries), from))
          k.loop('row', 0, count, 1, (row) => {
            k.store(buffer, add(perQuery.at, row), load(logarithms, add(line, row)))
            const mean = rowProduct(k, ofValues, packedGiven, row, results)
            k.store(buffer, add(add(perQuery.at, tiles.queries), row), mean)
          })
          // Weights of lanes behind the last query: 0.
          k.loop('row', count, tiles.queries, 1, (row) => {
            k.store(buffer, add(perQuery.at, row), f32(Infinity))
            k.store(buffer, add(add(perQuery.at, tiles.queries), row), f32(0))
          })
          const logarithm = frame.vectors((v) => k.let('logarithm', load(buffer, add(perQuery.at, v * lanes), lanes)))
          const mean = frame.vectors((v) =>
            k.let('mean', load(buffer, add(add(perQuery.at, tiles.queries), v * lanes), lanes)),
          )
          if (querySums) this.clear(ofKeys, querySums, index(tiles.queries))
          const visible = k.let('visible', sub(min(frame.visibleKeys(tile), keyTo), keyFrom))
          frame.eachBlock(visible, (inOwn) => {
            // Blocks are counted from the task's first key, and masked and drawn for by their places among all.
            const block: KeyBlock = { from: k.let('keyAt', add(keyFrom, inOwn.from)), count: inOwn.count }
            frame.products(ofKeys, packedKeys, turnedQueries.at, inOwn, weights.at)
            frame.products(ofValues, packedValues, turnedGiven.at, inOwn, byScore.at)
            const score = frame.scoring(tile, block)
            frame.eachKey(block, decisions && ((first) => decisions.read(tile, first)), (row, kept) => {
              const place = k.let('place', mul(row, tiles.queries))
              frame.vectors((v) => {
                const at = k.let('at', add(add(weights.at, place), v * lanes))
                const scoreAt = k.let('scoreAt', add(add(byScore.at, place), v * lanes))
                const shifted = sub(score(load(buffer, at, lanes), v, row), logarithm[v]!)
                const weight = k.let('weight', mathUnary(k, 'exp', shifted))
                const condition = kept(v)
                const zero = constant(0, 'f32', lanes)
                const through = (x: Expr): Expr =>
                  condition ? select(condition, mul(x, splat(frame.keptFactor!, lanes)), zero) : x
                const byWeight = through(load(buffer, scoreAt, lanes))
                k.store(buffer, scoreAt, mul(weight, sub(byWeight, mean[v]!)))
                k.store(buffer, at, through(weight))
              })
            })
            if (querySums) this.byQuery(tile, inOwn, byScore.at, packedKeys, querySums)
            if (packedQueries && keySums) this.byKey(ofKeys, inOwn, byScore.at, packedQueries, keySums)
            if (valueSums) this.byKey(ofValues, inOwn, weights.at, packedGiven, valueSums)
          })
          const place = { batch, head, from, count }
          if (byQuery && querySums) storeRows(k, byQuery, ofKeys, querySums, place, () => frame.scale)
        })
      })
      const place = { batch, head: group, from: keyFrom, count: own }
      if (byKey && keySums) storeRows(k, byKey, ofKeys, keySums, place, () => frame.scale)
      if (byValue && valueSums) storeRows(k, byValue, ofValues, valueSums, place, () => f32(1))
    })
    const { queries, keys, heads, features, valueFeatures } = sizes
    const products = part === 'both' ? 3 * features + 2 * valueFeatures : 2 * features + 2 * valueFeatures
    const flops = sizes.batch * heads * queries * keys * (2 * products + 15)
    return k.step(items * tileTasks * blockTasks, 1, flops, this.bytes())
  }

  private bytes(): number {
    const { batch, queries, keys, heads, groups, features, valueFeatures } = this.problem.sizes
    const width = sizeOf(this.problem.query.dtype)
    return 2 * width * batch * (heads * queries + groups * keys) * (features + valueFeatures)
  }

  /** Zeros in all rows of panels. */
  private clear(tiles: FeatureTiles, panels: Panels, rows: Expr): void {
    const { k } = this.frame
    const { columns, lanes } = tiles.byQuery
    k.loop('row', 0, rows, 1, (row) => {
      const at = k.let('at', add(panels.at, mul(row, columns)))
      for (let panel = 0; panel < tiles.panels; panel++)
        for (let v = 0; v < columns; v += lanes)
          k.store(panels.buffer, add(add(at, mul(panels.stride, panel)), v), f32(0, lanes))
    })
  }

  /** Adds to the gradients of a tile's queries: sums over the keys of a block. */
  private byQuery(tile: QueryTile, block: KeyBlock, scores: Expr, keys: Panels, target: Panels): void {
    const { k, tiles } = this.frame
    const { byQuery } = tiles.ofKeys
    k.loop('query', 0, tile.count, byQuery.rows, (row) => {
      const rows = packedPanel(k, tiles.queries, keys.buffer, k.let('aAt', add(scores, row)), block.count)
      const at = add(keys.at, mul(block.from, byQuery.columns))
      this.accumulate(
        tiles.ofKeys,
        byQuery,
        rows,
        { ...keys, at },
        { ...target, at: add(target.at, mul(row, byQuery.columns)) },
      )
    })
  }

  /** Adds to the gradients of a block's keys or values: sums over a tile's queries. */
  private byKey(features: FeatureTiles, block: KeyBlock, scores: Expr, queries: Panels, target: Panels): void {
    const { k, tiles } = this.frame
    const { byKey } = features
    k.loop('key', 0, block.count, byKey.rows, (row) => {
      const rows = keyRows(k, tiles.queries, queries.buffer, k.let('aAt', add(scores, mul(row, tiles.queries))))
      const at = add(target.at, mul(add(block.from, row), byKey.columns))
      this.accumulate(features, byKey, rows, queries, { ...target, at })
    })
  }

  /** target += rows * columns, for each panel of features. */
  private accumulate(
    features: FeatureTiles,
    tile: RegisterTile,
    rows: RowReader,
    columns: Panels,
    target: Panels,
  ): void {
    const { k } = this.frame
    for (let panel = 0; panel < features.panels; panel++) {
      const at = k.let('bAt', add(columns.at, mul(columns.stride, panel)))
      const sums = emitMicroKernel(k, tile, rows, columns.buffer, at)
      const to = k.let('to', add(target.at, mul(target.stride, panel)))
      eachSum(sums, tile, (sum, offset) => {
        const place = k.let('at', add(to, offset))
        k.store(target.buffer, place, add(load(target.buffer, place, tile.lanes), sum))
      })
    }
  }
}

const titles: Readonly<Record<Part, string>> = { both: '', queries: ' by queries', keys: ' by keys' }
