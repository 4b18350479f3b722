/**
 * ProgramDesc -> OperatorProgram. Variables that are written twice become two values; constants that only set an attribute become constant
 * attributes; results that nobody reads are dropped.
 */
import type { DType, HostArray } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { findOperator } from '../program/operators/table.ts'
import {
  slotNames,
  type AttributeValue,
  type ModelParameter,
  type Operation,
  type OperatorProgram,
  type ValueInfo,
} from '../program/program.ts'
import { prune } from '../program/prune.ts'
import { asKind, LegacyCall } from './legacy-call.ts'
import { beforeActivation, emitActivation, fusedActivation } from './legacy-fused.ts'
import type { LegacyOperator } from './legacy-operator.ts'
import { legacyOperators } from './legacy-operators.ts'
import { specialReaders } from './legacy-special-reader.ts'
import { dtypeOfVarType, VAR_TYPE, type ProgramDesc, type VarDesc } from './program-desc.ts'

/** Names of the variables whose data is in the parameter file. */
export function legacyParameterNames(program: ProgramDesc): string[] {
  return rootVars(program)
    .filter((v) => v.persistable && v.type.type === VAR_TYPE.denseTensor)
    .map((v) => v.name)
}

function rootVars(program: ProgramDesc): readonly VarDesc[] {
  return program.blocks[0]!.vars
}

/** `arrays`: what the parameter file holds. Unknown operators stay in the program under their names. Throws FormatError. */
export function programFromLegacy(desc: ProgramDesc, arrays: ReadonlyMap<string, HostArray>): OperatorProgram {
  const reading = new LegacyReading(rootVars(desc))
  for (const name of arrays.keys()) reading.hold(name)
  desc.blocks[0]!.ops.forEach((op, i) => reading.take(new LegacyCall(op, i, reading.current)))
  const flags = new Map(rootVars(desc).map((v) => [v.name, v]))
  const parameters = new Map<string, ModelParameter>(
    // Paddle 2 marks trained parameters; running statistics and buffers are not marked, or need no gradient.
    Array.from(arrays, ([name, array]) => {
      const { isParameter = true, stopGradient = false } = flags.get(name) ?? {}
      return [name, { array, trainable: isParameter && !stopGradient && !reading.statistics.has(name) }]
    }),
  )
  return prune({
    inputs: reading.inputs.sort((a, b) => a.column - b.column).map(({ info }) => info),
    outputs: reading.outputs.sort((a, b) => a.column - b.column).map(({ name, value }) => ({ name, value })),
    parameters,
    operations: reading.operations,
    values: reading.values,
    metadata: {},
  })
}

/** What is made while operators are read one after another. */
export class LegacyReading {
  readonly inputs: { info: ValueInfo; column: number }[] = []
  readonly outputs: { name: string; value: string; column: number }[] = []
  readonly operations: Operation[] = []
  readonly values = new Map<string, ValueInfo>()
  /** The value that a variable has now, where it is not the one of its name. */
  readonly current = new Map<string, string>()
  /** Running statistics: what batch norms update. */
  readonly statistics = new Set<string>()
  readonly #defined = new Set<string>()
  readonly #constants = new Map<string, AttributeValue>()

  constructor(vars: readonly VarDesc[]) {
    for (const { name, type } of vars) {
      const dtype = type.tensor && dtypeOfVarType(type.tensor.dataType)
      if (dtype) this.values.set(name, { name, dtype, shape: type.tensor.dims.map(Number) })
    }
  }

  hold(name: string): void {
    this.#defined.add(name)
  }

  take(call: LegacyCall): void {
    if (call.type === 'feed') this.#takeInput(call)
    else if (call.type === 'fetch') {
      const value = call.input('X')
      this.outputs.push({ name: value, value, column: call.number('col', this.outputs.length) })
    } else {
      const special = specialReaders[call.type]
      const entry = Object.hasOwn(legacyOperators, call.type) ? legacyOperators[call.type] : undefined
      if (special) special(call, this)
      else if (entry) this.#known(call, entry)
      else this.#unknown(call)
    }
  }

  /** The name under which a variable's new value is known: its own, unless that has a value already. */
  result(variable: string): string {
    let name = variable
    while (this.#defined.has(name)) name += '@'
    this.#defined.add(name)
    const info = this.values.get(variable)
    if (info && name !== variable) this.values.set(name, { ...info, name })
    this.current.set(variable, name)
    return name
  }

  /** A value that the file does not name. */
  temporary(base: string, dtype: DType | undefined, shape: readonly number[] | undefined): string {
    const name = this.result(`${base}.tmp`)
    if (dtype && shape) this.values.set(name, { name, dtype, shape })
    return name
  }

  info(name: string): ValueInfo | undefined {
    return this.values.get(name)
  }

  rank(name: string, call: LegacyCall): number {
    const info = this.values.get(name)
    if (!info)
      throw new FormatError(
        `pdmodel: ${call.type} (${call.origin}) needs the shape of '${name}', which the file does not say`,
      )
    return info.shape.length
  }

  emit(
    call: LegacyCall,
    type: string,
    inputs: Operation['inputs'],
    outputs: Operation['outputs'],
    attributes: Operation['attributes'] = {},
  ): void {
    this.operations.push({ type, inputs, outputs, attributes, origin: call.origin })
  }

  /** Keeps a constant, for attributes that are set by it. */
  remember(name: string, value: AttributeValue): void {
    this.#constants.set(name, value)
  }

  /** What a variable attribute is set by: a constant, or the names of values. */
  setting(
    names: readonly string[],
    isOne: boolean,
  ): { constant: AttributeValue } | { names: string | readonly string[] } {
    const constants = names.map((n) => this.#constants.get(n))
    if (names.length === 1 && isOne)
      return constants[0] === undefined ? { names: names[0]! } : { constant: constants[0] }
    return { names }
  }

  #takeInput(call: LegacyCall): void {
    const name = this.result(call.output('Out'))
    const info = this.values.get(name)
    if (!info) throw new FormatError(`pdmodel: the input '${name}' has elements that tensors here do not have`)
    this.inputs.push({ info, column: call.number('col', this.inputs.length) })
  }

  #known(call: LegacyCall, entry: LegacyOperator): void {
    const row = findOperator(entry.row)
    if (!row) throw new FormatError(`pdmodel: ${call.type} has no row '${entry.row}' in the operator table`)
    const inputs: Record<string, string | readonly string[]> = {}
    const attributes: Record<string, AttributeValue> = {}
    for (const [name, slot] of Object.entries(entry.inputs)) {
      const names = call.inputs(slot)
      if (names.length > 0) inputs[name] = row.inputs.includes(`${name}*`) ? names : names[0]!
    }
    for (const [name, { name: own, tensor, list }] of Object.entries(entry.attributes)) {
      const spec = row.attributes[name]
      if (!spec) throw new FormatError(`pdmodel: ${call.type}: the row '${entry.row}' has no attribute '${name}'`)
      const one = tensor === undefined ? [] : call.inputs(tensor)
      const many = list === undefined ? [] : call.inputs(list)
      if (one.length > 0 || many.length > 0) {
        const set = one.length > 0 ? this.setting(one, true) : this.setting(many, false)
        if ('names' in set) inputs[name] = set.names
        else attributes[name] = asKind(set.constant, spec)
      } else if (own !== undefined) {
        const value = call.attribute(own)
        if (value !== undefined) attributes[name] = asKind(value, spec)
      }
    }
    if (entry.row === 'batch_norm_') for (const slot of ['Mean', 'Variance']) this.statistics.add(call.input(slot))
    const isConvolution = entry.inputs['filter'] !== undefined
    const bias = isConvolution ? call.inputs('Bias') : []
    const isActivated = isConvolution && fusedActivation(call) !== null
    const isFused = bias.length > 0 || isActivated
    const outputs: Record<string, string | readonly string[]> = {}
    for (const [name, slot] of Object.entries(entry.outputs)) {
      const variables = call.outputs(slot)
      if (variables.length === 0) continue
      const names = variables.map((v) =>
        isFused ? this.temporary(v, this.info(v)?.dtype, this.info(v)?.shape) : this.result(v),
      )
      outputs[name] = row.outputs.includes(`${name}*`) ? names : names[0]!
    }
    this.emit(call, entry.row, inputs, outputs, attributes)
    if (!isFused) return
    let last = slotNames(outputs['out'])[0]!
    const variable = call.output('Output')
    if (bias.length > 0) last = this.#addBias(call, bias[0]!, last)
    if (isActivated) emitActivation(call, this, last, variable)
  }

  /** A convolution's own bias, [C], is an addition of its own here. Returns the sum's name. */
  #addBias(call: LegacyCall, bias: string, to: string): string {
    const out = beforeActivation(call, this, call.output('Output'))
    // `opt` forgets shapes of what it fuses; the filter is a parameter.
    const rank = this.rank(call.input('Filter'), call)
    const format = call.attribute('data_format')
    const first = typeof format !== 'string' || !format.endsWith('C')
    const shape = Array.from({ length: rank }, (_, i) => (i === (first ? 1 : rank - 1) ? -1 : 1))
    const spread = this.temporary(
      bias,
      this.info(bias)?.dtype,
      shape.map((d) => (d < 0 ? (this.info(bias)?.shape[0] ?? -1) : d)),
    )
    this.emit(call, 'reshape', { x: bias }, { out: spread }, { shape })
    this.emit(call, 'add', { x: to, y: spread }, { out })
    return out
  }

  #unknown(call: LegacyCall): void {
    const outputs = call.results.map(([slot, variables]) => [slot, variables.map((v) => this.result(v))] as const)
    this.emit(call, call.type, Object.fromEntries(call.operands), Object.fromEntries(outputs))
  }
}
