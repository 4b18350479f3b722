/** One operation of a program, as its rule for ONNX sees it. */
import type { DType, HostArray } from '../../../../common/dtype.ts'
import { isDType } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import type { Inference } from '../../program/inference/infer.ts'
import { fromFront, isNumber, numbersOf, type Dim, type Known } from '../../program/inference/known.ts'
import { findOperator } from '../../program/operators/table.ts'
import { slotNames, type AttributeValue, type Operation } from '../../program/program.ts'
import type { Emission } from './emission.ts'

/** What a rule cannot write: the operation is listed with the reason. */
export class Unwritable extends FormatError {}

export class WriteCall {
  readonly operation: Operation
  readonly e: Emission
  readonly #inference: Inference
  readonly #parameterOf: (name: string) => HostArray | undefined

  constructor(
    operation: Operation,
    emission: Emission,
    inference: Inference,
    parameterOf: (name: string) => HostArray | undefined,
  ) {
    this.operation = operation
    this.e = emission
    this.#inference = inference
    this.#parameterOf = parameterOf
  }

  // ---- operands -----------------------------------------------------------------------------------------------------------

  has(slot: string): boolean {
    return slotNames(this.operation.inputs[slot]).length > 0
  }

  /** The ONNX name of an operand. */
  in(slot: string): string {
    return this.optional(slot) ?? this.refuse(`no operand '${slot}'`)
  }

  optional(slot: string): string | null {
    const [name] = slotNames(this.operation.inputs[slot])
    return name === undefined ? null : this.e.name(name)
  }

  list(slot: string): string[] {
    return slotNames(this.operation.inputs[slot]).map((n) => this.e.name(n))
  }

  known(slot: string): Known {
    const [name] = slotNames(this.operation.inputs[slot])
    return name === undefined ? { dtype: 'float32', shape: null } : this.#inference.get(name)
  }

  knownList(slot: string): Known[] {
    return slotNames(this.operation.inputs[slot]).map((n) => this.#inference.get(n))
  }

  dtype(slot = 'x'): DType {
    return this.known(slot).dtype
  }

  /** What is known of the first result. */
  get result(): Known {
    const [name] = Object.values(this.operation.outputs).flatMap(slotNames)
    return name === undefined ? { dtype: 'float32', shape: null } : this.#inference.get(name)
  }

  rank(slot = 'x'): number {
    return this.known(slot).shape?.length ?? this.refuse(`a number of axes of '${slot}' that is not known`)
  }

  /** The size of an axis as a number. */
  size(slot: string, axis: number): number {
    const { shape } = this.known(slot)
    const d = shape?.[fromFront(axis, shape.length)]
    return isNumber(d) ? d : this.refuse(`an axis ${axis} of '${slot}' whose size is not known`)
  }

  /** The array of an operand that is a parameter. */
  parameter(slot: string): HostArray | undefined {
    const [name] = slotNames(this.operation.inputs[slot])
    return name === undefined ? undefined : this.#parameterOf(name)
  }

  parameters(slot: string): HostArray[] {
    return slotNames(this.operation.inputs[slot]).map(
      (n) => this.#parameterOf(n) ?? this.refuse(`weights that are computed ('${n}')`),
    )
  }

  // ---- attributes ---------------------------------------------------------------------------------------------------------

  #attribute(name: string): AttributeValue | undefined {
    const { attributes, type } = this.operation
    return Object.hasOwn(attributes, name) ? attributes[name] : findOperator(type)?.attributes[name]?.default
  }

  number(name: string): number {
    const value = this.#attribute(name)
    if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return Number(value)
    if (Array.isArray(value) && value.length === 1) return Number(value[0])
    const dims = this.dims(name)
    if (dims?.length === 1 && isNumber(dims[0])) return dims[0]
    return this.refuse(`a '${name}' that depends on the input`)
  }

  /** As it stands in the program. */
  value(name: string): number | bigint | boolean {
    const value = this.#attribute(name)
    return typeof value === 'object' || typeof value === 'string' || value === undefined ? this.number(name) : value
  }

  bool(name: string): boolean {
    return this.#attribute(name) === true
  }

  text(name: string): string {
    const value = this.#attribute(name)
    return typeof value === 'string' ? value : ''
  }

  dtypeOf(name: string): DType | null {
    const text = this.text(name)
    return isDType(text) ? text : null
  }

  numbers(name: string): number[] {
    const value = this.#attribute(name)
    if (this.has(name)) return numbersOf(this.dims(name)) ?? this.refuse(`'${name}' that depend on the input`)
    if (value === undefined || typeof value === 'string') return this.refuse(`no '${name}'`)
    return (typeof value === 'object' ? value : [value]).map(Number)
  }

  /** Elements of an attribute that is a value of the program, as far as they are known. */
  dims(name: string): readonly Dim[] | null {
    const names = slotNames(this.operation.inputs[name])
    const [only] = names
    if (names.length === 1) return this.#inference.get(only!).content ?? null
    return names.map((n) => this.#inference.get(n).content?.[0] ?? '')
  }

  /** An attribute as a vector of int64: an initializer, or the value that it is. */
  intsIn(name: string): string {
    const names = slotNames(this.operation.inputs[name])
    if (names.length === 0) return this.e.ints(this.numbers(name))
    const numbers = numbersOf(this.dims(name))
    if (numbers) return this.e.ints(numbers)
    const parts = names.map((n) => {
      const { dtype, shape } = this.#inference.get(n)
      const wide = dtype === 'int64' ? this.e.name(n) : this.e.cast(this.e.name(n), 'int64')
      return shape?.length === 1 ? wide : this.e.one('Reshape', [wide, this.e.ints([-1])])
    })
    return parts.length === 1 ? parts[0]! : this.e.one('Concat', parts, { axis: 0 })
  }

  /** An attribute as a scalar of a dtype. */
  scalarIn(name: string, dtype: DType): string {
    const [value] = slotNames(this.operation.inputs[name])
    if (value === undefined) return this.e.scalar(this.value(name), dtype)
    const known = this.#inference.get(value)
    const typed = known.dtype === dtype ? this.e.name(value) : this.e.cast(this.e.name(value), dtype)
    return known.shape?.length === 0 ? typed : this.e.one('Reshape', [typed, this.e.ints([])])
  }

  // ---- results ------------------------------------------------------------------------------------------------------------

  out(slot = 'out'): string {
    const [name] = slotNames(this.operation.outputs[slot])
    return name === undefined ? this.e.fresh(slot) : this.e.name(name)
  }

  wants(slot: string): boolean {
    return slotNames(this.operation.outputs[slot]).length > 0
  }

  outs(slot = 'out'): string[] {
    return slotNames(this.operation.outputs[slot]).map((n) => this.e.name(n))
  }

  refuse(reason: string): never {
    throw new Unwritable(reason)
  }
}

export type WriteRule = (c: WriteCall) => void
export type WriteRules = Readonly<Record<string, WriteRule>>
