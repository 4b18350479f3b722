/**
 * What the operator table says of an operator: slots and attributes under the names of Paddle's PIR dialect (`pd_op`), and how it is
 * computed. Readers and writers of formats map their own names onto these; adding an operator is one row.
 */
import type { DType } from '../../../common/dtype.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import type { AttributeValue } from './program.ts'

/** `value`: a number or a truth value, of the dtype that the operator makes. */
export type AttributeKind =
  'bool' | 'int' | 'float' | 'string' | 'dtype' | 'bools' | 'ints' | 'floats' | 'strings' | 'value'

export interface AttributeSpec {
  readonly kind: AttributeKind
  /** Where a file leaves it out; without one it must be there. */
  readonly default?: AttributeValue
  /** It may be a value of the program instead of a constant. */
  readonly variable?: boolean
}

/** Operands and attributes of one call, checked against the table. */
export interface OperatorCall {
  readonly type: string
  /** Whether the layer trains: batch norms use the batch and dropouts drop, whatever the file was saved for. */
  readonly training: boolean
  tensor(slot: string): Tensor
  optional(slot: string): Tensor | null
  list(slot: string): readonly Tensor[]
  bool(name: string): boolean
  /** Of `int`, `float` and `value`; a variable attribute's is read here. */
  number(name: string): number
  /** Of a dtype that numbers cannot hold, too. */
  value(name: string): number | bigint | boolean
  text(name: string): string
  dtype(name: string): DType
  /** Of `ints` and `floats`; a variable attribute's are read here. */
  numbers(name: string): readonly number[]
  bools(name: string): readonly boolean[]
  texts(name: string): readonly string[]
}

/** Results by slot; a single tensor goes to the first slot. */
export type OperatorResults = Tensor | Readonly<Record<string, Tensor | readonly Tensor[]>>

export interface Operator {
  /** Operand slots in the order of Paddle's. `?` behind a name: may be absent; `*`: a list. Variable attributes are not among them. */
  readonly inputs: readonly string[]
  /** Result slots in the order of Paddle's, marked in the same way. */
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, AttributeSpec>>
  /** Records the operator over Longzhou's functions. */
  run(call: OperatorCall): OperatorResults
}

export const bool = (value?: boolean): AttributeSpec => withDefault('bool', value)
export const int = (value?: number): AttributeSpec => withDefault('int', value)
export const float = (value?: number): AttributeSpec => withDefault('float', value)
export const text = (value?: string): AttributeSpec => withDefault('string', value)
export const ints = (value?: readonly number[]): AttributeSpec => withDefault('ints', value)
export const floats = (value?: readonly number[]): AttributeSpec => withDefault('floats', value)
export const dtype = (value?: DType): AttributeSpec => withDefault('dtype', value)
export const variable = (spec: AttributeSpec): AttributeSpec => ({ ...spec, variable: true })

function withDefault(kind: AttributeKind, value: AttributeValue | undefined): AttributeSpec {
  return value === undefined ? { kind } : { kind, default: value }
}

/** What an operator gave, by slot. */
export function resultsBySlot(
  operator: Operator,
  results: OperatorResults,
): Readonly<Record<string, Tensor | readonly Tensor[]>> {
  return results instanceof Tensor ? { [slotName(operator.outputs[0]!)]: results } : results
}

/** A slot's name without its mark. */
export function slotName(slot: string): string {
  return slot.replace(/[?*]$/, '')
}
