/** Attention of version 23 on, and the embeddings of positions that go with it, as what they are made of. */
import type { DType } from '../../../../../common/dtype.ts'
import { isNumber, sameDim } from '../../../program/inference/known.ts'
import { Variable } from '../conversion.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'

/** 0, 1, 2, .. to the length of axis 2. */
function positions(n: NodeCall, x: string): string {
  const end = new Variable(n.sizeOf(x, 2), [n.knownOf(x).shape?.[2] ?? ''], true)
  return n.emit('arange', {}, { start: 0, end, step: 1, dtype: 'int64' })
}

const scaled = (n: NodeCall, x: string, scale: number): string =>
  scale === 1 ? x : n.emit('scale', { x }, { scale, bias: 0, bias_after_scale: true })

/** [batch, length, heads * size] as [batch, heads, length, size]. */
function split(n: NodeCall, x: string, heads: number): string {
  const apart = n.emit('reshape', { x }, { shape: [0, 0, heads, -1] })
  return n.emit('transpose', { x: apart }, { perm: [0, 2, 1, 3] })
}

/** The other way round, as result 0. */
function giveJoined(n: NodeCall, x: string): void {
  const turned = n.emit('transpose', { x }, { perm: [0, 2, 1, 3] })
  n.give('flatten', { x: turned }, { start_axis: 2, stop_axis: 3 })
}

/** Heads of keys or values, each for as many neighbouring heads of queries. */
function shared(n: NodeCall, x: string, times: number): string {
  if (times === 1) return x
  const apart = n.emit('unsqueeze', { x }, { axis: [2] })
  const repeated = n.emit('tile', { x: apart }, { repeat_times: [1, 1, times, 1, 1] })
  return n.emit('flatten', { x: repeated }, { start_axis: 1, stop_axis: 2 })
}

interface Operands {
  readonly query: string
  readonly key: string
  readonly value: string
  readonly pastLength: string | null
}

/** Positions that a query may look at, or null for all: of shape [queries, keys], or [batch, 1, queries, keys]. */
function allowedBy(n: NodeCall, { query, key, pastLength }: Operands): string | null {
  const [left, right] = [n.int('left_window_size', -1), n.int('right_window_size', -1)]
  const isCausal = n.int('is_causal', 0) !== 0
  const lengths = n.optional(6)
  const keys = positions(n, key)
  const parts: string[] = []
  if (isCausal || left >= 0 || right >= 0) {
    const column = n.emit('unsqueeze', { x: positions(n, query) }, { axis: [1] })
    let position = column
    if (pastLength !== null) position = n.emit('add', { x: column, y: pastLength })
    else if (lengths !== null) {
      // Keys that are valid stand before those of the queries.
      const before = n.emit('subtract', { x: n.cast(lengths, 'int64'), y: n.sizeOf(query, 2) })
      position = n.emit('add', { x: column, y: n.emit('reshape', { x: before }, { shape: [-1, 1, 1, 1] }) })
    }
    if (isCausal) parts.push(n.emit('less_equal', { x: keys, y: position }))
    if (right >= 0)
      parts.push(n.emit('less_equal', { x: keys, y: n.emit('add', { x: position, y: n.number(right, 'int64') }) }))
    if (left >= 0)
      parts.push(
        n.emit('greater_equal', { x: keys, y: n.emit('subtract', { x: position, y: n.number(left, 'int64') }) }),
      )
  }
  if (lengths !== null) {
    const each = n.emit('reshape', { x: n.cast(lengths, 'int64') }, { shape: [-1, 1, 1, 1] })
    parts.push(n.emit('less_than', { x: keys, y: each }))
  }
  return parts.reduce<string | null>((x, y) => (x === null ? y : n.emit('logical_and', { x, y })), null)
}

/** The mask, as long as the keys: what it does not tell of is not looked at. */
function maskOf(n: NodeCall, key: string): string | null {
  if (!n.has(3)) return null
  const x = n.operand(3)
  const rank = n.rank(3)
  const [told, length] = [n.known(3).shape!.at(-1), n.knownOf(key).shape?.[2]]
  if (!isNumber(told) || !isNumber(length) || told >= length) return x
  const paddings = new Array<number>(2 * rank).fill(0)
  paddings[2 * rank - 1] = length - told
  if (n.dtype(3) !== 'bool') return n.emit('pad', { x }, { paddings, pad_value: -Infinity })
  return n.cast(n.emit('pad', { x: n.cast(x, 'int32') }, { paddings, pad_value: 0 }), 'bool')
}

/** What is added to the scores: 0 and -Infinity, and a mask of numbers. */
function biasOf(n: NodeCall, operands: Operands, dtype: DType): string | null {
  const given = maskOf(n, operands.key)
  let allowed = allowedBy(n, operands)
  const isNumbers = given !== null && n.dtype(3) !== 'bool'
  if (given !== null && !isNumbers) allowed = allowed === null ? given : n.emit('logical_and', { x: allowed, y: given })
  if (allowed === null) return isNumbers ? given : null
  const x = isNumbers ? given : n.number(0, dtype)
  return n.emit('where', { condition: allowed, x, y: n.number(-Infinity, dtype) })
}

/** softmax(scale * Q K^T + bias) V; "Attention Is All You Need" (arXiv 1706.03762), section 3.2.1. */
const attention: Convert = (n) => {
  const rank = n.rank()
  const dtype = n.dtype()
  const isFlat = rank === 3
  const told = (name: string): number => n.int(name) ?? n.refuse(`${name} that is not told`)
  const [ownHeads, keyHeads] = isFlat
    ? [told('q_num_heads'), told('kv_num_heads')]
    : [n.known(0).shape![1]!, n.known(1).shape?.[1] ?? '']
  const heads = (i: number, count: number | string): string =>
    isFlat ? split(n, n.operand(i), Number(count)) : n.operand(i)
  const query = heads(0, ownHeads)
  const joined = (i: number, past: number): string => {
    const x = heads(i, keyHeads)
    return n.has(past) ? n.emit('concat', { x: [n.operand(past), x] }, { axis: 2 }) : x
  }
  const [key, value] = [joined(1, 4), joined(2, 5)]
  n.bind(1, key)
  n.bind(2, value)
  const pastLength = n.has(4) ? n.sizeOf(n.operand(4), 2) : null

  const times = sameDim(ownHeads, keyHeads) ? 1 : Number(ownHeads) / Number(keyHeads)
  if (!Number.isInteger(times)) n.refuse('numbers of heads that are not known, or do not divide')
  const size = n.knownOf(query).shape?.[3]
  const scale = n.node.attributes.has('scale')
    ? n.float('scale', 1)
    : isNumber(size)
      ? 1 / Math.sqrt(size)
      : n.refuse('a size of heads that is not known, and no scale')
  const operands = { x: query, y: shared(n, key, times) }
  const product = n.emit('matmul', operands, { transpose_x: false, transpose_y: true })
  const scores = scaled(n, product, scale)
  const cap = n.float('softcap', 0)
  const capped = cap > 0 ? scaled(n, n.emit('tanh', { x: scaled(n, scores, 1 / cap) }), cap) : scores
  const bias = biasOf(n, { query, key, value, pastLength }, dtype)
  const biased = bias === null ? capped : n.emit('add', { x: capped, y: bias })
  const precise = n.cast(biased, n.dtypeAttribute('softmax_precision', dtype))
  const weights = n.cast(n.emit('softmax', { x: precise }, { axis: -1 }), dtype)

  // Queries that may look at nothing give 0.
  const isBlind =
    bias === null
      ? null
      : n.emit('equal', {
          x: n.emit('max', { x: bias }, { axis: [-1], keepdim: true }),
          y: n.number(-Infinity, dtype),
        })
  const seen = (x: string): string =>
    isBlind === null ? x : n.emit('where', { condition: isBlind, x: n.number(0, dtype), y: x })
  const mode = n.int('qk_matmul_output_mode', 0)
  if (mode < 0 || mode > 3) n.refuse(`qk_matmul_output_mode ${mode}`)
  if (n.wants(3)) n.bind(3, [scores, capped, biased, mode === 3 ? seen(weights) : ''][mode]!)

  const values = { x: weights, y: shared(n, value, times) }
  const result = seen(n.emit('matmul', values, { transpose_x: false, transpose_y: false }))
  if (isFlat) giveJoined(n, result)
  else n.bind(0, result)
}

/** Pairs of features turned by an angle for each position; "RoFormer" (arXiv 2104.09864), section 3.4.2. */
const rotaryEmbedding: Convert = (n) => {
  const isFlat = n.rank() === 3
  const heads = n.int('num_heads', 0)
  if (isFlat && heads === 0) n.refuse('num_heads that is not told')
  const x = isFlat ? split(n, n.operand(0), heads) : n.operand(0)
  const size = n.knownOf(x).shape?.[3]
  if (!isNumber(size)) return n.refuse('a size of heads that is not known')
  const turned = n.int('rotary_embedding_dim', 0) || size
  const part = (of: string, from: number, to: number, step = 1): string => {
    if (step === 1) return n.slice(of, 3, from, to)
    return n.emit('strided_slice', { x: of }, { axes: [3], starts: [from], ends: [to], strides: [step] })
  }
  const isInterleaved = n.int('interleaved', 0) !== 0
  const [first, second] = isInterleaved
    ? [part(x, 0, turned, 2), part(x, 1, turned, 2)]
    : [part(x, 0, turned / 2), part(x, turned / 2, turned)]
  // [batch, length, size / 2], the same for all heads.
  const table = (i: number): string => {
    const rows = n.has(3) ? n.emit('onnx.Gather', { x: n.operand(i), index: n.operand(3) }, { axis: 0 }) : n.operand(i)
    return n.emit('unsqueeze', { x: rows }, { axis: [1] })
  }
  const [cosine, sine] = [table(1), table(2)]
  const times = (a: string, b: string): string => n.emit('multiply', { x: a, y: b })
  const real = n.emit('subtract', { x: times(cosine, first), y: times(sine, second) })
  const imaginary = n.emit('add', { x: times(sine, first), y: times(cosine, second) })
  const pairs = (): string => {
    const both = [real, imaginary].map((v) => n.emit('unsqueeze', { x: v }, { axis: [4] }))
    return n.emit('flatten', { x: n.emit('concat', { x: both }, { axis: 4 }) }, { start_axis: 3, stop_axis: 4 })
  }
  const rest = turned < size ? [part(x, turned, size)] : []
  const joined = isInterleaved ? [pairs(), ...rest] : [real, imaginary, ...rest]
  const out = joined.length === 1 ? joined[0]! : n.emit('concat', { x: joined }, { axis: 3 })
  if (isFlat) giveJoined(n, out)
  else n.bind(0, out)
}

export const attentionRules: RuleTable = {
  Attention: always(attention),
  RotaryEmbedding: always(rotaryEmbedding, 'a size of heads that is known'),
}
