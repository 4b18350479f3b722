/** One operator of a ProgramDesc while it is read: its variables by slot, its attributes as plain values. */
import { FormatError } from '../../../common/errors.ts'
import type { AttributeSpec } from '../program/operator.ts'
import type { AttributeValue } from '../program/program.ts'
import { dtypeOfVarType, type AttributeDesc, type OpDesc } from './program-desc.ts'

/** `current`: the value that a variable has now, where it is not the one of its name. */
export class LegacyCall {
  readonly type: string
  readonly origin: string
  readonly #op: OpDesc
  readonly #current: ReadonlyMap<string, string>

  constructor(op: OpDesc, index: number, current: ReadonlyMap<string, string>) {
    this.#op = op
    this.#current = current
    this.type = op.type
    const scope = this.attribute('op_namescope')
    this.origin = typeof scope === 'string' && scope !== '/' && scope !== '' ? scope : `operator ${index}`
  }

  inputs(slot: string): string[] {
    return this.#op.inputs
      .filter((s) => s.name === slot)
      .flatMap((s) => s.variables)
      .map((v) => this.#current.get(v) ?? v)
  }

  input(slot: string): string {
    const [name] = this.inputs(slot)
    if (name === undefined) throw new FormatError(`pdmodel: ${this.type} (${this.origin}) lacks its operand ${slot}`)
    return name
  }

  /** Variables in the file, to be given to `LegacyReading.result`. */
  outputs(slot: string): string[] {
    return this.#op.outputs.filter((s) => s.name === slot).flatMap((s) => s.variables)
  }

  output(slot: string): string {
    const [name] = this.outputs(slot)
    if (name === undefined) throw new FormatError(`pdmodel: ${this.type} (${this.origin}) lacks its result ${slot}`)
    return name
  }

  get operands(): readonly (readonly [string, string[]])[] {
    return this.#op.inputs.map((s) => [s.name, this.inputs(s.name)])
  }

  get results(): readonly (readonly [string, string[]])[] {
    return this.#op.outputs.map((s) => [s.name, [...s.variables]])
  }

  attribute(name: string): AttributeValue | undefined {
    const found = this.#op.attributes.find((a) => a.name === name)
    return found && plainValue(found)
  }

  number(name: string, missing: number): number {
    const value = this.attribute(name)
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : missing
  }

  numbers(name: string): number[] {
    const value = this.attribute(name)
    return Array.isArray(value) ? value.map(Number) : []
  }

  bool(name: string, missing = false): boolean {
    const value = this.attribute(name)
    return typeof value === 'boolean' ? value : missing
  }
}

/** Undefined for blocks and variables, which no operator here has. */
function plainValue(attribute: AttributeDesc): AttributeValue | undefined {
  switch (attribute.type) {
    case 'block':
    case 'blocks':
    case 'var':
    case 'vars':
      return undefined
    case 'scalar':
      return attribute.value.type === 'complex' ? undefined : attribute.value.value
    case 'scalars': {
      const values = attribute.value.map((s) => (s.type === 'complex' ? NaN : Number(s.value)))
      return values
    }
    default:
      return attribute.value
  }
}

/** A value of the file as the table's kind of attribute. */
export function asKind(value: AttributeValue, spec: AttributeSpec): AttributeValue {
  const isList = typeof value === 'object'
  if (spec.kind === 'dtype') return dtypeText(value)
  if (['ints', 'floats', 'bools', 'strings'].includes(spec.kind)) return isList ? value : ([value] as AttributeValue)
  if (isList && value.length === 1) return value[0]!
  if (spec.kind === 'bool' && typeof value === 'number') return value !== 0
  return value
}

/** A dtype by its number; -1: left open. */
export function dtypeText(value: AttributeValue): string {
  if (Number(value) < 0) return ''
  const dtype = dtypeOfVarType(Number(value))
  if (!dtype) throw new FormatError(`pdmodel: elements of type ${String(value)}, which tensors here do not have`)
  return dtype
}
