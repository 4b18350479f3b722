/** Pools. */
import { padsOf } from '../../../program/inference/spatial.ts'
import { type PlainAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'
import { channelsFirst, isChannelsLast, paddingOf } from './layout.ts'

const pool: WriteRule = (c) => {
  const axes = c.operation.type === 'pool3d' ? 3 : 2
  const isMax = c.text('pooling_type') === 'max'
  const kernel = c.bool('global_pooling') ? [] : c.numbers('kernel_size')
  const isAdaptive = c.bool('adaptive') && !c.bool('global_pooling')
  if (c.bool('global_pooling') || (isAdaptive && kernel.every((k) => k === 1))) {
    channelsFirst(c, 'x', (x, out) => {
      c.e.one(isMax ? 'GlobalMaxPool' : 'GlobalAveragePool', [x], {}, out)
    })
    return
  }
  const windows = isAdaptive ? evenWindows(c, kernel) : kernel
  const attributes = {
    kernel_shape: windows,
    strides: isAdaptive ? windows : c.numbers('strides'),
    ...(isAdaptive ? {} : paddingOf(c, axes)),
    ...(!isAdaptive && c.bool('ceil_mode') ? roundedUp(c, kernel) : {}),
    ...(isMax || isAdaptive ? {} : { count_include_pad: c.bool('exclusive') ? 0 : 1 }),
  }
  channelsFirst(c, 'x', (x, out) => {
    c.e.one(isMax ? 'MaxPool' : 'AveragePool', [x], attributes, out)
  })
}

/** ONNX leaves out windows that begin behind the input, which Paddle has. */
function roundedUp(c: WriteCall, kernel: readonly number[]): Readonly<Record<string, PlainAttribute>> {
  const [strides, pads] = [c.numbers('strides'), padsOf(c.numbers('paddings'), kernel.length)]
  kernel.forEach((k, i) => {
    const [low, high] = pads[i]!
    if (strides[i]! + high <= k) return
    const size = c.size('x', i + (isChannelsLast(c) ? 1 : 2))
    const count = Math.ceil((size + low + high - k) / strides[i]!) + 1
    if ((count - 1) * strides[i]! >= size + low) c.refuse('ceil_mode with windows behind the input')
  })
  return { ceil_mode: 1 }
}

/** Adaptive windows are all alike where the sizes divide. */
function evenWindows(c: WriteCall, out: readonly number[]): number[] {
  const first = isChannelsLast(c) ? 1 : 2
  return out.map((o, i) => {
    const size = c.size('x', first + i)
    return size % o === 0 ? size / o : c.refuse(`an adaptive pool of ${size} elements to ${o}`)
  })
}

const maxPoolWithIndex: WriteRule = (c) => {
  if (c.bool('adaptive') || c.bool('global_pooling')) c.refuse('adaptive windows')
  const kernel = c.numbers('kernel_size')
  const attributes = {
    kernel_shape: kernel,
    strides: c.numbers('strides'),
    ...paddingOf(c, kernel.length),
    ...(c.bool('ceil_mode') ? roundedUp(c, kernel) : {}),
  }
  c.e.one('MaxPool', [c.in('x')], attributes, c.out())
}

/** Windows of ONNX's own pools; `since`: the version from which on this one may have gaps and rounds up. */
function windows(c: WriteCall, gapsSince: number, ceilSince: number): Readonly<Record<string, PlainAttribute>> {
  const kernel = c.numbers('kernel_size')
  const dilations = c.numbers('dilations')
  const hasGaps = dilations.some((d) => d !== 1)
  if (hasGaps) c.e.require(gapsSince, 'dilations')
  if (c.bool('ceil_mode')) c.e.require(ceilSince, 'ceil_mode')
  return {
    kernel_shape: kernel,
    strides: c.numbers('strides'),
    ...paddingOf(c, kernel.length),
    ...(hasGaps ? { dilations } : {}),
    ...(c.bool('ceil_mode') ? { ceil_mode: 1 } : {}),
  }
}

const ownAveragePool: WriteRule = (c) => {
  const attributes = { ...windows(c, 19, 10), count_include_pad: c.bool('exclusive') ? 0 : 1 }
  c.e.one('AveragePool', [c.in('x')], attributes, c.out())
}

const ownMaxPool: WriteRule = (c) => {
  const attributes = { ...windows(c, 10, 10), storage_order: c.number('storage_order') }
  c.e.node('MaxPool', [c.in('x')], attributes, c.wants('mask') ? [c.out(), c.out('mask')] : [c.out()])
}

const lpPool: WriteRule = (c) => {
  const p = c.number('p')
  if (!Number.isInteger(p)) c.refuse(`a norm of order ${p}`)
  c.e.one('LpPool', [c.in('x')], { ...windows(c, 18, 18), p }, c.out())
}

const maxUnpool: WriteRule = (c) => {
  const kernel = c.numbers('kernel_size')
  const pads = padsOf(c.numbers('paddings'), kernel.length)
  const attributes = {
    kernel_shape: kernel,
    strides: c.numbers('strides'),
    pads: [...pads.map((p) => p[0]), ...pads.map((p) => p[1])],
  }
  const shape = c.has('output_shape') || c.numbers('output_shape').length > 0 ? c.intsIn('output_shape') : null
  c.e.one('MaxUnpool', [c.in('x'), c.in('indices'), shape], attributes, c.out())
}

export const poolingWriters: WriteRules = {
  max_pool2d_with_index: maxPoolWithIndex,
  max_pool3d_with_index: maxPoolWithIndex,
  pool2d: pool,
  pool3d: pool,
  'onnx.AveragePool': ownAveragePool,
  'onnx.LpPool': lpPool,
  'onnx.MaxPool': ownMaxPool,
  'onnx.MaxUnpool': maxUnpool,
}
