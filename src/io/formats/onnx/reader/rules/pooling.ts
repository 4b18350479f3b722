/** Pools. */
import { isFloat } from '../../../../../common/dtype.ts'
import { isNumber } from '../../../program/inference/known.ts'
import { positionsRoundedUp } from '../../../program/positions.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'
import { geometryOf, layout, overTwoAxes, WINDOW_LIMITS, type Geometry } from './windows.ts'

const kernelOf = (n: NodeCall): number[] => n.ints('kernel_shape') ?? n.refuse('a kernel whose size is not told')

/**
 * Sizes are rounded up alike, but ONNX leaves out windows that begin behind the input and its first padding, and Paddle does not. Where there
 * are such windows, the paddings for which rounding down gives ONNX's number; null where sizes must be known for it.
 */
function roundedUp(n: NodeCall, reach: readonly number[], { strides, paddings }: Geometry): number[] | null {
  const sizes = n.known(0).shape?.slice(2)
  const ends = reach.flatMap((k, i) => {
    const size = sizes?.[i]
    if (!isNumber(size)) return []
    const [low, high, stride] = [paddings[2 * i]!, paddings[2 * i + 1]!, strides[i]!]
    const count = positionsRoundedUp(size, low, high, k, stride)
    return [low, Math.max((count - 1) * stride + k - size - low, 0)]
  })
  return ends.length === 2 * reach.length ? ends : null
}

const pool = (kind: 'max' | 'avg'): Convert => {
  return (n) => {
    const kernel = kernelOf(n)
    const geometry = geometryOf(n, kernel)
    const counted = kind === 'avg' && n.int('count_include_pad', 0) !== 0
    const ceil = n.int('ceil_mode', 0) !== 0 && geometry.padding_algorithm === 'EXPLICIT'
    // Paddle's windows then begin in the input, as ONNX's do.
    const reach = kernel.map((k, i) => (k - 1) * geometry.dilations[i]! + 1)
    const alike = reach.every((k, i) => geometry.strides[i]! + geometry.paddings[2 * i + 1]! <= k)
    const rounded = ceil && !alike && !counted ? roundedUp(n, reach, geometry) : null
    const used = rounded ? { ...geometry, paddings: rounded } : geometry
    const ceil_mode = ceil && !rounded
    const isOwn =
      kernel.length > 3 ||
      geometry.dilations.some((d) => d !== 1) ||
      !isFloat(n.dtype()) ||
      (kind === 'max' && n.wants(1)) ||
      (ceil_mode && !alike)
    if (isOwn) return ownPool(n, kind, { kernel_size: kernel, ...used, ceil_mode })
    const single = kernel.length === 1
    const { strides, paddings, padding_algorithm } = single ? overTwoAxes(used) : used
    const attributes = {
      kernel_size: single ? [1, ...kernel] : kernel,
      strides,
      paddings,
      ceil_mode,
      exclusive: !counted,
      data_format: layout(kernel.length === 3 ? 3 : 2),
      pooling_type: kind,
      global_pooling: false,
      adaptive: false,
      padding_algorithm,
    }
    const type = kernel.length === 3 ? 'pool3d' : 'pool2d'
    if (!single) return n.give(type, { x: n.operand(0) }, attributes)
    const lifted = n.emit('unsqueeze', { x: n.operand(0) }, { axis: [2] })
    n.give('squeeze', { x: n.emit(type, { x: lifted }, attributes) }, { axis: [2] })
  }
}

interface Windows extends Geometry {
  readonly kernel_size: number[]
  readonly ceil_mode: boolean
}

/** What Paddle's pools do not know. */
function ownPool(n: NodeCall, kind: 'max' | 'avg', windows: Windows): void {
  if (kind === 'avg') {
    const attributes = { ...windows, exclusive: n.int('count_include_pad', 0) === 0 }
    return n.give('onnx.AveragePool', { x: n.operand(0) }, attributes)
  }
  const attributes = { ...windows, storage_order: n.int('storage_order', 0) }
  if (!n.wants(1)) return n.give('onnx.MaxPool', { x: n.operand(0) }, attributes)
  const { out, mask } = n.emitAll('onnx.MaxPool', { x: n.operand(0) }, attributes, { out: null, mask: null })
  n.bind(0, out![0]!)
  n.bind(1, mask![0]!)
}

const lpPool: Convert = (n) => {
  const kernel = kernelOf(n)
  const windows = { kernel_size: kernel, ...geometryOf(n, kernel), ceil_mode: n.int('ceil_mode', 0) !== 0 }
  n.give('onnx.LpPool', { x: n.operand(0) }, { ...windows, p: n.int('p', 2) })
}

const maxUnpool: Convert = (n) => {
  const kernel = kernelOf(n)
  const { strides, paddings } = geometryOf(n, kernel)
  const shape = n.has(2) ? n.variable(2) : []
  const attributes = { kernel_size: kernel, strides, paddings, output_shape: shape }
  n.give('onnx.MaxUnpool', { x: n.operand(0), indices: n.operand(1) }, attributes)
}

const spatial = (n: NodeCall): number[] => Array.from({ length: n.rank() - 2 }, (_, i) => i + 2)

const globalPool = (kind: 'max' | 'avg'): Convert => {
  return (n) => {
    const rank = n.known(0).shape?.length ?? 4
    if (rank !== 4)
      return n.give(kind === 'avg' ? 'mean' : 'max', { x: n.operand(0) }, { axis: spatial(n), keepdim: true })
    const attributes = {
      kernel_size: [1, 1],
      strides: [1, 1],
      paddings: [0, 0],
      ceil_mode: false,
      exclusive: true,
      data_format: 'NCHW',
      pooling_type: kind,
      global_pooling: false,
      adaptive: true,
      padding_algorithm: 'EXPLICIT',
    }
    n.give('pool2d', { x: n.operand(0) }, attributes)
  }
}

const globalLpPool: Convert = (n) => {
  const p = n.int('p', 2)
  const powers = n.emit('pow', { x: n.emit('abs', { x: n.operand(0) }) }, { y: p })
  n.give('pow', { x: n.emit('sum', { x: powers }, { axis: spatial(n), keepdim: true }) }, { y: 1 / p })
}

export const poolingRules: RuleTable = {
  AveragePool: always(pool('avg'), WINDOW_LIMITS),
  GlobalAveragePool: always(globalPool('avg')),
  GlobalLpPool: always(globalLpPool),
  GlobalMaxPool: always(globalPool('max')),
  LpPool: always(lpPool, WINDOW_LIMITS),
  MaxPool: always(pool('max'), WINDOW_LIMITS),
  MaxUnpool: always(maxUnpool),
}
