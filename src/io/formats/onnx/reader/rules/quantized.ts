/**
 * Quantised models: real numbers as 8-bit integers, (q - zero point) * scale, with a scale and a zero point for a tensor, for each index of an axis, or for
 * each block of an axis.
 *
 * Products of matrices are taken of int32, which is exact. Convolutions of int32 are some 30 times slower than those of float32, which holds every integer up
 * to 2^24: they are convolutions of float32 over as many channels at a time as cannot reach that, and of int32 where that does not help. Where the sum is
 * scaled and rounded to 8 bits (QLinearConv), it is one of float32 in any case: what that loses, 2^-24 of the sum, the scaling loses too.
 */
import { getElement, viewHost, type DType, type HostArray } from '../../../../../common/dtype.ts'
import { numel } from '../../../../../common/shape.ts'
import { fromFront, isNumber, numbersOf } from '../../../program/inference/known.ts'
import { elementsOf } from '../conversion.ts'
import type { NodeCall } from '../node-call.ts'
import { always, ruleFor, type Convert, type OnnxOperator, type RuleTable } from '../rule.ts'
import { elementwiseRules } from './elementwise.ts'
import { shapingRules } from './shaping.ts'
import { poolingRules } from './pooling.ts'
import { spatialRules } from './spatial.ts'

/** The first integers that float32 skips lie behind it. */
const EXACT = 2 ** 24

/** More parts of a convolution cost more than integers do. */
const MOST_RUNS = 16

const types = 'integers of 8 bits'
const blocks = 'blocks of axes whose sizes are known'

/** The largest difference of an 8-bit integer and a zero point. */
const REACH = 255

const limits: Partial<Record<DType, readonly [number, number]>> = { uint8: [0, 255], int8: [-128, 127] }

// ---- scales and zero points -----------------------------------------------------------------------------------------------

const isSingle = (n: NodeCall, name: string): boolean => n.knownOf(name).shape?.every((d) => d === 1) ?? false

/** A scale or zero point of an axis, so that it broadcasts against a tensor of `rank` axes; a single one against any. */
function alongAxis(n: NodeCall, name: string, axis: number, rank: () => number): string {
  const { shape } = n.knownOf(name)
  if (!shape) n.refuse('a scale or zero point whose number of axes is not known')
  if (shape.length === 0) return name
  if (isSingle(n, name)) return n.emit('reshape', { x: name }, { shape: [] })
  if (shape.length !== 1) return name
  const behind = rank() - 1 - fromFront(axis, rank())
  if (behind < 0) n.refuse(`axis ${axis} of ${rank()} axes`)
  return behind === 0 ? name : n.emit('reshape', { x: name }, { shape: [-1, ...new Array<number>(behind).fill(1)] })
}

/** A scale or zero point of blocks, repeated for the elements of each; the last block may be cut. */
function alongBlocks(n: NodeCall, name: string, axis: number, block: number): string {
  const rank = n.rank()
  const at = fromFront(axis, rank)
  const { shape } = n.knownOf(name)
  const [size, blocks] = [n.known(0).shape?.[at], shape?.[at]]
  if (shape?.length !== rank || !isNumber(size) || !isNumber(blocks))
    n.refuse('blocks of an axis whose size is not known')
  const times = Array.from({ length: rank + 1 }, (_, i) => (i === at + 1 ? block : 1))
  const apart = n.emit('tile', { x: n.emit('unsqueeze', { x: name }, { axis: [at + 1] }) }, { repeat_times: times })
  const whole = n.emit('flatten', { x: apart }, { start_axis: at, stop_axis: at + 1 })
  if (blocks * block === size) return whole
  return n.slice(whole, at, 0, size)
}

/** Operand `i`, a scale or a zero point of operand 0 by the node's axis and size of blocks. */
function spread(n: NodeCall, i: number): string {
  const block = n.int('block_size', 0)
  const axis = n.int('axis', 1)
  const name = n.buffer(i)
  return block > 0 && !isSingle(n, name) ? alongBlocks(n, name, axis, block) : alongAxis(n, name, axis, () => n.rank())
}

/** Whether operand `i` is absent, or 0 throughout. */
const isZero = (n: NodeCall, i: number): boolean => !n.has(i) || (n.numbers(i)?.every((v) => v === 0) ?? false)

// ---- to integers and back -------------------------------------------------------------------------------------------------

/** y rounded half to even, plus the zero point, within what the dtype holds: the dtype's numbers, still as y's dtype. */
function rounded(n: NodeCall, y: string, zero: string | null, dtype: DType): string {
  const [min, max] = limits[dtype] ?? n.refuse(`results of ${dtype}`)
  const whole = n.emit('round', { x: y }, { decimals: 0 })
  const moved = zero === null ? whole : n.emit('add', { x: whole, y: n.cast(zero, n.knownOf(y).dtype) })
  return n.emit('clip', { x: moved }, { min, max })
}

const quantizeLinear: Convert = (n) => {
  const dtype = n.has(2) ? n.dtype(2) : n.int('output_dtype', 0) === 0 ? 'uint8' : n.dtypeAttribute('output_dtype')
  const precision = n.int('precision', 0) === 0 ? n.dtype(1) : n.dtypeAttribute('precision')
  const scaled = n.emit('divide', { x: n.cast(n.operand(0), precision), y: n.cast(spread(n, 1), precision) })
  n.give('cast', { x: rounded(n, scaled, isZero(n, 2) ? null : spread(n, 2), dtype) }, { dtype })
}

/** Of constants, the numbers are made here: weights become those of an ordinary model. Others are made where the model runs. */
const dequantizeLinear: Convert = (n) => {
  const dtype = n.int('output_dtype', 0) === 0 ? n.dtype(1) : n.dtypeAttribute('output_dtype')
  const scales = n.constant(1)
  const made = scales?.dtype === 'float32' && dtype === 'float32' && scales.shape.length < 2
  const array = made ? ofConstants(n, 0, 2, n.int('axis', 1), dtype, elementsOf(scales)) : null
  if (array) return n.bindConstant(0, array)
  const whole = n.cast(n.operand(0), 'float32')
  const moved = isZero(n, 2) ? whole : n.emit('subtract', { x: whole, y: n.cast(spread(n, 2), 'float32') })
  const real = { x: moved, y: n.cast(spread(n, 1), 'float32') }
  if (dtype === 'float32') return n.give('multiply', real)
  n.give('cast', { x: n.emit('multiply', real) }, { dtype })
}

/** To uint8, with the scale for which the integers reach from the least to the largest number, and to 0. */
const dynamicQuantizeLinear: Convert = (n) => {
  const x = n.operand(0)
  const number = (v: number): string => n.number(v, 'float32')
  const zero = number(0)
  const axis = Array.from({ length: n.rank() }, (_, i) => i)
  const whole = { axis, keepdim: false }
  const max = n.emit('maximum', { x: n.emit('max', { x }, whole), y: zero })
  const min = n.emit('minimum', { x: n.emit('min', { x }, whole), y: zero })
  const range = n.emit('subtract', { x: max, y: min })
  const isFlat = n.emit('equal', { x: range, y: zero })
  const reach = n.emit('where', { condition: isFlat, x: number(1), y: range })
  const scale = n.emit('divide', { x: reach, y: number(REACH) })
  const origin = n.emit('divide', { x: n.emit('subtract', { x: zero, y: min }), y: scale })
  const point = rounded(n, origin, null, 'uint8')
  n.give('cast', { x: rounded(n, n.emit('divide', { x, y: scale }), point, 'uint8') }, { dtype: 'uint8' })
  n.bind(1, scale)
  n.give('cast', { x: point }, { dtype: 'uint8' }, 'out', 2)
}

// ---- products of integers -------------------------------------------------------------------------------------------------

/** (q - zero point) * scale of an operand that is a constant, as its zero point is; null where they are not. */
function ofConstants(
  n: NodeCall,
  i: number,
  zeroAt: number,
  axis: number,
  dtype: 'float32' | 'int32',
  scales: readonly number[] = [1],
): HostArray | null {
  const q = n.constant(i)
  const zero = n.has(zeroAt) ? n.constant(zeroAt) : null
  if (!q || (n.has(zeroAt) && !zero) || (zero && zero.shape.length > 1)) return null
  const zeros = zero ? elementsOf(zero) : [0]
  const at = fromFront(axis, q.shape.length)
  for (const { length } of [zeros, scales])
    if (length !== 1 && length !== q.shape[at])
      n.refuse(`${length} numbers for axis ${axis} of [${q.shape.join(', ')}]`)
  const inner = numel(q.shape.slice(at + 1))
  const data = viewHost(dtype, new ArrayBuffer(numel(q.shape) * 4))
  for (let k = 0; k < data.length; k++) {
    const index = Math.floor(k / inner) % (q.shape[at] ?? 1)
    data[k] = (getElement(q.dtype, q.data, k) - zeros[index % zeros.length]!) * scales[index % scales.length]!
  }
  return { dtype, shape: q.shape, data }
}

/** q - zero point; vectors of zero points lie along the axis. */
function centred(n: NodeCall, i: number, zeroAt: number, axis: number, dtype: 'float32' | 'int32'): string {
  const array = ofConstants(n, i, zeroAt, axis, dtype)
  if (array) return n.weight(array, 'integers')
  const q = n.cast(n.operand(i), dtype)
  if (isZero(n, zeroAt)) return q
  const zero = alongAxis(n, n.operand(zeroAt), axis, () => n.rank(i))
  return n.emit('subtract', { x: q, y: n.cast(zero, dtype) })
}

/** What a sum becomes with the scales x, w and y: sum * x * w / y, rounded. */
function giveScaled(n: NodeCall, sum: string, [x, w, y]: readonly [string, string, string], zeroAt: number): void {
  const wide = (name: string): string => n.cast(name, 'float32')
  const factor = n.emit('divide', { x: n.emit('multiply', { x: wide(x), y: wide(w) }), y: wide(y) })
  const zero = isZero(n, zeroAt) ? null : alongAxis(n, n.operand(zeroAt), -2, () => n.rank(0))
  const dtype = n.dtype(zeroAt)
  n.give('cast', { x: rounded(n, n.emit('multiply', { x: wide(sum), y: factor }), zero, dtype) }, { dtype })
}

const matmulInteger: Convert = (n) =>
  n.give('matmul', { x: centred(n, 0, 2, -2, 'int32'), y: centred(n, 1, 3, -1, 'int32') })

const qLinearMatMul: Convert = (n) => {
  const sum = n.emit('matmul', { x: centred(n, 0, 2, -2, 'int32'), y: centred(n, 3, 5, -1, 'int32') })
  const x = alongAxis(n, n.buffer(1), -2, () => n.rank(0))
  const w = alongAxis(n, n.buffer(4), -1, () => n.rank(3))
  const y = alongAxis(n, n.buffer(6), -2, () => n.rank(0))
  giveScaled(n, sum, [x, w, y], 7)
}

/**
 * The input channels of a filter in runs, in each of which no sum reaches what float32 holds exactly: by its weights where these are constant, by its sizes
 * where not. Null where there are none, or too many.
 */
function exactRuns(n: NodeCall, i: number, zeroAt: number): readonly (readonly [from: number, to: number])[] | null {
  const sizes = numbersOf(n.known(i).shape)
  if (!sizes) return null
  const [rows = 1, channels = 1] = sizes
  const each = numel(sizes.slice(2))
  const filter = ofConstants(n, i, zeroAt, 0, 'int32')
  const sums = new Float64Array(filter ? rows : 1)
  const runs: [from: number, to: number][] = [[0, 0]]
  for (let c = 0; c < channels; c++) {
    const added = sums.map((_, m) => (filter ? sizeOfRun(filter, (m * channels + c) * each, each) : each * REACH))
    if (added.some((a, m) => (sums[m]! + a) * REACH >= EXACT)) {
      if (runs.length === MOST_RUNS || added.some((a) => a * REACH >= EXACT)) return null
      runs.push([c, c])
      sums.fill(0)
    }
    added.forEach((a, m) => (sums[m]! += a))
    runs.at(-1)![1] = c + 1
  }
  return runs
}

/** The sum of the sizes of some elements. */
function sizeOfRun({ dtype, data }: HostArray, from: number, count: number): number {
  let sum = 0
  for (let k = from; k < from + count; k++) sum += Math.abs(getElement(dtype, data, k))
  return sum
}

/** What ONNX's own rule makes of program values. */
const by = (n: NodeCall, rules: RuleTable, opType: string, operands: readonly string[]): string =>
  n.through(ruleFor(rules[opType]!, n.opset)!, operands)

const conv = (n: NodeCall, operands: readonly string[]): string => by(n, spatialRules, 'Conv', operands)

const convInteger: Convert = (n) => {
  const runs = exactRuns(n, 1, 3)
  const dtype = runs && (runs.length === 1 || n.int('group', 1) === 1) ? 'float32' : 'int32'
  const [x, w] = [centred(n, 0, 2, 0, dtype), centred(n, 1, 3, 0, dtype)]
  if (!runs || dtype === 'int32') return n.bind(0, conv(n, [x, w]))
  if (runs.length === 1) return n.give('cast', { x: conv(n, [x, w]) }, { dtype: 'int32' })
  const sums = runs.map(([from, to]) => {
    const cut = (name: string): string => n.slice(name, 1, from, to)
    return n.emit('cast', { x: conv(n, [cut(x), cut(w)]) }, { dtype: 'int32' })
  })
  n.bind(
    0,
    sums.reduce((x, y) => n.emit('add', { x, y })),
  )
}

const qLinearConv: Convert = (n) => {
  const bias = n.has(8) ? [n.cast(n.operand(8), 'float32')] : []
  const sum = conv(n, [centred(n, 0, 2, 0, 'float32'), centred(n, 3, 5, 0, 'float32'), ...bias])
  const single = (i: number): string => alongAxis(n, n.buffer(i), 0, () => 1)
  const w = alongAxis(n, n.buffer(4), 1, () => n.rank(3))
  giveScaled(n, sum, [single(1), w, single(6)], 7)
}

// ---- operators that only ONNX Runtime has ---------------------------------------------------------------------------------

/** Operand `i` as real numbers: its scale and zero point, of the whole tensor, are the next two. */
function realOf(n: NodeCall, i: number): string {
  const point = (k: number): string =>
    n.cast(
      alongAxis(n, n.buffer(k), 0, () => 1),
      'float32',
    )
  const q = n.cast(n.operand(i), 'float32')
  const moved = isZero(n, i + 2) ? q : n.emit('subtract', { x: q, y: point(i + 2) })
  return n.emit('multiply', { x: moved, y: point(i + 1) })
}

/** An operator on real numbers between integers: `at` are operands that have scale and zero point behind them, `to` those of the result. */
const onReals = (rules: RuleTable, opType: string, at: (n: NodeCall) => readonly number[], to: number): OnnxOperator =>
  always((n) => {
    if (n.int('channels_last', 0) !== 0) n.refuse('channels_last')
    const operands = at(n)
    const y = by(
      n,
      rules,
      opType,
      operands.map((i) => realOf(n, i)),
    )
    const scale = alongAxis(n, n.buffer(to), 0, () => 1)
    const dtype = n.has(to + 1) ? n.dtype(to + 1) : n.dtype(operands[0])
    const zero = isZero(n, to + 1) ? null : alongAxis(n, n.buffer(to + 1), 0, () => 1)
    n.give('cast', { x: rounded(n, n.emit('divide', { x: y, y: scale }), zero, dtype) }, { dtype })
  }, types)

const one = (): readonly number[] => [0]
const two = (): readonly number[] => [0, 3]
const many = (n: NodeCall): readonly number[] => Array.from({ length: (n.inputCount - 2) / 3 }, (_, i) => 2 + 3 * i)

/** What its quantiser writes next to ONNX's operators. */
export const microsoftRules: RuleTable = {
  'com.microsoft.DequantizeLinear': always(dequantizeLinear, types),
  'com.microsoft.QLinearAdd': onReals(elementwiseRules, 'Add', two, 6),
  'com.microsoft.QLinearAveragePool': onReals(poolingRules, 'AveragePool', one, 3),
  'com.microsoft.QLinearConcat': onReals(shapingRules, 'Concat', many, 0),
  'com.microsoft.QLinearGlobalAveragePool': onReals(poolingRules, 'GlobalAveragePool', one, 3),
  'com.microsoft.QLinearLeakyRelu': onReals(elementwiseRules, 'LeakyRelu', one, 3),
  'com.microsoft.QLinearMul': onReals(elementwiseRules, 'Mul', two, 6),
  'com.microsoft.QLinearSigmoid': onReals(elementwiseRules, 'Sigmoid', one, 3),
  'com.microsoft.QuantizeLinear': always(quantizeLinear, types),
}

export const quantizedRules: RuleTable = {
  ConvInteger: always(convInteger, types),
  DequantizeLinear: always(dequantizeLinear, `${types}, or int32; ${blocks}`),
  DynamicQuantizeLinear: always(dynamicQuantizeLinear, 'a number of axes that is known'),
  MatMulInteger: always(matmulInteger, types),
  QLinearConv: always(qLinearConv, types),
  QLinearMatMul: always(qLinearMatMul, types),
  QuantizeLinear: always(quantizeLinear, `${types}; ${blocks}`),
}
