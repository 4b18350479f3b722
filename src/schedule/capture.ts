/**
 * Capture: from what is asked (roots) and what is owed (writes) to a program without Tensors: nodes in order, leaves and scalars as
 * numbered parameters, common subexpressions shared, and an integer key of the structure. Two steps of a training loop give the same
 * key; a plan is looked up by it.
 */
import { StaleTensorError, TraceError } from '../common/errors.ts'
import { Hash } from '../common/hash.ts'
import { formatShape, sameShape, type Shape } from '../common/shape.ts'
import { handedOn, leafOf, withSources, newWalk, type Node } from '../graph/node.ts'
import type { Storage } from '../graph/storage.ts'
import { plainLoop, withoutBarriers } from './barriers.ts'
import { addLeaf, addSignature, mixSignature, NumberList } from './signature.ts'

/** A value that a plan leaves in memory: in a new storage, or in the one that it overwrites. */
export interface CaptureOutput {
  readonly node: Node
  readonly write: Storage | null
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

/**
 * Orders and numbers what `roots` and `writes` need, and makes the key of it. Throws StaleTensorError where an overwritten version is needed.
 * That is all a step costs whose plan is known; the program itself is made when it is asked for.
 */
export function capture(roots: readonly Node[], writes: readonly Storage[]): Capture {
  return new Capture(roots, writes)
}

/** A program without Tensors. */
export class Capture {
  /** What the plan leaves in memory, as recorded. */
  readonly targets: readonly CaptureOutput[]
  /** Storages that the plan reads, in the order of their numbers. */
  readonly leaves: readonly Storage[]
  /** Values of the scalar nodes, by number. */
  readonly scalars: readonly number[]
  readonly key: string
  /** Recorded nodes without those that only hand on a value, sources first. */
  readonly #order: Node[] = []
  readonly #leafNumbers = new Map<Storage, number>()
  #program: SharedProgram | null = null

  constructor(roots: readonly Node[], writes: readonly Storage[]) {
    this.targets = [
      ...roots.map((r) => ({ node: resolve(r), write: null })),
      ...writes.map((w) => ({ node: resolve(w.pending[w.pending.length - 1]!), write: w })),
    ]
    const hash = new Hash()
    const scalars: number[] = []
    const walk = newWalk()
    const stack: Node[] = []
    for (const { node } of this.targets) if (node.walk !== walk) this.#walk(node, walk, stack, hash, scalars)
    for (const { node, write } of this.targets) {
      hash.add(node.place)
      hash.add(write ? (this.#leafNumbers.get(write) ?? -2) : -1)
    }
    this.leaves = [...this.#leafNumbers.keys()]
    this.scalars = scalars
    this.key = `${hash.toString()}-${this.#order.length}`
  }

  /** Sources first, in the order of recording: forward before backward before the update. Leaves are among them; equal nodes are one. */
  get nodes(): readonly Node[] {
    return this.#shared().nodes
  }

  /** The targets, as nodes of the program. */
  get outputs(): readonly CaptureOutput[] {
    return this.#shared().outputs
  }

  /** Number of each leaf node and each scalar node. */
  get slots(): ReadonlyMap<Node, number> {
    return this.#shared().slots
  }

  /** Recorded nodes. */
  get size(): number {
    return this.#order.length
  }

  /** Numbers that tell the program from all others, scalars of the run aside: what `key` is a hash of. Holds until it is submitted. */
  description(): Float64Array {
    const list = new NumberList()
    const places = new Map<Node, number>()
    let scalars = 0
    for (const node of this.#order) {
      const storage = memoryOf(node)
      if (storage) addLeaf(node, this.#leafNumbers.get(storage)!, list)
      else {
        addSignature(node, node.op === 'scalar' ? scalars++ : undefined, list)
        for (const s of node.sources) list.add(places.get(resolve(s))!)
      }
      places.set(node, places.size)
    }
    for (const { node, write } of this.targets) {
      list.add(places.get(node)!)
      list.add(write ? (this.#leafNumbers.get(write) ?? -2) : -1)
    }
    return Float64Array.from(list.numbers)
  }

  #shared(): SharedProgram {
    return (this.#program ??= share(this.#order, this.#leafNumbers, this.targets))
  }

  /** Depth first, without recursion; `stack` is empty. Until a node is in the order, its place is that of the next source to look at. */
  #walk(root: Node, walk: number, stack: Node[], hash: Hash, scalars: number[]): void {
    let top = 0
    stack[0] = this.#enter(root, walk)
    while (top >= 0) {
      const node = stack[top]!
      const { sources } = node
      const storage = node.place === 0 ? memoryOf(node) : null
      if (storage || node.place === sources.length) {
        top--
        this.#visit(node, storage, hash, scalars)
        continue
      }
      const s = resolve(sources[node.place++]!)
      if (s.walk !== walk) stack[++top] = this.#enter(s, walk)
    }
  }

  #enter(node: Node, walk: number): Node {
    node.walk = walk
    node.place = 0
    return node
  }

  #visit(node: Node, storage: Storage | null, hash: Hash, scalars: number[]): void {
    if (storage) {
      let slot = this.#leafNumbers.get(storage)
      if (slot === undefined) this.#leafNumbers.set(storage, (slot = this.#leafNumbers.size))
      addLeaf(node, slot, hash)
    } else {
      if (node.op === 'param')
        throw new TraceError(
          `a tensor of shape ${formatShape(node.shape)} that jit.toStatic recorded has left its function by a side door: it has no value. Return it from the function`,
        )
      mixSignature(node, hash)
      if (node.op === 'scalar') hash.add(scalars.push(node.attributes.value) - 1)
      for (const s of node.sources) hash.add(resolve(s).place)
    }
    node.place = this.#order.push(node) - 1
  }
}

/** The memory that holds a resolved node's value, or null while it is only recorded. */
function memoryOf(node: Node): Storage | null {
  if (node.storage) {
    checkFresh(node.storage, 0, node.shape)
    return node.storage
  }
  if (node.op !== 'buffer') return null
  const { storage, version } = node.attributes
  checkFresh(storage, version, node.shape)
  return storage
}

interface SharedProgram {
  readonly nodes: readonly Node[]
  readonly outputs: readonly CaptureOutput[]
  readonly slots: ReadonlyMap<Node, number>
}

/** The program of recorded nodes: equal ones are one, over each other instead of over what only hands on a value. */
function share(
  order: readonly Node[],
  leafNumbers: ReadonlyMap<Storage, number>,
  targets: readonly CaptureOutput[],
): SharedProgram {
  const walk = newWalk()
  /** By place in `order`: the number of the node that stands for it among those that are made. */
  const canonical = new Int32Array(order.length)
  const made: Node[] = []
  /** By number: when a node was recorded first. Leaves by their numbers: when they were made differs from step to step. */
  const recorded = new Float64Array(order.length)
  const numbers = new Map<number, number>()
  const slots = new Map<Node, number>()
  const hash = new Hash()
  let scalars = 0
  let hasBarriers = false
  for (let place = 0; place < order.length; place++) {
    const node = order[place]!
    node.walk = walk
    node.place = place
    const storage = memoryOf(node)
    const isScalar = node.op === 'scalar' && !storage
    const slot = storage ? leafNumbers.get(storage)! : isScalar ? scalars++ : undefined
    hash.reset()
    if (storage) addLeaf(node, slot!, hash)
    else mixSignature(node, hash)
    if (isScalar) hash.add(slot!)
    const sources: Node[] = []
    if (!storage)
      for (const s of node.sources) {
        const source = canonical[resolve(s).place]!
        hash.add(source)
        sources.push(made[source]!)
      }
    // The number of a scalar is its own, so scalars are never shared.
    const key = hash.toNumber()
    const known = numbers.get(key)
    if (known !== undefined && sameShape(made[known]!.shape, node.shape)) {
      canonical[place] = known
      if (!storage) recorded[known] = Math.min(recorded[known]!, node.id)
      continue
    }
    hasBarriers ||= node.op === 'barrier'
    const own = storage ? asLeaf(node, storage) : overSources(node, sources)
    const number = made.push(own) - 1
    canonical[place] = number
    numbers.set(key, number)
    recorded[number] = storage ? slot! - leafNumbers.size : node.id
    if (slot !== undefined) slots.set(own, slot)
  }
  const inOrder = Array.from(made, (_, i) => i).sort((a, b) => recorded[a]! - recorded[b]!)
  let nodes = inOrder.map((i) => made[i]!)
  let outputs = targets.map(({ node, write }): CaptureOutput => ({ node: made[canonical[node.place]!]!, write }))
  if (hasBarriers) {
    const plain = withoutBarriers(
      nodes,
      outputs.map((o) => o.node),
    )
    outputs = outputs.map(({ node, write }) => ({ node: plain.of.get(node)!, write }))
    nodes = plain.nodes
  }
  return { nodes, outputs, slots }
}

function asLeaf(node: Node, storage: Storage): Node {
  return node.op === 'buffer' ? node : leafOf(node, storage)
}

function overSources(node: Node, sources: readonly Node[]): Node {
  const plain = node.op === 'scan' ? plainLoop(node) : node
  return sources.every((s, i) => s === node.sources[i]) ? plain : withSources(plain, sources)
}
