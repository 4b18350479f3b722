/** An ONNX graph as a program. What cannot be read is listed all at once, with how often and where it stands. */
import { FormatError, UnsupportedError } from '../../../../common/errors.ts'
import type { Known } from '../../program/inference/known.ts'
import { sizesOf } from '../../program/inference/known.ts'
import { slotNames, type Operation, type OperatorProgram, type ValueInfo } from '../../program/program.ts'
import {
  axisNamesOf,
  DATA_TYPES,
  dtypeOfDataType,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxValueInfo,
} from '../model.ts'
import { tensorArray, type ExternalBytes } from '../tensor-data.ts'
import { Conversion } from './conversion.ts'
import { isFoldable, NodeCall, Unsupported, type Scope } from './node-call.ts'
import { ruleFor } from './rule.ts'
import { refusedOperators } from './rules/control.ts'
import { onnxOperators } from './table.ts'

/** The first version of the operator set that is read. */
export const OLDEST_OPSET = 7
/** Constant branches inside constant branches. */
const MAX_INLINED = 16

/** Problems by operator and reason, and where they stand. */
type Problems = Map<string, string[]>

class Reader {
  readonly #conversion = new Conversion()
  readonly #problems: Problems = new Map()
  readonly #opset: number
  readonly #externalBytes: ExternalBytes | undefined
  #depth = 0

  constructor(opset: number, externalBytes: ExternalBytes | undefined) {
    this.#opset = opset
    this.#externalBytes = externalBytes
  }

  program(model: OnnxModel): OperatorProgram {
    const { graph } = model
    const scope: Scope = new Map()
    const weights = new Set(graph.initializers.map((t) => t.name))
    // Files of the first IR versions list weights among the inputs.
    const inputs = graph.inputs.filter((i) => !weights.has(i.name)).map((i) => this.#input(i, scope))
    this.#nodes(graph, scope)
    this.#report()
    const outputs = graph.outputs.map((info) => {
      const { name } = info
      const value = scope.get(name)
      if (value === undefined) throw new FormatError(`ONNX: nothing computes the output '${name}'`)
      return { name, value: this.#conversion.operand(value), ...axisNamesOf(info) }
    })
    return this.#pruned(inputs, outputs, model.metadata)
  }

  #input(info: OnnxValueInfo, scope: Scope): ValueInfo {
    const dtype = dtypeOfDataType(info.dataType)
    if (!dtype)
      throw new FormatError(
        `ONNX: the input '${info.name}' is ${info.dataType === 0 ? 'no tensor, or of no known type' : `of ${DATA_TYPES[info.dataType] ?? info.dataType}`}; tensors here are not`,
      )
    if (!info.shape) throw new FormatError(`ONNX: the input '${info.name}' has no shape`)
    const known: Known = { dtype, shape: info.shape.map((d, i) => (d === '' ? `${info.name}.${i}` : d)) }
    this.#conversion.addInput(info.name, known)
    scope.set(info.name, info.name)
    return { name: info.name, dtype, shape: sizesOf(known.shape!), ...axisNamesOf(info) }
  }

  #nodes(graph: OnnxGraph, scope: Scope): void {
    if (graph.sparseInitializers > 0) this.#note('sparse initializers', 'are not supported', graph.name)
    for (const tensor of graph.initializers) {
      const array = tensorArray(tensor, this.#externalBytes)
      scope.set(tensor.name, this.#conversion.addConstant(tensor.name, array, isFoldable(array, false)))
    }
    graph.nodes.forEach((node, i) => {
      this.#node(node, node.name === '' ? `node ${i}` : node.name, scope)
    })
  }

  #node(node: OnnxNode, place: string, scope: Scope): void {
    const failed = (reason: string): void => {
      this.#note(node.domain === '' ? node.opType : `${node.domain}.${node.opType}`, reason, place)
      // What follows is looked at all the same, so that everything is told at once.
      for (const name of node.outputs) if (name !== '') scope.set(name, this.#conversion.fresh(name))
    }
    const operator = node.domain === '' && Object.hasOwn(onnxOperators, node.opType) ? onnxOperators[node.opType] : null
    if (!operator) {
      const why = Object.hasOwn(refusedOperators, node.opType) ? refusedOperators[node.opType] : undefined
      return failed(why ?? (node.domain === '' ? 'not supported' : 'an operator that is not ONNX’s own'))
    }
    const convert = ruleFor(operator, this.#opset)
    if (!convert) return failed(`not in version ${this.#opset} of the operator set`)
    this.#conversion.origin = `${node.opType} ${place}`
    const inline = (body: OnnxGraph): readonly string[] => this.#inline(body, scope)
    const externalBytes: ExternalBytes = (t) => this.#externalBytes?.(t) ?? new Uint8Array(0)
    const call = new NodeCall(node, this.#opset, this.#conversion, scope, externalBytes, inline)
    try {
      convert(call)
    } catch (error) {
      if (error instanceof Unsupported) return failed(`with ${error.message}`)
      // After the first problem, operands of unknown shape lead to others that are none.
      if (this.#problems.size > 0) return failed('')
      if (error instanceof FormatError)
        throw new FormatError(`ONNX: ${node.opType} (${place}): ${error.message}`, { cause: error })
      throw error
    }
  }

  #inline(body: OnnxGraph, outer: Scope): readonly string[] {
    if (++this.#depth > MAX_INLINED)
      throw new FormatError(`ONNX: branches inside branches, more than ${MAX_INLINED} deep`)
    const scope: Scope = new Map(outer)
    this.#nodes(body, scope)
    this.#depth--
    return body.outputs.map(({ name }) => {
      const value = scope.get(name)
      if (value === undefined) throw new FormatError(`ONNX: nothing computes '${name}' in a branch`)
      return value
    })
  }

  #note(what: string, reason: string, place: string): void {
    if (reason === '') return
    const key = `${what}: ${reason}`
    const places = this.#problems.get(key)
    if (places) places.push(place)
    else this.#problems.set(key, [place])
  }

  #report(): void {
    if (this.#problems.size === 0) return
    const lines = [...this.#problems].map(([what, places]) => {
      const shown = places.slice(0, 4).join(', ') + (places.length > 4 ? ', ...' : '')
      return `  ${what}, ${places.length} time${places.length > 1 ? 's' : ''} (${shown})`
    })
    throw new UnsupportedError(`ONNX: the model uses what is not supported:\n${lines.join('\n')}`)
  }

  /** Without operations and weights that lead to no output. */
  #pruned(
    inputs: readonly ValueInfo[],
    outputs: OperatorProgram['outputs'],
    metadata: Readonly<Record<string, string>>,
  ): OperatorProgram {
    const used = new Set(outputs.map((o) => o.value))
    const operations: Operation[] = []
    for (const operation of [...this.#conversion.operations].reverse()) {
      if (
        !Object.values(operation.outputs)
          .flatMap(slotNames)
          .some((name) => used.has(name))
      )
        continue
      operations.push(operation)
      for (const name of Object.values(operation.inputs).flatMap(slotNames)) used.add(name)
    }
    operations.reverse()
    const { inference } = this.#conversion
    const values = new Map<string, ValueInfo>()
    for (const name of operations.flatMap((o) => Object.values(o.outputs).flatMap(slotNames))) {
      const info = inference.info(name)
      if (info) values.set(name, info)
    }
    const parameters = new Map([...this.#conversion.parameters].filter(([name]) => used.has(name)))
    return { inputs, outputs, parameters, operations, values, metadata }
  }
}

/** The program of a parsed model. Throws FormatError that lists all that is not supported. */
export function programOfOnnx(model: OnnxModel, externalBytes?: ExternalBytes): OperatorProgram {
  const opset = model.opsets.get('')
  if (opset === undefined) throw new FormatError('ONNX: the model names no version of the operator set')
  if (opset < OLDEST_OPSET)
    throw new FormatError(
      `ONNX: version ${opset} of the operator set is older than ${OLDEST_OPSET}; convert the model with onnx.version_converter`,
    )
  if (model.functions > 0)
    throw new UnsupportedError(
      'ONNX: functions that a model defines itself are not supported; inline them (onnx.inliner)',
    )
  return new Reader(opset, externalBytes).program(model)
}
