/**
 * Simplification over values that never change: chains of sums, differences, products and quotients with constants become one product and one
 * sum, whose factors are computed from the constants; a product behind a contraction goes into its weights. That is what folding a batch norm
 * into a convolution means, without knowing either.
 */
import { isFloat } from '../common/dtype.ts'
import { broadcastShapes, numel, type Shape } from '../common/shape.ts'
import { binary, broadcastTo, constant, contract, reshape, unary } from './build.ts'
import { topologicalOrder, withSources, type Node, type NodeOf } from './node.ts'

/** base * scale + shift; factors are constant, of base's rank, and repeat along axes of size 1. */
interface Affine {
  readonly base: Node
  readonly scale: Node | null
  readonly shift: Node | null
  /** Operations that became this. */
  readonly length: number
}

/** Largest factor: more would cost more to read than it saves. */
const largestFactor = 1 << 16

/** The roots with chains folded. `isFixed`: leaves that never change. */
export function foldConstants(roots: readonly Node[], isFixed: (leaf: Node) => boolean): Node[] {
  return new Folder(roots, isFixed).fold()
}

class Folder {
  readonly #roots: readonly Node[]
  readonly #order: readonly Node[]
  readonly #constant = new Set<Node>()
  readonly #users = new Map<Node, number>()
  readonly #folded = new Map<Node, Node>()
  readonly #forms = new Map<Node, Affine>()

  constructor(roots: readonly Node[], isFixed: (leaf: Node) => boolean) {
    this.#roots = roots
    this.#order = topologicalOrder(roots)
    for (const n of this.#order) {
      const fixed =
        n.storage !== null || n.sources.length === 0
          ? n.op === 'constant' || n.op === 'iota' || isFixed(n)
          : n.op !== 'random' && n.sources.every((s) => this.#constant.has(s))
      if (fixed) this.#constant.add(n)
      if (n.storage === null) for (const s of n.sources) this.#users.set(s, (this.#users.get(s) ?? 0) + 1)
    }
    for (const r of roots) this.#users.set(r, (this.#users.get(r) ?? 0) + 1)
  }

  fold(): Node[] {
    for (const n of this.#order) {
      const form = this.#formOf(n)
      // A chain goes on in its only user (being a root counts as one); where it ends it is written out.
      if (form && this.#users.get(n) === 1) this.#forms.set(n, form)
      this.#folded.set(n, form && form.length > 1 ? this.#written(form, n.shape) : this.#copied(n))
    }
    return this.#roots.map((r) => this.#folded.get(r)!)
  }

  /** The node over folded sources. */
  #copied(n: Node): Node {
    if (n.storage !== null || this.#constant.has(n)) return n
    const sources = n.sources.map((s) => this.#folded.get(s)!)
    return sources.every((s, i) => s === n.sources[i]) ? n : withSources(n, sources)
  }

  #formOf(n: Node): Affine | null {
    if (this.#constant.has(n) || n.storage !== null || !isFloat(n.dtype)) return null
    if (n.op === 'neg') {
      const minus = constant(
        -1,
        n.dtype,
        n.shape.map(() => 1),
      )
      return this.#through(n.sources[0]!, (f) => ({ ...f, ...times(f, minus) }))
    }
    if (n.op !== 'add' && n.op !== 'sub' && n.op !== 'mul' && n.op !== 'div') return null
    const [x, y] = n.sources as [Node, Node]
    const second = this.#factor(y)
    const c = second ?? (n.op === 'add' || n.op === 'mul' ? this.#factor(x) : null)
    if (!c) return null
    return this.#through(second ? x : y, (f) => {
      switch (n.op) {
        case 'add':
          return { ...f, shift: plus(f.shift, c) }
        case 'sub':
          return { ...f, shift: plus(f.shift, unary('neg', c)) }
        case 'mul':
          return { ...f, ...times(f, c) }
        case 'div':
          return { ...f, ...times(f, unary('reciprocal', c)) }
      }
    })
  }

  /** What becomes of the form of x behind one more operation. */
  #through(x: Node, next: (form: Affine) => Affine): Affine {
    const before = this.#forms.get(x) ?? { base: this.#folded.get(x)!, scale: null, shift: null, length: 0 }
    return { ...next(before), length: before.length + 1 }
  }

  /** A constant operand as a small tensor that repeats, or null. */
  #factor(operand: Node): Node | null {
    if (!this.#constant.has(operand)) return null
    if (operand.op === 'constant' && operand.storage === null)
      return constant(
        operand.attributes.value,
        operand.dtype,
        operand.shape.map(() => 1),
      )
    const n = operand.op === 'expand' && operand.storage === null ? operand.sources[0]! : operand
    return numel(n.shape) <= largestFactor ? n : null
  }

  #written({ base, scale, shift }: Affine, shape: Shape): Node {
    let out = base
    if (scale) out = this.#intoWeights(base, scale) ?? binary('mul', base, broadcastTo(scale, shape))
    return shift ? binary('add', out, broadcastTo(shift, shape)) : out
  }

  /** A contraction whose weights are multiplied instead of its result. */
  #intoWeights(base: Node, scale: Node): Node | null {
    if (base.op !== 'contract' || base.storage !== null) return null
    const { lhs, rhs, out } = base.attributes
    const axes = scale.shape.flatMap((d, i) => (d === 1 ? [] : [out[i]!]))
    for (const side of [1, 0] as const) {
      const weight = base.sources[side]!
      const names = side === 1 ? rhs : lhs
      if (!this.#constant.has(weight) || !axes.every((a) => typeof a === 'number' && names.includes(a))) continue
      // Axes of the scale in the order of the weight's.
      const inOrder = names.filter((a) => axes.includes(a))
      if (inOrder.some((a, i) => a !== axes[i])) continue
      const thin = reshape(
        scale,
        names.map((a) => (axes.includes(a) ? scale.shape[out.indexOf(a)]! : 1)),
      )
      const scaled = binary('mul', weight, broadcastTo(thin, weight.shape))
      this.#constant.add(scaled)
      const sources: [Node, Node] = side === 1 ? [base.sources[0]!, scaled] : [scaled, base.sources[1]!]
      return contract(...sources, (base as NodeOf<'contract'>).attributes, base.shape)
    }
    return null
  }
}

function times({ scale, shift }: Affine, c: Node): Pick<Affine, 'scale' | 'shift'> {
  return { scale: scale ? combined('mul', scale, c) : c, shift: shift && combined('mul', shift, c) }
}

function plus(a: Node | null, b: Node): Node {
  return a ? combined('add', a, b) : b
}

/** Of two factors, over their common shape. */
function combined(op: 'add' | 'mul', a: Node, b: Node): Node {
  const shape = broadcastShapes(a.shape, b.shape, op)
  return binary(op, broadcastTo(a, shape), broadcastTo(b, shape))
}
