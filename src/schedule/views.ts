/** Views as strides: where a chain of views over a value in memory is one strided window on it, contractions read through it. */
import { isFloat, sizeOf } from '../common/dtype.ts'
import { contiguousStrides, numel, type Shape } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'

/** Element (i, j, ...) of the view is element offset + i * strides[0] + j * strides[1] + ... of the base. */
export interface StridedView {
  readonly base: Node
  readonly shape: Shape
  readonly strides: readonly number[]
  readonly offset: number
}

const viewOps = new Set(['reshape', 'permute', 'expand', 'slice', 'flip', 'window', 'detach'])

/** The longest chain of views from `node` down that strides can express; the base is the first node that is no such view. */
export function stridedView(node: Node, isMaterialized: (n: Node) => boolean): StridedView {
  const chain: Node[] = []
  let base = node
  while (!isMaterialized(base) && viewOps.has(base.op)) {
    chain.push(base)
    base = base.sources[0]!
  }
  // Views that strides cannot express become the base themselves: drop the part of the chain below them.
  let view: StridedView = { base, shape: base.shape, strides: contiguousStrides(base.shape), offset: 0 }
  for (let i = chain.length - 1; i >= 0; i--) {
    const v = chain[i]!
    view = applyView(v, view) ?? { base: v, shape: v.shape, strides: contiguousStrides(v.shape), offset: 0 }
  }
  return view
}

/** Whether a node casts a float to a wider dtype, which changes no value. */
export function isWidening(node: Node): boolean {
  const from = node.sources[0]
  return (
    node.op === 'cast' &&
    from !== undefined &&
    isFloat(node.dtype) &&
    isFloat(from.dtype) &&
    sizeOf(from.dtype) < sizeOf(node.dtype)
  )
}

/** The node whose memory holds the elements of another, in its order: that node, or what it only reshapes or widens. */
export function elementsOf(node: Node, isMaterialized: (n: Node) => boolean): Node {
  let base = node
  while (!isMaterialized(base) && (base.op === 'reshape' || base.op === 'detach' || isWidening(base)))
    base = base.sources[0]!
  return base
}

function applyView(node: Node, x: StridedView): StridedView | null {
  const { shape } = node
  switch (node.op) {
    case 'detach':
      return x
    case 'permute':
      return { ...x, shape, strides: node.attributes.order.map((a) => x.strides[a]!) }
    case 'expand':
      return { ...x, shape, strides: x.strides.map((s, i) => (x.shape[i] === 1 && shape[i] !== 1 ? 0 : s)) }
    case 'slice': {
      const { start, step } = node.attributes
      return {
        ...x,
        shape,
        strides: x.strides.map((s, i) => s * step[i]!),
        offset: x.offset + start.reduce((o, s, i) => o + s * x.strides[i]!, 0),
      }
    }
    case 'flip': {
      const { axes } = node.attributes
      const offset = axes.reduce((o, a) => o + (x.shape[a]! - 1) * x.strides[a]!, x.offset)
      return { ...x, shape, strides: x.strides.map((s, i) => (axes.includes(i) ? -s : s)), offset }
    }
    case 'window': {
      const { axis, stride, dilation } = node.attributes
      const s = x.strides[axis]!
      return {
        ...x,
        shape,
        strides: [...x.strides.slice(0, axis), s * stride, s * dilation, ...x.strides.slice(axis + 1)],
      }
    }
    case 'reshape': {
      const strides = reshapeStrides(x.shape, x.strides, shape)
      return strides && { ...x, shape, strides }
    }
    default:
      return null
  }
}

/** Strides of a reshape that moves nothing, or null: axes are merged where one steps through the other, and split freely. */
export function reshapeStrides(from: Shape, strides: readonly number[], to: Shape): number[] | null {
  if (numel(from) === 0) return contiguousStrides(to)
  const out = new Array<number>(to.length).fill(0)
  const axes = from.map((d, i) => ({ d, s: strides[i]! })).filter((a) => a.d !== 1)
  let next = 0
  let j = 0
  while (next < axes.length) {
    let have = axes[next]!.d
    let last = next
    let want = 1
    const first = j
    while (j < to.length && (want < have || to[j] === 1)) {
      want *= to[j]!
      j++
      while (want > have) {
        const a = axes[last]!
        const b = axes[++last]
        if (!b || a.s !== b.s * b.d) return null
        have *= b.d
      }
    }
    if (want !== have) return null
    let s = axes[last]!.s
    for (let k = j - 1; k >= first; k--) {
      out[k] = s
      s *= to[k]!
    }
    next = last + 1
  }
  return out
}
