/** The operator table: every operator that a program may hold, by its name in Paddle's PIR dialect without `pd_op.`. */
import { FormatError } from '../../../../common/errors.ts'
import { nearestName } from '../../../../common/nearest-name.ts'
import type { Operator } from '../operator.ts'
import { activations } from './activation.ts'
import { arithmetic } from './arithmetic.ts'
import { contractions } from './contraction.ts'
import { convolutions } from './convolution.ts'
import { creation } from './creation.ts'
import { indexing } from './indexing.ts'
import { losses } from './loss.ts'
import { manipulation } from './manipulation.ts'
import { normalizations } from './normalization.ts'
import { onnxPools } from './onnx-pooling.ts'
import { onnxResize } from './onnx-resize.ts'
import { onnxShaping } from './onnx-shaping.ts'
import { pools } from './pooling.ts'
import { recurrences } from './recurrent.ts'
import { reductions } from './reduction.ts'
import { sampledOperators } from './sampled.ts'
import { visionOperators } from './vision.ts'

const table: Readonly<Record<string, Operator>> = {
  ...activations,
  ...arithmetic,
  ...contractions,
  ...convolutions,
  ...creation,
  ...indexing,
  ...losses,
  ...manipulation,
  ...normalizations,
  ...onnxPools,
  ...onnxResize,
  ...onnxShaping,
  ...pools,
  ...recurrences,
  ...reductions,
  ...sampledOperators,
  ...visionOperators,
}

export const operatorNames: readonly string[] = Object.keys(table)

/** The row of an operator; null where there is none. */
export function findOperator(type: string): Operator | null {
  return Object.hasOwn(table, type) ? table[type]! : null
}

/** The row of an operator. Throws FormatError where there is none. */
export function operatorOf(type: string): Operator {
  const row = findOperator(type)
  if (row) return row
  const near = nearestName(type, operatorNames)
  throw new FormatError(`there is no operator '${type}'${near ? `; did you mean '${near}'?` : ''}`)
}
