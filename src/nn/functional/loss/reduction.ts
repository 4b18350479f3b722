/** What all losses share: the reduction at their end, and operands of one shape. */
import { ArgumentError, ShapeError } from '../../../common/errors.ts'
import { formatShape, sameShape } from '../../../common/shape.ts'
import { mean, sum } from '../../../tensor/reduction.ts'
import { checkFloat, checkTensor } from '../../../tensor/promotion.ts'
import type { Tensor } from '../../../tensor/tensor.ts'

/** `'mean'` of all elements (default), their `'sum'`, or `'none'`: one loss an element. */
export type Reduction = 'mean' | 'sum' | 'none'

export interface ReductionOptions {
  /** Default `'mean'`. */
  readonly reduction?: Reduction
}

export function checkReduction(reduction: string, op: string, more: readonly string[] = []): void {
  const known = ['mean', 'sum', 'none', ...more]
  if (!known.includes(reduction))
    throw new ArgumentError(`${op}: reduction must be one of ${known.join(', ')}, got '${reduction}'`)
}

/** The losses as the caller wants them. */
export function reduced(loss: Tensor, reduction: Reduction = 'mean', op = 'loss'): Tensor {
  checkReduction(reduction, op)
  if (reduction === 'none') return loss
  return reduction === 'sum' ? sum(loss) : mean(loss)
}

/** Throws unless the operands are floating and of one shape. */
export function checkAlike(op: string, input: Tensor, label: Tensor, name = 'label'): void {
  checkFloat(input, op, 'input')
  checkTensor(label, op)
  if (!sameShape(input.shape, label.shape))
    throw new ShapeError(
      `${op}: input ${formatShape(input.shape)} and ${name} ${formatShape(label.shape)} must have one shape`,
    )
}
