/** Losses that ONNX has. */
import type { WriteRules } from '../write-call.ts'

export const lossWriters: WriteRules = {
  nll_loss: (c) => {
    const label = c.dtype('label') === 'int64' ? c.in('label') : c.e.cast(c.in('label'), 'int64')
    const attributes = { ignore_index: c.number('ignore_index'), reduction: c.text('reduction') || 'mean' }
    if (c.wants('total_weight')) c.refuse('the sum of weights as a result')
    c.e.one('NegativeLogLikelihoodLoss', [c.in('input'), label, c.optional('weight')], attributes, c.out())
  },
}
