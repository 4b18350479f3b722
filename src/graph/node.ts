/**
 * A node of the graph: `{op, dtype, shape, sources, attributes}`. Nodes are immutable but for two things that a realisation
 * sets: `storage`, once the value is in memory, and the sources, which are dropped when the value no longer needs its past.
 */
import type { DType } from '../common/dtype.ts'
import type { Shape } from '../common/shape.ts'
import type { CumulateKind, OpName } from './ops.ts'
import type { Storage } from './storage.ts'

/**
 * A windowed axis of a contraction's operand: coordinate = position * stride + tap * dilation - padding, where `position` and
 * `tap` are letters that other operands carry as plain axes. Coordinates outside the axis contribute nothing.
 */
export interface Window {
  readonly position: number
  readonly tap: number
  readonly stride: number
  readonly dilation: number
  readonly padding: number
}

/** An axis of a contraction's operand: a letter (as in einsum), or a window over two letters. */
export type ContractAxis = number | Window

/**
 * out[...] = sum over the letters that `out` lacks of lhs[...] * rhs[...]. At most one of the three operands has windowed axes.
 * A letter may stand in both inputs and the output (batch), in one input and the output (free), or in both inputs only
 * (contracted). The spec is closed under differentiation: a gradient permutes the three operands.
 */
export interface ContractSpec {
  readonly lhs: readonly ContractAxis[]
  readonly rhs: readonly ContractAxis[]
  readonly out: readonly ContractAxis[]
}

/** What a scan does in one step: nodes over `param` leaves. */
export interface ScanBody {
  /** Parameters in order: carries, slices of the sequences, constants of the loop. */
  readonly params: readonly Node[]
  /** The next carries, then one slice of each stacked output. */
  readonly outputs: readonly Node[]
}

export interface AttributesOf {
  buffer: { readonly storage: Storage; readonly version: number }
  /** A number that belongs to the program: it is part of the structural key where kernels want it there. */
  constant: { readonly value: number | bigint }
  /** A number that belongs to the run (learning rate, step, seed): never part of a key. Rank 0. */
  scalar: { readonly value: number }
  /** The coordinate along one axis. */
  iota: { readonly axis: number }
  /** Philox 4x32-10. Sources: key and offset, int64 of rank 0. Uniform in [0, 1) as float32, or 32 raw bits as int32. */
  random: Record<never, never>
  param: { readonly index: number }
  reshape: Record<never, never>
  permute: { readonly order: readonly number[] }
  expand: Record<never, never>
  /** Zeros (false) around the source. */
  pad: { readonly low: readonly number[]; readonly high: readonly number[] }
  /** Coordinate i of the result is start + i * step of the source; step >= 1. */
  slice: { readonly start: readonly number[]; readonly step: readonly number[] }
  flip: { readonly axes: readonly number[] }
  /** Coordinate (position, tap) of the axis pair is position * stride + tap * dilation of the source's axis; all inside it. */
  window: { readonly axis: number; readonly taps: number; readonly stride: number; readonly dilation: number }
  reduceSum: ReduceAttributes
  reduceMax: ReduceAttributes
  reduceMin: ReduceAttributes
  reduceProd: ReduceAttributes
  argmax: ReduceAttributes
  argmin: ReduceAttributes
  cumulate: { readonly axis: number; readonly kind: CumulateKind }
  contract: ContractSpec
  /** x[..., index, ...]: the axis is replaced by the index's axes. Sources: x, index (int32 or int64). */
  gather: { readonly axis: number }
  /** Sources: base, index, updates (base's shape with the axis replaced by the index's axes). */
  scatter: { readonly axis: number; readonly mode: 'add' | 'set' }
  /** Stable. */
  argsort: { readonly axis: number; readonly descending: boolean }
  /** Sources: first carries, sequences (stacked on axis 0), constants. A tuple: read it by `output`. */
  scan: {
    readonly body: ScanBody
    readonly carries: number
    readonly sequences: number
    readonly length: number
    readonly reverse: boolean
  }
  /**
   * Values whose gradient is given, not derived. Sources: the results, then what `gradient` may send to or read. A tuple: read it by `output`,
   * which a capture sees as the result itself.
   */
  custom: { readonly results: number; readonly gradient: CustomGradient }
  output: { readonly index: number }
  /** A tuple: the result [B, S, H, Dv], the logarithms of the sums of exponentials [B, H, S], and, where weights are dropped, which stay. */
  attention: AttentionAttributes & { readonly gradient: TupleGradient<'attention'> }
  /** Sources: those of the attention, then the result's gradient, and the attention's results. A tuple: by queries, keys, values. */
  attentionGradient: AttentionAttributes & { readonly gradient: TupleGradient<'attentionGradient'> }
}

/** The gradient of each source, given those of the results that have one. `isAsked`: whether somebody wants to see the gradient of a source itself. */
export type TupleGradient<K extends 'custom' | 'attention' | 'attentionGradient'> = (
  node: NodeOf<K>,
  given: ReadonlyMap<number, Node>,
  isAsked: (source: Node) => boolean,
) => readonly (Node | null)[]
export type CustomGradient = TupleGradient<'custom'>

/**
 * Attention over queries [B, S, H, D], keys [B, S', G, D] and values [B, S', G, Dv], where G divides H (see graph/attention.ts). Sources: these,
 * then the mask where there is one, then key and offset of the draws where weights are dropped.
 */
interface AttentionAttributes {
  /** Factor on the scores. */
  readonly scale: number
  /** A query sees only keys up to its own position. */
  readonly isCausal: boolean
  /** Whether a mask, [B or 1, H or 1, S or 1, S' or 1], is added to the scores. */
  readonly isMasked: boolean
  /** Probability with which weights are dropped; 0 for no draws. */
  readonly dropout: number
  readonly results: readonly { readonly dtype: DType; readonly shape: Shape }[]
}

interface ReduceAttributes {
  /** The axes that the reduction removes, ascending. `argmax` and `argmin` take one; several index the flattened axes. */
  readonly axes: readonly number[]
}

type NoAttributes = Record<never, never>
export type Attributes<K extends OpName> = K extends keyof AttributesOf ? AttributesOf[K] : NoAttributes

export interface NodeOf<K extends OpName> {
  /** Ascends in the order of recording: sources always have smaller ids. */
  readonly id: number
  readonly op: K
  readonly dtype: DType
  readonly shape: Shape
  sources: readonly Node[]
  readonly attributes: Attributes<K>
  /** A path of differentiable ops leads to a variable. */
  readonly needsGrad: boolean
  /** The realised value, row-major and dense; null until then. */
  storage: Storage | null
  /** The tensor that a leaf is the value of; else the variable or the tensor with hooks that stands for this node in autograd. */
  owner: GradientOwner | null
  /** `backward` went through here without `retainGraph`: once realised, the node may forget its past. */
  released: boolean
  /** The last walk that came here, and the node's place in its order: what a map would tell walks, that take turns, more slowly. */
  walk: number
  place: number
  /** A hash of op, dtype, shape and attributes in two integers (schedule/signature.ts); 0 and 0 until somebody asks for it. */
  signatureLow: number
  signatureHigh: number
}

/** What autograd calls when the gradient of a node is complete. */
export interface GradientOwner {
  /** May replace the gradient (hooks), and may keep it (`grad`). Returns what flows on. */
  receiveGradient(gradient: Node): Node
}

export type Node = { [K in OpName]: NodeOf<K> }[OpName]

let nextNodeId = 1
let recording = true

/**
 * What nodes are made of. A class, because V8 may decide to allocate what an object literal makes in its old generation (nodes survive the
 * planning of their first step), and then every step's graph would live until a major collection.
 */
class RecordedNode<K extends OpName> implements NodeOf<K> {
  readonly id: number
  readonly op: K
  readonly dtype: DType
  readonly shape: Shape
  sources: readonly Node[]
  readonly attributes: Attributes<K>
  readonly needsGrad: boolean
  storage: Storage | null = null
  owner: GradientOwner | null
  released = false
  walk = 0
  place = 0
  signatureLow = 0
  signatureHigh = 0

  constructor(
    op: K,
    dtype: DType,
    shape: Shape,
    sources: readonly Node[],
    attributes: Attributes<K>,
    needsGrad: boolean,
    owner: GradientOwner | null,
  ) {
    this.id = nextNodeId++
    this.op = op
    this.dtype = dtype
    this.shape = shape
    this.sources = sources
    this.attributes = attributes
    this.needsGrad = needsGrad
    this.owner = owner
  }
}

/** Makes a node. `needsGrad` follows the sources unless gradients are switched off. */
export function makeNode<K extends OpName>(
  op: K,
  dtype: DType,
  shape: Shape,
  sources: readonly Node[],
  attributes: Attributes<K>,
  differentiable: boolean,
): NodeOf<K> {
  let needsGrad = false
  if (differentiable && recording) for (const s of sources) needsGrad ||= s.needsGrad
  return new RecordedNode(op, dtype, shape, sources, attributes, needsGrad, null)
}

/** A leaf over a storage as it is after all writes recorded so far. `variable`: gradients are wanted and stop here. */
export function makeLeaf(
  storage: Storage,
  shape: Shape,
  variable: boolean,
  owner: GradientOwner | null = null,
): NodeOf<'buffer'> {
  return new RecordedNode('buffer', storage.dtype, shape, [], { storage, version: storage.latest }, variable, owner)
}

/** An argument of a scan's body. */
export function makeParam(dtype: DType, shape: Shape, index: number, needsGrad: boolean): NodeOf<'param'> {
  return new RecordedNode('param', dtype, shape, [], { index }, needsGrad, null)
}

/** A leaf in the place of a node whose value is in memory: outside autograd. */
export function leafOf(node: Node, storage: Storage): NodeOf<'buffer'> {
  return new RecordedNode('buffer', node.dtype, node.shape, [], { storage, version: storage.version }, false, null)
}

/** The same node over other sources, outside autograd (captures and rewrites). */
export function withSources(node: Node, sources: readonly Node[]): Node {
  const { op, dtype, shape, attributes, needsGrad } = node
  const same = new RecordedNode(op, dtype, shape, sources, attributes, needsGrad, null) as Node
  same.signatureLow = node.signatureLow
  same.signatureHigh = node.signatureHigh
  return same
}

/** The same loop with another body of the same parameters and results, outside autograd. */
export function withBody(loop: NodeOf<'scan'>, body: ScanBody): NodeOf<'scan'> {
  const { dtype, shape, sources, attributes, needsGrad } = loop
  return new RecordedNode('scan', dtype, shape, sources, { ...attributes, body }, needsGrad, null)
}

/** The same node as a variable of `owner`, or, without one, outside autograd. */
export function asVariable(node: Node, owner: GradientOwner | null): Node {
  const { op, dtype, shape, sources, attributes } = node
  return new RecordedNode(op, dtype, shape, sources, attributes, owner !== null, owner) as Node
}

/** The node whose value this one only hands on, with another gradient; null for nodes with a value of their own. */
export function handedOn(node: Node): Node | null {
  const source = node.sources[0]
  if (!source) return null
  if (node.op === 'detach') return source
  return node.op === 'output' && source.op === 'custom' ? source.sources[node.attributes.index]! : null
}

/** The id that the next node will get: a mark in the order of recording. */
export function recordingMark(): number {
  return nextNodeId
}

export function isGradEnabled(): boolean {
  return recording
}

let walks = 0

/** The number of a new walk over nodes. What it marks (`walk`, `place`) holds until another walk comes to the same node. */
export function newWalk(): number {
  return ++walks
}

/** Runs `body` with recording of gradients switched on or off, also when it throws. */
export function withGrad<T>(enabled: boolean, body: () => T): T {
  const before = recording
  recording = enabled
  try {
    return body()
  } finally {
    recording = before
  }
}

/** Nodes from which `roots` are computed, sources first. Iterative: recordings may be 100,000 ops deep. */
export function topologicalOrder(
  roots: readonly Node[],
  isLeaf: (n: Node) => boolean = (n) => n.storage !== null,
): Node[] {
  const order: Node[] = []
  const walk = newWalk()
  const stack: Node[] = []
  const enter = (node: Node): void => {
    node.walk = walk
    // Until all sources are in the order, the place is that of the next one to look at.
    node.place = 0
    stack.push(node)
  }
  for (const root of roots) {
    if (root.walk !== walk) enter(root)
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!
      if (!isLeaf(node) && node.place < node.sources.length) {
        const s = node.sources[node.place++]!
        if (s.walk !== walk) enter(s)
        continue
      }
      stack.pop()
      order.push(node)
    }
  }
  return order
}
