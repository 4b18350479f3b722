/** PIR program -> OperatorProgram. Constants that only set an attribute become constant attributes, lists of tensors lists of names. */
import { isDType, type HostArray } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { findOperator } from '../program/operators/table.ts'
import { slotName, type AttributeSpec, type Operator } from '../program/operator.ts'
import type { AttributeValue, ModelParameter, Operation, OperatorProgram, ValueInfo } from '../program/program.ts'
import { prune } from '../program/prune.ts'
import type { PirOperation, PirProgram, PirType } from './pir-json.ts'
import { handsOn, pirOperands } from './pir-operators.ts'

/** Names of the parameters whose data is in the file. */
export function pirParameterNames(pir: PirProgram): string[] {
  return pir.parameters.filter((p) => p.persistable).map((p) => p.name)
}

/** `arrays`: what the parameter file holds. Unknown operators stay in the program under their names. Throws FormatError. */
export function programFromPir(pir: PirProgram, arrays: ReadonlyMap<string, HostArray>): OperatorProgram {
  const reading = new Reading()
  for (const { id, name, type } of pir.parameters) if (arrays.has(name)) reading.define(id, name, type)
  for (const operation of pir.operations) reading.take(operation)
  const parameters = new Map<string, ModelParameter>()
  for (const { name, trainable } of pir.parameters) {
    const array = arrays.get(name)
    if (array) parameters.set(name, { array, trainable })
  }
  return prune({
    inputs: reading.inputs,
    outputs: reading.outputs.sort((a, b) => a.column - b.column).map(({ name, value }) => ({ name, value })),
    parameters,
    operations: reading.operations,
    values: reading.values,
    metadata: {},
  })
}

/** A value of the file: one name, or the names of a list. */
type Held = string | readonly string[]

class Reading {
  readonly inputs: ValueInfo[] = []
  readonly outputs: { name: string; value: string; column: number }[] = []
  readonly operations: Operation[] = []
  readonly values = new Map<string, ValueInfo>()
  readonly #held = new Map<number, Held>()
  readonly #taken = new Set<string>()
  /** Numbers by the value that holds them. */
  readonly #constants = new Map<number, AttributeValue>()
  /** Scalars by the value that they are stacked in. */
  readonly #stacked = new Map<number, readonly string[]>()

  /** Gives a value of the file its name. */
  define(id: number, name: string, type: PirType): void {
    if (this.#held.has(id) || this.#taken.has(name))
      throw new FormatError(`pir: the value ${id} ('${name}') is defined twice`)
    this.#held.set(id, name)
    this.#taken.add(name)
    this.#describe(name, type)
  }

  take(operation: PirOperation): void {
    const type = operation.name.replace(/^pd_op\./, '')
    switch (operation.name) {
      case 'pd_op.data':
        this.#takeInput(operation)
        return
      case 'pd_op.fetch':
        this.#takeOutput(operation)
        return
      case 'builtin.combine':
        this.#alias(
          operation,
          0,
          operation.operands.map((id) => this.#single(id, operation)),
        )
        return
      case 'builtin.split':
        operation.results.forEach((_, i) => this.#alias(operation, i, this.#element(operation, i)))
        return
      case 'builtin.slice':
        this.#alias(operation, 0, this.#element(operation, Number(operation.attributes.get('index') ?? 0)))
        return
      default:
    }
    if (handsOn.has(type)) {
      this.#alias(operation, 0, this.#single(operation.operands[0] ?? 0, operation))
      return
    }
    // An operator that writes in place is the same operator: values are never overwritten here.
    const own = type === 'assign_value_' || (!findOperator(type) && type.endsWith('_')) ? type.slice(0, -1) : type
    const row = findOperator(own)
    this.operations.push(row ? this.#known(operation, own, row) : this.#unknown(operation, type))
    this.#remember(operation, own)
  }

  #takeInput(operation: PirOperation): void {
    const [result] = operation.results
    const name = operation.attributes.get('name')
    if (!result || typeof name !== 'string') throw new FormatError('pir: an input without a name or a value')
    this.define(result.id, name, result.type)
    const info = this.values.get(name)
    if (!info) throw new FormatError(`pir: the input '${name}' has elements that tensors here do not have`)
    this.inputs.push(info)
  }

  #takeOutput(operation: PirOperation): void {
    const value = this.#single(operation.operands[0] ?? 0, operation)
    const column = Number(operation.attributes.get('col') ?? this.outputs.length)
    const name = operation.attributes.get('name')
    this.outputs.push({ name: typeof name === 'string' ? name : `fetch_name_${column}`, value, column })
  }

  #known(operation: PirOperation, type: string, row: Operator): Operation {
    const inputs: Record<string, Held> = {}
    const attributes: Record<string, AttributeValue> = {}
    const slots = pirOperands(type, row)
    // A constant needs nothing to be written to.
    const operands = type === 'assign_value' ? [] : operation.operands
    if (operands.length > slots.length)
      throw new FormatError(
        `pir: ${operation.name} has ${operands.length} operands, ${slots.length} are known: it comes from a newer Paddle`,
      )
    operands.forEach((id, i) => {
      const slot = slots[i]!
      // A state that the file does not hold, such as that of a dropout, counts as absent.
      if (id === 0 || (slot.isOptional && !this.#held.has(id))) return
      const constant = slot.attribute && this.#constants.get(id)
      if (slot.attribute && constant !== undefined) attributes[slot.name] = asKind(constant, slot.attribute)
      else inputs[slot.name] = (slot.attribute && this.#stacked.get(id)) ?? this.#names(id, operation)
    })
    for (const [name, value] of operation.attributes) {
      const spec = row.attributes[name]
      if (spec && !(name in inputs) && !(name in attributes)) attributes[name] = asKind(value, spec, type)
    }
    const outputs: Record<string, Held> = {}
    operation.results.forEach(({ id, type: resultType }, i) => {
      const slot = row.outputs[i]
      if (slot === undefined) throw new FormatError(`pir: ${operation.name} has ${operation.results.length} results`)
      const held = this.#result(id, type, resultType)
      if (held !== null) outputs[slotName(slot)] = held
    })
    return { type, inputs, outputs, attributes, ...originOf(operation) }
  }

  #unknown(operation: PirOperation, type: string): Operation {
    const inputs = operation.operands.map((id, i) => [`operand${i}`, this.#held.get(id) ?? null] as const)
    const outputs = operation.results.flatMap(({ id, type: resultType }, i) => {
      const held = this.#result(id, type, resultType)
      return held === null ? [] : [[`result${i}`, held] as const]
    })
    return {
      type,
      inputs: Object.fromEntries(inputs),
      outputs: Object.fromEntries(outputs),
      attributes: {},
      ...originOf(operation),
    }
  }

  /** Keeps what later operations read as attributes. */
  #remember(operation: PirOperation, type: string): void {
    const [result] = operation.results
    if (!result) return
    if (type === 'full' || type === 'full_int_array') {
      const value = operation.attributes.get('value')
      const size = result.type.kind === 'tensor' ? result.type.shape.reduce((n, d) => n * d, 1) : 0
      if (value === undefined) return
      if (type === 'full_int_array' || size === 1) this.#constants.set(result.id, value)
    } else if (type === 'stack') {
      const parts = this.#held.get(operation.operands[0] ?? 0)
      if (Array.isArray(parts) && parts.every((p: string) => this.values.get(p)?.shape.length === 0))
        this.#stacked.set(result.id, parts)
    }
  }

  /** Names what an operation makes; null where it makes nothing. */
  #result(id: number, type: string, resultType: PirType): Held | null {
    const base = `${type}_${id}.tmp_`
    if (resultType.kind === 'none') return null
    if (resultType.kind === 'tensor') {
      const name = this.#free(`${base}0`)
      this.define(id, name, resultType)
      return name
    }
    const names = resultType.elements.map((element, i) => {
      const name = this.#free(`${base}${i}`)
      this.#taken.add(name)
      this.#describe(name, element)
      return name
    })
    this.#held.set(id, names)
    return names
  }

  #free(name: string): string {
    let free = name
    while (this.#taken.has(free)) free += '_'
    return free
  }

  #describe(name: string, type: PirType): void {
    if (type.kind === 'tensor' && type.dtype) this.values.set(name, { name, dtype: type.dtype, shape: type.shape })
  }

  #alias(operation: PirOperation, i: number, held: Held): void {
    const result = operation.results[i]
    if (result) this.#held.set(result.id, held)
  }

  #element(operation: PirOperation, i: number): string {
    const held = this.#names(operation.operands[0] ?? 0, operation)
    const name = typeof held === 'string' ? undefined : held[i]
    if (name === undefined) throw new FormatError(`pir: ${operation.name} takes element ${i} of what has none`)
    return name
  }

  #names(id: number, operation: PirOperation): Held {
    const held = this.#held.get(id)
    if (held === undefined) throw new FormatError(`pir: ${operation.name} uses the value ${id}, which nothing makes`)
    return held
  }

  #single(id: number, operation: PirOperation): string {
    const held = this.#names(id, operation)
    if (typeof held !== 'string') throw new FormatError(`pir: ${operation.name} uses a list where one tensor is due`)
    return held
  }
}

function originOf(operation: PirOperation): { origin?: string } {
  const path = operation.attributes.get('struct_name')
  return typeof path === 'string' && path !== '/' && path !== '' ? { origin: path } : {}
}

/** A value as the table's kind of attribute: a single number as a list of one, and back. */
function asKind(value: AttributeValue, spec: AttributeSpec, type?: string): AttributeValue {
  const isList = typeof value === 'object'
  if (['ints', 'floats', 'bools', 'strings'].includes(spec.kind)) return isList ? value : ([value] as AttributeValue)
  if (isList && value.length === 1) return value[0]!
  if (spec.kind === 'bool' && typeof value === 'number') return value !== 0
  if (spec.kind === 'dtype' && value !== '' && !(typeof value === 'string' && isDType(value)))
    throw new FormatError(
      `pir: operator '${type ?? ''}' makes elements of type ${String(value)}, which tensors here do not have`,
    )
  return value
}
