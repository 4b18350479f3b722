/**
 * Groupings: which nodes of a program are kept in memory, which of these one kernel computes together, and in which order. To find one is most of planning.
 * It hardly depends on sizes, so programs of one class (alike but for sizes) share it as long as they are about equally large: a new batch,
 * width or length takes over what was found for another one. Whoever does so checks that it can.
 */
import { dtypes } from '../common/dtype.ts'
import { Hash } from '../common/hash.ts'
import { RecentMap } from '../common/recent-map.ts'
import { numel } from '../common/shape.ts'
import { newWalk, type ContractAxis, type Node, type NodeOf } from '../graph/node.ts'
import { opInfo, opTable } from '../graph/ops.ts'

/** Nodes by their places in the program. */
export interface Grouping {
  readonly materialized: readonly number[]
  /** What each kernel, or run of kernels, was made for, in the order of their first runs. */
  readonly groups: readonly GroupPlaces[]
  /** The numbers of the groups as they run: a group that stands here twice is computed again. */
  readonly order: readonly number[]
  /** Elements of all nodes together. */
  readonly volume: number
}

export interface GroupPlaces {
  /** What goes to memory. */
  readonly sinks: readonly number[]
  /** The contraction whose store computes `chain`; -1 for kernels that are none, or do nothing else. */
  readonly contract: number
  readonly chain: readonly number[]
  /** Whether it is a nest that could be computed box by box, but is not. */
  readonly isWhole: boolean
}

export interface ProgramClass {
  readonly key: string
  readonly volume: number
}

const opNumbers = new Map(Object.keys(opTable).map((op, i) => [op, i]))
const dtypeNumbers = new Map(dtypes.map((d, i) => [d, i]))

/**
 * What a program, or the body of a loop, has in common with others of other sizes. `role` tells what else the plan knows of a node: whether it is
 * given, a result.
 */
export function classOf(nodes: readonly Node[], role: (node: Node) => number, inBody: boolean): ProgramClass {
  const hash = new Hash()
  hash.add(inBody ? 1 : 0)
  const walk = newWalk()
  const lookedUp = new Map<Node, number[]>()
  let volume = 0
  for (let place = 0; place < nodes.length; place++) {
    const node = nodes[place]!
    node.walk = walk
    node.place = place
    hash.add(opNumbers.get(node.op)!)
    hash.add(dtypeNumbers.get(node.dtype)! * 16 + role(node))
    hash.add(node.shape.length)
    // The words of decisions that attention keeps are read by its gradient alone: whether one is enough changes nothing.
    if (!isDecisions(node)) for (const d of node.shape) hash.add(Math.min(d, 2))
    addAttributes(hash, node)
    if (node.op === 'gather' || node.op === 'scatter') addRange(hash, node, lookedUp)
    for (const s of node.sources) hash.add(s.walk === walk ? s.place : -1)
    volume += numel(node.shape)
  }
  return { key: `${hash.toString()}-${nodes.length}`, volume }
}

function isDecisions({ op, dtype, sources }: Node): boolean {
  return op === 'output' && dtype === 'int32' && sources[0]?.op === 'attention'
}

/**
 * How the axis that an index looks up compares with others that it looks up: the narrowest is where a run fails that has an index out of range,
 * and in the order of kernels nothing is overwritten before that.
 */
function addRange(hash: Hash, node: NodeOf<'gather'> | NodeOf<'scatter'>, lookedUp: Map<Node, number[]>): void {
  const [table, index] = (node.op === 'gather' ? node.sources : [node, node.sources[1]!]) as readonly [Node, Node]
  const size = table.shape[node.attributes.axis] ?? 0
  const others = lookedUp.get(index)
  for (const other of others ?? []) hash.add(Math.sign(size - other))
  if (others) others.push(size)
  else lookedUp.set(index, [size])
}

/** Attributes that are no sizes. */
function addAttributes(hash: Hash, node: Node): void {
  const { group } = opInfo(node.op)
  if (group === 'unary' || group === 'binary' || group === 'ternary' || group === 'cast') return
  const { attributes } = node
  if ('axes' in attributes) hash.addAll(attributes.axes)
  if ('order' in attributes) hash.addAll(attributes.order)
  if ('axis' in attributes) hash.add(attributes.axis)
  if ('index' in attributes) hash.add(attributes.index)
  if (node.op === 'contract') {
    const { lhs, rhs, out } = node.attributes
    for (const axes of [lhs, rhs, out]) for (const axis of axes) addLetters(hash, axis)
  }
}

function addLetters(hash: Hash, axis: ContractAxis): void {
  hash.add(typeof axis === 'number' ? axis : -1)
  if (typeof axis === 'number') return
  hash.add(axis.position)
  hash.add(axis.tap)
}

/**
 * How many times larger, and smaller, a program may be that takes over a grouping. What pays for a small one, computing something twice, may
 * cost a much larger one dear; the other way it is a little memory.
 */
const mostGrowth = 4
const mostShrinking = 256
/** Groupings of one class that are kept: sizes that coincide by chance can make one useless for the others. */
const mostKept = 8

const kept = new RecentMap<string, Grouping[]>(256)

/** Groupings of programs of this class and of about this volume, the nearest first. */
export function knownGroupings({ key, volume }: ProgramClass): Grouping[] {
  const distance = (g: Grouping): number => Math.abs(Math.log(Math.max(volume, 1) / Math.max(g.volume, 1)))
  return kept
    .getOrMake(key, () => [])
    .filter((g) => volume <= g.volume * mostGrowth && g.volume <= volume * mostShrinking)
    .sort((a, b) => distance(a) - distance(b))
}

export function keepGrouping({ key }: ProgramClass, grouping: Grouping): void {
  const list = kept.getOrMake(key, () => [])
  list.push(grouping)
  if (list.length > mostKept) list.shift()
}
