/**
 * What stands between the brackets of Python's `x[1:3, ..., None, index]`: numbers, slices, an ellipsis, new axes and index tensors, and
 * how a node is read by them. Writing uses the same reading, of the positions of the elements.
 */
import { isInteger } from '../common/dtype.ts'
import { ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError } from '../common/errors.ts'
import { formatShape, numel, type Shape } from '../common/shape.ts'
import {
  binary,
  cast as castNode,
  constant,
  flip as flipNode,
  gather as gatherNode,
  permute,
  reshape,
  slice as sliceNode,
  where,
} from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { broadcastNodes, constantLike } from './promotion.ts'
import { fromHost, Tensor } from './tensor.ts'

/** A range of an axis as Python's `slice`: negative bounds count from the end, bounds outside are clamped, the step may be negative. */
export class IndexSlice {
  readonly start: number | null
  readonly stop: number | null
  readonly step: number

  constructor(start: number | null, stop: number | null, step: number) {
    const isBound = (v: unknown): boolean => v === null || Number.isInteger(v)
    if (!isBound(start) || !isBound(stop) || !Number.isInteger(step) || step === 0)
      throw new ArgumentError(
        `slice: bounds are integers or null and the step an integer but 0, got ${String(start)}, ${String(stop)}, ${String(step)}`,
      )
    this.start = start
    this.stop = stop
    this.step = step
  }
}

/**
 * One item of an index: a position, a slice (`slice(1, 3)` or `'1:3'`), `'...'` for all axes not named, `null` for a new axis, or an array or
 * integer tensor of positions.
 */
export type IndexItem = number | string | null | IndexSlice | Tensor | readonly number[]

function parseBound(text: string, whole: string): number | null {
  const trimmed = text.trim()
  if (trimmed === '') return null
  const value = Number(trimmed)
  if (!Number.isInteger(value)) throw new ArgumentError(`index '${whole}': '${trimmed}' is not an integer`)
  return value
}

function parseItem(text: string): (number | null | IndexSlice | '...')[] {
  return text.split(',').map((part) => {
    const item = part.trim()
    if (item === '...') return '...'
    if (item === 'None' || item === 'newaxis') return null
    if (!item.includes(':')) {
      const value = parseBound(item, text)
      if (value === null) throw new ArgumentError(`index '${text}' has an empty item`)
      return value
    }
    const bounds = item.split(':').map((b) => parseBound(b, text))
    if (bounds.length > 3) throw new ArgumentError(`index '${text}': a slice has at most start:stop:step`)
    return new IndexSlice(bounds[0] ?? null, bounds[1] ?? null, bounds[2] ?? 1)
  })
}

type Item = number | null | IndexSlice | '...' | Tensor

function parse(items: readonly IndexItem[]): Item[] {
  return items.flatMap((item): Item[] => {
    if (typeof item === 'string') return parseItem(item)
    if (item === null || item instanceof IndexSlice) return [item]
    if (typeof item === 'number') {
      if (!Number.isInteger(item)) throw new ArgumentError(`index: ${item} is not an integer`)
      return [item]
    }
    if (item instanceof Tensor) {
      if (item.dtype === 'bool')
        throw new DTypeError(
          'index: the number of elements under a mask depends on the data; use await maskedSelect(x, mask), or set() to write',
        )
      if (!isInteger(item.dtype)) throw new DTypeError(`index: positions must be integers, got ${item.dtype}`)
      return [item]
    }
    if (!Array.isArray(item)) throw new ArgumentError(`index: cannot index by ${typeof item}`)
    const data = BigInt64Array.from(item as readonly number[], BigInt)
    return [fromHost({ dtype: 'int64', shape: [data.length], data })]
  })
}

/** The ellipsis written out, missing axes at the end taken whole. */
function complete(items: readonly Item[], shape: Shape): Exclude<Item, '...'>[] {
  const rank = shape.length
  const dots = items.filter((i) => i === '...').length
  const named = items.filter((i) => i !== '...' && i !== null).length
  if (dots > 1) throw new ArgumentError('index: only one ellipsis is allowed')
  if (named > rank)
    throw new IndexOutOfRangeError(`index: ${named} positions for the ${rank} axes of ${formatShape(shape)}`)
  const whole = Array.from({ length: rank - named }, () => new IndexSlice(null, null, 1))
  const list = dots ? items : [...items, '...' as const]
  return list.flatMap((i) => (i === '...' ? whole : [i]))
}

/** start, stop, step >= 1 on an axis, and whether it is read backwards. */
function resolveSlice(s: IndexSlice, size: number): { start: number; stop: number; step: number; backwards: boolean } {
  const { step } = s
  const clamp = (v: number | null, whole: number, low: number, high: number): number =>
    v === null ? whole : Math.min(Math.max(v < 0 ? v + size : v, low), high)
  if (step > 0) {
    const start = clamp(s.start, 0, 0, size)
    return { start, stop: Math.max(start, clamp(s.stop, size, 0, size)), step, backwards: false }
  }
  const first = clamp(s.start, size - 1, -1, size - 1)
  const end = clamp(s.stop, -1, -1, size - 1)
  const count = Math.max(0, Math.ceil((first - end) / -step))
  // The same elements counted upwards, then turned round.
  const lowest = first + (count - 1) * step
  return count === 0
    ? { start: 0, stop: 0, step: 1, backwards: false }
    : { start: lowest, stop: first + 1, step: -step, backwards: true }
}

/** Positions along several axes as one position in those axes taken together; what lies outside becomes too large. */
function combined(indices: readonly Node[], sizes: Shape): Node {
  const nodes = broadcastNodes(
    'index',
    indices.map((i) => castNode(i, 'int64')),
  )
  let flat: Node | null = null
  let valid: Node | null = null
  nodes.forEach((given, i) => {
    const of = (v: number): Node => constantLike(given, v)
    const size = sizes[i]!
    const index = where(binary('lt', given, of(0)), binary('add', given, of(size)), given)
    const inside = binary('and', binary('ge', index, of(0)), binary('lt', index, of(size)))
    valid = valid ? binary('and', valid, inside) : inside
    flat = flat ? binary('add', binary('mul', flat, of(size)), index) : index
  })
  return where(valid!, flat!, constantLike(flat!, numel(sizes)))
}

/** x[items]. Throws IndexOutOfRangeError for a position outside its axis; for index tensors when it runs. */
export function readIndex(x: Node, items: readonly IndexItem[]): Node {
  const list = complete(parse(items), x.shape)
  const start: number[] = []
  const stop: number[] = []
  const step: number[] = []
  const turned: number[] = []
  const shape: number[] = []
  const gathered: { axis: number; index: Node }[] = []
  let axis = 0
  for (const item of list) {
    if (item === null) {
      shape.push(1)
      continue
    }
    const size = x.shape[axis]!
    if (item instanceof Tensor) {
      gathered.push({ axis: shape.length, index: item.node })
      shape.push(size)
      start.push(0)
      stop.push(size)
      step.push(1)
    } else if (item instanceof IndexSlice) {
      const s = resolveSlice(item, size)
      start.push(s.start)
      stop.push(s.stop)
      step.push(s.step)
      if (s.backwards) turned.push(axis)
      shape.push(Math.max(0, Math.ceil((s.stop - s.start) / s.step)))
    } else {
      if (item < -size || item >= size)
        throw new IndexOutOfRangeError(
          `index ${item} is out of range for axis ${axis} of ${formatShape(x.shape)} (allowed: ${-size} to ${size - 1})`,
        )
      const at = item < 0 ? item + size : item
      start.push(at)
      stop.push(at + 1)
      step.push(1)
    }
    axis++
  }
  const view = reshape(flipNode(sliceNode(x, start, stop, step), turned), shape)
  return gathered.length === 0 ? view : gatherAxes(view, gathered)
}

/** x with index tensors on several axes: they broadcast, and their axes stand where the first was, or in front if they are not neighbours. */
function gatherAxes(x: Node, gathered: readonly { axis: number; index: Node }[]): Node {
  const axes = gathered.map((g) => g.axis)
  const first = axes[0]!
  if (gathered.length === 1) {
    const { index } = gathered[0]!
    return gatherNode(x, index.dtype === 'int32' ? index : castNode(index, 'int64'), first)
  }
  const together = axes.every((a, i) => a === first + i)
  const others = x.shape.map((_, i) => i).filter((i) => !axes.includes(i))
  const at = together ? first : 0
  const order = [...others.slice(0, at), ...axes, ...others.slice(at)]
  const moved = permute(x, order)
  const sizes = axes.map((a) => x.shape[a]!)
  const merged = reshape(moved, [...moved.shape.slice(0, at), numel(sizes), ...moved.shape.slice(at + axes.length)])
  const index = combined(
    gathered.map((g) => g.index),
    sizes,
  )
  return gatherNode(merged, index, at)
}

/** Offsets, in the last axis of an index, of slices of x's first axes: what gatherNd and scatterNd address. */
export function leadingOffsets(index: Node, shape: Shape, op: string): { offsets: Node; depth: number } {
  const depth = index.shape[index.shape.length - 1]
  if (depth === undefined || depth > shape.length)
    throw new ShapeError(
      `${op}: the last axis of the index ${formatShape(index.shape)} must name at most the ${shape.length} axes of ${formatShape(shape)}`,
    )
  const lead = index.shape.slice(0, -1)
  // No positions address the whole tensor, once for each row of the index.
  if (depth === 0) return { offsets: constant(0, 'int64', lead), depth }
  const parts = Array.from({ length: depth }, (_, i) => {
    const low = index.shape.map((__, a) => (a === lead.length ? i : 0))
    const high = index.shape.map((d, a) => (a === lead.length ? i + 1 : d))
    return reshape(sliceNode(index, low, high), lead)
  })
  return { offsets: combined(parts, shape.slice(0, depth)), depth }
}
