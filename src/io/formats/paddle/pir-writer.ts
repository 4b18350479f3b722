/** OperatorProgram -> the JSON of a PIR program of version 1, with the attribute types of Paddle 3.0, which newer ones read too. */
import type { DType } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { nearestName } from '../../../common/nearest-name.ts'
import { completeValues } from '../program/complete.ts'
import { findOperator, operatorNames } from '../program/operators/table.ts'
import { slotName, type AttributeKind, type AttributeSpec, type Operator } from '../program/operator.ts'
import { slotNames, type AttributeValue, type Operation, type OperatorProgram } from '../program/program.ts'
import { typeOfDtype } from './pir-json.ts'
import { dropoutWord } from './words.ts'
import { pirDetails, pirOperands, type PirOperand } from './pir-operators.ts'

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** The text of the program. Throws FormatError that lists every operator that PIR, or the table, lacks. */
export function serializePirProgram(program: OperatorProgram): string {
  // Rows with a dot are those of another format.
  const missing = new Set(program.operations.map((o) => o.type).filter((t) => t.includes('.') || !findOperator(t)))
  if (missing.size > 0)
    throw new FormatError(
      `PIR has no operators for: ${[...missing].map((t) => `${t} (${nearestName(t, operatorNames) ?? 'nothing like it'})`).join(', ')}`,
    )
  const ops = new Writing(completeValues(program)).ops()
  const block = { '#': 'block_0', args: [], ops }
  return JSON.stringify({
    base_code: { magic: 'pir', trainable: true, version: 1 },
    program: { regions: [{ '#': 'region_0', blocks: [block] }] },
  })
}

function tensorType(dtype: DType, shape: readonly number[]): Json {
  return { '#': '0.t_dtensor', D: [{ '#': typeOfDtype.get(dtype)! }, shape, 'NCHW', [], 0] }
}

const listType = (types: readonly Json[]): Json => ({ '#': '0.t_vec', D: types })

function number(type: string, value: number | bigint): Json {
  const n = Number(value)
  if (Number.isFinite(n)) return { '#': type, D: n }
  return { '#': type, VD: Number.isNaN(n) ? 'NaN' : n > 0 ? 'INF' : '-INF' }
}

const text = (value: string): Json => ({ '#': '0.a_str', D: value })
const bool = (value: boolean): Json => ({ '#': '0.a_bool', D: value })
const list = (items: readonly Json[]): Json => ({ '#': '0.a_array', D: items })
const place = (where: 0 | 1): Json => ({ '#': '1.a_place', D: [where, 0, ''] })
const dtypeAttribute = (dtype: string): Json => ({ '#': '1.a_dtype', D: dtype === '' ? 'Undefined(ALL_DTYPE)' : dtype })
const named = (name: string, type: Json): Json => ({ N: name, AT: type })

/** Attributes whose JSON is not that of their kind. */
const special: Readonly<Record<string, (value: AttributeValue) => Json>> = {
  'dropout.mode': (v) => text(dropoutWord(v)),
  'full.shape': (v) => ({ '#': '1.a_intarray', D: (v as readonly number[]).map(Number) }),
  'full.value': (v) => number('0.a_f64', Number(v)),
  'full_batch_size_like.value': (v) => number('0.a_f64', Number(v)),
  'assign_value.values': (v) => list((v as readonly number[]).map((x) => number('0.a_f64', x))),
  'assign_value_.values': (v) => list((v as readonly number[]).map((x) => number('0.a_f64', x))),
}

function attributeOf(type: string, name: string, kind: AttributeKind, value: AttributeValue): Json {
  const own = special[`${type}.${name}`]
  if (own) return own(value)
  const integer = pirDetails(type).long?.includes(name) ? '0.a_i64' : '0.a_i32'
  const items = (typeof value === 'object' ? value : [value]) as readonly (number | bigint | boolean | string)[]
  switch (kind) {
    case 'bool':
      return bool(Boolean(value))
    case 'int':
      return number(integer, Number(value))
    case 'float':
    case 'value':
      return number('0.a_f32', Number(value))
    case 'string':
      return text(String(value))
    case 'dtype':
      return dtypeAttribute(String(value))
    case 'ints':
      return list(items.map((v) => number(integer, Number(v))))
    case 'floats':
      return list(items.map((v) => number('0.a_f32', Number(v))))
    case 'bools':
      return list(items.map((v) => bool(Boolean(v))))
    case 'strings':
      return list(items.map((v) => text(String(v))))
    default:
      return kind satisfies never
  }
}

interface Typed {
  readonly id: number
  readonly type: Json
}

class Writing {
  readonly #program: OperatorProgram
  readonly #ops: Json[] = []
  readonly #held = new Map<string, Typed>()
  /** Constants by what they hold: one operation each. */
  readonly #constants = new Map<string, Typed>()
  #last = 0

  constructor(program: OperatorProgram) {
    this.#program = program
  }

  ops(): Json[] {
    for (const [name, { array, trainable }] of this.#program.parameters)
      this.#held.set(
        name,
        this.#parameter(name, tensorType(array.dtype, array.shape), [1, trainable ? 0 : 1, trainable ? 1 : 0]),
      )
    // Parameters come first.
    const states = this.#program.operations.filter((o) => o.type === 'rnn').map((_, i) => this.#dropoutState(i))
    for (const input of this.#program.inputs) {
      const type = tensorType(input.dtype, input.shape)
      const attributes = [
        named('name', text(input.name)),
        named('shape', { '#': '1.a_intarray', D: input.shape }),
        named('dtype', dtypeAttribute(input.dtype)),
        named('place', place(0)),
      ]
      this.#held.set(input.name, this.#emit('1.data', attributes, [], [type])[0]!)
    }
    for (const operation of this.#program.operations) this.#write(operation, states)
    this.#program.outputs.forEach(({ value }, col) => {
      const { id, type } = this.#valueOf(value)
      const attributes = [named('name', text(`fetch_name_${col}`)), named('col', number('0.a_i32', col))]
      this.#emit('1.fetch', attributes, [id], [type], [named('persistable', list([bool(true)]))])
    })
    return this.#ops
  }

  #parameter(name: string, type: Json, flags: readonly number[]): Typed {
    const id = ++this.#last
    this.#ops.push({ '#': 'p', A: [0, 1, 1, name], DA: [], O: { '%': id, TT: type }, OA: flags, QA: [] })
    return { id, type }
  }

  /** Recurrences want the state of a dropout, which no file holds. */
  #dropoutState(index: number): number {
    return this.#parameter(`rnn_${index}.dropout_state__non_persistable`, tensorType('uint8', []), [0, 1, 0]).id
  }

  #emit(
    name: string,
    attributes: readonly Json[],
    operands: readonly number[],
    types: readonly Json[],
    more: readonly Json[] = [],
  ): Typed[] {
    const results = types.map((type) => ({ id: ++this.#last, type }))
    // Constants, which have no operands, and integers stop gradients; what stops more cannot be trained on.
    const isConstant = operands.length === 0 && name !== '1.data'
    const stops = types.map((type) => bool(isConstant || !hasFloats(type)))
    const flags = types.length > 0 ? [...more, named('stop_gradient', list(stops))] : []
    this.#ops.push({
      '#': name,
      A: attributes,
      I: operands.map((id) => ({ '%': id })),
      O: results.map(({ id, type }) => ({ '%': id, TT: type })),
      OA: flags,
    })
    return results
  }

  #valueOf(name: string): Typed {
    const held = this.#held.get(name)
    if (!held) throw new FormatError(`nothing computes the value '${name}'`)
    return held
  }

  #combine(names: readonly string[]): Typed {
    const parts = names.map((n) => this.#valueOf(n))
    return this.#emit(
      '0.combine',
      [],
      parts.map((p) => p.id),
      [listType(parts.map((p) => p.type))],
    )[0]!
  }

  #write(operation: Operation, dropoutStates: number[]): void {
    const { type } = operation
    const row = findOperator(type)!
    const constant = (name: string): AttributeValue => attributeValue(operation, row, name)
    const operands = pirOperands(type, row).map((operand) => {
      if (operand.name === 'dropout_state_in') return dropoutStates.shift() ?? 0
      const names = slotNames(operation.inputs[operand.name])
      if (names.length > 0) return this.#operand(operand, names)
      if (!operand.attribute || (operand.isOptional && slotNames(operation.inputs[operand.name]).length === 0)) return 0
      return this.#constant(operation, operand.attribute, constant(operand.name))
    })
    const attributes = Object.entries(row.attributes)
      .filter(([, spec]) => !spec.variable)
      .map(([name, spec]) => named(name, attributeOf(type, name, spec.kind, constant(name))))
    const where = pirDetails(type).place
    if (where !== undefined) attributes.push(named('place', place(where)))
    const results = this.#emit(
      `1.${type}`,
      attributes,
      operands,
      row.outputs.map((slot) => this.#resultType(operation, slot)),
    )
    row.outputs.forEach((slot, i) => {
      const names = slotNames(operation.outputs[slotName(slot)])
      if (!slot.endsWith('*')) {
        if (names[0] !== undefined) this.#held.set(names[0], results[i]!)
      } else if (names.length > 0) {
        const parts = this.#emit(
          '0.split',
          [],
          [results[i]!.id],
          names.map((n) => this.#typeOf(n)),
        )
        names.forEach((n, k) => this.#held.set(n, parts[k]!))
      }
    })
  }

  #operand(operand: PirOperand, names: readonly string[]): number {
    if (operand.isList) return this.#combine(names).id
    if (
      !operand.attribute ||
      (names.length === 1 && typeof names[0] === 'string' && !this.#isScalarOf(operand, names[0]))
    )
      return this.#valueOf(names[0]!).id
    // Scalars, one an element of a list of integers.
    const parts = names.map((n) => this.#program.values.get(n)!)
    const type = tensorType(parts[0]!.dtype, [names.length])
    if (parts.every((p) => p.shape.length === 0)) {
      const axis = named('axis', number('0.a_i32', 0))
      return this.#emit('1.stack', [axis], [this.#combine(names).id], [type])[0]!.id
    }
    // Some have an axis of their own, as older programs write sizes.
    const vectors = names.map((n) => {
      const shape = this.#intArray([1])
      return this.#emit('1.reshape', [], [this.#valueOf(n).id, shape], [tensorType(parts[0]!.dtype, [1])])[0]!
    })
    const combined = this.#emit(
      '0.combine',
      [],
      vectors.map((v) => v.id),
      [listType(vectors.map((v) => v.type))],
    )[0]!
    return this.#emit('1.concat', [], [combined.id, this.#full(0, 'int32')], [type])[0]!.id
  }

  /** Whether a name is a list of one scalar where a list of integers is due: that, PIR wants stacked. */
  #isScalarOf(operand: PirOperand, name: string): boolean {
    return operand.attribute?.kind === 'ints' && this.#program.values.get(name)?.shape.length === 0
  }

  #constant(operation: Operation, spec: AttributeSpec, value: AttributeValue): number {
    if (spec.kind === 'ints' || spec.kind === 'floats')
      return this.#intArray((typeof value === 'object' ? value : [value]) as readonly number[])
    return this.#full(Number(value), scalarDtype(operation, spec))
  }

  #intArray(values: readonly number[]): number {
    const key = `[${values.join(',')}]`
    const known = this.#constants.get(key)
    if (known) return known.id
    const attributes = [
      named('value', list(values.map((v) => number('0.a_i64', v)))),
      named('dtype', dtypeAttribute('int64')),
      named('place', place(1)),
    ]
    const made = this.#emit('1.full_int_array', attributes, [], [tensorType('int64', [values.length])])[0]!
    this.#constants.set(key, made)
    return made.id
  }

  #full(value: number, dtype: DType): number {
    const key = `${dtype} ${Object.is(value, -0) ? '-0' : value}`
    const known = this.#constants.get(key)
    if (known) return known.id
    const attributes = [
      named('shape', { '#': '1.a_intarray', D: [1] }),
      named('value', number('0.a_f64', value)),
      named('dtype', dtypeAttribute(dtype)),
      named('place', place(1)),
    ]
    const made = this.#emit('1.full', attributes, [], [tensorType(dtype, [1])])[0]!
    this.#constants.set(key, made)
    return made.id
  }

  #typeOf(name: string): Json {
    const info = this.#program.values.get(name)
    if (!info) throw new FormatError(`dtype and shape of the value '${name}' are not known`)
    return tensorType(info.dtype, info.shape)
  }

  /** Of results that nobody names, only that there is one counts. */
  #resultType(operation: Operation, slot: string): Json {
    const names = slotNames(operation.outputs[slotName(slot)])
    if (slot.endsWith('*')) {
      if (names.length > 0) return listType(names.map((n) => this.#typeOf(n)))
      const counterparts = slotNames(operation.inputs[`pre_${slotName(slot)}`] ?? operation.inputs['x'])
      return listType(counterparts.map(() => tensorType('float32', [-1])))
    }
    if (names[0] !== undefined) return this.#typeOf(names[0])
    return tensorType(unnamed[slotName(slot)] ?? 'float32', [-1])
  }
}

const unnamed: Readonly<Record<string, DType>> = { mask: 'uint8', reserve_space: 'uint8', indices: 'int64' }

/** Tensors that set a number have the dtype that the operator counts in. */
function scalarDtype(operation: Operation, spec: AttributeSpec): DType {
  const dtype = operation.attributes['dtype']
  if (operation.type === 'arange' || operation.type === 'linspace')
    return spec.kind === 'int' ? 'int32' : typeof dtype === 'string' ? (dtype as DType) : 'int64'
  return spec.kind === 'int' ? 'int32' : 'float32'
}

/** What the operation or the table says. */
function attributeValue(operation: Operation, row: Operator, name: string): AttributeValue {
  const value = operation.attributes[name] ?? row.attributes[name]?.default
  if (value === undefined) throw new FormatError(`operator '${operation.type}' lacks its attribute '${name}'`)
  return value
}

/** Whether a tensor's type, or that of a list of tensors, has elements that gradients are of. */
function hasFloats(type: Json): boolean {
  return /"0\.t_b?f\d+"/.test(JSON.stringify(type))
}
