/**
 * What is kept in memory and what is computed where it is used. Contractions, scatters, sorts and loops always end in memory; views,
 * elementwise work and small row reductions are fused into whoever uses them, as long as that repeats little.
 */
import { isFloat, sizeOf } from '../common/dtype.ts'
import { numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { opInfo } from '../graph/ops.ts'
import { drawnNodes, isElementwise, isUniform } from './draws.ts'
import { joinOf, runOf, type Join } from './joins.ts'
import { operationWeight } from './weight.ts'
import { elementsOf, isWidening, stridedView } from './views.ts'

/** Ops with kernels of their own, whose results are always in memory. */
const ownKernel = new Set([
  'contract',
  'scatter',
  'argsort',
  'cumulate',
  'scan',
  'attention',
  'attentionGradient',
  'output',
])

/** Repeating this much work an element costs about as much as storing and loading it while it is in a cache. */
const repeatLimit = 8
/**
 * And where it is not, because there are more bytes than that, if it is made of one other value only, so that as much is read either way: the
 * error function of a GELU (weight 12) is computed again for the gradient, which takes less time than writing it out and reading it back, and
 * a tenth less memory.
 */
const farLimit = 16
const farBytes = 2 ** 21
/** Longest row that a kernel reduces again instead of reading the result from memory. */
const repeatedRow = 2048
/** Longest chain of nodes that one kernel computes: more gains nothing, and compilers take time over long functions. */
const longestChain = 200
/** Most nodes behind a contraction that are looked at for its store. */
const longestEpilogue = 32
/** Most parts of a join, and fewest elements that lie side by side, for a kernel to be worth while for each. */
const mostParts = 16
const shortestRun = 16
/** Longest row that is reduced inside the kernel that uses it. */
const fusedRow = 65536

export class Fusion {
  readonly #materialized = new Set<Node>()
  readonly #nodes: readonly Node[]
  #usersOf: Map<Node, Node[]> | null = null
  readonly #repeats = new Map<Node, number>()
  readonly #joins = new Map<Node, Join>()
  /** The nodes through which joins read their parts. */
  readonly #joinPads = new Set<Node>()

  /** `required`: results, and nodes that proved impossible to fuse. `given`: nodes that are in memory from the start. */
  constructor(nodes: readonly Node[], required: Iterable<Node>, given: ReadonlySet<Node>, decided = false) {
    this.#nodes = nodes
    this.#findJoins()
    if (decided) {
      for (const n of required) this.#materialized.add(n)
      return
    }
    for (const n of this.#joins.keys()) this.#materialized.add(n)
    for (const n of given) this.#materialized.add(n)
    for (const n of required) this.#materialized.add(n)
    for (const n of nodes) if (ownKernel.has(n.op) || n.op === 'buffer') this.#materialized.add(n)
    this.#requireOperands()
    for (const n of drawnNodes(nodes, this.isMaterialized)) this.#materialized.add(n)
    this.#requireFactors()
    this.#requireEpilogues()
    this.#cutChains()
    this.#decide()
    // Deciding may have cut a chain of views: operands may have a nearer base now, never a farther one.
  }

  /** A decision that was made before: what is in memory, the given nodes among it. */
  static decided(nodes: readonly Node[], materialized: Iterable<Node>): Fusion {
    return new Fusion(nodes, materialized, new Set(), true)
  }

  /** Who reads each node. Few ask for it where all is decided. */
  get #users(): ReadonlyMap<Node, Node[]> {
    if (this.#usersOf) return this.#usersOf
    const made = new Map<Node, Node[]>()
    for (const n of this.#nodes) {
      for (const s of n.sources) {
        const users = made.get(s)
        if (users) users.push(n)
        else made.set(s, [n])
      }
    }
    return (this.#usersOf = made)
  }

  isMaterialized = (node: Node): boolean => this.#materialized.has(node)

  /** What a node joins, if its parts are written to their places. */
  joinAt(node: Node): Join | undefined {
    return this.#joins.get(node)
  }

  /** Whether one node alone reads another. */
  isUsedOnce = (node: Node): boolean => this.#users.get(node)?.length === 1

  /**
   * Joins whose parts have long enough runs. Not in bodies of loops, where a launch for each part, in every iteration, costs more than looking
   * up every part.
   */
  #findJoins(): void {
    if (this.#nodes.some((n) => n.op === 'param')) return
    const inner = new Set<Node>()
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const n = this.#nodes[i]!
      const join = joinOf(n, this.isUsedOnce)
      if (!join || inner.has(n)) continue
      for (const pad of join.pads) inner.add(pad.sources[0]!)
      if (join.parts.length > mostParts || join.parts.some((p) => runOf(p.node.shape, join.axis) < shortestRun))
        continue
      this.#joins.set(n, join)
      for (const pad of join.pads) this.#joinPads.add(pad)
    }
  }

  /** Nodes that need a kernel, in order. */
  sinks(): Node[] {
    return this.#nodes.filter(
      (n) => this.#materialized.has(n) && n.op !== 'buffer' && n.op !== 'output' && n.op !== 'param',
    )
  }
  /** Operands of ops with their own kernels: contractions read strided views of memory, the others dense memory. */
  #requireOperands(): void {
    for (const n of this.#nodes) {
      if (n.op === 'contract')
        for (const s of n.sources) this.#materialized.add(stridedView(s, this.isMaterialized).base)
      else if (n.op === 'attention' || n.op === 'attentionGradient') {
        // Numbers of the run among them (the place of the draws) are arguments as they are.
        for (const s of n.sources)
          if (s.op !== 'scalar') this.#materialized.add(stridedView(s, this.isMaterialized).base)
      } else if (n.op === 'scatter' || n.op === 'argsort' || n.op === 'cumulate' || n.op === 'scan') {
        // What is added to is computed where the sum will be.
        for (const s of n.op === 'scatter' ? n.sources.slice(1) : n.sources) this.#materialized.add(s)
      } else if (n.op === 'gather') this.#materialized.add(elementsOf(n.sources[0]!, this.isMaterialized))
    }
  }

  /**
   * What is repeated over the elements of a contraction (the scale of a normalisation, of its running variance) is computed once and read
   * where the contraction is stored, instead of being computed for each element.
   */
  #requireFactors(): void {
    const near = new Set<Node>()
    for (const n of this.#nodes) {
      const isNear = (s: Node): boolean => s.op === 'contract' || near.has(s)
      if (!(isElementwise(n) || n.op === 'reshape' || n.op === 'detach') || !n.sources.some(isNear)) continue
      near.add(n)
      for (const s of n.sources) {
        let base = s
        while (base.op === 'expand' || base.op === 'reshape') base = base.sources[0]!
        if (numel(base.shape) < numel(s.shape) && isElementwise(base) && !isUniform(base) && !this.#reduces(base))
          this.#materialized.add(base)
      }
    }
  }

  /**
   * The last elementwise value that a contraction alone leads to (a convolution with its bias and activation) is what its store should give:
   * kernels behind it that sum, pool or repeat would otherwise compute it where they read it, often several times.
   */
  #requireEpilogues(): void {
    const places = new Map(this.#nodes.map((n, i) => [n, i]))
    for (const n of this.#nodes) {
      if (n.op !== 'contract' || !isFloat(n.dtype)) continue
      const last = this.#lastOfEpilogue(n, places)
      if (last) this.#materialized.add(narrowest(last))
    }
  }

  /** Follows a contraction through elementwise users until one of its values has another user; null where nothing follows. */
  #lastOfEpilogue(contract: Node, places: ReadonlyMap<Node, number>): Node | null {
    const size = numel(contract.shape)
    const pending = new Set(this.#users.get(contract))
    let last: Node | null = null
    for (let visited = 0; pending.size > 0 && visited < longestEpilogue; visited++) {
      const next = [...pending].reduce((a, b) => (places.get(a)! <= places.get(b)! ? a : b))
      const isPlain = isElementwise(next) || next.op === 'reshape' || next.op === 'detach'
      if (!isPlain || numel(next.shape) !== size) break
      pending.delete(next)
      // Everything computed so far is used by this node alone.
      if (pending.size === 0 && isElementwise(next)) last = next
      if (this.#materialized.has(next)) break
      for (const u of this.#users.get(next) ?? []) pending.add(u)
    }
    return last
  }

  /** Whether the kernel that computes a node has sums to do for it. */
  #reduces(node: Node): boolean {
    if (this.#materialized.has(node)) return false
    return opInfo(node.op).group === 'reduce' || node.sources.some((s) => this.#reduces(s))
  }

  /** Whether a node is made elementwise of one value in memory, numbers, and what is repeated along it. */
  #readsOne(node: Node): boolean {
    const read = new Set<Node>()
    const visit = (n: Node): boolean => {
      if (this.#materialized.has(n)) {
        if (numel(n.shape) === numel(node.shape)) read.add(n)
        return read.size <= 1
      }
      const { group } = opInfo(n.op)
      return (group === 'leaf' || group === 'view' || isElementwise(n)) && n.sources.every(visit)
    }
    return visit(node) && read.size === 1
  }

  #cutChains(): void {
    const depths = new Map<Node, number>()
    for (const n of this.#nodes) {
      let depth = 1
      for (const s of n.sources) if (!this.#materialized.has(s)) depth = Math.max(depth, depths.get(s)! + 1)
      depths.set(n, depth)
      if (depth >= longestChain) this.#materialized.add(n)
    }
  }

  #decide(): void {
    const weights = new Map<Node, number>()
    for (const n of this.#nodes) {
      let w = operationWeight(n)
      if (!this.#materialized.has(n)) {
        // What is repeated along an axis is computed once and kept outside the loop over it.
        const share = n.op === 'expand' ? numel(n.sources[0]!.shape) / Math.max(numel(n.shape), 1) : 1
        for (const s of n.sources) w += this.#materialized.has(s) ? 0.5 : weights.get(s)! * share
      }
      weights.set(n, Math.min(w, 1e6))
    }
    const sinks = new Map<Node, Set<Node>>()
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const n = this.#nodes[i]!
      if (this.#materialized.has(n)) continue
      const reached = new Set<Node>()
      for (const u of this.#users.get(n) ?? []) {
        // Each part of a join has a kernel of its own.
        if (this.#materialized.has(u) || this.#joinPads.has(u)) reached.add(u)
        else for (const s of sinks.get(u) ?? []) reached.add(s)
      }
      sinks.set(n, reached)
      const repeats = this.#windowRepeats(n)
      if (this.#shouldStore(n, reached, weights.get(n)!, repeats)) this.#materialized.add(narrowest(n))
    }
  }

  /** How often windows that overlap visit each element of a node: 2.25 times for windows of 3x3 with stride 2. */
  #windowRepeats(n: Node): number {
    const known = this.#repeats.get(n)
    if (known !== undefined) return known
    const own = n.op === 'window' ? numel(n.shape) / Math.max(numel(n.sources[0]!.shape), 1) : 1
    let most = 1
    for (const u of this.#users.get(n) ?? []) {
      if (opInfo(u.op).group === 'view' && !this.#materialized.has(u)) most = Math.max(most, this.#windowRepeats(u))
    }
    this.#repeats.set(n, own * most)
    return own * most
  }

  #shouldStore(n: Node, sinks: ReadonlySet<Node>, weight: number, repeats: number): boolean {
    const { group } = opInfo(n.op)
    if (group === 'leaf') return false
    // Padding that windows read needs tests at each of them, one element at a time.
    if (group === 'view') return n.op === 'pad' && repeats > 1
    if (isElementwise(n) && repeats > 1 && weight * repeats > repeatLimit) return true
    if (group === 'reduce') {
      const domain = numel(n.sources[0]!.shape)
      const rows = numel(n.shape)
      const row = rows === 0 ? 0 : domain / rows
      if (row > fusedRow) return ![...sinks].every((s) => numel(s.shape) === rows)
      const onlySameSize = [...sinks].every((s) => numel(s.shape) <= rows)
      if (rows < 16 && domain > 8192 && !onlySameSize) return true
      if (sinks.size <= 1) return false
      // Rows that lie apart in memory (the windows of a pool) are reduced for each element that uses them, not once a row.
      const repeats = isApart(n) && !onlySameSize ? row : 1
      return sinks.size > 3 || row > repeatedRow || weight * repeats > 2 * repeatLimit
    }
    if (sinks.size <= 1) return false
    const isFar = numel(n.shape) * sizeOf(n.dtype) > farBytes && this.#readsOne(n)
    const limit = isFar ? farLimit : repeatLimit
    return weight > limit || (sinks.size > 3 && weight > limit / 2)
  }
}

/** Whether a reduction leaves axes behind the ones it reduces. */
function isApart(n: Node): boolean {
  if (!('axes' in n.attributes)) return false
  const { axes } = n.attributes
  const last = n.sources[0]!.shape.findLastIndex((size, i) => size > 1 && !axes.includes(i))
  return axes.some((a) => a < last)
}

/** What to store instead of a float cast to a wider dtype: what was cast, which takes less memory and is as good. */
function narrowest(node: Node): Node {
  let n = node
  while (isWidening(n)) n = n.sources[0]!
  return n
}
