/**
 * Convolutions of 3x3 windows with stride 1 by Winograd's minimal filtering: a quarter of the multiplications of the direct product, for
 * some more memory. Points and sums are float32, whatever the operands are: those of bfloat16 would lose most of its eight bits. The output, the gradient of the input (a convolution with the weights turned around) and the gradient of the weights
 * are three uses of the same kernels.
 */
import { letterStride, reachOf, type AffineCase, type AffineDim } from './affine.ts'
import { type Axis } from './axes.ts'
import { narrowTile, registerTile, roundUp, type RegisterTile } from './blocking.ts'
import { besideOut, resultView, StepList } from './form.ts'
import type { ContractProblem } from './problem.ts'
import { byStride, leavesAxes, relayout, type Source } from './relayout.ts'
import type { ConvolutionForm } from './siblings.ts'
import { makesOwnTiles, ownTile, partsOf, rowPanels, type Part } from './winograd-blocking.ts'
import { emitPanels, FOUR, type Panels } from './winograd-patches.ts'
import { emitFused } from './winograd-fused.ts'
import { emitPanelProduct } from './winograd-product.ts'
import { rolesOf, type Roles, type Window } from './winograd-roles.ts'
import { emitResults, type ResultAxis, type Sums, type TileResult } from './winograd-results.ts'
import { pointsOf, TAPS, TILES_OF_FOUR, TILES_OF_TWO, transpose, type Filtering } from './winograd-transforms.ts'

/**
 * Least products that each transformed element is used for (channels times filters over their sum), of channels or filters, of tiles, and
 * share of the tiles' elements that are results. Measured against the direct product on two threads with vectors of 64 and of 32 bytes: 32
 * channels to as many filters in 512 tiles gain 5 to 35 %, 16 lose; 512 channels lose with 8 tiles and gain a factor of 1.7 with 32;
 * images of 5x5 gain nothing, of 6x6 a quarter. `bench/contract.ts` times both forms.
 */
const LEAST = { uses: 16, channels: 16, tiles: 32, filled: 0.5 }

/**
 * The same for tiles where weights never change: their points are computed once, and a product with as few columns has a tile of registers of its
 * own. Not measured where tiles multiply what is not in this form.
 */
const LEAST_KNOWN_TILES = 16

function isDeep(channels: number, filters: number): boolean {
  const uses = (channels * filters) / (channels + filters)
  return uses >= LEAST.uses && Math.min(channels, filters) >= LEAST.channels
}

/** Null where the convolution is of another kind, or would not gain with images of any size. */
export function winogradForm(
  problem: ContractProblem,
  cases: readonly AffineCase[],
  taps: ReadonlySet<number>,
  convolution: string,
): ConvolutionForm | null {
  const [c] = cases
  if (!c || cases.length > 1 || problem.capabilities.winograd === false) return null
  const roles = rolesOf(c, taps)
  if (!roles) return null
  const product = (letters: readonly number[]): number => letters.reduce((n, l) => n * c.sizes.get(l)!, 1)
  const depth = [product(roles.channels), product(roles.filters)] as const
  if (!isDeep(...depth)) return null
  const isKnown = problem.constant?.[roles.other] === true && problem.capabilities.bfloat16 !== 'tiles'
  const pays = ({ tile }: Filtering): boolean => {
    const [down, across] = roles.windows.map((w) => Math.ceil(w.size / tile)) as [number, number]
    const filled = (roles.windows[0].size * roles.windows[1].size) / (down * across * tile * tile)
    return (
      product(roles.images) * down * across >= (isKnown ? LEAST_KNOWN_TILES : LEAST.tiles) && filled >= LEAST.filled
    )
  }
  const filtering = (isKnown ? [TILES_OF_FOUR, TILES_OF_TWO] : [TILES_OF_FOUR]).find(pays)
  return {
    depth,
    pays: filtering !== undefined,
    lower: () => {
      const list = new StepList()
      new Convolution(problem, c, roles, filtering ?? TILES_OF_FOUR, `winograd ${convolution}`, list).emit()
      return list
    },
  }
}

/** Tiles of which the last panel of columns is half empty on average. */
const TYPICAL_TILES = 256

class Convolution {
  private readonly problem: ContractProblem
  private readonly c: AffineCase
  private readonly roles: Roles
  private readonly filtering: Filtering
  private readonly title: string
  private readonly list: StepList
  /** Whether one task takes tiles through all steps. */
  private readonly ownsTiles: boolean

  constructor(
    problem: ContractProblem,
    c: AffineCase,
    roles: Roles,
    filtering: Filtering,
    title: string,
    list: StepList,
    whole?: Convolution,
  ) {
    this.problem = problem
    this.c = c
    this.roles = roles
    this.filtering = filtering
    this.title = title
    this.list = list
    this.ownsTiles = whole?.ownsTiles ?? (!roles.isWeightGradient && this.tasksPay())
  }

  emit(): void {
    const { roles, list } = this
    const parts = this.parts()
    if (!roles.isWeightGradient) {
      const panels = this.weightPanels()
      list.parts(parts, (part) => this.of(part).emitTiles(panels))
      return
    }
    let sums: Sums | undefined
    list.parts(parts, (part) => (sums = this.of(part).emitWeightGradient(sums)))
    if (sums)
      emitResults(sums, transpose(this.filtering.weight), this.tile(), this.result(), `results of ${this.title}`, list)
  }

  private tasksPay(): boolean {
    const { roles, filtering, problem } = this
    const [channels, filters] = [this.sizeOf(roles.channels), this.sizeOf(roles.filters)]
    return makesOwnTiles(
      { points: pointsOf(filtering), channels, filters, tiles: this.knownTiles() },
      problem.capabilities,
    )
  }

  /** Tiles of a program whose weights never change, that of a predictor: it has one size, or a few. */
  private knownTiles(): number | null {
    const { roles, problem } = this
    return problem.constant?.[roles.other] === true ? this.tilesPerImage() * this.sizeOf(roles.images) : null
  }

  private parts(): Part[] {
    const { c, roles } = this
    const { cacheBytes } = this.problem.capabilities
    const [letter] = roles.images
    if (letter === undefined) return [{ from: 0, size: 1 }]
    const tiles = this.sizeOf(roles.images.slice(1)) * this.tilesPerImage()
    const [channels, filters] = [this.sizeOf(roles.channels), this.sizeOf(roles.filters)]
    const bytes = 4 * pointsOf(this.filtering)
    const perImage = { bytes: bytes * tiles * (channels + filters), tiles }
    const isLow = this.problem.dtype !== 'float32'
    return partsOf(c.sizes.get(letter)!, perImage, bytes * channels * filters, cacheBytes[1], isLow)
  }

  private sizeOf(letters: readonly number[]): number {
    return letters.reduce((n, l) => n * this.c.sizes.get(l)!, 1)
  }

  private tilesPerImage(): number {
    return this.roles.windows.reduce((n, w) => n * this.tilesOf(w), 1)
  }

  /** The same convolution of some images. */
  private of({ from, size }: Part): Convolution {
    const { problem, c, roles } = this
    const [letter] = roles.images
    if (letter === undefined) return this
    const { epilogue } = problem
    const start = (dims: readonly AffineDim[]): number => from * letterStride(dims, letter)
    const moved = <V extends { readonly offset: number }>(view: V, dims: readonly AffineDim[]): V => ({
      ...view,
      offset: view.offset + start(dims),
    })
    const some: ContractProblem = {
      ...problem,
      lhs: moved(problem.lhs, c.lhs),
      rhs: moved(problem.rhs, c.rhs),
      out: moved(problem.out, c.out),
      ...(epilogue && {
        epilogue: { ...epilogue, operands: epilogue.operands.map((o) => moved(o, besideOut(this.c.out, o.strides))) },
      }),
    }
    const sizes = new Map([...c.sizes, [letter, size]])
    return new Convolution(some, { ...c, sizes }, roles, this.filtering, this.title, this.list, this)
  }

  private weightPanels(): Panels {
    const { roles, title, list } = this
    const weights = this.c[roles.other]
    const source = {
      view: this.turned(roles.other),
      patch: this.tapSteps(weights),
      free: this.axes(roles.filters, weights),
      depth: this.axes(roles.channels, weights),
      isInRuns: false,
    }
    return emitPanels(source, this.filtering.weight, rowPanels(this.tile()), `weight panels of ${title}`, list)
  }

  private paddedImage(): { source: Source; dims: AffineDim[] } {
    const { roles } = this
    const along = roles.windows.map((w) => ({ low: w.low, length: this.tilesOf(w) * this.filtering.tile + TAPS - 1 }))
    return this.padded(roles.windowed, along)
  }

  /** Everything from the images to the results. */
  private emitTiles(weights: Panels): void {
    const { roles, filtering, title, list } = this
    const tile = this.tile()
    const image = this.paddedImage()
    const source = {
      view: image.source,
      patch: this.steps(image.dims, 'position'),
      free: this.tileAxes(image.dims),
      depth: this.axes(roles.channels, image.dims),
      isInRuns: this.isInRuns(image.dims),
    }
    const result = this.result(source.isInRuns)
    if (this.ownsTiles) {
      emitFused(weights, source, result, tile, filtering, this.problem.capabilities.threads, title, list)
      return
    }
    const shape = { width: tile.columns, lanes: tile.lanes }
    const columns = emitPanels(source, filtering.input, shape, `input panels of ${title}`, list)
    const sums = emitPanelProduct(weights, columns, tile, this.problem.capabilities, title, list)
    emitResults(sums, filtering.result, tile, result, `results of ${title}`, list)
  }

  /** Adds what these images give to the sums of the earlier ones. */
  private emitWeightGradient(earlier: Sums | undefined): Sums {
    const { roles, filtering, title, list } = this
    const tile = this.tile()
    const image = this.paddedImage()
    const along = roles.windows.map((w) => ({ low: 0, length: this.tilesOf(w) * filtering.tile }))
    const gradient = this.padded(roles.other, along, true)
    const a = {
      view: gradient.source,
      patch: this.steps(gradient.dims, 'position'),
      free: this.axes(roles.filters, gradient.dims),
      depth: this.tileAxes(gradient.dims),
      isInRuns: false,
    }
    const b = {
      view: image.source,
      patch: this.steps(image.dims, 'position'),
      free: this.axes(roles.channels, image.dims),
      depth: this.tileAxes(image.dims),
      isInRuns: false,
    }
    const rows = emitPanels(a, transpose(filtering.result), rowPanels(tile), `gradient panels of ${title}`, list)
    const shape = { width: tile.columns, lanes: tile.lanes }
    const columns = emitPanels(b, filtering.input, shape, `input panels of ${title}`, list)
    return emitPanelProduct(rows, columns, tile, this.problem.capabilities, title, list, earlier)
  }

  /**
   * Two vectors side by side where that wastes less than three, one where it holds all tiles. Filters are rows; columns are channels, or tiles,
   * whose number is no constant of a program: for those a few lanes more are lost the wider a panel is.
   */
  private tile(): RegisterTile {
    const { capabilities } = this.problem
    const { roles } = this
    if (this.ownsTiles) return ownTile(capabilities)
    const known = this.knownTiles()
    const wide = registerTile(capabilities)
    if (known !== null && known <= wide.lanes) return narrowTile(capabilities, wide.lanes)
    const narrow = narrowTile(capabilities, 2 * wide.lanes)
    const [rows, channels] = [this.sizeOf(roles.filters), this.sizeOf(roles.channels)]
    const lost = (t: RegisterTile): number =>
      (roundUp(rows, rowPanels(t).width) / rows) *
      (roles.isWeightGradient ? roundUp(channels, t.columns) / channels : 1 + t.columns / TYPICAL_TILES)
    return lost(narrow) < lost(wide) ? narrow : wide
  }

  private tilesOf(w: Window): number {
    return Math.ceil(w.size / this.filtering.tile)
  }

  private axes(letters: readonly number[], dims: readonly AffineDim[]): Axis[] {
    return letters.map((l) => ({ size: this.c.sizes.get(l)!, strides: [letterStride(dims, l)] }))
  }

  private tileAxes(dims: readonly AffineDim[]): Axis[] {
    const { images, windows } = this.roles
    const along = windows.map((w) => ({
      size: this.tilesOf(w),
      strides: [this.filtering.tile * letterStride(dims, w.position)],
    }))
    return [...this.axes(images, dims), ...along]
  }

  /** Whether rows of tiles are runs of memory, in patches and in the result, that are moved by fours. */
  private isInRuns(image: readonly AffineDim[]): boolean {
    return this.filtering.tile === FOUR && [image, this.c.out].every((dims) => this.steps(dims, 'position').x === 1)
  }

  private steps(dims: readonly AffineDim[], which: 'position' | 'tap'): { y: number; x: number } {
    const [y, x] = this.roles.windows.map((w) => letterStride(dims, w[which])) as [number, number]
    return { y, x }
  }

  /** Steps between taps in the order of the windowed operand's elements. */
  private tapSteps(dims: readonly AffineDim[]): { y: number; x: number } {
    const [y, x] = this.roles.windows.map((w) => (w.isTurned ? -1 : 1) * letterStride(dims, w.tap)) as [number, number]
    return { y, x }
  }

  /** Elements between a view's first tap and the first one in the order of the windowed operand's elements. */
  private turnedBy(dims: readonly AffineDim[]): number {
    return this.roles.windows.reduce((n, w) => n + (w.isTurned ? (TAPS - 1) * letterStride(dims, w.tap) : 0), 0)
  }

  private turned(side: 'lhs' | 'rhs'): Source {
    const source = this.source(side)
    return { ...source, offset: source.offset + this.turnedBy(this.c[side]) }
  }

  private source(side: 'lhs' | 'rhs'): Source {
    const { problem } = this
    return { memory: { kind: side }, dtype: problem.dtype, offset: problem[side].offset }
  }

  /**
   * A copy of an operand whose tiles are whole: zeros stand where they leave it. `isBeside`: whether another operand is copied by the same kernel in any
   * case, so that this one may stay where it is if its tiles are whole.
   */
  private padded(
    side: 'lhs' | 'rhs',
    along: readonly { low: number; length: number }[],
    isBeside = false,
  ): { source: Source; dims: AffineDim[] } {
    const { c, roles, title, list } = this
    const dims = c[side]
    const reach = dims.map((dim) => {
      const at = roles.windows.findIndex((w) => dim.terms.some((t) => t.letter === w.position))
      const found = along[at]
      return found ? { low: found.low, high: found.low + found.length - 1 } : reachOf(dim, c.sizes)
    })
    if (isBeside && reach.every((r) => r.low === 0) && !leavesAxes(dims, reach))
      return { source: this.source(side), dims: [...dims] }
    const copy = relayout(this.source(side), dims, reach, byStride(dims), title, list)
    return { source: copy.source, dims: dims.map((dim, i) => ({ ...dim, stride: copy.strides[i]! })) }
  }

  private result(isInRuns = false): TileResult {
    const { problem, c, roles } = this
    const { epilogue } = problem
    const views = [c.out, ...(epilogue?.operands ?? []).map((o) => besideOut(this.c.out, o.strides))]
    const strides = (letter: number, times = 1): number[] => views.map((dims) => times * letterStride(dims, letter))
    const plain = (letters: readonly number[]): ResultAxis[] =>
      letters.map((l) => ({ size: c.sizes.get(l)!, strides: strides(l), y: 0, x: 0 }))
    const [y, x] = roles.windows
    if (roles.isWeightGradient) {
      const step = (w: Window): number[] => strides(w.tap, w.isTurned ? -1 : 1)
      const first = views.map((dims) => this.turnedBy(dims))
      return {
        out: resultView(problem, first[0]!),
        epilogue: epilogue && {
          ...epilogue,
          operands: epilogue.operands.map((o, i) => ({ ...o, offset: o.offset + first[i + 1]! })),
        },
        rows: plain(roles.filters),
        columns: plain(roles.channels),
        down: step(y),
        right: step(x),
        height: TAPS,
        width: TAPS,
        isInRuns,
      }
    }
    const { tile } = this.filtering
    const along = (w: Window): ResultAxis => ({
      size: this.tilesOf(w),
      strides: strides(w.position, tile),
      y: w === y ? tile : 0,
      x: w === x ? tile : 0,
    })
    return {
      out: resultView(problem, 0),
      epilogue,
      rows: plain(roles.filters),
      columns: [...plain(roles.images), along(y), along(x)],
      down: strides(y.position),
      right: strides(x.position),
      height: y.size,
      width: x.size,
      isInRuns,
    }
  }
}
