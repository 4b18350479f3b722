/**
 * The three kernels of a convolution in Winograd's form: patches of an operand become panels of points, panels are multiplied point by
 * point, and tiles of sums become results. Panels are what the micro-kernel reads, so that nothing is packed:
 * [panel][point][depth][free element in the panel].
 */
import type { Capabilities } from '../capabilities.ts'
import { add, div, ge, load, max, min, mul, ne, rem, sub, transposeFours, type BufferParameter } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, isStride, type Memory } from './assembler.ts'
import { axesSize, FlatAxes, loopRuns, mergeAxes, type Axis } from './axes.ts'
import { deepestBlock, type RegisterTile } from './blocking.ts'
import type { FormView, StepList } from './form.ts'
import { emitMicroKernel, packedPanel } from './gemm.ts'
import type { Epilogue } from './problem.ts'
import { eachSum, ResultStore } from './store.ts'
import { apply, POINTS, type Matrix } from './winograd-transforms.ts'

/** Points of a tile. */
export const ALL_POINTS = POINTS * POINTS

/**
 * Elements between the panels of two points beyond the panel itself: a cache line, because strides are multiples of large powers of two
 * otherwise, and all points would share a few sets of the cache.
 */
const GAP = 16

/** Elements of the depth whose patches a task gathers before it transforms them. */
const GATHERED = 8

/** Neighbours along x that are moved at once and turned into lanes; see `transposeFours`. */
const FOUR = 4

/** Where the four neighbours of a lane lie among the 4 * lanes elements that are turned. */
function placeInFours(lane: Expr, lanes: number): Expr {
  const inFour = rem(lane, FOUR)
  return add(mul(inFour, lanes), sub(lane, inFour))
}

type Triple = [Expr, Expr, Expr]

/** Panels in memory. */
export interface Panels {
  readonly memory: Memory
  readonly count: number
  readonly depth: number
  /** Free elements in a panel. */
  readonly width: number
  /** Elements from one point to the next. */
  readonly stride: number
}

/** Strides of one step down and one step to the right. */
export interface PatchStrides {
  readonly y: number
  readonly x: number
}

export interface PatchSource {
  readonly view: FormView
  readonly patch: PatchStrides
  /** Free and summed letters, with the stride of each in the operand. */
  readonly free: readonly Axis[]
  readonly depth: readonly Axis[]
}

/**
 * Transforms square patches, matrix.columns a side, of every free element and every depth: matrix * patch * matrix^T. Free elements behind
 * the last one repeat it; what comes of them is not stored in the end.
 */
export function emitPanels(
  source: PatchSource,
  matrix: Matrix,
  shape: { readonly width: number; readonly lanes: number },
  title: string,
  list: StepList,
): Panels {
  const { width, lanes } = shape
  const side = matrix[0]!.length
  const [free, depth] = [axesSize(source.free), axesSize(source.depth)]
  const count = Math.ceil(free / width)
  const stride = depth * width + GAP
  const memory = list.temporary(4 * count * ALL_POINTS * stride)

  const k = new Assembler(`winograd panels ${matrix.join(' ')} by ${width} ${lanes}`, title)
  const from = k.memory(source.view.memory, 'float32', 'read')
  const to = k.memory(memory, 'float32', 'write')
  const freeAxes = new FlatAxes(k, mergeAxes(source.free, 1), 1)
  const depthAxes = new FlatAxes(k, mergeAxes(source.depth, 1), 1)
  const [offset, freeSize, depthSize] = [k.size(source.view.offset), k.size(free), k.size(depth)]
  const down = k.stride(source.patch.y)
  const right = k.stride(source.patch.x)
  const blocks = Math.ceil(depth / GATHERED)
  const blockCount = k.size(blocks)
  const pointStride = k.size(stride)
  // Rows of a patch as pieces of four that begin here, where they are runs of memory; element by element where they are not.
  const pieces = side >= FOUR && isStride(right, 1) ? (side > FOUR ? [0, side - FOUR] : [0]) : null
  const rowSize = (pieces ? pieces.length * FOUR : side) * lanes
  const patchSize = side * rowSize
  const gathered = k.reserve('float32', GATHERED * patchSize)
  const halfway = k.reserve('float32', POINTS * side * lanes)
  const vectors = width / lanes
  k.parallel('t', (t) => {
    const vector = k.let('vector', rem(t, vectors))
    const rest = k.let('rest', div(t, vectors))
    const first = k.let('first', mul(rem(rest, blockCount), GATHERED))
    const panel = k.let('panel', div(rest, blockCount))
    const end = k.let('end', min(add(first, GATHERED), depthSize))
    const start = k.let('start', add(mul(panel, width), mul(vector, lanes)))
    const last = k.let('last', sub(freeSize, 1))
    k.loop('lane', 0, lanes, 1, (lane) => {
      const element = k.let('element', min(add(start, lane), last))
      const base = k.let('base', add(offset, freeAxes.locate(k, element).offsets[0]!))
      const place = k.let('place', add(gathered.at, pieces ? placeInFours(lane, lanes) : lane))
      loopRuns(k, depthAxes, first, end, (i, at) => {
        const corner = k.let('corner', add(base, at))
        const target = k.let('target', add(place, mul(i, patchSize)))
        for (let y = 0; y < side; y++) {
          const row = k.let('row', add(corner, mul(down, y)))
          const to = add(target, y * rowSize)
          if (pieces) {
            pieces.forEach((x, p) => k.store(gathered.buffer, add(to, p * FOUR * lanes), load(from, add(row, x), FOUR)))
          } else {
            for (let x = 0; x < side; x++) {
              k.store(gathered.buffer, add(to, x * lanes), load(from, add(row, mul(right, x))))
            }
          }
        }
      })
    })
    const panelAt = k.let('panelAt', add(mul(mul(panel, ALL_POINTS), pointStride), mul(vector, lanes)))
    k.loop('d', first, end, 1, (d) => {
      const patch = k.let('patch', add(gathered.at, mul(sub(d, first), patchSize)))
      const out = k.let('out', add(panelAt, mul(d, width)))
      const vectors = (y: number, from: number, count: number): Expr[] =>
        Array.from({ length: count }, (_, n) =>
          k.let('x', load(gathered.buffer, add(patch, y * rowSize + (from + n) * lanes), lanes)),
        )
      const row = (y: number): Expr[] => {
        if (!pieces) return vectors(y, 0, side)
        const turned = pieces.map((_, p) => transposeFours(k, vectors(y, p * FOUR, FOUR)))
        return [...turned[0]!, ...(turned[1] ?? []).slice(2 * FOUR - side)]
      }
      emitTransform(k, matrix, side, halfway, lanes, row, (x, values) =>
        values.forEach((value, y) => k.store(to, add(out, mul(pointStride, y * POINTS + x)), value)),
      )
    })
  })
  const elements = count * width * depth
  list.steps.push(k.step(count * vectors * blocks, 4, 0, 4 * elements * (ALL_POINTS + side * side)))
  return { memory, count, depth, width, stride }
}

/** matrix * input * matrix^T, line by line: of rows of the input come columns of the output, of columns rows. */
function emitTransform(
  k: Assembler,
  matrix: Matrix,
  side: number,
  halfway: { buffer: BufferParameter; at: Expr },
  lanes: number,
  input: (line: number) => readonly Expr[],
  output: (line: number, values: readonly Expr[]) => void,
): void {
  const place = (m: number, n: number): Expr => add(halfway.at, (m * side + n) * lanes)
  for (let n = 0; n < side; n++) {
    apply(k, matrix, input(n)).forEach((value, m) => k.store(halfway.buffer, place(m, n), value))
  }
  for (let m = 0; m < matrix.length; m++) {
    const line = Array.from({ length: side }, (_, n) => k.let('x', load(halfway.buffer, place(m, n), lanes)))
    output(m, apply(k, matrix, line))
  }
}

/** Tiles of sums in memory: numbers of tiles, and elements from one point to the next. */
export interface Sums {
  readonly memory: Memory
  readonly rows: number
  readonly columns: number
  readonly stride: number
}

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
  const { depth } = columns
  const tileSize = tile.rows * tile.columns
  const perPanel = rows.width / tile.rows
  const rowTiles = rows.count * perPanel
  const stride = rowTiles * tileSize + GAP
  const memory = into?.memory ?? list.temporary(4 * columns.count * ALL_POINTS * stride)
  const blocks = Math.ceil(depth / deepestBlock(tile, capabilities))
  const blockDepth = Math.ceil(depth / blocks)
  // Points are parallel; machines of many threads share their columns too.
  const parts = Math.min(columns.count, Math.ceil((8 * capabilities.threads) / ALL_POINTS))
  const partPanels = Math.ceil(columns.count / parts)

  const k = new Assembler(`winograd product ${rows.width} ${tile.rows}x${tile.vectors}x${tile.lanes}`, title)
  const a = k.memory(rows.memory, 'float32', 'read')
  const b = k.memory(columns.memory, 'float32', 'read')
  const out = k.memory(memory, 'float32', 'update')
  const [rowCount, columnCount, depthSize] = [rowTiles, columns.count, depth].map((n) => k.size(n)) as Triple
  const [blockCount, blockSize, part] = [blocks, blockDepth, partPanels].map((n) => k.size(n)) as Triple
  const earlier = k.size(into ? 1 : 0)
  const [aStride, bStride, outStride] = [rows.stride, columns.stride, stride].map((n) => k.size(n)) as Triple
  k.parallel('t', (t) => {
    const point = k.let('point', rem(t, ALL_POINTS))
    const begin = k.let('begin', mul(div(t, ALL_POINTS), part))
    const end = k.let('end', min(add(begin, part), columnCount))
    k.loop('j', begin, end, 1, (j) => {
      const block = k.let('block', add(mul(j, ALL_POINTS), point))
      const columnsAt = k.let('columnsAt', mul(block, bStride))
      const outAt = k.let('outAt', mul(block, outStride))
      k.loop('d', 0, blockCount, 1, (d) => {
        const from = k.let('from', mul(d, blockSize))
        const kc = k.let('kc', sub(min(add(from, blockSize), depthSize), from))
        const bAt = k.let('bAt', add(columnsAt, mul(from, tile.columns)))
        k.loop('i', 0, rowCount, 1, (i) => {
          const aBlock = mul(add(mul(div(i, perPanel), ALL_POINTS), point), aStride)
          const aFrom = add(mul(from, rows.width), mul(rem(i, perPanel), tile.rows))
          const aAt = k.let('aAt', add(aBlock, aFrom))
          const slot = k.let('slot', add(outAt, mul(i, tileSize)))
          const sums = emitMicroKernel(k, tile, packedPanel(k, rows.width, a, aAt, kc), b, bAt)
          k.if(ne(add(d, earlier), 0), () => {
            eachSum(sums, tile, (sum, at) => k.assign(sum, add(sum, load(out, add(slot, at), tile.lanes))))
          })
          eachSum(sums, tile, (sum, at) => k.store(out, add(slot, at), sum))
        })
      })
    })
  })
  const sums = columns.count * rowTiles * tileSize * ALL_POINTS
  const bytes = 4 * ALL_POINTS * depth * (rows.count * rows.width + columns.count * tile.columns) + 4 * sums
  list.steps.push(k.step(ALL_POINTS * Math.ceil(columns.count / partPanels), 1, 2 * sums * depth, bytes))
  return { memory, rows: rowTiles, columns: columns.count, stride }
}

/** A letter of the result, with its strides there and in the epilogue's operands. */
export interface ResultAxis extends Axis {
  /** How far one element of the letter goes down and to the right in the result's windows; 0 for other letters. */
  readonly y: number
  readonly x: number
}

export interface TileResult {
  readonly out: FormView
  readonly epilogue: Epilogue | undefined
  /** Letters of rows and columns. */
  readonly rows: readonly ResultAxis[]
  readonly columns: readonly ResultAxis[]
  /** Strides inside a tile, by view. */
  readonly down: readonly number[]
  readonly right: readonly number[]
  /** Elements of the result along its windows. */
  readonly height: number
  readonly width: number
}

/** Transforms sums back, matrix * sums * matrix^T, and stores what lies inside the result. */
export function emitResults(
  sums: Sums,
  matrix: Matrix,
  tile: RegisterTile,
  result: TileResult,
  title: string,
  list: StepList,
): void {
  const side = matrix.length
  const { lanes } = tile
  const tileSize = tile.rows * tile.columns
  const k = new Assembler(`winograd results ${matrix.join(' ')} ${tile.rows}x${tile.vectors}x${lanes}`, title)
  const from = k.memory(sums.memory, 'float32', 'read')
  const store = new ResultStore(k, result.out, result.epilogue)
  const { views } = store
  const axesOf = (axes: readonly ResultAxis[], inner: number): FlatAxes => {
    const located = axes.map(({ size, strides, y, x }) => ({
      size,
      strides: inner > views ? [...strides, y, x] : strides,
    }))
    return new FlatAxes(k, mergeAxes(located, inner), inner)
  }
  const rowAxes = axesOf(result.rows, views)
  const columnAxes = axesOf(result.columns, views + 2)
  const down = result.down.map((s) => k.stride(s))
  const right = result.right.map((s) => k.stride(s))
  const [rowCount, columnCount] = [result.rows, result.columns].map((axes) => k.size(axesSize(axes))) as [Expr, Expr]
  const [height, width, rowPanels] = [result.height, result.width, sums.rows].map((n) => k.size(n)) as [
    Expr,
    Expr,
    Expr,
  ]
  const pointStride = k.size(sums.stride)
  // Rows of a tile are runs of the result: they are stored whole.
  const isWide = side === FOUR && isStride(right[0]!, 1)
  const scattered = k.reserve('float32', tile.rows * side * side * lanes)
  const halfway = k.reserve('float32', POINTS * POINTS * lanes)
  k.parallel('t', (t) => {
    const vector = k.let('vector', rem(t, tile.vectors))
    const rest = k.let('rest', div(t, tile.vectors))
    const rowPanel = k.let('rowPanel', rem(rest, rowPanels))
    const columnPanel = k.let('columnPanel', div(rest, rowPanels))
    const blockAt = add(mul(mul(columnPanel, ALL_POINTS), pointStride), mul(rowPanel, tileSize))
    const sumsAt = k.let('sumsAt', add(blockAt, mul(vector, lanes)))
    const row0 = k.let('row0', mul(rowPanel, tile.rows))
    const column0 = k.let('column0', add(mul(columnPanel, tile.columns), mul(vector, lanes)))
    const rows = k.let('rows', min(tile.rows, sub(rowCount, row0)))
    k.loop('r', 0, rows, 1, (r) => {
      const at = k.let('at', add(sumsAt, mul(r, tile.columns)))
      const to = k.let('to', add(scattered.at, mul(r, side * side * lanes)))
      const column = (x: number): Expr[] =>
        Array.from({ length: POINTS }, (_, y) =>
          k.let('x', load(from, add(at, mul(pointStride, y * POINTS + x)), lanes)),
        )
      emitTransform(k, matrix, POINTS, halfway, lanes, column, (y, row) =>
        (isWide ? transposeFours(k, row) : row).forEach((value, x) =>
          k.store(scattered.buffer, add(to, (y * side + x) * lanes), value),
        ),
      )
    })
    k.loop('lane', 0, min(lanes, max(sub(columnCount, column0), 0)), 1, (lane) => {
      const { offsets } = columnAxes.locate(k, k.let('column', add(column0, lane)))
      const base = store.offsets.map((o, v) => k.let('base', add(o, offsets[v]!)))
      const ySize = k.let('ySize', sub(height, offsets[views]!))
      const xSize = k.let('xSize', sub(width, offsets[views + 1]!))
      const place = k.let('place', isWide ? placeInFours(lane, lanes) : lane)
      k.loop('r', 0, rows, 1, (r) => {
        const located = rowAxes.locate(k, k.let('row', add(row0, r))).offsets
        const here = base.map((o, v) => k.let('here', add(o, located[v]!)))
        const source = k.let('source', add(add(scattered.at, mul(r, side * side * lanes)), place))
        k.loop('y', 0, min(ySize, side), 1, (y) => {
          const rowAt = here.map((o, v) => k.let('rowAt', add(o, mul(down[v]!, y))))
          const row = k.let('rowFrom', add(source, mul(y, side * lanes)))
          const elements = (): void =>
            k.loop('x', 0, min(xSize, side), 1, (x) => {
              const at = rowAt.map((o, v) => add(o, mul(right[v]!, x)))
              store.store(load(scattered.buffer, add(row, isWide ? x : mul(x, lanes))), at, right, 1)
            })
          if (!isWide) elements()
          else k.if(ge(xSize, side), () => store.store(load(scattered.buffer, row, FOUR), rowAt, right, FOUR), elements)
        })
      })
    })
  })
  const elements = sums.columns * sums.rows * tileSize
  const bytes = 4 * elements * (ALL_POINTS + side * side)
  list.steps.push(k.step(sums.columns * sums.rows * tile.vectors, 2, 0, bytes))
}
