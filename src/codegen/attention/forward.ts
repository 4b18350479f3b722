/**
 * The result of an attention, and the logarithms of the sums of exponentials (Dao, "FlashAttention-2", arXiv:2307.08691, algorithm 1): a tile of
 * queries visits the keys block by block; what was summed before is scaled down where a block raises the maximum.
 */
import { sizeOf } from '../../common/dtype.ts'
import {
  add,
  constant,
  div,
  eq,
  f32,
  fma,
  index,
  le,
  load,
  max,
  min,
  mul,
  rem,
  select,
  splat,
  sub,
} from '../builder.ts'
import { emitMicroKernel, packedPanel } from '../contract/gemm.ts'
import type { ContractStep } from '../contract/problem.ts'
import { eachSum } from '../contract/store.ts'
import type { Expr } from '../kernel.ts'
import { mathUnary } from '../math.ts'
import { decisionsShape } from '../../graph/attention.ts'
import { DecisionsInMemory, Draws } from './decisions.ts'
import { Frame, type QueryTile } from './frame.ts'
import { packPanels, packTurned } from './panels.ts'
import { operandNumbers, type ForwardProblem } from './problem.ts'
import { storeRows, TileResult } from './result.ts'

/** Tiles of queries that share what a task packs, where there are enough tasks. */
const SHARED_TILES = 4

export function forwardStep(problem: ForwardProblem): ContractStep {
  const { sizes, capabilities, dropout, isDifferentiated } = problem
  const frame = new Frame(`attention ${isDifferentiated}`, 'attention', problem)
  const { k, tiles, size } = frame
  const { lanes } = tiles
  const query = frame.operand(operandNumbers.query, problem.query)
  const key = frame.operand(operandNumbers.key, problem.key)
  const value = frame.operand(operandNumbers.value, problem.value)
  const out = new TileResult(k, 0, problem.outDType, sizes.queries, sizes.heads, sizes.valueFeatures)
  const draws = dropout && new Draws(frame, dropout.place)
  const decisions = draws && isDifferentiated ? new DecisionsInMemory(frame, 'write', decisionsShape(sizes)) : null
  const logarithms = isDifferentiated ? k.memory({ kind: 'result', number: 1 }, 'float32', 'write') : null
  const allTiles = Math.ceil(sizes.queries / tiles.queries)
  const items = sizes.batch * sizes.heads
  const wanted = Math.max(1, Math.ceil((4 * capabilities.threads) / items))
  const tilesPerTask = Math.min(allTiles, Math.max(SHARED_TILES, Math.ceil(allTiles / wanted)))
  const tasks = Math.ceil(allTiles / tilesPerTask)
  const taskTiles = k.size(tilesPerTask)
  const taskCount = k.size(tasks)
  const tileCount = k.size(allTiles)
  const packedKeys = frame.panels(tiles.ofKeys, frame.paddedKeys)
  const packedValues = frame.panels(tiles.ofValues, frame.paddedKeys)
  const turned = k.reserve('float32', sizes.features * tiles.queries)
  const scores = k.reserve('float32', frame.blockKeys * tiles.queries)
  const sums = frame.panels(tiles.ofValues, tiles.queries)
  const factors = k.reserve('float32', tiles.queries)
  const { buffer } = scores

  k.parallel('t', (t) => {
    const item = k.let('item', div(t, taskCount))
    const firstTile = k.let('firstTile', mul(rem(t, taskCount), taskTiles))
    const lastTile = k.let('lastTile', min(add(firstTile, taskTiles), tileCount))
    const batch = k.let('batch', div(item, size.heads))
    const head = k.let('head', rem(item, size.heads))
    const group = k.let('group', div(head, size.shared))
    packPanels(k, frame.rows(key, batch, group, index(0), size.keys), tiles.ofKeys, packedKeys, size.padded)
    packPanels(k, frame.rows(value, batch, group, index(0), size.keys), tiles.ofValues, packedValues, size.padded)
    k.loop('tile', firstTile, lastTile, 1, (n) => {
      const from = k.let('from', mul(n, tiles.queries))
      const tile: QueryTile = { batch, head, from, count: k.let('count', min(tiles.queries, sub(size.queries, from))) }
      packTurned(k, frame.rows(query, batch, head, from, tile.count), sizes.features, tiles.queries, buffer, turned.at)
      const largest = frame.vectors(() => k.declare('largest', f32(-Infinity, lanes)))
      const total = frame.vectors(() => k.declare('total', f32(0, lanes)))
      frame.eachBlock(frame.visibleKeys(tile), (block) => {
        frame.products(tiles.ofKeys, packedKeys, turned.at, block, scores.at)
        const placeOf = (row: Expr, v: number): Expr => add(add(scores.at, mul(row, tiles.queries)), v * lanes)
        const highest = largest.map((m) => k.declare('highest', m))
        const score = frame.scoring(tile, block)
        k.loop('row', 0, block.count, 1, (row) =>
          highest.forEach((m, v) => {
            const at = k.let('at', placeOf(row, v))
            const s = k.let('score', score(load(buffer, at, lanes), v, row))
            k.store(buffer, at, s)
            k.assign(m, max(m, s))
          }),
        )
        // Where nothing but -Infinity was seen any shift will do but that one.
        const shift = highest.map((m) => k.let('shift', select(eq(m, -Infinity), 0, m)))
        shift.forEach((s, v) => {
          const factor = k.let('factor', mathUnary(k, 'exp', sub(largest[v]!, s)))
          k.store(buffer, add(factors.at, v * lanes), factor)
          k.assign(total[v]!, mul(total[v]!, factor))
          k.assign(largest[v]!, highest[v]!)
        })
        const words = (first: Expr): readonly Expr[] => {
          const drawn = draws!.words(tile, first)
          decisions?.write(tile, first, drawn)
          return drawn
        }
        frame.eachKey(block, draws && words, (row, kept) =>
          shift.forEach((s, v) => {
            const at = k.let('at', placeOf(row, v))
            const e = mathUnary(k, 'exp', sub(load(buffer, at, lanes), s))
            k.assign(total[v]!, add(total[v]!, e))
            const condition = kept(v)
            k.store(buffer, at, condition ? select(condition, e, constant(0, 'f32', lanes)) : e)
          }),
        )
        const { byQuery, panels } = tiles.ofValues
        k.loop('query', 0, tile.count, byQuery.rows, (row) => {
          for (let panel = 0; panel < panels; panel++) {
            const rows = packedPanel(k, tiles.queries, buffer, k.let('aAt', add(scores.at, row)), block.count)
            const columns = add(packedValues.at, add(mul(packedValues.stride, panel), mul(block.from, byQuery.columns)))
            const products = emitMicroKernel(k, byQuery, rows, buffer, k.let('bAt', columns))
            const to = k.let('to', add(sums.at, add(mul(sums.stride, panel), mul(row, byQuery.columns))))
            const first = (): void => eachSum(products, byQuery, (sum, at) => k.store(buffer, add(to, at), sum))
            const further = (): void =>
              products.forEach((vectors, r) => {
                const factor = k.let('factor', splat(load(buffer, add(factors.at, add(row, r))), lanes))
                vectors.forEach((sum, v) => {
                  const at = k.let('at', add(to, r * byQuery.columns + v * lanes))
                  k.store(buffer, at, fma(load(buffer, at, lanes), factor, sum))
                })
              })
            k.if(eq(block.from, 0), first, further)
          }
        })
      })
      total.forEach((sum, v) => {
        const factor = div(frame.keptFactor ? splat(frame.keptFactor, lanes) : f32(1, lanes), sum)
        k.store(buffer, add(factors.at, v * lanes), factor)
      })
      storeRows(k, out, tiles.ofValues, sums, { batch, head, from, count: tile.count }, (row) =>
        load(buffer, add(factors.at, row)),
      )
      if (!logarithms) return
      const to = k.let('to', add(mul(add(mul(batch, size.heads), head), size.queries), from))
      const values = total.map((sum, v) => k.let('logarithm', add(largest[v]!, mathUnary(k, 'log', sum))))
      k.if(
        le(tiles.queries, tile.count),
        () => values.forEach((x, v) => k.store(logarithms, add(to, v * lanes), x)),
        () => {
          values.forEach((x, v) => k.store(buffer, add(factors.at, v * lanes), x))
          k.loop('row', 0, tile.count, 1, (row) =>
            k.store(logarithms, add(to, row), load(buffer, add(factors.at, row))),
          )
        },
      )
    })
  })
  const { queries, keys, features, valueFeatures } = sizes
  const flops = items * queries * keys * (2 * (features + valueFeatures) + 10)
  return k.step(items * tasks, 1, flops, forwardBytes(problem))
}

function forwardBytes({ sizes, query, outDType }: ForwardProblem): number {
  const { batch, queries, keys, heads, groups, features, valueFeatures } = sizes
  const read = heads * queries * features + groups * keys * (features + valueFeatures)
  return batch * (read * sizeOf(query.dtype) + heads * queries * valueFeatures * sizeOf(outDType))
}
