/** Operands and attributes of an operation that is being run, checked against the operator table. */
import { isDType, type DType } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { hostNumbers } from './host-values.ts'
import type { AttributeSpec, Operator, OperatorCall } from './operator.ts'
import { slotNames, type AttributeValue, type Operation } from './program.ts'

export class BoundCall implements OperatorCall {
  readonly training: boolean
  readonly #operation: Operation
  readonly #row: Operator
  readonly #valueOf: (name: string) => Tensor

  constructor(operation: Operation, row: Operator, training: boolean, valueOf: (name: string) => Tensor) {
    this.#operation = operation
    this.#row = row
    this.training = training
    this.#valueOf = valueOf
  }

  get type(): string {
    return this.#operation.type
  }

  tensor(slot: string): Tensor {
    return this.optional(slot) ?? this.#fail(`lacks its operand '${slot}'`)
  }

  optional(slot: string): Tensor | null {
    const [name] = slotNames(this.#operation.inputs[slot])
    return name === undefined ? null : this.#valueOf(name)
  }

  list(slot: string): readonly Tensor[] {
    return slotNames(this.#operation.inputs[slot]).map(this.#valueOf)
  }

  bool(name: string): boolean {
    const value = this.value(name)
    return typeof value === 'boolean' ? value : this.#wrongKind(name, 'true or false')
  }

  number(name: string): number {
    const value = this.value(name)
    return typeof value === 'boolean' ? this.#wrongKind(name, 'a number') : Number(value)
  }

  value(name: string): number | bigint | boolean {
    const value = this.#attribute(name)
    if (value === undefined) {
      const [only, ...more] = this.#variable(name)
      return only !== undefined && more.length === 0 ? only : this.#wrongKind(name, 'one number')
    }
    return typeof value === 'object' || typeof value === 'string' ? this.#wrongKind(name, 'one number') : value
  }

  text(name: string): string {
    const value = this.#attribute(name)
    return typeof value === 'string' ? value : this.#wrongKind(name, 'a text')
  }

  dtype(name: string): DType {
    const value = this.text(name)
    return isDType(value) ? value : this.#wrongKind(name, 'a dtype')
  }

  numbers(name: string): readonly number[] {
    return this.#list(name, 'numbers', (v) => (typeof v === 'bigint' ? Number(v) : v)).map(Number)
  }

  bools(name: string): readonly boolean[] {
    return this.#list(name, 'truth values', Boolean)
  }

  texts(name: string): readonly string[] {
    return this.#list(name, 'texts', String)
  }

  /** All attributes as they are in this call: those that values give, too. */
  resolved(): Record<string, AttributeValue> {
    const found: Record<string, AttributeValue> = {}
    for (const [name, spec] of Object.entries(this.#row.attributes)) {
      const { attributes, inputs } = this.#operation
      const isVariable = !Object.hasOwn(attributes, name) && slotNames(inputs[name]).length > 0
      const isList = spec.kind === 'ints' || spec.kind === 'floats'
      if (isVariable) found[name] = isList ? this.#variable(name) : this.value(name)
      else {
        const value = attributes[name] ?? spec.default
        if (value !== undefined) found[name] = value
      }
    }
    return found
  }

  /** A single element stands for a list of one. */
  #list<T>(name: string, what: string, convert: (v: unknown) => T): T[] {
    const value = this.#attribute(name) ?? this.#variable(name)
    if (typeof value === 'string') return this.#wrongKind(name, what)
    return (typeof value === 'object' ? value : [value]).map(convert)
  }

  #attribute(name: string): AttributeValue | undefined {
    const spec: AttributeSpec | undefined = this.#row.attributes[name]
    if (!spec) return this.#fail(`has no attribute '${name}' in the operator table`)
    const { attributes, inputs } = this.#operation
    if (Object.hasOwn(attributes, name)) return attributes[name]
    if (spec.variable && slotNames(inputs[name]).length > 0) return undefined
    return spec.default ?? this.#fail(`lacks its attribute '${name}'`)
  }

  #variable(name: string): number[] {
    return slotNames(this.#operation.inputs[name]).flatMap((n) => hostNumbers(this.#valueOf(n)))
  }

  #wrongKind(name: string, wanted: string): never {
    return this.#fail(`wants ${wanted} as '${name}'`)
  }

  #fail(what: string): never {
    const { type, origin } = this.#operation
    throw new FormatError(`operator '${type}'${origin ? ` (${origin})` : ''} ${what}`)
  }
}
