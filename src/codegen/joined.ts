/** Joins in a plan (see schedule/joins.ts): a kernel for each part that puts it into its place, or none where it is computed there. */
import { sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import { makeNode, type Node } from '../graph/node.ts'
import type { Fusion } from '../schedule/fusion.ts'
import { runOf, type Join, type JoinPart } from '../schedule/joins.ts'
import type { Surroundings } from './expression.ts'
import { buildNestOnce } from './nest-memo.ts'
import type { NestKernel } from './nest.ts'
import type { Location } from './pending.ts'

/** A part of a join, and the kernel that copies it to its place, or computes it there. */
export interface PartCopy {
  readonly part: JoinPart
  readonly nest: NestKernel
}

/** A part that is computed in its place. */
export interface JoinedPart {
  readonly join: Node
  readonly axis: number
  readonly part: JoinPart
}

/**
 * The kernel that writes the value of a node elsewhere; `isHere`: it is read from memory, else from where it is, or computed. `strides`: of the
 * elements that are written, where they do not lie densely. Throws MaterializeRequest.
 */
export function copyNest(
  node: Node,
  isHere: boolean,
  surroundings: Surroundings,
  strides?: readonly number[],
): NestKernel {
  const copy = makeNode('detach', node.dtype, node.shape, [node], {}, false) as unknown as Node
  const isMaterialized = (n: Node): boolean => n !== copy && ((n === node && isHere) || surroundings.isMaterialized(n))
  return buildNestOnce([copy], { ...surroundings, isMaterialized }, strides)
}

/** Kernels for the parts of a join. */
export function partCopies(whole: Node, { axis, parts }: Join, surroundings: Surroundings): PartCopy[] {
  const strides = contiguousStrides(whole.shape)
  return parts
    .filter(({ node }) => numel(node.shape) > 0)
    .map((part) => ({
      part,
      nest: copyNest(part.node, false, surroundings, isDense(part.node, axis) ? undefined : strides),
    }))
}

/** Whether a part's elements are neighbours in the whole as in the part. */
const isDense = (part: Node, axis: number): boolean => numel(part.shape) === runOf(part.shape, axis)

/**
 * Parts that kernels of their own compute, that nobody else reads and that lie densely in the whole, by node. `sinks`: of the groups, in order;
 * `results`: nodes whose places are decided.
 */
export function joinedParts(
  sinks: readonly (readonly Node[])[],
  fusion: Fusion,
  results: ReadonlySet<Node>,
  overwriting: ReadonlySet<Node>,
): Map<Node, JoinedPart> {
  const found = new Map<Node, JoinedPart>()
  const computed = new Set<Node>()
  for (const own of sinks) {
    const [whole] = own as readonly [Node]
    const join = overwriting.has(whole) ? undefined : fusion.joinAt(whole)
    for (const part of join?.parts ?? []) {
      const { node } = part
      const isFree = computed.has(node) && fusion.isUsedOnce(node) && !results.has(node) && !fusion.joinAt(node)
      if (isFree && isDense(node, join!.axis)) found.set(node, { join: whole, axis: join!.axis, part })
    }
    for (const s of own) computed.add(s)
  }
  return found
}

/** Where a part lies. */
export function placeOfPart(whole: Location, { shape }: Node, axis: number, { node, start }: JoinPart): Location {
  return { ...whole, byteOffset: whole.byteOffset + start * contiguousStrides(shape)[axis]! * sizeOf(node.dtype) }
}
