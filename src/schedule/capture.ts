/**
 * Capture: from what is asked (roots) and what is owed (writes) to a program without Tensors: nodes in order, leaves and scalars as
 * numbered parameters, common subexpressions shared, and an integer key of the structure. Two steps of a training loop give the same
 * key; a plan is looked up by it.
 */
import { dtypes } from '../common/dtype.ts'
import { StaleTensorError, TraceError } from '../common/errors.ts'
import { formatShape, sameShape, type Shape } from '../common/shape.ts'
import {
  handedOn,
  leafOf,
  topologicalOrder,
  withSources,
  type ContractAxis,
  type Node,
  type NodeOf,
} from '../graph/node.ts'
import { opTable } from '../graph/ops.ts'
import type { Storage } from '../graph/storage.ts'
import { plainLoop, withoutBarriers } from './barriers.ts'

/** A value that a plan leaves in memory: in a new storage, or in the one that it overwrites. */
export interface CaptureOutput {
  readonly node: Node
  readonly write: Storage | null
}

export interface Capture {
  /** Sources first. Leaves are among them. */
  readonly nodes: readonly Node[]
  readonly outputs: readonly CaptureOutput[]
  /** Storages that the plan reads, in the order of their numbers. */
  readonly leaves: readonly Storage[]
  /** Number of each leaf node and each scalar node. */
  readonly slots: ReadonlyMap<Node, number>
  /** Values of the scalar nodes, by number. */
  readonly scalars: readonly number[]
  readonly key: string
}

const opNumbers = new Map(Object.keys(opTable).map((op, i) => [op, i]))
const dtypeNumbers = new Map(dtypes.map((d, i) => [d, i]))
const doubles = new Float64Array(1)
const words = new Int32Array(doubles.buffer)

/** Two 32-bit lanes of multiplicative hashing. */
class Hash {
  a = 0x9e3779b9 | 0
  b = 0x85ebca6b | 0

  add(n: number): void {
    this.a = Math.imul(this.a ^ n, 0x01000193) + (this.a >>> 15)
    this.b = Math.imul(this.b + n, 0xc2b2ae35 | 0) ^ (this.b >>> 13)
  }

  toString(): string {
    return (this.a >>> 0).toString(16).padStart(8, '0') + (this.b >>> 0).toString(16).padStart(8, '0')
  }
}

function pushDouble(out: number[], value: number): void {
  doubles[0] = value
  out.push(words[0]!, words[1]!)
}

function pushAxes(out: number[], axes: readonly ContractAxis[]): void {
  out.push(axes.length)
  for (const a of axes) {
    if (typeof a === 'number') out.push(a)
    else out.push(-1000, a.position, a.tap, a.stride, a.dilation, a.padding)
  }
}

/** Integers that tell a node from others with the same sources: op, dtype, shape and attributes. */
export function signature(node: Node, slot: number | undefined): number[] {
  const out = [opNumbers.get(node.op)!, dtypeNumbers.get(node.dtype)!, node.shape.length, ...node.shape]
  switch (node.op) {
    case 'buffer':
    case 'scalar':
      out.push(slot ?? -1)
      break
    case 'constant':
      pushDouble(out, Number(node.attributes.value))
      if (typeof node.attributes.value === 'bigint')
        out.push(
          Number(BigInt.asIntN(32, node.attributes.value)),
          Number(BigInt.asIntN(32, node.attributes.value >> 32n)),
        )
      break
    case 'iota':
    case 'gather':
      out.push(node.attributes.axis)
      break
    case 'param':
    case 'output':
      out.push(node.attributes.index)
      break
    case 'permute':
      out.push(...node.attributes.order)
      break
    case 'pad':
      out.push(...node.attributes.low)
      break
    case 'slice':
      out.push(...node.attributes.start, ...node.attributes.step)
      break
    case 'flip':
    case 'reduceSum':
    case 'reduceMax':
    case 'reduceMin':
    case 'reduceProd':
    case 'argmax':
    case 'argmin':
      out.push(...node.attributes.axes)
      break
    case 'window':
      out.push(node.attributes.axis, node.attributes.stride, node.attributes.dilation)
      break
    case 'cumulate':
      out.push(node.attributes.axis, ['sum', 'prod', 'max', 'min'].indexOf(node.attributes.kind))
      break
    case 'contract':
      pushAxes(out, node.attributes.lhs)
      pushAxes(out, node.attributes.rhs)
      pushAxes(out, node.attributes.out)
      break
    case 'scatter':
      out.push(node.attributes.axis, node.attributes.mode === 'add' ? 0 : 1)
      break
    case 'argsort':
      out.push(node.attributes.axis, node.attributes.descending ? 1 : 0)
      break
    case 'scan':
      out.push(
        node.attributes.carries,
        node.attributes.sequences,
        node.attributes.length,
        node.attributes.reverse ? 1 : 0,
        ...bodySignature(node),
      )
      break
    default:
  }
  return out
}

const bodySignatures = new WeakMap<object, number[]>()

/** The body of a scan, flattened to integers; params are numbered by their place. */
function bodySignature(node: NodeOf<'scan'>): number[] {
  const { body } = node.attributes
  const known = bodySignatures.get(body)
  if (known) return known
  const numbers = new Map<Node, number>(body.params.map((p, i) => [p, i]))
  const out: number[] = []
  for (const n of topologicalOrder(body.outputs, (m) => m.op === 'param')) {
    if (numbers.has(n)) continue
    out.push(...signature(n, undefined), ...n.sources.map((s) => numbers.get(s)!))
    numbers.set(n, numbers.size)
  }
  for (const p of body.params) out.push(dtypeNumbers.get(p.dtype)!, ...p.shape)
  out.push(...body.outputs.map((o) => numbers.get(o)!))
  bodySignatures.set(body, out)
  return out
}

/** The node that a leaf stands for: itself, the storage that realised it, or the value of a write that is recorded only. */
function resolve(node: Node): Node {
  let n = node
  while (n.storage === null) {
    if (n.op === 'buffer') {
      const { storage, version } = n.attributes
      if (version <= storage.version) return n
      n = storage.pending[version - storage.version - 1]!
      continue
    }
    const value = handedOn(n)
    if (!value) return n
    n = value
  }
  return n
}

function checkFresh(storage: Storage, version: number, shape: Shape): void {
  if (version >= storage.version) return
  throw new StaleTensorError(
    `a tensor of shape ${formatShape(shape)} was recorded before an in-place update (an optimizer step, or a running statistic) and not read in time: what it needs is overwritten. ` +
      'Read it before step(), or call keep() on it, so that the step computes it too',
  )
}

/** Orders, shares and numbers what `roots` and `writes` need. Throws StaleTensorError where an overwritten version is needed. */
export function capture(roots: readonly Node[], writes: readonly Storage[]): Capture {
  const hash = new Hash()
  const canonical = new Map<Node, Node>()
  const shared = new Map<number, { node: Node; signature: number[]; sources: readonly Node[] }[]>()
  const positions = new Map<Node, number>()
  const slots = new Map<Node, number>()
  const leafNumbers = new Map<Storage, number>()
  let nodes: Node[] = []
  /** Place in the order of recording: forward before backward before the update, whatever asks for them. */
  const recorded = new Map<Node, number>()
  const scalars: number[] = []
  let hasBarriers = false

  const place = (node: Node, sources: readonly Node[], slot: number | undefined): Node => {
    const numbers = signature(node, slot)
    for (const s of sources) numbers.push(positions.get(s)!)
    let h = 17
    for (const n of numbers) h = Math.imul(h ^ n, 0x01000193) + (h >>> 11)
    const bucket = shared.get(h)
    if (node.op !== 'scalar') {
      const known = bucket?.find((k) => sameShape(k.signature, numbers))
      if (known) {
        recorded.set(known.node, Math.min(recorded.get(known.node)!, node.id))
        return known.node
      }
    }
    const same = sources.length === node.sources.length && sources.every((s, i) => s === node.sources[i])
    const made = same ? node : withSources(node, sources)
    const entry = { node: made, signature: numbers, sources }
    if (bucket) bucket.push(entry)
    else shared.set(h, [entry])
    for (const n of numbers) hash.add(n)
    positions.set(made, nodes.length)
    recorded.set(made, node.id)
    nodes.push(made)
    if (slot !== undefined) slots.set(made, slot)
    return made
  }
  const leaf = (node: Node, storage: Storage): Node => {
    let slot = leafNumbers.get(storage)
    if (slot === undefined) leafNumbers.set(storage, (slot = leafNumbers.size))
    return place(node.op === 'buffer' ? node : leafOf(node, storage), [], slot)
  }

  const targets = [...roots.map(resolve), ...writes.map((w) => resolve(w.pending[w.pending.length - 1]!))]
  // Iterative depth-first walk over resolved nodes.
  const stack: Node[] = []
  const progress = new Map<Node, number>()
  for (const root of targets) {
    stack.push(root)
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!
      if (canonical.has(node)) {
        stack.pop()
        continue
      }
      if (node.storage) {
        checkFresh(node.storage, 0, node.shape)
        canonical.set(node, leaf(node, node.storage))
        continue
      }
      if (node.op === 'buffer') {
        checkFresh(node.attributes.storage, node.attributes.version, node.shape)
        canonical.set(node, leaf(node, node.attributes.storage))
        continue
      }
      if (node.op === 'param')
        throw new TraceError(
          `a tensor of shape ${formatShape(node.shape)} that jit.toStatic recorded has left its function by a side door: it has no value. Return it from the function`,
        )
      const next = progress.get(node) ?? 0
      if (next < node.sources.length) {
        progress.set(node, next + 1)
        const s = resolve(node.sources[next]!)
        if (!canonical.has(s)) stack.push(s)
        continue
      }
      const sources = node.sources.map((s) => canonical.get(resolve(s))!)
      let slot: number | undefined
      if (node.op === 'scalar') {
        slot = scalars.length
        scalars.push(node.attributes.value)
      }
      hasBarriers ||= node.op === 'barrier'
      canonical.set(node, place(node.op === 'scan' ? plainLoop(node) : node, sources, slot))
    }
  }

  let outputs = targets.map((t, i): CaptureOutput => ({
    node: canonical.get(t)!,
    write: i < roots.length ? null : writes[i - roots.length]!,
  }))
  for (const o of outputs) {
    hash.add(positions.get(o.node)!)
    hash.add(o.write ? (leafNumbers.get(o.write) ?? -2) : -1)
  }
  nodes.sort((a, b) => recorded.get(a)! - recorded.get(b)!)
  if (hasBarriers) {
    const plain = withoutBarriers(
      nodes,
      outputs.map((o) => o.node),
    )
    outputs = outputs.map(({ node, write }) => ({ node: plain.of.get(node)!, write }))
    nodes = plain.nodes
  }
  return { nodes, outputs, leaves: [...leafNumbers.keys()], slots, scalars, key: `${hash.toString()}-${nodes.length}` }
}
