/**
 * OperatorProgram -> ProgramDesc, as Paddle 2.6 writes it, with what Paddle Lite wants besides: XShape results, `beta` of swish, constants of at
 * least one axis.
 */
import { isFloat, type DType } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { completeValues } from '../program/complete.ts'
import { findOperator } from '../program/operators/table.ts'
import { slotName, type AttributeSpec, type Operator } from '../program/operator.ts'
import {
  slotNames,
  type AttributeValue,
  type Operation,
  type OperatorProgram,
  type ValueInfo,
} from '../program/program.ts'
import type { LegacyOperator } from './legacy-operator.ts'
import { legacyFor } from './legacy-operators.ts'
import { attributeDesc, slot, typeFor } from './legacy-attributes.ts'
import { specialWriters } from './legacy-special-writer.ts'
import {
  VAR_TYPE,
  varTypeOf,
  type AttributeDesc,
  type OpDesc,
  type ProgramDesc,
  type SlotDesc,
  type VarDesc,
} from './program-desc.ts'

/** What Paddle 2.6.2 writes as its version. */
const VERSION = 2_006_002

/** Programs run without; Paddle's optimizers ask every operator that reads a parameter for it, in static graphs. */
const DEVICE: AttributeDesc = { name: 'op_device', type: 'string', value: '' }

/** Throws FormatError that lists every operator for which the legacy format has none. */
export function legacyFromProgram(given: OperatorProgram): ProgramDesc {
  const missing = new Set(given.operations.map((o) => o.type).filter((t) => !specialWriters[t] && !legacyFor(t)))
  if (missing.size > 0) throw new FormatError(`the legacy format has no operators for: ${[...missing].join(', ')}`)
  const program = withOutputNames(completeValues(given))
  const writing = new LegacyWriting(program)
  for (const operation of program.operations) writing.write(operation)
  return writing.finish()
}

/** An output is known by the name of its variable: values take the names of the outputs that they are. */
function withOutputNames(program: OperatorProgram): OperatorProgram {
  const taken = new Set(program.values.keys())
  const fixed = new Set([...program.parameters.keys(), ...program.inputs.map((i) => i.name)])
  const renamed = new Map<string, string>()
  const copies: Operation[] = []
  const values = new Map(program.values)
  for (const { name, value } of program.outputs) {
    if (name === value) continue
    const free = taken.has(name) ? `${name}.out` : name
    taken.add(free)
    const info = values.get(value)
    if (!fixed.has(value) && !renamed.has(value) && !program.outputs.some((o) => o.name === value))
      renamed.set(value, free)
    else
      copies.push({
        type: 'assign',
        inputs: { x: renamed.get(value) ?? value },
        outputs: { out: free },
        attributes: {},
      })
    if (info) values.set(free, { ...info, name: free })
  }
  const nameOf = (name: string): string => renamed.get(name) ?? name
  const rename = (slots: Readonly<Record<string, string | readonly string[] | null>>) =>
    Object.fromEntries(
      Object.entries(slots).map(([slot, held]) => [
        slot,
        held === null ? null : typeof held === 'string' ? nameOf(held) : held.map(nameOf),
      ]),
    )
  const operations = program.operations.map((o) => ({
    ...o,
    inputs: rename(o.inputs),
    outputs: rename(o.outputs) as Operation['outputs'],
  }))
  const copied = new Map(copies.map((c) => [c.outputs['out'], c.inputs['x']]))
  const outputs = program.outputs.map(({ name, value }) => {
    if (name === value) return { name, value }
    const own = values.has(name) && copied.has(name) ? name : copied.has(`${name}.out`) ? `${name}.out` : nameOf(value)
    return { name, value: own }
  })
  return { ...program, operations: [...operations, ...copies], outputs, values }
}

/** What is made while operations are written one after another. */
export class LegacyWriting {
  readonly #program: OperatorProgram
  readonly #ops: OpDesc[] = []
  readonly #extra = new Map<string, ValueInfo>()
  readonly #constants = new Map<string, number>()

  constructor(program: OperatorProgram) {
    this.#program = program
    for (const { type, outputs, attributes } of program.operations) {
      const { value } = attributes
      if (type === 'full' && typeof value === 'number') this.#constants.set(slotNames(outputs['out'])[0] ?? '', value)
    }
    // Paddle Lite knows no constants without axes.
    for (const name of loneConstants(program)) this.#extra.set(name, { ...program.values.get(name)!, shape: [1] })
  }

  info(name: string): ValueInfo {
    const info = this.#extra.get(name) ?? this.#program.values.get(name)
    if (!info) throw new FormatError(`dtype and shape of the value '${name}' are not known`)
    return info
  }

  /** A variable that only the file knows. */
  temporary(base: string, dtype: DType, shape: readonly number[]): string {
    let name = base
    for (let i = 0; this.#program.values.has(name) || this.#extra.has(name); i++) name = `${base}_${i}`
    this.#extra.set(name, { name, dtype, shape })
    return name
  }

  emit(
    type: string,
    inputs: readonly SlotDesc[],
    outputs: readonly SlotDesc[],
    attributes: readonly AttributeDesc[],
  ): void {
    this.#ops.push({ type, inputs, outputs, attributes: [...attributes, DEVICE], isTarget: false })
  }

  /** The value of an attribute: the operation's, or the table's where it is left out. */
  attribute(operation: Operation, name: string): AttributeValue {
    const value = operation.attributes[name] ?? findOperator(operation.type)?.attributes[name]?.default
    if (value === undefined) throw new FormatError(`operator '${operation.type}' lacks its attribute '${name}'`)
    return value
  }

  /** A constant as a variable. Of one element, it has one axis: Paddle Lite knows no constants without. */
  constant(base: string, value: number, dtype: DType, shape: readonly number[] = [1]): string {
    const name = this.temporary(base, dtype, shape)
    this.fill(name, value, dtype, shape)
    return name
  }

  /** The number in a value that an operation makes of one; undefined where it is not known. */
  constantIn(name: string): number | undefined {
    return this.#constants.get(name)
  }

  /** `fill_constant`; null: the operands tell the value. */
  fill(
    name: string,
    value: number | null,
    dtype: DType,
    shape: readonly number[],
    inputs: readonly SlotDesc[] = [],
  ): void {
    this.emit(
      'fill_constant',
      inputs,
      [slot('Out', name)],
      [
        { name: 'shape', type: 'longs', value: shape },
        { name: 'value', type: 'float', value: value !== null && Number.isFinite(value) ? value : 0 },
        { name: 'str_value', type: 'string', value: value === null ? '' : inWords(value) },
        { name: 'dtype', type: 'int', value: varTypeOf(dtype) },
        { name: 'force_cpu', type: 'boolean', value: false },
        { name: 'place_type', type: 'int', value: -1 },
      ],
    )
  }

  write(operation: Operation): void {
    const special = specialWriters[operation.type]
    if (special) {
      special(operation, this)
      return
    }
    const entry = legacyFor(operation.type)!
    const row = findOperator(operation.type)!
    const inputs = Object.entries(entry.inputs).map(([name, own]) => slot(own, ...slotNames(operation.inputs[name])))
    const outputs = Object.entries(entry.outputs).map(([name, own]) =>
      slot(own, ...this.#results(operation, row, name)),
    )
    const attributes: AttributeDesc[] = [...(entry.constants ?? [])]
    for (const [name, spec] of Object.entries(row.attributes)) {
      const own = entry.attributes[name]
      if (!own) continue
      const names = slotNames(operation.inputs[name])
      if (names.length === 0) {
        if (own.name !== undefined)
          attributes.push(attributeDesc(own.name, own.type ?? typeFor(spec), this.attribute(operation, name)))
        continue
      }
      const isList =
        own.list !== undefined &&
        (names.length > 1 ||
          own.tensor === undefined ||
          (spec.kind === 'ints' && this.info(names[0]!).shape.length === 0))
      const to = isList ? own.list : own.tensor
      if (to === undefined) throw new FormatError(`the legacy operator '${entry.type}' takes no value as '${name}'`)
      inputs.push(slot(to, ...names))
      if (own.name !== undefined)
        attributes.push(attributeDesc(own.name, own.type ?? typeFor(spec), placeholder(spec, names.length)))
    }
    outputs.push(...this.#unused(operation, entry))
    if (entry.type === 'batch_norm')
      outputs.push(
        slot('MeanOut', ...slotNames(operation.inputs['mean'])),
        slot('VarianceOut', ...slotNames(operation.inputs['variance'])),
      )
    if (entry.type === 'cast')
      attributes.push({
        name: 'in_dtype',
        type: 'int',
        value: varTypeOf(this.info(slotNames(operation.inputs['x'])[0]!).dtype),
      })
    this.emit(entry.type, inputs, outputs, attributes)
  }

  /** Every result has a variable, read or not; of the lists only those that have a counterpart among the operands: the states of recurrences. */
  #results(operation: Operation, row: Operator, name: string): readonly string[] {
    const names = slotNames(operation.outputs[name])
    if (names.length > 0) return names
    if (row.outputs.includes(`${name}*`))
      return slotNames(operation.inputs[`pre_${name}`]).map((before) => {
        const { dtype, shape } = this.info(before)
        return this.temporary(`${before}.last`, dtype, shape)
      })
    return [this.temporary(`${operation.type}.${name}`, name === 'indices' ? 'int64' : 'float32', [-1])]
  }

  #unused(operation: Operation, entry: LegacyOperator): SlotDesc[] {
    return (entry.unused ?? []).map((own) => {
      const [out] = slotNames(operation.outputs[slotName(Object.keys(entry.outputs)[0]!)])
      const x = slotNames(operation.inputs['x'])[0]
      const shape = own === 'XShape' && x !== undefined ? [0, ...this.info(x).shape] : [-1]
      const dtype = own === 'Mask' || own === 'DropoutState' ? 'uint8' : 'float32'
      return slot(own, this.temporary(`${out ?? operation.type}.${own}`, dtype, shape))
    })
  }

  finish(): ProgramDesc {
    const { inputs, outputs, parameters } = this.#program
    const column = (col: number): AttributeDesc => ({ name: 'col', type: 'int', value: col })
    // Paddle stores the last input first.
    const feeds = inputs.map(({ name }, i): OpDesc => ({
      type: 'feed',
      inputs: [slot('X', 'feed')],
      outputs: [slot('Out', name)],
      attributes: [column(i)],
      isTarget: false,
    }))
    const fetches = outputs.map(({ value }, i): OpDesc => ({
      type: 'fetch',
      inputs: [slot('X', value)],
      outputs: [slot('Out', 'fetch')],
      attributes: [column(i)],
      isTarget: false,
    }))
    const ops = [...feeds.reverse(), ...withoutIdle([...this.#ops, ...fetches])]
    const used = new Set(ops.flatMap((o) => [...o.inputs, ...o.outputs]).flatMap((s) => s.variables))
    const vars: VarDesc[] = []
    for (const name of used) {
      if (name === 'feed' || name === 'fetch') continue
      const parameter = parameters.get(name)
      vars.push(
        variable(
          this.info(name),
          parameter !== undefined,
          parameter?.trainable ?? false,
          inputs.some((i) => i.name === name),
        ),
      )
    }
    const holder = (name: string, type: number): VarDesc => ({
      name,
      type: { type, lodLevel: 0 },
      persistable: true,
      needCheckFeed: false,
      isParameter: false,
      stopGradient: false,
    })
    vars.push(holder('feed', VAR_TYPE.feedMinibatch), holder('fetch', VAR_TYPE.fetchList))
    return {
      blocks: [{ idx: 0, parentIdx: -1, vars, ops, forwardBlockIdx: -1 }],
      version: VERSION,
      opVersions: new Map(),
    }
  }
}

/** Operators to which one element is the same with an axis and without, where the other operand has axes. */
const spreading = new Set([
  'add',
  'subtract',
  'multiply',
  'divide',
  'elementwise_pow',
  'remainder',
  'floor_divide',
  'maximum',
  'minimum',
  'equal',
  'not_equal',
  'less_than',
  'less_equal',
  'greater_than',
  'greater_equal',
])

/** Constants without axes that may have one: nobody sees the difference. */
function loneConstants(program: OperatorProgram): Set<string> {
  const rank = (name: string): number => program.values.get(name)?.shape.length ?? 0
  const found = new Set<string>()
  for (const o of program.operations) {
    const [name] = slotNames(o.outputs['out'])
    if (o.type === 'full' && name !== undefined && rank(name) === 0) found.add(name)
  }
  for (const { value } of program.outputs) found.delete(value)
  for (const { type, inputs } of program.operations) {
    const row = findOperator(type)
    const spreads =
      spreading.has(type) && Object.values(inputs).some((held) => slotNames(held).some((n) => rank(n) > 0))
    for (const [name, held] of Object.entries(inputs)) {
      const sets = row?.attributes[name]?.variable === true || (type === 'full_with_tensor' && name === 'value')
      if (!sets && !spreads) for (const operand of slotNames(held)) found.delete(operand)
    }
  }
  return found
}

function variable(
  { name, dtype, shape }: ValueInfo,
  persistable: boolean,
  trainable: boolean,
  isInput: boolean,
): VarDesc {
  return {
    name,
    type: { type: VAR_TYPE.denseTensor, tensor: { dataType: varTypeOf(dtype), dims: shape }, lodLevel: 0 },
    persistable,
    needCheckFeed: isInput,
    isParameter: persistable,
    // Intermediate floats pass gradients on: what stops them cannot be trained on.
    stopGradient: persistable ? !trainable : isInput || !isFloat(dtype),
  }
}

/** Constants that nobody reads any more, because they became attributes, make Paddle's predictor crash. */
function withoutIdle(ops: readonly OpDesc[]): OpDesc[] {
  const read = new Set(ops.flatMap((o) => o.inputs).flatMap((s) => s.variables))
  return ops.filter((o) => o.type !== 'fill_constant' || o.outputs.some((s) => s.variables.some((v) => read.has(v))))
}

function inWords(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  return Number.isFinite(value) ? String(value) : value > 0 ? 'inf' : '-inf'
}

/** Where a tensor sets an attribute, the attribute itself says nothing. */
function placeholder(spec: AttributeSpec, count: number): AttributeValue {
  if (spec.kind === 'ints' || spec.kind === 'floats') return new Array<number>(count).fill(-1)
  return spec.default !== undefined && typeof spec.default !== 'object' ? spec.default : 0
}
