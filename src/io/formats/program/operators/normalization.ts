/** Normalisation and dropout. */
import { dropout } from '../../../../nn/functional/dropout.ts'
import { batchNorm, groupNorm, instanceNorm, layerNorm } from '../../../../nn/functional/norm.ts'
import { bool, float, int, text, variable, type Operator, type OperatorCall } from '../operator.ts'
import { dataFormatOf } from './convolution.ts'

/** Running statistics are used outside training, and inside it where the operator says so. */
const batchNormalization: Operator = {
  inputs: ['x', 'mean', 'variance', 'scale?', 'bias?'],
  outputs: ['out', 'mean_out?', 'variance_out?', 'saved_mean?', 'saved_variance?', 'reserve_space?'],
  attributes: {
    is_test: bool(false),
    momentum: float(0.9),
    epsilon: float(1e-5),
    data_format: text('NCHW'),
    use_global_stats: bool(false),
    trainable_statistics: bool(false),
  },
  run: (call) =>
    batchNorm(call.tensor('x'), call.tensor('mean'), call.tensor('variance'), {
      weight: call.optional('scale'),
      bias: call.optional('bias'),
      training: call.training,
      momentum: call.number('momentum'),
      epsilon: call.number('epsilon'),
      dataFormat: dataFormatOf(call),
      useGlobalStats: call.bool('use_global_stats') || !call.training,
    }),
}

const affine = (call: OperatorCall) => ({
  weight: call.optional('scale'),
  bias: call.optional('bias'),
  epsilon: call.number('epsilon'),
})

/** `downgrade_in_infer` is the legacy formats' word. */
function dropoutMode(call: OperatorCall): 'upscale_in_train' | 'downscale_in_infer' {
  return call.text('mode') === 'upscale_in_train' ? 'upscale_in_train' : 'downscale_in_infer'
}

export const normalizations = {
  batch_norm_: batchNormalization,
  // Over several devices; here there is one.
  sync_batch_norm_: batchNormalization,
  layer_norm: {
    inputs: ['x', 'scale?', 'bias?'],
    outputs: ['out', 'mean?', 'variance?'],
    attributes: { epsilon: float(1e-5), begin_norm_axis: int(1) },
    run(call) {
      const x = call.tensor('x')
      return layerNorm(x, x.shape.slice(call.number('begin_norm_axis')), affine(call))
    },
  },
  group_norm: {
    inputs: ['x', 'scale?', 'bias?'],
    outputs: ['out', 'mean?', 'variance?'],
    attributes: { epsilon: float(1e-5), groups: int(-1), data_format: text('NCHW') },
    run: (call) =>
      groupNorm(call.tensor('x'), call.number('groups'), { ...affine(call), dataFormat: dataFormatOf(call) }),
  },
  instance_norm: {
    inputs: ['x', 'scale?', 'bias?'],
    outputs: ['out', 'saved_mean?', 'saved_variance?'],
    attributes: { epsilon: float(1e-5) },
    run: (call) => instanceNorm(call.tensor('x'), affine(call)),
  },
  dropout: {
    inputs: ['x', 'seed_tensor?'],
    outputs: ['out', 'mask?'],
    attributes: {
      p: variable(float(0.5)),
      is_test: bool(false),
      mode: text('downgrade_in_infer'),
      seed: int(0),
      fix_seed: bool(false),
    },
    run: (call) => dropout(call.tensor('x'), call.number('p'), { training: call.training, mode: dropoutMode(call) }),
  },
} satisfies Record<string, Operator>
