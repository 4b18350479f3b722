/** The oracle's attention: all scores of a head at once, in float64. */
import { allocateHost, getElement, setElement } from '../../common/dtype.ts'
import { InternalError } from '../../common/errors.ts'
import { philox4x32 } from '../../common/philox.ts'
import { numel, type Shape } from '../../common/shape.ts'
import { attentionSizes, attentionSources, DECISION_KEYS, FORBIDDEN } from '../../graph/attention.ts'
import type { Node, NodeOf } from '../../graph/node.ts'
import type { Value } from './interpret.ts'

type AttentionNode = NodeOf<'attention'> | NodeOf<'attentionGradient'>

const at = (v: Value, i: number): number => getElement(v.dtype, v.data, i)
const halves = (v: bigint): [number, number] => [Number(v & 0xffffffffn), Number((v >> 32n) & 0xffffffffn)]

/** Row (b, s, h) of a value [B, S, H, D]. */
function row(v: Value, b: number, s: number, h: number): Float64Array {
  const [, length, heads, features] = v.shape as [number, number, number, number]
  const start = ((b * length + s) * heads + h) * features
  return Float64Array.from({ length: features }, (_, i) => at(v, start + i))
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

function addTo(target: Float64Array, start: number, factor: number, values: Float64Array): void {
  values.forEach((v, i) => (target[start + i] = target[start + i]! + factor * v))
}

/** One row of weights, and what the draws make of them: factors 0 and 1 / (1 - p), or 1. */
interface Weights {
  readonly weights: Float64Array
  readonly kept: Float64Array
  readonly logarithm: number
}

class Heads {
  readonly #node: AttentionNode
  readonly #values: ReadonlyMap<Node, Value>
  readonly sources: ReturnType<typeof attentionSources>
  readonly sizes: ReturnType<typeof attentionSizes>

  constructor(node: AttentionNode, values: readonly Value[]) {
    this.#node = node
    this.#values = new Map(node.sources.map((s, i) => [s, values[i]!]))
    this.sources = attentionSources(node)
    const { query, key, value } = this.sources
    this.sizes = attentionSizes(query.shape, key.shape, value.shape)
  }

  of(node: Node): Value {
    return this.#values.get(node)!
  }

  /** Visits rows (b, h, query) with their weights. */
  each(visit: (b: number, h: number, g: number, i: number, w: Weights) => void): void {
    const { batch, heads, groups, queries } = this.sizes
    for (let b = 0; b < batch; b++)
      for (let h = 0; h < heads; h++)
        for (let i = 0; i < queries; i++) {
          const g = Math.floor((h * groups) / heads)
          visit(b, h, g, i, this.#weights(b, h, g, i))
        }
  }

  #weights(b: number, h: number, g: number, i: number): Weights {
    const { keys, heads, queries } = this.sizes
    const { query, key, mask } = this.sources
    const { scale, isCausal, dropout } = this.#node.attributes
    const q = row(this.of(query), b, i, h)
    // Without a mask nothing but forbidden scores can follow the query's own: those weights are 0.
    const end = isCausal && !mask ? Math.min(keys, i + 1) : keys
    const scores = new Float64Array(keys).fill(-Infinity)
    for (let j = 0; j < end; j++) {
      const visible = !isCausal || i >= j
      scores[j] = visible
        ? scale * dot(q, row(this.of(key), b, j, g)) + (mask ? this.#masked(mask, b, h, i, j) : 0)
        : FORBIDDEN
    }
    const largest = scores.reduce((m, s) => Math.max(m, s), -Infinity)
    const exponentials = scores.map((s) => Math.exp(s - largest))
    const sum = exponentials.reduce((total, e) => total + e, 0)
    const start = ((b * heads + h) * queries + i) * keys
    const kept = Float64Array.from({ length: keys }, (_, j) =>
      dropout === 0 ? 1 : this.#uniform(start + j) >= Math.fround(dropout) ? 1 / (1 - dropout) : 0,
    )
    return { weights: exponentials.map((e) => e / sum), kept, logarithm: largest + Math.log(sum) }
  }

  #masked(mask: Node, ...coordinate: readonly number[]): number {
    const offset = mask.shape.reduce((o, size, axis) => o * size + (size === 1 ? 0 : coordinate[axis]!), 0)
    return at(this.of(mask), offset)
  }

  /** Element `i` of the draws, as `random` has it. */
  #uniform(i: number): number {
    const [key, offset] = this.sources.draws!.map((n) => (this.of(n).data as BigInt64Array)[0]!) as [bigint, bigint]
    const counter = BigInt.asUintN(64, offset + BigInt(Math.floor(i / 4)))
    return (philox4x32(...halves(counter), ...halves(BigInt.asUintN(64, key)))[i % 4]! >>> 8) * 2 ** -24
  }
}

function rounded(node: AttentionNode, index: number, wide: Float64Array): Value {
  const { dtype, shape } = node.attributes.results[index]!
  const data = allocateHost(dtype, numel(shape))
  wide.forEach((x, i) => setElement(dtype, data, i, x))
  return { dtype, shape, data }
}

const startOf = ([, length, heads, features]: Shape, b: number, s: number, h: number): number =>
  ((b * length! + s) * heads! + h) * features!

export function attentionValues(node: NodeOf<'attention'>, values: readonly Value[]): Value[] {
  const heads = new Heads(node, values)
  const [output, logarithms, decisions] = node.attributes.results.map((r) => new Float64Array(numel(r.shape)))
  const { sizes, sources } = heads
  heads.each((b, h, g, i, { weights, kept, logarithm }) => {
    logarithms![(b * sizes.heads + h) * sizes.queries + i] = logarithm
    if (decisions) {
      const [, , words, width] = node.attributes.results[2]!.shape as [number, number, number, number]
      kept.forEach((f, j) => {
        const word = ((b * sizes.heads + h) * words + Math.floor(j / DECISION_KEYS)) * width + i
        if (f !== 0) decisions[word] = decisions[word]! | (1 << (j % DECISION_KEYS))
      })
    }
    const start = startOf(node.attributes.results[0]!.shape, b, i, h)
    weights.forEach((w, j) =>
      addTo(output!, start, kept[j] === 0 ? 0 : w * kept[j]!, row(heads.of(sources.value), b, j, g)),
    )
  })
  return [output!, logarithms!, ...(decisions ? [decisions] : [])].map((wide, i) => rounded(node, i, wide))
}

export function attentionGradientValues(node: NodeOf<'attentionGradient'>, values: readonly Value[]): Value[] {
  const heads = new Heads(node, values)
  const { query, key, value, rest } = heads.sources
  const [g] = rest
  if (!g) throw new InternalError('an attention gradient without the gradient of the result')
  const [dq, dk, dv] = node.attributes.results.map((r) => new Float64Array(numel(r.shape)))
  const { scale } = node.attributes
  heads.each((b, h, group, i, { weights, kept }) => {
    const given = row(heads.of(g), b, i, h)
    // dW = kept * (dO V^T), dS = W * (dW - sum(W dW)), all but the visible ones being 0.
    const byWeight = kept.map((f, j) => (f === 0 ? 0 : f * dot(given, row(heads.of(value), b, j, group))))
    const mean = dot(weights, byWeight)
    const q = row(heads.of(query), b, i, h)
    weights.forEach((w, j) => {
      const byScore = w * (byWeight[j]! - mean) * (node.attributes.isCausal && j > i ? 0 : scale)
      addTo(dv!, startOf(value.shape, b, j, group), kept[j] === 0 ? 0 : w * kept[j]!, given)
      addTo(dq!, startOf(query.shape, b, i, h), byScore, row(heads.of(key), b, j, group))
      addTo(dk!, startOf(key.shape, b, j, group), byScore, q)
    })
  })
  return [rounded(node, 0, dq!), rounded(node, 1, dk!), rounded(node, 2, dv!)]
}
