/** Attention as test cases: sizes that do and do not fill tiles, shared heads, masks of several shapes, draws, values that are not finite. */
import { type DType, type HostArray } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import { attentionNode } from '../../../src/graph/attention.ts'
import { constant, permute, reshape, scalar } from '../../../src/graph/build.ts'
import { differentiate } from '../../../src/graph/gradient.ts'
import { asVariable, withGrad, type Node } from '../../../src/graph/node.ts'
import type { OpCase } from './case.ts'
import { hostOf, sampled } from './values.ts'

export interface AttentionCase {
  readonly name: string
  readonly batch: number
  readonly queries: number
  readonly keys: number
  readonly heads: number
  readonly groups: number
  readonly features: number
  readonly valueFeatures: number
  readonly isCausal?: boolean
  /** The mask's shape, or the mask. */
  readonly mask?: Shape | HostArray
  readonly p?: number
  /** Where the draws come from: numbers of the run unless said. */
  readonly isPlaceInMemory?: boolean
}

const closed = (shape: Shape, every: number): HostArray =>
  hostOf('float32', shape, [...new Array<number>(every - 1).fill(0.25), -Infinity])

const sizes = { batch: 2, queries: 19, keys: 23, heads: 2, groups: 2, features: 6, valueFeatures: 6 }

export const attentionCases: readonly AttentionCase[] = [
  { ...sizes, name: 'plain' },
  { ...sizes, name: 'one query, one key', queries: 1, keys: 1 },
  {
    ...sizes,
    name: 'more than a tile, features beyond a vector',
    queries: 35,
    keys: 40,
    features: 26,
    valueFeatures: 33,
  },
  { ...sizes, name: 'several blocks of keys', batch: 1, keys: 301, features: 3, valueFeatures: 5 },
  { ...sizes, name: 'many features', batch: 1, heads: 1, groups: 1, features: 70, valueFeatures: 130 },
  { ...sizes, name: 'shared key heads', heads: 6, groups: 2 },
  { ...sizes, name: 'heads enough for one kernel', batch: 4, heads: 8, groups: 4, features: 5 },
  { ...sizes, name: 'causal', queries: 40, keys: 40, isCausal: true },
  { ...sizes, name: 'causal with more keys than queries', keys: 160, isCausal: true },
  { ...sizes, name: 'causal, masked, with more queries than keys', queries: 41, mask: [2, 1, 1, 23], isCausal: true },
  { ...sizes, name: 'a mask for all', mask: [1, 1, 19, 23] },
  { ...sizes, name: 'a mask for each head', mask: [1, 2, 1, 23] },
  { ...sizes, name: 'a mask of its own for each score', mask: [2, 2, 19, 23] },
  { ...sizes, name: 'a mask by query', mask: [2, 1, 19, 1] },
  { ...sizes, name: 'closed positions', mask: closed([1, 1, 19, 23], 5) },
  { ...sizes, name: 'rows without an open position', mask: closed([2, 1, 19, 1], 4) },
  {
    ...sizes,
    name: 'a closed first block',
    batch: 1,
    keys: 200,
    mask: hostOf(
      'float32',
      [1, 1, 1, 200],
      [...new Array<number>(150).fill(-Infinity), ...new Array<number>(50).fill(0)],
    ),
  },
  { ...sizes, name: 'dropped weights', p: 0.3 },
  { ...sizes, name: 'dropped weights of aligned rows', keys: 24, queries: 40, p: 0.5 },
  { ...sizes, name: 'dropped weights over several blocks', batch: 1, heads: 1, groups: 1, keys: 303, p: 0.25 },
  { ...sizes, name: 'dropped and masked, draws placed by memory', mask: [2, 1, 1, 23], p: 0.1, isPlaceInMemory: true },
]

/** Query, key, value, the result's gradient, and the mask and the place of the draws where there are. */
export function attentionInputs(c: AttentionCase, dtype: DType): HostArray[] {
  const { batch, queries, keys, heads, groups, features, valueFeatures, mask, isPlaceInMemory } = c
  const inputs = [
    sampled(dtype, [batch, queries, heads, features], 31),
    sampled(dtype, [batch, keys, groups, features], 32),
    sampled(dtype, [batch, keys, groups, valueFeatures], 33),
    // Small: a gradient is a difference of sums over features, of which float16 and bfloat16 keep few digits.
    sampled(dtype, [batch, queries, heads, valueFeatures], 34, [-0.5, 0.5]),
  ]
  if (mask) inputs.push('data' in mask ? mask : sampled('float32', mask, 35))
  if (isPlaceInMemory) inputs.push(hostOf('int64', [], [77n]), hostOf('int64', [], [2n ** 33n - 3n]))
  return inputs
}

/** The result, then its gradients by query, key and value; `compose` stands in for `attentionNode`. */
export function attentionResults(c: AttentionCase, inputs: readonly Node[], compose = attentionNode): Node[] {
  return withGrad(true, () => {
    const owner = { receiveGradient: (g: Node): Node => g }
    const [query, key, value] = inputs.slice(0, 3).map((n) => asVariable(n, owner)) as [Node, Node, Node]
    const rest = inputs.slice(4)
    const mask = c.mask ? rest.shift()! : null
    const [stream, offset] = c.isPlaceInMemory ? rest : [scalar(5, 'int64'), scalar(11, 'int64')]
    const dropout = c.p === undefined ? null : { p: c.p, key: stream!, offset: offset! }
    const scale = 0.75
    const out = compose(query, key, value, { scale, isCausal: c.isCausal ?? false, mask, dropout })
    const gradients = differentiate([out], [inputs[3]!], [query, key, value])
    return [out, ...gradients.map((g, i) => g ?? constant(0, 'float32', inputs[i]!.shape))]
  })
}

/** Operands that lie in memory in another order: [B, heads, S, features]. */
const turned = (n: Node): Node => permute(n, [0, 2, 1, 3])

export function attentionOpCases(): OpCase[] {
  const all = (['float32', 'float16', 'bfloat16'] as const).flatMap((dtype) =>
    attentionCases
      .filter((c) => dtype === 'float32' || c.name === 'plain' || c.p !== undefined)
      .flatMap((c) =>
        [0, 1, 2, 3].map((result): OpCase => ({
          op: result === 0 ? 'attention' : 'attentionGradient',
          name: `${dtype} ${c.name}, result ${result}`,
          inputs: attentionInputs(c, dtype),
          cancels: true,
          build: (inputs) => attentionResults(c, inputs)[result]!,
        })),
      ),
  )
  const c = attentionCases[0]!
  const views: OpCase = {
    op: 'attention',
    name: 'float32 over turned operands',
    inputs: attentionInputs(c, 'float32').map((h) => ({
      ...h,
      shape: [h.shape[0]!, h.shape[2]!, h.shape[1]!, h.shape[3]!],
    })),
    cancels: true,
    build: (inputs) => attentionResults(c, inputs.map(turned))[1]!,
  }
  const flat: OpCase = {
    op: 'attention',
    name: 'float32 over joined heads',
    inputs: attentionInputs(c, 'float32'),
    cancels: true,
    build: (inputs) => {
      const joined = inputs.map((n) =>
        reshape(reshape(n, [n.shape[0]!, n.shape[1]!, n.shape[2]! * n.shape[3]!]), n.shape),
      )
      return attentionResults(c, joined)[0]!
    },
  }
  return [...all, views, flat]
}
