/**
 * Attention in programs that came from files, where it is what it is made of: softmax(scale * Q K^T) V as two contractions around a softmax. It
 * becomes the node whose kernels go over the scores tile by tile. Only axes of more than one element count, so that it does not matter how the
 * heads were split, turned and joined around the contractions.
 */
import { sizeOf } from '../common/dtype.ts'
import type { Shape } from '../common/shape.ts'
import { attentionNode } from './attention.ts'
import { permute, reshape } from './build.ts'
import { topologicalOrder, withSources, type ContractAxis, type Node, type NodeOf } from './node.ts'

/** Of queries, below which the composition is faster; of features, whose tiles are in registers and in the nearest cache. */
const LEAST_QUERIES = 4
const MOST_FEATURES = 256

/** The roots, with attention in place of what it is made of. */
export function recognizeAttention(roots: readonly Node[]): Node[] {
  const order = topologicalOrder(roots)
  const users = new Map<Node, number>()
  for (const n of [...roots, ...order.flatMap((o) => (o.storage === null ? o.sources : []))])
    users.set(n, (users.get(n) ?? 0) + 1)
  const made = new Map<Node, Node>()
  const madeOf = (n: Node): Node => made.get(n)!
  for (const n of order) {
    const found = n.op === 'contract' ? match(n, users) : null
    made.set(n, found ? written(found, madeOf) : copied(n, madeOf))
  }
  return roots.map(madeOf)
}

function copied(n: Node, madeOf: (n: Node) => Node): Node {
  if (n.storage !== null || n.sources.every((s) => madeOf(s) === s)) return n
  return withSources(n, n.sources.map(madeOf))
}

/** An operand with the letter of each axis that counts, null for the others. */
interface Lettered {
  readonly node: Node
  readonly letters: readonly (number | null)[]
}

/** Letters are those of the product of queries and keys; that of the values' features is `valueFeature`. */
interface Attention {
  readonly scale: number
  readonly query: Lettered
  readonly key: Lettered
  readonly value: Lettered
  readonly result: Lettered
  readonly batch: readonly number[]
  readonly position: { readonly query: number; readonly key: number }
  readonly feature: number
  readonly valueFeature: number
}

function match(values: NodeOf<'contract'>, users: ReadonlyMap<Node, number>): Attention | null {
  return weighted(values, 0, users) ?? weighted(values, 1, users)
}

/** `side`: of the weights. */
function weighted(values: NodeOf<'contract'>, side: 0 | 1, users: ReadonlyMap<Node, number>): Attention | null {
  const [weights, value] = [values.sources[side]!, values.sources[1 - side]!]
  const weightViews = viewsOf(weights)
  const softmax = weightViews.base
  if (![softmax, ...weightViews.views].every((n) => users.get(n) === 1)) return null
  const scored = scoresOf(softmax)
  if (!scored) return null
  const scoreViews = viewsOf(scored.scores)
  const products = scoreViews.base
  if (products.op !== 'contract' || sizeOf(products.dtype) > 4 || values.dtype !== products.dtype) return null

  const [lhs, rhs, out] = lettersOf(products)
  const letters = out && through(scoreViews.views, out)
  const weightLetters = letters && through(weightViews.views, letters)
  if (!lhs || !rhs || !letters || !weightLetters) return null
  const keyPosition = letters.at(-1) ?? null
  const present = letters.filter((l) => l !== null)
  const both = (l: number): boolean => lhs.includes(l) && rhs.includes(l)
  const keySide = keyPosition !== null && !both(keyPosition) && rhs.includes(keyPosition) ? 1 : 0
  const [ofQuery, ofKey] = keySide === 1 ? [lhs, rhs] : [rhs, lhs]
  const queryPositions = present.filter((l) => ofQuery.includes(l) && !ofKey.includes(l))
  const keyPositions = present.filter((l) => ofKey.includes(l) && !ofQuery.includes(l))
  const batch = present.filter(both)
  const features = ofQuery.filter((l) => l !== null && both(l) && !present.includes(l)) as number[]
  if (queryPositions.length !== 1 || keyPositions.length !== 1 || keyPositions[0] !== keyPosition) return null
  if (batch.length > 2 || features.length !== 1) return null

  // The letters of the second contraction by those of the first.
  const own = lettersOf(values)
  const [ownWeights, ownValue, ownOut] = [own[side], own[1 - side], own[2]]
  if (!ownWeights || !ownValue || !ownOut) return null
  const names = new Map<number, number>()
  ownWeights.forEach((l, i) => l !== null && names.set(l, weightLetters[i]!))
  const fresh = ownValue.filter((l) => l !== null && !names.has(l)) as number[]
  if (fresh.length !== 1) return null
  const valueFeature = -1
  names.set(fresh[0]!, valueFeature)
  const named = (list: readonly (number | null)[]): (number | null)[] =>
    list.map((l) => (l === null ? null : names.get(l)!))
  const [valueLetters, resultLetters] = [named(ownValue), named(ownOut)]
  const [query] = queryPositions as [number]
  const has = (list: readonly (number | null)[], wanted: readonly number[]): boolean =>
    list.filter((l) => l !== null).length === wanted.length && wanted.every((l) => list.includes(l))
  if (!has(valueLetters, [...batch, keyPosition!, valueFeature])) return null
  if (!has(resultLetters, [...batch, query, valueFeature])) return null

  const [q, k] = keySide === 1 ? [0, 1] : [1, 0]
  const found: Attention = {
    scale: scored.scale,
    query: { node: products.sources[q]!, letters: ofQuery },
    key: { node: products.sources[k]!, letters: ofKey },
    value: { node: value, letters: valueLetters },
    result: { node: values, letters: resultLetters },
    batch,
    position: { query, key: keyPosition! },
    feature: features[0]!,
    valueFeature,
  }
  const sizeOfLetter = ({ node, letters }: Lettered, l: number): number => node.shape[letters.indexOf(l)]!
  const isLong = sizeOfLetter(found.query, query) >= LEAST_QUERIES
  const widest = Math.max(sizeOfLetter(found.query, found.feature), sizeOfLetter(found.value, valueFeature))
  return isLong && widest <= MOST_FEATURES ? found : null
}

/** The node over the operands as they are now, in the shape of the second contraction. */
function written(a: Attention, madeOf: (n: Node) => Node): Node {
  const [batch, head] = a.batch.length === 2 ? a.batch : [null, ...a.batch, null]
  const heads = ({ node, letters }: Lettered, position: number, feature: number): Node => {
    const wanted = [batch, position, head, feature].map((l) =>
      l === null || l === undefined ? -1 : letters.indexOf(l),
    )
    const order = [...wanted.filter((i) => i >= 0), ...letters.flatMap((l, i) => (l === null ? [i] : []))]
    const shape = wanted.map((i) => (i < 0 ? 1 : node.shape[i]!))
    return reshape(permute(madeOf(node), order), shape)
  }
  const { position, feature, valueFeature, scale, result } = a
  const out = attentionNode(
    heads(a.query, position.query, feature),
    heads(a.key, position.key, feature),
    heads(a.value, position.key, valueFeature),
    { scale, isCausal: false, mask: null, dropout: null },
  )
  const places = [batch, position.query, head, valueFeature]
  const used = result.letters.flatMap((l) => (l === null ? [] : [places.indexOf(l)]))
  const order = [...used, ...[...places.keys()].filter((p) => !used.includes(p))]
  return reshape(permute(out, order), result.node.shape)
}

/** Letters of both operands and the result of a contraction without windows, null for axes of one element; nothing where it has windows. */
function lettersOf(n: NodeOf<'contract'>): readonly (readonly (number | null)[] | null)[] {
  const { lhs, rhs, out } = n.attributes
  const letters = (axes: readonly ContractAxis[], shape: Shape): readonly (number | null)[] | null =>
    axes.every((a) => typeof a === 'number') ? axes.map((a, i) => (shape[i] === 1 ? null : (a as number))) : null
  return [letters(lhs, n.sources[0]!.shape), letters(rhs, n.sources[1]!.shape), letters(out, n.shape)]
}

/** What a node is a view of, and the views between, the innermost first. */
function viewsOf(n: Node): { readonly base: Node; readonly views: readonly Node[] } {
  const views: Node[] = []
  let base = n
  // A realised node may have forgotten its sources.
  while (base.storage === null && (base.op === 'reshape' || base.op === 'permute')) {
    views.unshift(base)
    base = base.sources[0]!
  }
  return { base, views }
}

/** The letters of a tensor's axes behind views; null where a view does more than turning axes and adding or leaving out those of one element. */
function through(views: readonly Node[], letters: readonly (number | null)[]): readonly (number | null)[] | null {
  let now = letters
  for (const view of views) {
    if (view.op === 'permute') {
      const before = now
      now = view.attributes.order.map((i) => before[i]!)
      continue
    }
    const from = view.sources[0]!.shape.filter((d) => d !== 1)
    const to = view.shape.filter((d) => d !== 1)
    if (from.length !== to.length || from.some((d, i) => d !== to[i])) return null
    const rest: (number | null)[] = now.filter((l) => l !== null)
    now = view.shape.map((d) => (d === 1 ? null : rest.shift()!))
  }
  return now
}

/** The scores that a softmax along the last axis is made of, without a factor that all of them have. */
function scoresOf(softmax: Node): { readonly scores: Node; readonly scale: number } | null {
  if (softmax.op !== 'div' || softmax.storage !== null) return null
  const [e, sum] = softmax.sources as [Node, Node]
  if (e.op !== 'exp' || !isSpread(sum, 'reduceSum', e)) return null
  const difference = e.sources[0]!
  if (difference.op !== 'sub') return null
  const [x, peak] = difference.sources as [Node, Node]
  if (!isSpread(peak, 'reduceMax', x)) return null
  if (x.op !== 'mul') return { scores: x, scale: 1 }
  const [a, b] = x.sources as [Node, Node]
  const [left, right] = [numberOf(a), numberOf(b)]
  if (right !== null) return { scores: a, scale: right }
  return left === null ? { scores: x, scale: 1 } : { scores: b, scale: left }
}

/** Whether a node is a reduction of x along its last axis, repeated along it. */
function isSpread(n: Node, op: 'reduceSum' | 'reduceMax', x: Node): boolean {
  let at = n
  while (at.storage === null && (at.op === 'expand' || at.op === 'reshape' || at.op === 'detach')) at = at.sources[0]!
  if (at.op !== op || at.sources[0] !== x) return false
  const last = x.shape.length - 1
  // Repeated along another axis it would have another shape.
  const kept = n.op === 'expand' ? n.sources[0]!.shape : n.shape
  return (
    at.attributes.axes.length === 1 && at.attributes.axes[0] === last && kept.length === last + 1 && kept[last] === 1
  )
}

/** The number that every element of a node is, as it was recorded; null where they may differ. */
function numberOf(n: Node): number | null {
  let at = n
  while (at.storage === null && (at.op === 'expand' || at.op === 'reshape')) at = at.sources[0]!
  return at.op === 'constant' || at.op === 'scalar' ? Number(at.attributes.value) : null
}
