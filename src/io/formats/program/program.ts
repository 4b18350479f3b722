/**
 * The form in which models are exchanged: operators of PaddlePaddle's vocabulary over named values. Every file format is read into it and
 * written from it; running it records the one graph, and a live layer is written by recording it (export.ts). Nothing here knows a file.
 */
import type { DType, HostArray } from '../../../common/dtype.ts'
import type { OperatorAttribute } from '../../../tensor/tracer.ts'

/** A number is an int or a float as the operator's table says; int64 values beyond 2^53 are bigint. */
export type AttributeValue = OperatorAttribute

/** What is known of a value: -1 for an axis of any size. */
export interface ValueInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /**
   * Of inputs and outputs: names of the axes of any size, where whoever made the model gave them; null for others. Axes of inputs that have one name
   * are one size.
   */
  readonly axisNames?: readonly (string | null)[]
}

/**
 * One operator, a row of the operator table. Operands and results are names of values by slot; null: an operand that is absent. An attribute
 * that the table calls variable stands in `attributes` where it is constant, and in `inputs` under the same name where it is a value: an
 * integer tensor, or a list of scalars, one an element.
 */
export interface Operation {
  readonly type: string
  readonly inputs: Readonly<Record<string, string | readonly string[] | null>>
  readonly outputs: Readonly<Record<string, string | readonly string[]>>
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** Where it comes from, for messages: a layer's path, or a place in a file. */
  readonly origin?: string
}

export interface ModelParameter {
  readonly array: HostArray
  /** False for buffers, such as running means. */
  readonly trainable: boolean
  /** Dotted path in the layer that was saved, where the file tells it. */
  readonly structuredName?: string
}

export interface OperatorProgram {
  readonly inputs: readonly ValueInfo[]
  /** Names under which results are handed out, and the values that they are. */
  readonly outputs: readonly (Pick<ValueInfo, 'name' | 'axisNames'> & { readonly value: string })[]
  readonly parameters: ReadonlyMap<string, ModelParameter>
  /** Operands before those who use them. */
  readonly operations: readonly Operation[]
  /** Dtype and shape of intermediate values, as far as they are known. */
  readonly values: ReadonlyMap<string, ValueInfo>
  /** What travels with the model: pre- and post-processing, dictionary, labels, versions. Keys and values are text. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Names in a slot. */
export function slotNames(slot: string | readonly string[] | null | undefined): readonly string[] {
  if (slot === null || slot === undefined) return []
  return typeof slot === 'string' ? [slot] : slot
}

/** An operation in words: its operator, its first result, its number in the program from 0, and where it comes from. */
export function placeOf({ type, outputs, origin }: Operation, index: number): string {
  const [name] = Object.values(outputs).flatMap(slotNames)
  const number = `operator ${index}`
  const from = origin === undefined || origin === '' || origin === number ? '' : `, ${origin}`
  return `${type}${name === undefined ? '' : ` '${name}'`} (${number}${from})`
}
