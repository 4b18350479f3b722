/** Grids, windows as rows, and padding. */
import { FormatError } from '../../../../common/errors.ts'
import { channelsFirst } from '../../../../nn/functional/geometry.ts'
import { affineGrid, gridSample } from '../../../../nn/functional/grid.ts'
import { padAxes, type PadMode } from '../../../../nn/functional/pad.ts'
import { channelShuffle, fold, pixelShuffle, pixelUnshuffle, unfold } from '../../../../nn/functional/vision.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, ints, text, variable, type Operator, type OperatorCall } from '../operator.ts'
import { dataFormatOf } from './convolution.ts'

/** One of some words, or FormatError. */
function wordOf<const W extends string>(call: OperatorCall, name: string, words: readonly W[]): W {
  const given = call.text(name)
  const word = words.find((w) => w === given)
  if (word === undefined)
    throw new FormatError(`operator '${call.type}': the ${name} '${given}' is unknown; known: ${words.join(', ')}`)
  return word
}

const PAD_MODES: readonly PadMode[] = ['constant', 'reflect', 'replicate', 'circular']

/** Padding of the spatial axes, the last one first: [left, right, top, bottom, ..]. */
function padSpatial(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const paddings = call.numbers('paddings')
  const at = channelsFirst(dataFormatOf(call), call.type) ? 2 : 1
  const low = x.shape.map(() => 0)
  const high = x.shape.map(() => 0)
  const axes = x.ndim - 2
  if (paddings.length !== 2 * axes)
    throw new FormatError(`operator '${call.type}': ${paddings.length} paddings for ${axes} spatial axes`)
  for (let i = 0; i < axes; i++) {
    low[at + axes - 1 - i] = paddings[2 * i]!
    high[at + axes - 1 - i] = paddings[2 * i + 1]!
  }
  const mode = wordOf(call, 'mode', PAD_MODES)
  return new Tensor(padAxes(x.node, { low, high }, mode, call.number('pad_value'), call.type))
}

const shuffle = (f: typeof pixelShuffle, factor: string): Operator => ({
  inputs: ['x'],
  outputs: ['out'],
  attributes: { [factor]: int(1), data_format: text('NCHW') },
  run: (call) => f(call.tensor('x'), call.number(factor), dataFormatOf(call)),
})

/** Paddle writes four paddings: top, left, bottom, right. */
const windows = { strides: ints([1, 1]), paddings: ints([0, 0]), dilations: ints([1, 1]) }

export const visionOperators = {
  pixel_shuffle: shuffle(pixelShuffle, 'upscale_factor'),
  pixel_unshuffle: shuffle(pixelUnshuffle, 'downscale_factor'),
  channel_shuffle: shuffle(channelShuffle, 'groups'),
  grid_sample: {
    inputs: ['x', 'grid'],
    outputs: ['out'],
    attributes: { mode: text('bilinear'), padding_mode: text('zeros'), align_corners: bool(true) },
    run: (call) =>
      gridSample(call.tensor('x'), call.tensor('grid'), {
        mode: wordOf(call, 'mode', ['bilinear', 'nearest', 'bicubic']),
        paddingMode: wordOf(call, 'padding_mode', ['zeros', 'border', 'reflection']),
        alignCorners: call.bool('align_corners'),
      }),
  },
  affine_grid: {
    inputs: ['input'],
    outputs: ['out'],
    attributes: { output_shape: variable(ints([])), align_corners: bool(true) },
    run: (call) => affineGrid(call.tensor('input'), call.numbers('output_shape'), call.bool('align_corners')),
  },
  unfold: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { kernel_sizes: ints(), ...windows },
    run: (call) =>
      unfold(call.tensor('x'), call.numbers('kernel_sizes'), {
        strides: call.numbers('strides'),
        paddings: call.numbers('paddings'),
        dilations: call.numbers('dilations'),
      }),
  },
  fold: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { output_sizes: ints(), kernel_sizes: ints(), ...windows },
    run: (call) =>
      fold(call.tensor('x'), call.numbers('output_sizes'), call.numbers('kernel_sizes'), {
        strides: call.numbers('strides'),
        paddings: call.numbers('paddings'),
        dilations: call.numbers('dilations'),
      }),
  },
  pad3d: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      paddings: variable(ints()),
      mode: text('constant'),
      pad_value: float(0),
      data_format: text('NCDHW'),
    },
    run: padSpatial,
  },
  // Low and high of every axis, the first axis first.
  pad: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { paddings: ints(), pad_value: variable(float(0)) },
    run: (call) => {
      const x = call.tensor('x')
      const paddings = call.numbers('paddings')
      const side = (s: number): number[] => paddings.filter((_, i) => i % 2 === s)
      if (paddings.length !== 2 * x.ndim)
        throw new FormatError(`operator 'pad': ${paddings.length} paddings for ${x.ndim} axes`)
      return new Tensor(padAxes(x.node, { low: side(0), high: side(1) }, 'constant', call.number('pad_value'), 'pad'))
    },
  },
} satisfies Record<string, Operator>
