/** A layer as a draft: recorded once, in the mode that it is in, over placeholders of given sizes. */
import { TraceError } from '../../../../common/errors.ts'
import { sameShape, type Shape } from '../../../../common/shape.ts'
import { param } from '../../../../graph/build.ts'
import { handedOn, withGrad, type Node } from '../../../../graph/node.ts'
import { recordCall, type RecordedCall, type RecordedOperator } from '../../../../jit/record.ts'
import type { Layer } from '../../../../nn/layer.ts'
import { tensorsIn } from '../../../../tensor/nested.ts'
import { fromHost, Tensor } from '../../../../tensor/tensor.ts'
import { operatorOf } from '../operators/table.ts'
import type { ValueInfo } from '../program.ts'
import { neededOperations } from '../prune.ts'
import { DraftWriter, type Draft } from './draft.ts'
import { writeNode, type Draftsman } from './primitives.ts'

/** Something that can be recorded: a layer, or a function over tensors. */
export type Exportable = Layer | ((...inputs: Tensor[]) => unknown)

export interface RecordedDraft extends Draft {
  /** The tensors that leaves are the values of, where they have one. */
  readonly tensors: ReadonlyMap<string, Tensor>
}

/** Records `target` over inputs of these shapes. Throws TraceError for what cannot be recorded or written. */
export function recordDraft(
  target: Exportable,
  layers: readonly Layer[],
  inputs: readonly ValueInfo[],
  shapes: readonly Shape[],
): RecordedDraft {
  const body = target as (...args: unknown[]) => unknown
  const call = withGrad(false, () => {
    const placeholders = inputs.map(({ dtype }, i) => new Tensor(param(i, dtype, [...shapes[i]!])))
    return recordCall(body, placeholders, layers, { notesOperators: true })
  })
  const [write] = call.recording.writes
  if (write)
    throw new TraceError(
      `export: the layer overwrites ${write.tensor instanceof Tensor ? write.tensor.name : 'its input'}; what is exported computes only. Call eval() on it first`,
    )
  return new RecordingWriter(call, inputs).draft()
}

class RecordingWriter implements Draftsman {
  readonly writer = new DraftWriter()
  readonly #call: RecordedCall
  readonly #inputs: readonly ValueInfo[]
  readonly #names = new Map<Node, string>()
  /** The operator that a node is the result of. */
  readonly #operators = new Map<Node, RecordedOperator>()
  /** Inputs and leaves. */
  readonly #given = new Set<Node>()
  readonly #drawn = new Set<Node>()
  readonly #leaves = new Map<string, Node>()
  readonly #tensors = new Map<string, Tensor>()

  constructor(call: RecordedCall, inputs: readonly ValueInfo[]) {
    this.#call = call
    this.#inputs = inputs
    const { recording } = call
    recording.inputs.forEach((node, i) => this.#give(node, inputs[i]!.name))
    recording.captured.forEach(({ leaf, tensor }) => {
      const name = this.#leafName(tensor?.name)
      if (tensor) this.#tensors.set(name, tensor)
      this.#leaves.set(name, leaf)
      this.#give(leaf, name)
    })
    for (const { nodes } of recording.draws) for (const n of nodes) this.#drawn.add(n)
    for (const operator of call.operators)
      for (const nodes of Object.values(operator.outputs)) for (const n of nodes) this.#operators.set(n, operator)
  }

  #give(node: Node, name: string): void {
    this.#given.add(node)
    this.#name(node, name)
  }

  #name(node: Node, name: string): void {
    this.#names.set(node, this.writer.declare(name, node))
  }

  /** Names of leaves are those of their tensors, made unique. */
  #leafName(name: string | undefined): string {
    const base = name && !name.startsWith('generated_tensor_') ? name : 'constant'
    let [own, n] = [base === 'constant' ? 'constant_0' : base, 0]
    while (this.writer.values.has(own)) own = `${base}_${++n}`
    return own
  }

  draft(): RecordedDraft {
    const results = tensorsIn(this.#call.recording.result).map((t) => t.node)
    if (results.length === 0) throw new TraceError('export: the layer returns no tensor')
    for (const node of this.#order(results)) this.#write(node)
    const outputs = results.map((node) => this.#output(this.nameOf(node)))
    return {
      inputs: this.#inputs.map((i) => i.name),
      outputs,
      operations: neededOperations(this.writer.operations, outputs),
      values: this.writer.values,
      leaves: this.#leaves,
      tensors: this.#tensors,
    }
  }

  /** An output that nothing computes is handed on by an operator of its own. */
  #output(name: string): string {
    const isComputed = this.writer.operations.some((o) => Object.values(o.outputs).flat().includes(name))
    return isComputed ? name : this.writer.emit('assign', { x: name }, {}, this.writer.values.get(name)!)
  }

  isNamed(node: Node): boolean {
    return this.#given.has(node) || this.#operators.has(node)
  }

  behind(node: Node): Node {
    let n = node
    while (!this.isNamed(n)) {
      const isAlias = n.op === 'reshape' && sameShape(n.shape, n.sources[0]!.shape)
      const next = isAlias || n.op === 'barrier' ? n.sources[0]! : handedOn(n)
      if (!next) break
      n = next
    }
    return n
  }

  nameOf(node: Node): string {
    const n = this.behind(node)
    return this.#names.get(n) ?? this.#write(n)
  }

  constant(values: readonly number[], dtype: 'int64', shape: Shape): string {
    const tensor = fromHost({ dtype, shape: [...shape], data: BigInt64Array.from(values, BigInt) })
    const name = this.#leafName(undefined)
    this.#leaves.set(name, tensor.node)
    return this.writer.declare(name, tensor.node)
  }

  /** What a node is computed from, as it will be written. */
  #sources(node: Node): readonly Node[] {
    if (this.#names.has(node)) return []
    const operator = this.#operators.get(node)
    return (operator ? Object.values(operator.inputs).flatMap((nodes) => nodes ?? []) : node.sources).map((n) =>
      this.behind(n),
    )
  }

  /** Sources first, without recursion: programs may be deep. */
  #order(roots: readonly Node[]): Node[] {
    const order: Node[] = []
    const state = new Map<Node, number>()
    const stack = roots.map((r) => this.behind(r)).reverse()
    while (stack.length > 0) {
      const node = stack.at(-1)!
      const sources = this.#sources(node)
      const next = state.get(node) ?? 0
      if (next < sources.length) {
        state.set(node, next + 1)
        if (!state.has(sources[next]!)) stack.push(sources[next]!)
        continue
      }
      stack.pop()
      if (next === Infinity) continue
      state.set(node, Infinity)
      order.push(node)
    }
    return order
  }

  #write(node: Node): string {
    const known = this.#names.get(node)
    if (known !== undefined) return known
    const operator = this.#operators.get(node)
    if (!operator) {
      if (this.#drawn.has(node))
        throw new TraceError('export: the layer draws random numbers; call eval() on it, or draw outside of it')
      const name = writeNode(node, this)
      this.#names.set(node, name)
      return name
    }
    this.writer.origin = operator.origin
    this.#writeOperator(operator)
    return this.#names.get(node)!
  }

  #writeOperator({ type, inputs, outputs, attributes, origin }: RecordedOperator): void {
    const operands = Object.fromEntries(
      Object.entries(inputs).map(([slot, nodes]) => {
        const names = nodes?.map((n) => this.nameOf(n)) ?? null
        return [slot, isList(type, slot) ? (names ?? []) : (names?.[0] ?? null)]
      }),
    )
    const results = Object.fromEntries(
      Object.entries(outputs).map(([slot, nodes]) => {
        const names = nodes.map((n) => {
          const name = this.writer.fresh(type)
          this.#name(n, name)
          return name
        })
        return [slot, isList(type, slot) ? names : names[0]!]
      }),
    )
    this.writer.operations.push({ type, inputs: operands, outputs: results, attributes: { ...attributes }, origin })
  }
}

/** Whether the operator table has a list in a slot. */
function isList(type: string, slot: string): boolean {
  const row = operatorOf(type)
  return row.inputs.includes(`${slot}*`) || row.outputs.includes(`${slot}*`)
}
