/**
 * Nodes as integers, which tell them from others: what captures and nests are looked up by. Sizes are among them; numbers of the run are not.
 */
import { dtypes, type DType } from '../common/dtype.ts'
import { Hash } from '../common/hash.ts'
import { topologicalOrder, type ContractAxis, type Node, type NodeOf } from '../graph/node.ts'
import { opTable, type OpName } from '../graph/ops.ts'

const opNumbers = new Map(Object.keys(opTable).map((op, i) => [op as OpName, i]))
const dtypeNumbers: ReadonlyMap<DType, number> = new Map(dtypes.map((d, i) => [d, i]))
const doubles = new Float64Array(1)
const words = new Int32Array(doubles.buffer)

/** Takes integers one by one: a hash, or a list of them. */
export interface NumberSink {
  add(n: number): void
}

/** Integers as a list. */
export class NumberList implements NumberSink {
  readonly numbers: number[] = []

  add(n: number): void {
    this.numbers.push(n)
  }
}

function addAll(out: NumberSink, numbers: readonly number[]): void {
  for (let i = 0; i < numbers.length; i++) out.add(numbers[i]!)
}

function addDouble(out: NumberSink, value: number): void {
  doubles[0] = value
  out.add(words[0]!)
  out.add(words[1]!)
}

export function addAxes(out: NumberSink, axes: readonly ContractAxis[]): void {
  out.add(axes.length)
  for (const a of axes) {
    if (typeof a === 'number') out.add(a)
    else addAll(out, [-1000, a.position, a.tap, a.stride, a.dilation, a.padding])
  }
}

export function addOp(out: NumberSink, op: OpName): void {
  out.add(opNumbers.get(op)!)
}

export function addDType(out: NumberSink, dtype: DType): void {
  out.add(dtypeNumbers.get(dtype)!)
}

function addHead(op: OpName, { dtype, shape }: Node, out: NumberSink): void {
  out.add(opNumbers.get(op)!)
  out.add(dtypeNumbers.get(dtype)!)
  out.add(shape.length)
  addAll(out, shape)
}

/** A leaf's dtype, shape and number. */
export function addLeaf(node: Node, slot: number, out: NumberSink): void {
  addHead('buffer', node, out)
  out.add(slot)
}

/** Integers that tell a node from others with the same sources: op, dtype, shape and attributes. */
export function addSignature(node: Node, slot: number | undefined, out: NumberSink): void {
  addHead(node.op, node, out)
  switch (node.op) {
    case 'buffer':
    case 'scalar':
      out.add(slot ?? -1)
      break
    case 'constant':
      addDouble(out, Number(node.attributes.value))
      if (typeof node.attributes.value === 'bigint')
        addAll(out, [
          Number(BigInt.asIntN(32, node.attributes.value)),
          Number(BigInt.asIntN(32, node.attributes.value >> 32n)),
        ])
      break
    case 'iota':
    case 'gather':
      out.add(node.attributes.axis)
      break
    case 'param':
    case 'output':
      out.add(node.attributes.index)
      break
    case 'permute':
      addAll(out, node.attributes.order)
      break
    case 'pad':
      addAll(out, node.attributes.low)
      break
    case 'slice':
      addAll(out, node.attributes.start)
      addAll(out, node.attributes.step)
      break
    case 'flip':
    case 'reduceSum':
    case 'reduceMax':
    case 'reduceMin':
    case 'reduceProd':
    case 'argmax':
    case 'argmin':
      addAll(out, node.attributes.axes)
      break
    case 'window':
      addAll(out, [node.attributes.axis, node.attributes.stride, node.attributes.dilation])
      break
    case 'cumulate':
      addAll(out, [node.attributes.axis, ['sum', 'prod', 'max', 'min'].indexOf(node.attributes.kind)])
      break
    case 'contract':
      addAxes(out, node.attributes.lhs)
      addAxes(out, node.attributes.rhs)
      addAxes(out, node.attributes.out)
      break
    case 'scatter':
      addAll(out, [node.attributes.axis, node.attributes.mode === 'add' ? 0 : 1])
      break
    case 'argsort':
      addAll(out, [node.attributes.axis, node.attributes.descending ? 1 : 0])
      break
    case 'attention':
    case 'attentionGradient': {
      const { scale, isCausal, isMasked, dropout } = node.attributes
      addDouble(out, scale)
      addDouble(out, dropout)
      addAll(out, [isCausal ? 1 : 0, isMasked ? 1 : 0])
      break
    }
    case 'scan':
      addAll(out, [
        node.attributes.carries,
        node.attributes.sequences,
        node.attributes.length,
        node.attributes.reverse ? 1 : 0,
      ])
      addAll(out, bodySignature(node))
      break
    default:
  }
}

const own = new Hash()

/** Mixes in what tells a node from others with the same sources, all but the number of a scalar. Found once for a node. */
export function mixSignature(node: Node, out: Hash): void {
  if (node.signatureLow === 0 && node.signatureHigh === 0) {
    // The bodies of loops are hashed on the way, with other hashes than this one.
    own.reset()
    addSignature(node, undefined, own)
    node.signatureLow = own.low
    node.signatureHigh = own.high
  }
  out.add(node.signatureLow)
  out.add(node.signatureHigh)
}

const bodySignatures = new WeakMap<object, number[]>()

/** The body of a scan, flattened to integers; params are numbered by their place. */
function bodySignature(node: NodeOf<'scan'>): number[] {
  const { body } = node.attributes
  const known = bodySignatures.get(body)
  if (known) return known
  const numbers = new Map<Node, number>(body.params.map((p, i) => [p, i]))
  const out = new NumberList()
  for (const n of topologicalOrder(body.outputs, (m) => m.op === 'param')) {
    if (numbers.has(n)) continue
    addSignature(n, undefined, out)
    for (const s of n.sources) out.add(numbers.get(s)!)
    numbers.set(n, numbers.size)
  }
  for (const p of body.params) {
    out.add(dtypeNumbers.get(p.dtype)!)
    addAll(out, p.shape)
  }
  for (const o of body.outputs) out.add(numbers.get(o)!)
  bodySignatures.set(body, out.numbers)
  return out.numbers
}
