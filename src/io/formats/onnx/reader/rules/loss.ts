/** Losses, which exporters write into graphs of training. */
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'

/** The loss of log-probabilities [N, C, ..], by labels and, where they are given, weights of classes. */
function negativeLogLikelihood(n: NodeCall, input: string): void {
  const reduction = n.text('reduction', 'mean')
  if (!['none', 'sum', 'mean'].includes(reduction)) n.refuse(`reduction '${reduction}'`)
  // No label is -100 where none is ignored.
  const attributes = { ignore_index: n.int('ignore_index', -100), reduction }
  n.give('nll_loss', { input, label: n.operand(1), weight: n.optional(2) }, attributes)
}

const softmaxCrossEntropy: Convert = (n) => {
  const logits = n.operand(0)
  const logProbabilities = n.emit('log_softmax', { x: logits }, { axis: 1 })
  negativeLogLikelihood(n, logProbabilities)
  n.bind(1, logProbabilities)
}

export const lossRules: RuleTable = {
  NegativeLogLikelihoodLoss: always((n) => {
    negativeLogLikelihood(n, n.operand(0))
  }),
  SoftmaxCrossEntropyLoss: always(softmaxCrossEntropy),
}
