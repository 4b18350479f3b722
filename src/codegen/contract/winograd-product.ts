/** The second step of a convolution in Winograd's form: panels are multiplied point by point. Nothing is packed: panels are what the micro-kernel reads. */
import type { Capabilities } from '../capabilities.ts'
import { add, div, load, min, mul, ne, rem, sub } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { deepestBlock, type RegisterTile } from './blocking.ts'
import type { StepList } from './form.ts'
import { emitMicroKernel, packedPanel } from './gemm.ts'
import { eachSum } from './store.ts'
import { GAP, type Panels } from './winograd-patches.ts'
import type { Sums } from './winograd-results.ts'

/**
 * Steps by which rows are asked for. Panels of weights of a predictor come from memory, each once: three products of 512 channels of 7x7 went
 * from 6.1 to 4.3 ms on one thread, from 3.5 to 2.4 on two. From 32 on all do as well; where panels are in a cache nothing is lost.
 */
const AHEAD = 64

type Triple = [Expr, Expr, Expr]

/** sums[column panel][point][row][column] = sum over the depth of rows * columns, point by point, added to the sums in `into` if given. */
export function emitPanelProduct(
  rows: Panels,
  columns: Panels,
  tile: RegisterTile,
  capabilities: Capabilities,
  title: string,
  list: StepList,
  into?: Sums,
): Sums {
  const { depth, points } = columns
  const tileSize = tile.rows * tile.columns
  const perPanel = rows.width / tile.rows
  const rowTiles = rows.count * perPanel
  const stride = tileSize + GAP
  const memory = into?.memory ?? list.temporary(4 * columns.count * rowTiles * points * stride)
  const blocks = Math.ceil(depth / deepestBlock(tile, capabilities))
  const blockDepth = Math.ceil(depth / blocks)
  // Points are parallel; machines of many threads share their columns too.
  const parts = Math.min(columns.count, Math.ceil((8 * capabilities.threads) / points))
  const partPanels = Math.ceil(columns.count / parts)

  const k = new Assembler(`winograd product ${points} ${rows.width} ${tile.rows}x${tile.vectors}x${tile.lanes}`, title)
  const a = k.memory(rows.memory, 'float32', 'read')
  const b = k.memory(columns.memory, 'float32', 'read')
  const out = k.memory(memory, 'float32', 'update')
  const [rowCount, columnCount, depthSize] = [rowTiles, columns.count, depth].map((n) => k.size(n)) as Triple
  const [blockCount, blockSize, part] = [blocks, blockDepth, partPanels].map((n) => k.size(n)) as Triple
  const earlier = k.size(into ? 1 : 0)
  const [aStride, bStride, outStride] = [rows.stride, columns.stride, stride].map((n) => k.size(n)) as Triple
  k.parallel('t', (t) => {
    const point = k.let('point', rem(t, points))
    const begin = k.let('begin', mul(div(t, points), part))
    const end = k.let('end', min(add(begin, part), columnCount))
    k.loop('j', begin, end, 1, (j) => {
      const block = k.let('block', add(mul(j, points), point))
      const columnsAt = k.let('columnsAt', mul(block, bStride))
      const outAt = k.let('outAt', mul(add(mul(mul(j, rowCount), points), point), outStride))
      k.loop('d', 0, blockCount, 1, (d) => {
        const from = k.let('from', mul(d, blockSize))
        const kc = k.let('kc', sub(min(add(from, blockSize), depthSize), from))
        const bAt = k.let('bAt', add(columnsAt, mul(from, tile.columns)))
        k.loop('i', 0, rowCount, 1, (i) => {
          const aBlock = mul(add(mul(div(i, perPanel), points), point), aStride)
          const aFrom = add(mul(from, rows.width), mul(rem(i, perPanel), tile.rows))
          const aAt = k.let('aAt', add(aBlock, aFrom))
          const slot = k.let('slot', add(outAt, mul(i, mul(outStride, points))))
          const sums = emitMicroKernel(k, tile, packedPanel(k, rows.width, a, aAt, kc, { ahead: AHEAD }), b, bAt)
          k.if(ne(add(d, earlier), 0), () => {
            eachSum(sums, tile, (sum, at) => k.assign(sum, add(sum, load(out, add(slot, at), tile.lanes))))
          })
          eachSum(sums, tile, (sum, at) => k.store(out, add(slot, at), sum))
        })
      })
    })
  })
  const sums = columns.count * rowTiles * tileSize * points
  const bytes = 4 * points * depth * (rows.count * rows.width + columns.count * tile.columns) + 4 * sums
  list.steps.push(k.step(points * Math.ceil(columns.count / partPanels), 1, 2 * sums * depth, bytes))
  return { memory, points, rows: rowTiles, columns: columns.count, stride }
}
