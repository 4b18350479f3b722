/** Losses, one value a sample or element. */
import { FormatError } from '../../../../common/errors.ts'
import { labelSmooth } from '../../../../nn/functional/common.ts'
import { softmax } from '../../../../nn/functional/activation.ts'
import { nllLoss, softmaxWithCrossEntropy } from '../../../../nn/functional/loss/cross-entropy.ts'
import { ctcLoss } from '../../../../nn/functional/loss/ctc.ts'
import type { Reduction } from '../../../../nn/functional/loss/reduction.ts'
import {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  huberLoss,
  klDiv,
} from '../../../../nn/functional/loss/regression.ts'
import { equal, notEqual } from '../../../../tensor/comparison.ts'
import { fullLike } from '../../../../tensor/creation.ts'
import { log, neg } from '../../../../tensor/elementary.ts'
import { add, clip, divide, multiply, subtract } from '../../../../tensor/math.ts'
import { sum } from '../../../../tensor/reduction.ts'
import { where } from '../../../../tensor/search.ts'
import { cast, unsqueeze } from '../../../../tensor/shaping.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, text, type Operator, type OperatorCall, type OperatorResults } from '../operator.ts'

function reductionOf<const R extends string>(call: OperatorCall, known: readonly R[]): R {
  const given = call.text('reduction')
  const reduction = known.find((r) => r === given)
  if (reduction === undefined)
    throw new FormatError(`operator '${call.type}': the reduction '${given}' is unknown; known: ${known.join(', ')}`)
  return reduction
}

const REDUCTIONS: readonly Reduction[] = ['none', 'sum', 'mean']

function crossEntropy(call: OperatorCall): OperatorResults {
  const [input, label] = [call.tensor('input'), call.tensor('label')]
  const axis = call.number('axis')
  const options = {
    softLabel: call.bool('soft_label'),
    useSoftmax: call.bool('use_softmax'),
    ignoreIndex: call.number('ignore_index'),
    axis,
  }
  const loss = softmaxWithCrossEntropy(input, label, options)
  return { softmax: options.useSoftmax ? softmax(input, axis) : input, loss }
}

/** Losses of ignored elements are 0; normalised, the others are divided by their number. */
function sigmoidCrossEntropy(call: OperatorCall): Tensor {
  const [x, label] = [call.tensor('x'), call.tensor('label')]
  const posWeight = call.optional('pos_weight')
  const loss = binaryCrossEntropyWithLogits(x, label, { reduction: 'none', ...(posWeight ? { posWeight } : {}) })
  const ignored = equal(label, call.number('ignore_index'))
  const kept = where(ignored, fullLike(loss, 0), loss)
  if (!call.bool('normalize')) return kept
  const count = sum(cast(notEqual(label, call.number('ignore_index')), loss.dtype))
  return divide(kept, clip(count, 1e-5))
}

/** x: log of probabilities; where the target is not positive the loss is 0. */
function divergence(call: OperatorCall): Tensor {
  return klDiv(call.tensor('x'), call.tensor('label'), {
    reduction: reductionOf(call, ['none', 'sum', 'mean', 'batchmean']),
    logTarget: call.bool('log_target'),
  })
}

export const losses = {
  bce_loss: {
    inputs: ['input', 'label'],
    outputs: ['out'],
    attributes: {},
    run: (call) => binaryCrossEntropy(call.tensor('input'), call.tensor('label'), { reduction: 'none' }),
  },
  cross_entropy_with_softmax: {
    inputs: ['input', 'label'],
    outputs: ['softmax', 'loss'],
    attributes: {
      soft_label: bool(false),
      use_softmax: bool(true),
      numeric_stable_mode: bool(true),
      ignore_index: int(-100),
      axis: int(-1),
    },
    run: crossEntropy,
  },
  huber_loss: {
    inputs: ['input', 'label'],
    outputs: ['out', 'residual'],
    attributes: { delta: float() },
    run(call) {
      const [input, label] = [call.tensor('input'), call.tensor('label')]
      const out = huberLoss(input, label, { delta: call.number('delta'), reduction: 'none' })
      return { out, residual: subtract(label, input) }
    },
  },
  kldiv_loss: {
    inputs: ['x', 'label'],
    outputs: ['out'],
    attributes: { reduction: text('mean'), log_target: bool(false) },
    run: divergence,
  },
  label_smooth: {
    inputs: ['label', 'prior_dist?'],
    outputs: ['out'],
    attributes: { epsilon: float(0) },
    run: (call) =>
      labelSmooth(call.tensor('label'), { priorDist: call.optional('prior_dist'), epsilon: call.number('epsilon') }),
  },
  nll_loss: {
    inputs: ['input', 'label', 'weight?'],
    outputs: ['out', 'total_weight?'],
    attributes: { ignore_index: int(-100), reduction: text('mean') },
    run: (call) =>
      nllLoss(call.tensor('input'), call.tensor('label'), {
        weight: call.optional('weight'),
        ignoreIndex: call.number('ignore_index'),
        reduction: reductionOf(call, REDUCTIONS),
      }),
  },
  sigmoid_cross_entropy_with_logits: {
    inputs: ['x', 'label', 'pos_weight?'],
    outputs: ['out'],
    attributes: { normalize: bool(false), ignore_index: int(-100) },
    run: sigmoidCrossEntropy,
  },
  log_loss: {
    inputs: ['input', 'label'],
    outputs: ['out'],
    attributes: { epsilon: float() },
    run(call) {
      const [p, label, epsilon] = [call.tensor('input'), call.tensor('label'), call.number('epsilon')]
      const hit = multiply(label, log(add(p, epsilon)))
      const miss = multiply(subtract(1, label), log(subtract(1 + epsilon, p)))
      return neg(add(hit, miss))
    },
  },
  warpctc: {
    inputs: ['logits', 'label', 'logits_length?', 'labels_length?'],
    outputs: ['loss', 'warpctcgrad?'],
    attributes: { blank: int(0), norm_by_times: bool(false) },
    run(call) {
      const lengths = [call.tensor('logits_length'), call.tensor('labels_length')] as const
      const loss = ctcLoss(call.tensor('logits'), call.tensor('label'), ...lengths, {
        blank: call.number('blank'),
        normByTimes: call.bool('norm_by_times'),
        reduction: 'none',
      })
      return { loss: unsqueeze(loss, 1) }
    },
  },
} satisfies Record<string, Operator>
