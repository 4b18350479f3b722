/**
 * ConcreteProgram: a recording that was frozen. Its nodes stand over `param` leaves: the inputs, then what is read anew on each run
 * (parameters, buffers), then what is drawn anew. A run substitutes these leaves; no code of a layer runs.
 */
import { param } from '../graph/build.ts'
import { topologicalOrder, withSources, type Node } from '../graph/node.ts'
import { mapTensors } from '../tensor/nested.ts'
import { Tensor } from '../tensor/tensor.ts'

/** What the recording read besides its inputs. `tensor` is null for a value that no known tensor holds. */
export interface CapturedLeaf {
  readonly tensor: Tensor | null
  /** The `param` node that stands for it. */
  readonly node: Node
  /** The node to read in the next run. */
  current(): Node
}

/** Nodes that each run makes anew. */
export interface Draw {
  readonly nodes: readonly Node[]
  make(): readonly Node[]
}

/** An in-place change at the end of a run: a buffer that takes a new value, or an input that was changed. */
export interface ProgramWrite {
  readonly tensor: Tensor | { readonly input: number }
  readonly node: Node
}

/** What a trace found: nodes as they were recorded, and what stands for what. */
export interface Recording {
  readonly inputs: readonly Node[]
  readonly captured: readonly { readonly leaf: Node; readonly tensor: Tensor | null; readonly current: () => Node }[]
  readonly draws: readonly { readonly nodes: readonly Node[]; readonly make: () => readonly Node[] }[]
  readonly writes: readonly ProgramWrite[]
  /** The function's result; its tensors hold recorded nodes. */
  readonly result: unknown
  /** Outputs and written values. */
  readonly roots: readonly Node[]
}

interface Step {
  readonly node: Node
  /** Places of the sources; null for a node that depends on nothing that changes: it is used as it is. */
  readonly sources: readonly number[] | null
}

const unchanging = new Set(['constant', 'scalar', 'iota'])

export class ConcreteProgram {
  /** `param` leaves of the tensor inputs, in order. */
  readonly inputs: readonly Node[]
  readonly captured: readonly CapturedLeaf[]
  readonly draws: readonly Draw[]
  /** All other nodes, sources first, in the order of recording. */
  readonly nodes: readonly Node[]
  readonly writes: readonly ProgramWrite[]
  readonly #steps: readonly Step[]
  readonly #places = new Map<Node, number>()
  readonly #result: unknown

  constructor(recording: Recording) {
    const replaced = new Map<Node, Node>()
    let index = 0
    const toParam = (leaf: Node): Node => {
      const made = { ...param(index++, leaf.dtype, leaf.shape), needsGrad: leaf.needsGrad } as Node
      replaced.set(leaf, made)
      this.#places.set(made, this.#places.size)
      return made
    }
    this.inputs = recording.inputs.map(toParam)
    this.captured = recording.captured.map(({ leaf, tensor, current }) => ({ tensor, node: toParam(leaf), current }))
    this.draws = recording.draws.map(({ nodes, make }) => ({ nodes: nodes.map(toParam), make }))

    const order = topologicalOrder(recording.roots, (n) => replaced.has(n)).filter((n) => !replaced.has(n))
    order.sort((a, b) => a.id - b.id)
    const fixed = new Set<Node>()
    this.#steps = order.map((recorded): Step => {
      const sources = recorded.sources.map((s) => replaced.get(s)!)
      // Hooks stay: they belong to the tensor that owns the node.
      const node = { ...withSources(recorded, sources), owner: recorded.owner } as Node
      replaced.set(recorded, node)
      const isFixed =
        !node.needsGrad && (sources.length === 0 ? unchanging.has(node.op) : sources.every((s) => fixed.has(s)))
      if (isFixed) fixed.add(node)
      const places = isFixed ? null : sources.map((s) => this.#places.get(s)!)
      this.#places.set(node, this.#places.size)
      return { node, sources: places }
    })
    this.nodes = this.#steps.map((s) => s.node)
    this.writes = recording.writes.map((w) => ({ tensor: w.tensor, node: replaced.get(w.node)! }))
    this.#result = mapTensors(recording.result, (t) => new Tensor(replaced.get(t.node)!, t.name))
  }

  /** The result as it was recorded: its tensors hold nodes of this program. */
  get result(): unknown {
    return this.#result
  }

  /** Records the program anew over these inputs, and gives the function's result. */
  run(inputs: readonly Tensor[]): unknown {
    const values: Node[] = inputs.map((t) => t.node)
    for (const c of this.captured) values.push(c.current())
    for (const d of this.draws) values.push(...d.make())
    for (const { node, sources } of this.#steps) {
      if (!sources) {
        values.push(node)
        continue
      }
      const made = withSources(
        node,
        sources.map((place) => values[place]!),
      )
      made.owner = node.owner
      values.push(made)
    }
    const valueOf = (node: Node): Node => values[this.#places.get(node)!]!
    const result = mapTensors(
      this.#result,
      (t) => this.#existing(t.node, inputs) ?? new Tensor(valueOf(t.node), t.name),
    )
    for (const { tensor, node } of this.writes) {
      const value = valueOf(node)
      if (tensor instanceof Tensor) tensor.assign(new Tensor(value))
      else inputs[tensor.input]!.node = value
    }
    return result
  }

  /** The caller's own tensor where the function returned an input, or a tensor that it holds, as it is. */
  #existing(node: Node, inputs: readonly Tensor[]): Tensor | null {
    const place = this.#places.get(node)!
    if (place < inputs.length) return inputs[place]!
    return this.captured[place - inputs.length]?.tensor ?? null
  }
}
