/** Normalisation and dropout. */
import { numbersOf } from '../../../program/inference/known.ts'
import { floatAttribute } from '../emission.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'
import { reduceNode } from './linear.ts'
import { sizesIn } from './shaping.ts'
import { channelsFirst } from './layout.ts'

/** A vector of weights, or one of a number where there is none. */
function vectorOf(c: WriteCall, slot: string, size: number, ifMissing: number): string {
  return c.optional(slot) ?? c.e.array(c.e.filled([size], ifMissing, c.dtype()), slot)
}

const batchNorm: WriteRule = (c) => {
  const channels = numbersOf(c.known('mean').shape)?.[0] ?? c.refuse('a number of channels that is not known')
  const statistics = [
    vectorOf(c, 'scale', channels, 1),
    vectorOf(c, 'bias', channels, 0),
    c.in('mean'),
    c.in('variance'),
  ]
  const attributes = { epsilon: floatAttribute(c.number('epsilon')), momentum: floatAttribute(c.number('momentum')) }
  channelsFirst(c, 'x', (x, out) => {
    c.e.one('BatchNormalization', [x, ...statistics], attributes, out)
  })
}

const layerNorm: WriteRule = (c) => {
  const axis = c.number('begin_norm_axis')
  const rank = c.rank()
  const axes = Array.from({ length: rank - axis }, (_, i) => axis + i)
  // Paddle keeps a vector, ONNX the shape of the axes.
  const sizes = numbersOf(c.known('x').shape?.slice(axis))
  const shape = (): string => (sizes ? c.e.ints(sizes) : sizesIn(c, c.in('x'), axis, rank))
  const [scale, bias] = ['scale', 'bias'].map((slot) => {
    const vector = c.optional(slot)
    return vector === null || axes.length === 1 ? vector : c.e.one('Reshape', [vector, shape()])
  })
  if (c.e.opset >= 17) {
    const ones = (): string =>
      c.e.array(
        c.e.filled(
          axes.map((a) => c.size('x', a)),
          1,
          c.dtype(),
        ),
        'scale',
      )
    const operands = [c.in('x'), scale ?? ones(), bias ?? null]
    return void c.e.one('LayerNormalization', operands, { axis, epsilon: floatAttribute(c.number('epsilon')) }, c.out())
  }
  const x = c.in('x')
  const centred = c.e.one('Sub', [x, reduceNode(c, 'ReduceMean', x, axes, true)])
  const variance = reduceNode(c, 'ReduceMean', c.e.one('Mul', [centred, centred]), axes, true)
  const deviation = c.e.one('Sqrt', [c.e.one('Add', [variance, c.e.scalar(c.number('epsilon'), c.dtype())])])
  affine(c, c.e.one('Div', [centred, deviation]), scale ?? null, bias ?? null)
}

/** x scale + bias, as the result. */
function affine(c: WriteCall, x: string, scale: string | null, bias: string | null): void {
  const steps = [
    ['Mul', scale],
    ['Add', bias],
  ].filter((s): s is [string, string] => s[1] !== null)
  if (steps.length === 0) return void c.e.one('Identity', [x], {}, c.out())
  let value = x
  steps.forEach(([opType, operand], i) => {
    value = c.e.one(opType, [value, operand], {}, i === steps.length - 1 ? c.out() : undefined)
  })
}

/** Groups are the channels of an instance norm: what ONNX's own node means since version 21. */
const groupNorm: WriteRule = (c) => {
  if (c.text('data_format').endsWith('C')) c.refuse('channels last')
  const groups = c.number('groups')
  const x = c.in('x')
  const apart = c.e.one('Reshape', [x, c.e.ints([0, groups, -1])])
  const ones = c.e.array(c.e.filled([groups], 1, c.dtype()), 'ones')
  const zeros = c.e.array(c.e.filled([groups], 0, c.dtype()), 'zeros')
  const normal = c.e.one('InstanceNormalization', [apart, ones, zeros], {
    epsilon: floatAttribute(c.number('epsilon')),
  })
  const whole = c.e.one('Reshape', [normal, c.e.one('Shape', [x])])
  const spread = [-1, ...new Array<number>(c.rank() - 2).fill(1)]
  const [scale, bias] = ['scale', 'bias'].map((slot) => {
    const vector = c.optional(slot)
    return vector === null ? null : c.e.one('Reshape', [vector, c.e.ints(spread)])
  })
  affine(c, whole, scale ?? null, bias ?? null)
}

const instanceNorm: WriteRule = (c) => {
  const channels = (): number => c.size('x', 1)
  const scale = c.has('scale') ? c.in('scale') : vectorOf(c, 'scale', channels(), 1)
  const bias = c.has('bias') ? c.in('bias') : vectorOf(c, 'bias', channels(), 0)
  c.e.one('InstanceNormalization', [c.in('x'), scale, bias], { epsilon: floatAttribute(c.number('epsilon')) }, c.out())
}

/** What it does outside training: nothing, or a factor. */
const dropout: WriteRule = (c) => {
  if (c.text('mode') === 'upscale_in_train') return void c.e.one('Identity', [c.in('x')], {}, c.out())
  c.e.one('Mul', [c.in('x'), c.e.scalar(1 - c.number('p'), c.dtype())], {}, c.out())
}

export const normalizationWriters: WriteRules = {
  batch_norm_: batchNorm,
  dropout,
  group_norm: groupNorm,
  instance_norm: instanceNorm,
  layer_norm: layerNorm,
  sync_batch_norm_: batchNorm,
}
