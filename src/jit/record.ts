/** Recording a function once, over placeholders: what toStatic does when no frozen program fits. */
import { TraceError } from '../common/errors.ts'
import { detach, param } from '../graph/build.ts'
import { makeLeaf, recordingMark, topologicalOrder, withGrad, type Node } from '../graph/node.ts'
import { runningPath } from '../nn/call.ts'
import type { Layer } from '../nn/layer.ts'
import { defaultGenerator } from '../tensor/generator.ts'
import type { NodeHolder } from '../tensor/session.ts'
import { mapTensors, tensorsIn } from '../tensor/nested.ts'
import { Tensor } from '../tensor/tensor.ts'
import { withTracer, type OperatorNote, type Tracer } from '../tensor/tracer.ts'
import type { Draw, ProgramWrite, Recording } from './program.ts'

export interface RecordedCall {
  readonly recording: Recording
  /** Layers that were called, with the mode in which they were. */
  readonly layers: ReadonlyMap<Layer, boolean>
  /** Tensors that the layers hold. */
  readonly holders: readonly Tensor[]
  /** What functions said of themselves, in order; only where it was asked for. */
  readonly operators: readonly RecordedOperator[]
}

/** An operator that a function was recorded as, over nodes. */
export interface RecordedOperator {
  readonly type: string
  readonly inputs: Readonly<Record<string, readonly Node[] | null>>
  readonly outputs: Readonly<Record<string, readonly Node[]>>
  readonly attributes: NonNullable<OperatorNote['attributes']>
  /** Path of the layer in which it was called. */
  readonly origin: string
}

/** Takes note of what a function reads, draws and writes while it runs over placeholders. */
class Recorder implements Tracer {
  readonly layers = new Map<Layer, boolean>()
  /** Tensors from before the recording by their node, and the node with which each began. */
  readonly holders = new Map<Node, Tensor>()
  readonly before = new Map<Tensor, Node>()
  readonly draws: { nodes: readonly Node[]; make: Draw['make'] }[] = []
  readonly operators: RecordedOperator[] = []
  readonly operator: Tracer['operator']
  /** Ids from here on belong to the recording. */
  readonly #start = recordingMark()

  constructor(notesOperators: boolean) {
    if (notesOperators) this.operator = this.#note.bind(this)
  }

  /** Whether a node was there before the recording, or is memory that the function brought along. */
  isOutside(node: Node): boolean {
    return node.id < this.#start || node.op === 'buffer'
  }

  read(tensor: NodeHolder, node: Node): void {
    if (node.id < this.#start && !this.holders.has(node)) this.#hold(tensor as Tensor, node)
  }

  #hold(tensor: Tensor, node: Node): void {
    if (this.before.has(tensor)) return
    this.before.set(tensor, node)
    this.holders.set(node, tensor)
  }

  enter(layer: Layer): void {
    if (!this.layers.has(layer)) this.layers.set(layer, layer.training)
  }

  #note(type: string, outputs: Parameters<NonNullable<Tracer['operator']>>[1], note: OperatorNote): void {
    const nodes = (held: NodeHolder | readonly NodeHolder[]): Node[] =>
      ('node' in held ? [held] : held).map((h) => h.node)
    const inputs = mapValues(note.inputs, (held) => (held ? nodes(held) : null))
    const results = mapValues(outputs, nodes)
    // What hands on an operand as it is computes nothing.
    const operands = new Set(Object.values(inputs).flatMap((list) => list ?? []))
    if (Object.values(results).some((list) => list.some((n) => operands.has(n)))) return
    this.operators.push({
      type,
      inputs,
      outputs: results,
      attributes: note.attributes ?? {},
      origin: note.place === undefined ? runningPath() : `${runningPath()}: ${note.place}`,
    })
  }

  fresh(nodes: readonly Node[], make: () => readonly Node[]): void {
    this.draws.push({ nodes, make })
  }

  assign(holder: NodeHolder, value: Node): void {
    const tensor = holder as Tensor
    this.#hold(tensor, tensor.node)
    if (tensor.node.needsGrad)
      throw new TraceError(
        `toStatic: ${tensor.name} is trained and overwritten in the recorded function; write to parameters outside of it`,
      )
    tensor.node = withGrad(false, () => detach(value))
  }

  /** Puts every tensor back to where it began; gives those that had changed, with what they changed to. */
  restore(): ProgramWrite[] {
    const writes: ProgramWrite[] = []
    for (const [tensor, before] of this.before) {
      if (tensor.node !== before) writes.push({ tensor, node: tensor.node })
      tensor.node = before
    }
    return writes
  }
}

function mapValues<V, W>(record: Readonly<Record<string, V>>, map: (value: V) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}

/** Calls `body` with placeholders for the tensors in `args`. Throws TraceError where it cannot be recorded; nothing has changed then. */
export function recordCall(
  body: (...args: unknown[]) => unknown,
  args: readonly unknown[],
  layers: readonly Layer[],
  options: { readonly notesOperators?: boolean } = {},
): RecordedCall {
  const recorder = new Recorder(options.notesOperators ?? false)
  for (const layer of layers) recorder.enter(layer)
  const inputs: Node[] = []
  const placeholders: Tensor[] = []
  const placed = mapTensors(args, (tensor) => {
    const node = { ...param(inputs.length, tensor.dtype, tensor.node.shape), needsGrad: tensor.node.needsGrad } as Node
    inputs.push(node)
    placeholders.push(new Tensor(node, tensor.name))
    return placeholders.at(-1)
  }) as unknown[]
  const generator = defaultGenerator()
  const drawn = generator.getState()
  let writes: ProgramWrite[] = []
  let result: unknown
  try {
    result = withTracer(recorder, () => body(...placed))
  } finally {
    generator.setState(drawn)
    writes = recorder.restore()
  }
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new TraceError('toStatic: the function is async; freeze a synchronous part of it, and await outside')
  }
  placeholders.forEach((tensor, input) => {
    if (tensor.node !== inputs[input]) writes.push({ tensor: { input }, node: tensor.node })
  })
  const roots = [...tensorsIn(result).map((t) => t.node), ...writes.map((w) => w.node)]
  const known = new Set([...inputs, ...recorder.draws.flatMap((d) => d.nodes)])
  const captured = capturedLeaves(roots, known, recorder)
  return {
    recording: { inputs, captured, draws: recorder.draws, writes, result, roots },
    layers: recorder.layers,
    holders: [...recorder.before.keys()],
    operators: recorder.operators,
  }
}

/** Leaves that are neither inputs nor draws: tensors of layers and others from around the function, and memory that it brought along. */
function capturedLeaves(roots: readonly Node[], known: ReadonlySet<Node>, recorder: Recorder): Recording['captured'] {
  const isLeaf = (n: Node): boolean => known.has(n) || recorder.isOutside(n)
  const captured = []
  for (const leaf of topologicalOrder(roots, isLeaf)) {
    if (known.has(leaf) || !isLeaf(leaf)) {
      if (leaf.op === 'detach' && leaf.owner)
        throw new TraceError('toStatic: stopGradient is set inside the recorded function; use detach() there')
      continue
    }
    const tensor = recorder.holders.get(leaf) ?? null
    captured.push({ leaf, tensor, current: tensor ? () => tensor.node : () => latest(leaf) })
  }
  return captured
}

/** A leaf over memory as it is now. */
function latest(leaf: Node): Node {
  if (leaf.op !== 'buffer') return leaf
  const { storage, version } = leaf.attributes
  if (storage.latest === version) return leaf
  return makeLeaf(storage, leaf.shape, leaf.needsGrad, leaf.needsGrad ? leaf.owner : null) as Node
}
