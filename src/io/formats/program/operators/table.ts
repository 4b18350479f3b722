/** The operator table: every operator that a program may hold, by its name in Paddle's PIR dialect without `pd_op.`. */
import { FormatError } from '../../../../common/errors.ts'
import { nearestName } from '../../../../common/nearest-name.ts'
import type { Operator } from '../operator.ts'
import { activations } from './activation.ts'
import { convolutions } from './convolution.ts'

const table: Readonly<Record<string, Operator>> = { ...activations, ...convolutions }

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
