/** Sizes as Paddle Lite has them: its `shape` gives int32, and operators that take sizes as values read int32; int64 would be read in halves. */
import { completeValues } from './program/complete.ts'
import { findOperator } from './program/operators/table.ts'
import { slotNames, type Operation, type OperatorProgram, type ValueInfo } from './program/program.ts'

/** What is computed with sizes and gives sizes again. */
const combining = new Set([
  'add',
  'subtract',
  'multiply',
  'floor_divide',
  'remainder',
  'maximum',
  'minimum',
  'scale',
  'slice',
  'concat',
  'stack',
  'reshape',
  'squeeze',
  'unsqueeze',
  'assign',
])
const constants = new Set(['full', 'full_int_array', 'assign_value', 'assign_value_'])
/** What makes a tensor of the dtype of its bounds. */
const ofItsBounds = new Set(['arange', 'linspace'])

/** The program with int32 for sizes of tensors and what follows from them; int64 again where anything else is computed from it. */
export function narrowSizes(given: OperatorProgram): OperatorProgram {
  if (!given.operations.some((o) => o.type === 'shape64')) return given
  const program = completeValues(given)
  return { ...program, ...new Narrowing(program).run() }
}

class Narrowing {
  readonly #program: OperatorProgram
  readonly #values: Map<string, ValueInfo>
  readonly #producers = new Map<string, Operation>()
  readonly #operations: Operation[] = []
  /** Values that are int32 now. */
  readonly #narrow = new Set<string>()
  /** Copies of the other width by value. */
  readonly #copies = new Map<string, string>()

  constructor(program: OperatorProgram) {
    this.#program = program
    this.#values = new Map(program.values)
    for (const o of program.operations)
      for (const name of Object.values(o.outputs).flatMap(slotNames)) this.#producers.set(name, o)
  }

  run(): Pick<OperatorProgram, 'operations' | 'values' | 'outputs'> {
    for (const operation of this.#program.operations) this.#write(operation)
    const outputs = this.#program.outputs.map((o) => ({ ...o, value: this.#wide(o.value) }))
    return { operations: this.#operations, values: this.#values, outputs }
  }

  #write(operation: Operation): void {
    const { type } = operation
    if (type === 'shape64') {
      this.#emit({ ...operation, type: 'shape' }, true)
      return
    }
    const isSetting = (slot: string): boolean =>
      !ofItsBounds.has(type) && findOperator(type)?.attributes[slot]?.variable === true
    const isSize = (name: string): boolean => this.#narrow.has(name)
    const operands = Object.entries(operation.inputs).flatMap(([slot, held]) =>
      isSetting(slot) ? [] : slotNames(held),
    )
    const again = combining.has(type) || (type === 'cast' && operation.attributes['dtype'] === 'int64')
    const isNarrow = again && operands.some(isSize)
    const inputs = Object.entries(operation.inputs).map(([slot, held]) => {
      const names = slotNames(held)
      // The elements of one list have one dtype.
      const narrows = isSetting(slot) ? names.some(isSize) : isNarrow
      const own = names.map((n) => (narrows ? this.#narrowed(n) : isSetting(slot) ? n : this.#wide(n)))
      return [slot, held === null ? null : Array.isArray(held) ? own : own[0]!] as const
    })
    const written = { ...operation, inputs: Object.fromEntries(inputs) }
    this.#emit(type === 'cast' && isNarrow ? { ...written, type: 'assign', attributes: {} } : written, isNarrow)
  }

  #emit(operation: Operation, isNarrow: boolean): void {
    this.#operations.push(operation)
    if (!isNarrow) return
    for (const name of Object.values(operation.outputs).flatMap(slotNames)) {
      this.#narrow.add(name)
      this.#values.set(name, { ...this.#values.get(name)!, dtype: 'int32' })
    }
  }

  /** A value as int32: a constant is made again, anything else is cast. */
  #narrowed(name: string): string {
    if (this.#narrow.has(name) || this.#values.get(name)?.dtype !== 'int64') return name
    const producer = this.#producers.get(name)
    if (!producer || !constants.has(producer.type)) return this.#cast(name, 'int32')
    return this.#copy(name, 'int32', (own) => ({
      ...producer,
      outputs: { out: own },
      attributes: { ...producer.attributes, dtype: 'int32' },
    }))
  }

  /** A value in the width that it had. */
  #wide(name: string): string {
    return this.#narrow.has(name) ? this.#cast(name, 'int64') : name
  }

  #cast(name: string, dtype: 'int32' | 'int64'): string {
    return this.#copy(name, dtype, (own) => ({
      type: 'cast',
      inputs: { x: name },
      outputs: { out: own },
      attributes: { dtype },
    }))
  }

  #copy(name: string, dtype: 'int32' | 'int64', make: (own: string) => Operation): string {
    const known = this.#copies.get(name)
    if (known !== undefined) return known
    let own = `${name}.${dtype}`
    while (this.#values.has(own)) own += '_'
    this.#values.set(own, { ...this.#values.get(name)!, name: own, dtype })
    this.#operations.push(make(own))
    this.#copies.set(name, own)
    return own
  }
}
