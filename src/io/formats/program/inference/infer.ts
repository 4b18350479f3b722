/**
 * Dtypes and shapes of a program's values, operation by operation: what readers need that are given none, and writers that must give them. By rules over
 * names of sizes, and not read off what operators record at a few sizes: a name that a rule cannot follow becomes unknown, which is safe, while two
 * open sizes that broadcast have to be equal, or one of them 1, for any recording to be made, and what follows from that choice holds for no other.
 */
import { isDType, type DType } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import { findOperator } from '../operators/table.ts'
import { slotName } from '../operator.ts'
import { slotNames, type AttributeValue, type Operation, type OperatorProgram, type ValueInfo } from '../program.ts'
import { axisName, dimsOf, isNumber, sizesOf, type Dim, type Known } from './known.ts'
import { inferenceRules } from './rules.ts'

/** Results by slot; a single one is the first slot's. */
export type Inferred = Known | Readonly<Record<string, Known | readonly Known[]>>

/** One operation, seen by its rule. Operands of which nothing is known have dtype float32 and no shape. */
export interface InferenceCall {
  readonly type: string
  value(slot: string): Known
  optional(slot: string): Known | null
  list(slot: string): readonly Known[]
  /** How many results the operation names in a slot. */
  results(slot: string): number
  number(name: string): number
  bool(name: string): boolean
  text(name: string): string
  dtype(name: string): DType | null
  /** Of a list; where a variable attribute's are not known, null. */
  dims(name: string): readonly Dim[] | null
}

const unknown: Known = { dtype: 'float32', shape: null }

class Call implements InferenceCall {
  readonly #operation: Operation
  readonly #known: ReadonlyMap<string, Known>

  constructor(operation: Operation, known: ReadonlyMap<string, Known>) {
    this.#operation = operation
    this.#known = known
  }

  get type(): string {
    return this.#operation.type
  }

  value(slot: string): Known {
    return this.optional(slot) ?? unknown
  }

  optional(slot: string): Known | null {
    const [name] = slotNames(this.#operation.inputs[slot])
    return name === undefined ? null : (this.#known.get(name) ?? unknown)
  }

  list(slot: string): readonly Known[] {
    return slotNames(this.#operation.inputs[slot]).map((n) => this.#known.get(n) ?? unknown)
  }

  results(slot: string): number {
    return slotNames(this.#operation.outputs[slot]).length
  }

  number(name: string): number {
    const [dim] = this.dims(name) ?? []
    return isNumber(dim) ? dim : NaN
  }

  bool(name: string): boolean {
    return this.#attribute(name) === true
  }

  text(name: string): string {
    const value = this.#attribute(name)
    return typeof value === 'string' ? value : ''
  }

  dtype(name: string): DType | null {
    const value = this.text(name)
    return isDType(value) ? value : null
  }

  dims(name: string): readonly Dim[] | null {
    const variable = slotNames(this.#operation.inputs[name])
    if (variable.length > 0) {
      const parts = variable.map((n) => this.#known.get(n) ?? unknown)
      const [only] = parts
      if (parts.length === 1 && only) {
        const [length] = only.shape ?? []
        return only.content ?? (isNumber(length) ? new Array<Dim>(length).fill('') : null)
      }
      return parts.map((p) => p.content?.[0] ?? '')
    }
    const value = this.#attribute(name)
    if (value === undefined || typeof value === 'string') return null
    return (typeof value === 'object' ? value : [value]).map(Number)
  }

  #attribute(name: string): AttributeValue | undefined {
    const { attributes, type } = this.#operation
    return Object.hasOwn(attributes, name) ? attributes[name] : findOperator(type)?.attributes[name]?.default
  }
}

/** What is known of values, growing with each operation. */
export class Inference {
  readonly #known = new Map<string, Known>()

  /** `equal`: axes of inputs that are one size (equal-axes.ts); others are taken for different ones. */
  constructor(program?: OperatorProgram, equal: ReadonlyMap<string, string> = new Map()) {
    if (!program) return
    const dimOf = (name: string): Dim => equal.get(name) ?? name
    program.inputs.forEach((input) => {
      this.#known.set(input.name, {
        dtype: input.dtype,
        shape: input.shape.map((d, axis) => (d < 0 ? dimOf(axisName(input.name, axis)) : d)),
      })
    })
    for (const [name, { array }] of program.parameters) this.set(name, array)
    for (const operation of program.operations) this.add(operation, program.values)
  }

  get(name: string): Known {
    return this.#known.get(name) ?? unknown
  }

  has(name: string): boolean {
    return this.#known.has(name)
  }

  set(name: string, known: Known): void {
    this.#known.set(name, known)
  }

  /** Follows an operation. Where there is no rule for it, what the program tells of its results counts. */
  add(operation: Operation, told?: ReadonlyMap<string, ValueInfo>): void {
    const rule = Object.hasOwn(inferenceRules, operation.type) ? inferenceRules[operation.type] : undefined
    const inferred = rule ? rule(new Call(operation, this.#known)) : {}
    const bySlot: Readonly<Record<string, Known | readonly Known[]>> =
      'dtype' in inferred && typeof inferred.dtype === 'string'
        ? { [firstSlot(operation)]: inferred as Known }
        : (inferred as Readonly<Record<string, Known | readonly Known[]>>)
    for (const [slot, given] of Object.entries(operation.outputs)) {
      const made = bySlot[slot]
      slotNames(given).forEach((name, i) => {
        const known = Array.isArray(made) ? (made as readonly Known[])[i] : (made as Known | undefined)
        const info = told?.get(name)
        this.#known.set(name, merge(known, info))
      })
    }
  }

  /** What programs tell of a value; null where its shape is not known. */
  info(name: string): ValueInfo | null {
    const known = this.#known.get(name)
    return known?.shape ? { name, dtype: known.dtype, shape: sizesOf(known.shape) } : null
  }
}

function firstSlot(operation: Operation): string {
  const row = findOperator(operation.type)
  const first = row?.outputs[0]
  return first === undefined ? (Object.keys(operation.outputs)[0] ?? 'out') : slotName(first)
}

/** A rule knows more of sizes than a file tells, or nothing. */
function merge(known: Known | undefined, told: ValueInfo | undefined): Known {
  if (known?.shape) return known
  if (!told) return known ?? unknown
  return { dtype: told.dtype, shape: dimsOf(told.shape) }
}

/** Throws FormatError where a rank is not known: writers and some rules cannot do without. */
export function rankOf(known: Known, what: string): number {
  if (!known.shape) throw new FormatError(`the number of axes of ${what} is not known`)
  return known.shape.length
}
