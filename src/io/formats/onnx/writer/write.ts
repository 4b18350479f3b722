/** A program as an ONNX model. What cannot be written is listed all at once, with how often and where it stands. */
import { ArgumentError, FormatError, UnsupportedError } from '../../../../common/errors.ts'
import { sizeNames } from '../../program/inference/equal-axes.ts'
import { Inference } from '../../program/inference/infer.ts'
import { isNumber, type Dim } from '../../program/inference/known.ts'
import { slotNames, type Operation, type OperatorProgram } from '../../program/program.ts'
import { dataTypeOf, type OnnxDim, type OnnxModel, type OnnxValueInfo } from '../model.ts'
import { Emission } from './emission.ts'
import { fuseBias } from './fuse-bias.ts'
import { elementwiseWriters } from './rules/elementwise.ts'
import { linearWriters } from './rules/linear.ts'
import { lossWriters } from './rules/loss.ts'
import { normalizationWriters } from './rules/normalization.ts'
import { poolingWriters } from './rules/pooling.ts'
import { recurrentWriters } from './rules/recurrent.ts'
import { resizingWriters } from './rules/resizing.ts'
import { shapingWriters } from './rules/shaping.ts'
import { spatialWriters } from './rules/spatial.ts'
import { Unwritable, WriteCall, type WriteRules } from './write-call.ts'

export const OLDEST_WRITTEN_OPSET = 13
export const NEWEST_WRITTEN_OPSET = 22

export interface OnnxWriteOptions {
  /** Version of the operator set, 13 to 22. Default 17, which ONNX Runtime from 1.12 and TensorRT from 8.6 on take. */
  readonly opset?: number
  /** What made the model. Default: this package. */
  readonly producer?: string
}

export const writers: WriteRules = {
  ...elementwiseWriters,
  ...linearWriters,
  ...lossWriters,
  ...normalizationWriters,
  ...poolingWriters,
  ...recurrentWriters,
  ...resizingWriters,
  ...shapingWriters,
  ...spatialWriters,
}

/** The IR version of the release of ONNX that brought an operator set: older runtimes take no newer one. */
function irVersion(opset: number): number {
  if (opset <= 13) return 7
  if (opset <= 18) return 8
  return opset <= 20 ? 9 : 10
}

/** Makes the model. Throws ArgumentError, and FormatError that lists all operators that ONNX cannot express. */
export function onnxOfProgram(program: OperatorProgram, options: OnnxWriteOptions = {}): OnnxModel {
  const { opset = 17, producer = 'longzhou' } = options
  if (!Number.isInteger(opset) || opset < OLDEST_WRITTEN_OPSET || opset > NEWEST_WRITTEN_OPSET)
    throw new ArgumentError(
      `opset must be an integer from ${OLDEST_WRITTEN_OPSET} to ${NEWEST_WRITTEN_OPSET}, got ${String(opset)}`,
    )
  const { operations, arrays } = fuseBias(program)
  const arrayOf = (name: string) => arrays.get(name) ?? program.parameters.get(name)?.array
  const emission = new Emission(opset, arrayOf)
  const inference = new Inference(program, sizeNames(program))
  for (const input of program.inputs) emission.bind(input.name, input.name)
  const copies = bindOutputs(program, emission)
  writeOperations(operations, (o) => new WriteCall(o, emission, inference, arrayOf))
  for (const { name, value } of copies) emission.one('Identity', [emission.name(value)], {}, name)

  const dimNames = new DimNames([...program.inputs, ...program.outputs].flatMap((v) => v.axisNames ?? []))
  const inputs = program.inputs.map(({ name, dtype, axisNames }) =>
    valueInfo(
      name,
      dataTypeOf(dtype),
      inference.get(name).shape!.map((d, axis) => dimNames.of(d, axisNames?.[axis])),
    ),
  )
  const outputs = program.outputs.map(({ name, value, axisNames }) => {
    const known = inference.get(value)
    if (!known.shape) throw new FormatError(`ONNX: the number of axes of the output '${name}' is not known`)
    const shape = known.shape.map((d, axis) => dimNames.of(d === '' ? `${name}.${axis}` : d, axisNames?.[axis]))
    return valueInfo(name, dataTypeOf(known.dtype), shape)
  })
  return {
    irVersion: irVersion(opset),
    opsets: new Map([['', opset]]),
    producerName: producer,
    producerVersion: '',
    metadata: program.metadata,
    functions: [],
    graph: {
      name: 'longzhou',
      nodes: emission.nodes,
      initializers: emission.initializers,
      sparseInitializers: 0,
      inputs,
      outputs,
      valueInfos: [],
    },
  }
}

/** Values that operations make get the names of the outputs that they are; those that cannot are copied at the end. */
function bindOutputs(
  program: OperatorProgram,
  emission: Emission,
): { readonly name: string; readonly value: string }[] {
  const made = new Set(program.operations.flatMap((o) => Object.values(o.outputs).flatMap(slotNames)))
  const taken = new Set(program.inputs.map((i) => i.name))
  const copies: { readonly name: string; readonly value: string }[] = []
  for (const { name } of program.outputs) {
    if (taken.has(name)) throw new FormatError(`ONNX: two inputs or outputs are named '${name}'`)
    taken.add(name)
    emission.reserve(name)
  }
  for (const { name, value } of program.outputs) {
    if (made.delete(value)) emission.bind(value, name)
    else copies.push({ name, value })
  }
  return copies
}

function writeOperations(operations: readonly Operation[], callOf: (o: Operation) => WriteCall): void {
  const problems = new Map<string, string[]>()
  operations.forEach((operation, i) => {
    const { type } = operation
    const note = (reason: string): void => {
      const key = `${type}: ${reason}`
      problems.set(key, [...(problems.get(key) ?? []), operation.origin ?? `operation ${i}`])
    }
    const rule = Object.hasOwn(writers, type) ? writers[type] : undefined
    if (!rule) return note('ONNX has no operators for it that are written here')
    try {
      rule(callOf(operation))
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      note(error instanceof Unwritable ? `with ${error.message}` : error.message)
    }
  })
  if (problems.size === 0) return
  const lines = [...problems].map(([what, places]) => {
    const shown = places.slice(0, 4).join(', ') + (places.length > 4 ? ', ...' : '')
    return `  ${what}, ${places.length} time${places.length > 1 ? 's' : ''} (${shown})`
  })
  throw new UnsupportedError(`ONNX: the program cannot be written:\n${lines.join('\n')}`)
}

/** Names of sizes: those that a model gives stay as they are, `input.axis` becomes a name that tools take as a parameter and that is nobody else's. */
class DimNames {
  readonly #names = new Map<string, string>()
  readonly #taken: Set<string>

  constructor(given: readonly (string | null)[]) {
    this.#taken = new Set(given.filter((n) => n !== null))
    for (const name of this.#taken) this.#names.set(name, name)
  }

  /** `given`: the name of this very axis. */
  of(dim: Dim, given: string | null = null): OnnxDim {
    if (isNumber(dim)) return dim
    if (given !== null) return given
    const known = this.#names.get(dim)
    if (known !== undefined) return known
    let name = dim.replace(/[^A-Za-z0-9_]+/g, '_')
    while (this.#taken.has(name)) name += '_'
    this.#taken.add(name)
    this.#names.set(dim, name)
    return name
  }
}

function valueInfo(name: string, dataType: number, shape: readonly OnnxDim[]): OnnxValueInfo {
  return { name, dataType, shape }
}
