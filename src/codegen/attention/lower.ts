/** An attention, or its gradient, as steps over memory: which nodes are read, and what stands for each parameter of the kernels. */
import { sizeOf } from '../../common/dtype.ts'
import { InternalError } from '../../common/errors.ts'
import { contiguousStrides } from '../../common/shape.ts'
import { attentionSizes, attentionSources } from '../../graph/attention.ts'
import type { Node, NodeOf } from '../../graph/node.ts'
import { stridedView } from '../../schedule/views.ts'
import type { Capabilities } from '../capabilities.ts'
import { MaterializeRequest, type Surroundings } from '../expression.ts'
import type { ContractArgument, ContractStep } from '../contract/problem.ts'
import type { Step, StepArgument } from '../step.ts'
import { backwardSteps } from './backward.ts'
import { forwardStep } from './forward.ts'
import { operandNumbers, scalarNumbers, type AttentionProblem, type HeadsView, type MaskView } from './problem.ts'

export type AttentionNode = NodeOf<'attention'> | NodeOf<'attentionGradient'>

/** A node in memory that is read, or the number of a result. */
export type AttentionRole = Node | number

export interface LoweredAttention {
  readonly reads: readonly Node[]
  /** `isDifferentiated`: whether anything but the first result of an attention is wanted. */
  readonly lower: (capabilities: Capabilities, isDifferentiated: boolean) => readonly Step<AttentionRole>[]
}

/** Throws MaterializeRequest for an operand that must be in memory first. */
export function lowerAttention(node: AttentionNode, surroundings: Surroundings): LoweredAttention {
  const { query, key, value, mask, draws, rest } = attentionSources(node)
  if (sizeOf(query.dtype) > 4)
    throw new InternalError(`attention in ${query.dtype}: kernels compute in float32; compose`)
  const reads = new Map<number, Node>()
  const heads = (operand: keyof typeof operandNumbers, n: Node): HeadsView => {
    const view = stridedView(n, surroundings.isMaterialized)
    if (!surroundings.isMaterialized(view.base)) throw new MaterializeRequest(view.base)
    const [batch, position, head, feature] = view.strides as [number, number, number, number]
    if (feature !== 1 && n.shape[3] !== 1) throw new MaterializeRequest(n)
    reads.set(operandNumbers[operand], view.base)
    return { dtype: n.dtype, offset: view.offset, batch, position, head }
  }
  const dense = (operand: keyof typeof operandNumbers, n: Node): void => {
    if (!surroundings.isMaterialized(n)) throw new MaterializeRequest(n)
    reads.set(operandNumbers[operand], n)
  }
  const masked = (n: Node): MaskView => {
    dense('mask', n)
    const strides = contiguousStrides(n.shape).map((s, i) => (n.shape[i] === 1 ? 0 : s))
    return { dtype: n.dtype, offset: 0, strides: strides as unknown as MaskView['strides'] }
  }
  const { scale, isCausal, dropout: p } = node.attributes
  const areNumbers = draws?.every((n) => n.op === 'scalar') ?? false
  if (draws && !areNumbers && node.op === 'attention') {
    dense('stream', draws[0])
    dense('offset', draws[1])
  }
  const problem: Omit<AttentionProblem, 'capabilities'> = {
    sizes: attentionSizes(query.shape, key.shape, value.shape),
    scale,
    isCausal,
    mask: mask && masked(mask),
    dropout: draws && { place: areNumbers ? 'numbers' : 'memory' },
    query: heads('query', query),
    key: heads('key', key),
    value: heads('value', value),
  }
  const numbers: StepArgument<AttentionRole>[] = []
  numbers[scalarNumbers.scale] = { kind: 'number', value: scale }
  // Draws are multiples of 2^-24, compared with p as float32 has it.
  numbers[scalarNumbers.threshold] = { kind: 'number', value: Math.ceil(Math.fround(p) * 2 ** 24) }
  numbers[scalarNumbers.kept] = { kind: 'number', value: 1 / (1 - p) }
  if (draws && areNumbers) {
    numbers[scalarNumbers.stream] = { kind: 'scalar', slot: surroundings.scalarSlot(draws[0]) }
    numbers[scalarNumbers.offset] = { kind: 'scalar', slot: surroundings.scalarSlot(draws[1]) }
  }
  const bind = (a: ContractArgument): StepArgument<AttentionRole> => {
    switch (a.kind) {
      case 'operand':
        return { kind: 'memory', role: reads.get(a.number)! }
      case 'result':
        return { kind: 'memory', role: a.number }
      case 'scalar':
        return numbers[a.number]!
      case 'scratch':
        return { kind: 'scratch' }
      case 'index':
        return a
      default:
        throw new InternalError(`attention: an argument of kind ${a.kind}`)
    }
  }
  const bound = (steps: readonly ContractStep[]): Step<AttentionRole>[] =>
    steps.map((s) => ({ ...s, arguments: s.arguments.map(bind) }))
  const results = node.attributes.results.map((r) => r.dtype)
  if (node.op === 'attention') {
    return {
      reads: [...new Set(reads.values())],
      lower: (capabilities, isDifferentiated) =>
        bound([forwardStep({ ...problem, capabilities, outDType: results[0]!, isDifferentiated })]),
    }
  }
  const [given, result, logarithms, decisions] = rest as [Node, Node, Node, Node?]
  dense('logarithms', logarithms)
  if (decisions) dense('decisions', decisions)
  const backward = {
    ...problem,
    given: heads('given', given),
    result: heads('result', result),
    outDTypes: [results[0]!, results[1]!, results[2]!] as const,
  }
  return {
    reads: [...new Set(reads.values())],
    lower: (capabilities) => bound(backwardSteps({ ...backward, capabilities })),
  }
}
