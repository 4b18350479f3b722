/** A program as a layer: what readers of model files give, as `paddle.jit.TranslatedLayer`. It runs, trains, is saved again. */
import { isFloat, type HostArray } from '../../../common/dtype.ts'
import { ArgumentError, FormatError, UnsupportedError } from '../../../common/errors.ts'
import { makeLeaf, recordingMark } from '../../../graph/node.ts'
import type { Storage } from '../../../graph/storage.ts'
import { InputSpec } from '../../../jit/input-spec.ts'
import { ParamAttr, Parameter } from '../../../nn/parameter.ts'
import { Layer } from '../../../nn/layer.ts'
import { getDevice } from '../../../tensor/device.ts'
import { tensorsIn } from '../../../tensor/nested.ts'
import { noteOperator, notesOperators } from '../../../tensor/tracer.ts'
import { fromHost, Tensor } from '../../../tensor/tensor.ts'
import { BoundCall } from './call.ts'
import { isHostTensor, markComputed, onDevice } from './host-values.ts'
import { resultsBySlot } from './operator.ts'
import { findOperator, operatorNames, operatorOf } from './operators/table.ts'
import { nearestName } from '../../../common/nearest-name.ts'
import { placeOf, slotNames, type Operation, type OperatorProgram } from './program.ts'

/** Operators that the table lacks, with how often and where they stand. Empty: the program can run. */
export function missingOperators(program: OperatorProgram): ReadonlyMap<string, readonly string[]> {
  const missing = new Map<string, string[]>()
  program.operations.forEach((o, i) => {
    if (!findOperator(o.type)) missing.set(o.type, [...(missing.get(o.type) ?? []), o.origin ?? `operation ${i}`])
  })
  return missing
}

function checkOperators(program: OperatorProgram): void {
  const missing = missingOperators(program)
  if (missing.size === 0) return
  const lines = [...missing].map(([type, places]) => {
    const shown = places.slice(0, 4).join(', ') + (places.length > 4 ? ', ...' : '')
    const near = nearestName(type, operatorNames)
    return `  ${type}, ${places.length} time${places.length > 1 ? 's' : ''}: ${shown}${near ? ` (there is ${near})` : ''}`
  })
  throw new UnsupportedError(`the model uses operators that are not supported:\n${lines.join('\n')}`)
}

/** What a dotted name of a parameter goes through: it has the names of the layer that was saved, not its code. */
class Part extends Layer {
  forward(): never {
    throw new ArgumentError(`${this.fullName()} is a part of a model that was read from a file; call the whole model`)
  }
}

/** Makes a tensor part of a layer's state under a dotted path. */
function holdAt(root: Layer, path: string, tensor: Tensor): void {
  const names = path.split('.').map((n) => (n === '' ? '_' : n))
  const last = names.pop()!
  let layer = root
  for (const name of names) {
    const own = freeName(layer, name, (held) => held instanceof Part)
    layer = own in layer ? (layer as unknown as Record<string, Layer>)[own]! : layer.addSublayer(own, new Part())
  }
  const own = freeName(layer, last, () => false)
  if (tensor instanceof Parameter) layer.addParameter(own, tensor)
  else layer.registerBuffer(own, tensor)
}

/** A name, with underscores behind it as long as it stands for something else. */
function freeName(layer: Layer, name: string, isUsable: (held: unknown) => boolean): string {
  let own = name
  while (own in layer && !isUsable((layer as unknown as Record<string, unknown>)[own])) own += '_'
  return own
}

/** Runs a program. Takes its inputs in order; returns its output, or a list of them where there are several. */
export class TranslatedLayer extends Layer {
  readonly program: OperatorProgram
  /** Parameters and buffers by the names that operations use. */
  readonly #state = new Map<string, Tensor>()
  /** Index of the operation that uses a value last. */
  readonly #lastUse = new Map<string, number>()

  /**
   * `place`: gives memory to parameters that never change; without it they are trained. Throws FormatError that lists every operator that is
   * missing, before anything runs.
   */
  constructor(program: OperatorProgram, place?: (array: HostArray) => Storage) {
    super()
    checkOperators(program)
    this.program = program
    for (const [name, { array, trainable, structuredName }] of program.parameters) {
      const isTrained = trainable && isFloat(array.dtype) && !place
      const tensor = isTrained
        ? new Parameter(array, name, new ParamAttr())
        : place
          ? new Tensor(makeLeaf(place(array), [...array.shape], false), name)
          : fromHost(array, { name })
      this.#state.set(name, tensor)
      holdAt(this, structuredName ?? name, tensor)
    }
    program.operations.forEach((operation, i) => {
      for (const slot of Object.values(operation.inputs)) for (const name of slotNames(slot)) this.#lastUse.set(name, i)
    })
    for (const output of program.outputs) this.#lastUse.set(output.value, program.operations.length)
    this.eval()
  }

  /** What the model takes, in order, as whoever saves it again would say it. */
  get inputSpec(): InputSpec[] {
    return this.program.inputs.map(({ name, dtype, shape, axisNames }) => {
      const sizes = shape.map((d, axis) => (d < 0 ? (axisNames?.[axis] ?? null) : d))
      return new InputSpec(sizes, dtype, name)
    })
  }

  forward(...inputs: Tensor[]): Tensor | Tensor[] {
    const { program } = this
    if (inputs.length !== program.inputs.length)
      throw new ArgumentError(
        `the model takes ${program.inputs.length} inputs (${program.inputs.map((i) => i.name).join(', ')}), got ${inputs.length}`,
      )
    const values = new Map<string, Tensor>(this.#state)
    program.inputs.forEach((input, i) => values.set(input.name, inputs[i]!))
    program.operations.forEach((operation, i) => {
      this.#run(operation, i, values)
      for (const slot of Object.values(operation.inputs))
        for (const name of slotNames(slot)) if (this.#lastUse.get(name) === i) values.delete(name)
    })
    const device = getDevice()
    const outputs = program.outputs.map(({ name, value }) => {
      const tensor = values.get(value)
      if (!tensor) throw new FormatError(`nothing computes the output '${name}'`)
      return onDevice(tensor, device)
    })
    return outputs.length === 1 ? outputs[0]! : outputs
  }

  #run(operation: Operation, index: number, values: Map<string, Tensor>): void {
    const row = operatorOf(operation.type)
    const variable = (slot: string): boolean => row.attributes[slot]?.variable ?? false
    const operands = Object.entries(operation.inputs).flatMap(([slot, names]) =>
      variable(slot) ? [] : slotNames(names).map((n) => values.get(n)),
    )
    // Sizes are computed where they are at hand; what meets other tensors goes to these.
    const device = operands.find((t) => t && !isHostTensor(t))?.place
    const call = new BoundCall(operation, row, this.training, (name) => {
      const value = values.get(name)
      if (!value) throw new FormatError(`operator '${operation.type}': nothing computes its operand '${name}'`)
      return device === undefined ? value : onDevice(value, device)
    })
    const mark = recordingMark()
    const results = resultsBySlot(row, row.run(call))
    // What leads back to a value that was there before (a reshape of a reshape) computes nothing.
    if (notesOperators() && tensorsIn(results).every((t) => t.node.id >= mark))
      noteOperator(
        operation.type,
        () => results,
        () => ({
          inputs: operandsOf(operation, variable, call),
          attributes: call.resolved(),
          place: placeOf(operation, index),
        }),
      )
    markComputed(
      tensorsIn(results),
      operands.filter((t) => t !== undefined),
    )
    assign(operation, results, values)
  }
}

/** The tensors of the slots that are no attributes. */
function operandsOf(
  operation: Operation,
  isAttribute: (slot: string) => boolean,
  call: BoundCall,
): Record<string, Tensor | readonly Tensor[] | null> {
  const slots = Object.entries(operation.inputs).filter(([slot]) => !isAttribute(slot))
  return Object.fromEntries(
    slots.map(([slot, names]) => [slot, Array.isArray(names) ? call.list(slot) : call.optional(slot)]),
  )
}

/** Puts results under the names that the operation gives them. */
function assign(
  operation: Operation,
  results: Readonly<Record<string, Tensor | readonly Tensor[]>>,
  values: Map<string, Tensor>,
): void {
  for (const [slot, given] of Object.entries(operation.outputs)) {
    const names = slotNames(given)
    const made = results[slot]
    if (made === undefined) continue
    const tensors = made instanceof Tensor ? [made] : made
    if (tensors.length < names.length)
      throw new FormatError(
        `operator '${operation.type}' gives ${tensors.length} values as '${slot}', the program names ${names.length}`,
      )
    names.forEach((name, i) => values.set(name, tensors[i]!))
  }
}
