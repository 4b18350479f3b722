/**
 * Joins: a sum of padded parts that lie side by side, which is how concatenation is recorded. Computed as a sum, every element would be
 * looked up in every part; a join has each part written to its place instead.
 */
import type { Shape } from '../common/shape.ts'
import type { Node, NodeOf } from '../graph/node.ts'

export interface JoinPart {
  readonly node: Node
  /** Where the part begins along the axis. */
  readonly start: number
}

export interface Join {
  readonly axis: number
  readonly parts: readonly JoinPart[]
  /** The nodes between the parts and the whole; the pads that stand right behind parts are their readers. */
  readonly pads: readonly Node[]
}

/** The axis that a pad lengthens, where it is one. */
function paddedAxis({ attributes: { low, high } }: NodeOf<'pad'>): number {
  const axes = low.flatMap((l, i) => (l !== 0 || high[i] !== 0 ? [i] : []))
  return axes.length === 1 ? axes[0]! : -1
}

/** Two parts, of which the second begins where the first ends. */
function pairOf(node: Node): { axis: number; pads: readonly [NodeOf<'pad'>, NodeOf<'pad'>] } | null {
  if (node.op !== 'add' && node.op !== 'or') return null
  const [a, b] = node.sources as readonly [Node, Node]
  if (a.op !== 'pad' || b.op !== 'pad') return null
  const axis = paddedAxis(a)
  if (axis < 0 || paddedAxis(b) !== axis) return null
  const [first, second] = a.attributes.low[axis] === 0 ? [a, b] : [b, a]
  const isBeside =
    first.attributes.low[axis] === 0 &&
    second.attributes.high[axis] === 0 &&
    second.attributes.low[axis] === first.sources[0]!.shape[axis] &&
    first.attributes.high[axis] === second.sources[0]!.shape[axis]
  return isBeside ? { axis, pads: [first, second] } : null
}

/** The join that ends at a node, of joins within it that nobody else uses, or null. */
export function joinOf(node: Node, isUsedOnce: (n: Node) => boolean): Join | null {
  const pair = pairOf(node)
  if (!pair) return null
  const { axis } = pair
  const parts: JoinPart[] = []
  const pads: Node[] = []
  const visit = (pad: NodeOf<'pad'>, start: number): void => {
    const [part] = pad.sources as readonly [Node]
    const inner = isUsedOnce(pad) && isUsedOnce(part) ? pairOf(part) : null
    pads.push(pad)
    if (inner?.axis !== axis) return void parts.push({ node: part, start })
    for (const p of inner.pads) visit(p, start + p.attributes.low[axis]!)
  }
  for (const p of pair.pads) visit(p, p.attributes.low[axis]!)
  return { axis, parts, pads }
}

/** Elements of a part that lie side by side in the whole. */
export function runOf(part: Shape, axis: number): number {
  return part.slice(axis).reduce((n, d) => n * d, 1)
}
