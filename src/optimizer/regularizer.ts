/** Weight penalties, as in paddle.regularizer: what an optimizer adds to gradients, after clipping. */
import { ArgumentError } from '../common/errors.ts'
import type { Regularizer } from '../nn/parameter.ts'
import { Tensor } from '../tensor/tensor.ts'
import { mul, sign } from './arithmetic.ts'

export type { Regularizer } from '../nn/parameter.ts'

function checkCoefficient(coefficient: number, name: string): number {
  if (!Number.isFinite(coefficient))
    throw new ArgumentError(`${name}: the coefficient must be a finite number, got ${coefficient}`)
  return coefficient
}

/** The penalty coefficient * sum |p|, `paddle.regularizer.L1Decay`: adds coefficient * sign(p). Default 0. */
export class L1Decay implements Regularizer {
  readonly coefficient: number

  constructor(coefficient = 0) {
    this.coefficient = checkCoefficient(coefficient, 'L1Decay')
  }

  gradientOf(parameter: Tensor): Tensor {
    return new Tensor(mul(sign(parameter.node), this.coefficient))
  }
}

/** The penalty coefficient / 2 * sum p^2, `paddle.regularizer.L2Decay`: adds coefficient * p. Default 0. */
export class L2Decay implements Regularizer {
  readonly coefficient: number

  constructor(coefficient = 0) {
    this.coefficient = checkCoefficient(coefficient, 'L2Decay')
  }

  gradientOf(parameter: Tensor): Tensor {
    return new Tensor(mul(parameter.node, this.coefficient))
  }
}

/** What users give as weight decay: a number means L2Decay. Null where there is nothing to add. */
export function toRegularizer(decay: number | Regularizer | null | undefined): Regularizer | null {
  if (decay === null || decay === undefined || decay === 0) return null
  return typeof decay === 'number' ? new L2Decay(decay) : decay
}
