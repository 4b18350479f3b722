/** Operands that a launch of their own packs, for products that would pack them again and again: weights of a convolution or of a loop over time. */
import { add, div, min, mul, rem } from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler, type Memory } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { rowLanes, tileName, type RegisterTile } from './blocking.ts'
import { axesIn, formSize, type Form, type StepList } from './form.ts'
import { emitPackPanel, type PanelPlace, type PanelSource } from './pack.ts'

/** Words that a thread packs at a time at least. */
const GRAIN_WORDS = 2000

/** Panels in memory: [batch][block of the contracted axis][panel]. */
export interface PackedPanels {
  readonly memory: Memory
  readonly panels: number
  readonly blocks: number
  /** Words from one panel to the next, the last of which are not used where a block is short. */
  readonly stride: number
  /** Whether all items of the product's batch have the same ones. Default not. */
  readonly isShared?: boolean
}

/** What is packed: elements, or words of two of them. */
export interface PanelTemplate {
  /** For the kernel's structure: all that the emitter decides on. */
  readonly name: string
  readonly dtype: 'float32' | 'int32'
  /** Free elements and words of a panel, and contracted elements of a block. */
  readonly width: number
  readonly stride: number
  readonly depth: number
  /** Asks for the parameters that it needs, and returns what writes one panel. */
  emitter(k: Assembler, source: PanelSource): (place: PanelPlace) => void
}

export function panelSource(k: Assembler, form: Form, view: 'a' | 'b'): Omit<PanelSource, 'buffer'> {
  const axes = view === 'a' ? form.rows : form.columns
  const free = mergeAxes(axesIn(axes, [view]), 1)
  const contracted = mergeAxes(axesIn(form.contracted, [view]), 1)
  const all = axesIn([...form.batch, ...axes, ...form.contracted], [view])
  const isMatrix = free.length === 1 && contracted.length === 1 && free[0]!.strides[0] === 1
  const hasEnd = isMatrix && all.every((x) => x.strides[0]! >= 0)
  const end = all.reduce((at, x) => at + Math.max(0, x.size - 1) * x.strides[0]!, form[view].offset + 1)
  k.note(hasEnd ? 'end' : 'open')
  return {
    free: new FlatAxes(k, free, 1, axes.at(-1)?.isEverySecond),
    contracted: new FlatAxes(k, contracted, 1, form.contracted.at(-1)?.isEverySecond),
    size: k.size(formSize(axes)),
    end: hasEnd ? k.size(end) : null,
  }
}

export function packPanels(form: Form, view: 'a' | 'b', template: PanelTemplate, list: StepList): PackedPanels {
  const { width, stride } = template
  const depth = formSize(form.contracted)
  const batch = formSize(form.batch)
  const panels = Math.ceil(formSize(view === 'a' ? form.rows : form.columns) / width)
  const blocks = Math.max(1, Math.ceil(depth / template.depth))
  const count = batch * blocks * panels
  const memory = list.temporary(4 * count * stride)

  const k = new Assembler(`pack ${template.name}`, `pack ${view === 'a' ? 'rows' : 'columns'} of ${form.title}`)
  const source = { buffer: k.memory(form[view].memory, form[view].dtype, 'read'), ...panelSource(k, form, view) }
  const target = k.memory(memory, template.dtype, 'write')
  const batchAxes = new FlatAxes(k, mergeAxes(axesIn(form.batch, [view]), 1), 1)
  const emit = template.emitter(k, source)
  const [offset, panelCount, depthSize] = [form[view].offset, panels, depth].map((n) => k.size(n)) as Triple
  const [blockDepth, blockCount, panelStride] = [template.depth, blocks, stride].map((n) => k.size(n)) as Triple
  k.parallel('t', (t) => {
    const row = k.let('row', mul(rem(t, panelCount), width))
    const rest = k.let('rest', div(t, panelCount))
    const from = k.let('from', mul(rem(rest, blockCount), blockDepth))
    const item = k.let('item', div(rest, blockCount))
    const to = k.let('to', min(add(from, blockDepth), depthSize))
    const base = k.let('base', add(offset, batchAxes.locate(k, item).offsets[0]!))
    emit({ base, row, from, to, target, at: k.let('at', mul(t, panelStride)) })
  })
  list.steps.push(k.step(count, Math.ceil(GRAIN_WORDS / stride), 0, 8 * count * stride))
  return { memory, panels, blocks, stride }
}

type Triple = [Expr, Expr, Expr]

/** Panels of one side of a product in float32. */
export function tilePanels(tile: RegisterTile, view: 'a' | 'b', depth: number): PanelTemplate {
  const shape = view === 'a' ? { rows: tile.rows, lanes: rowLanes(tile) } : { rows: tile.columns, lanes: tile.lanes }
  return {
    name: `${view} ${tileName(tile)}`,
    dtype: 'float32',
    width: shape.rows,
    stride: shape.rows * depth,
    depth,
    emitter: (k, source) => (place) => emitPackPanel(k, source, shape, place),
  }
}
