/** An ONNX graph as a program. What cannot be read is listed all at once, with how often and where it stands. */
import type { HostArray } from '../../../../common/dtype.ts'
import { FormatError, UnsupportedError } from '../../../../common/errors.ts'
import type { Known } from '../../program/inference/known.ts'
import { sizesOf } from '../../program/inference/known.ts'
import { slotNames, type Operation, type OperatorProgram, type ValueInfo } from '../../program/program.ts'
import {
  axisNamesOf,
  DATA_TYPES,
  dtypeOfDataType,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from '../model.ts'
import { tensorArray, type ExternalBytes } from '../tensor-data.ts'
import { Conversion } from './conversion.ts'
import { enter, functionKey, inFrame, Scope, type Frame, type Value } from './frame.ts'
import { isFoldable, NodeCall, Unsupported } from './node-call.ts'
import { ruleFor } from './rule.ts'
import { refusedOperators } from './rules/control.ts'
import { onnxOperators } from './table.ts'

/** The first version of the operator set that is read. */
export const OLDEST_OPSET = 7
/** Branches, functions and steps of loops inside one another. */
const MAX_DEPTH = 16
/** Nodes in place of branches, functions and loops: a small file may ask for any number of them. */
const MAX_INLINED = 20_000

/** Problems by operator and reason, and where they stand. */
type Problems = Map<string, string[]>

class Reader {
  readonly #conversion = new Conversion()
  readonly #problems: Problems = new Map()
  readonly #functions: ReadonlyMap<string, OnnxFunction>
  readonly #externalBytes: ExternalBytes | undefined
  readonly #arrays = new Map<OnnxTensor, HostArray>()
  readonly #constants = new Map<OnnxTensor, string>()
  #depth = 0
  #inlined = 0

  constructor(functions: readonly OnnxFunction[], externalBytes: ExternalBytes | undefined) {
    this.#functions = new Map(functions.map((f) => [functionKey(f.domain, f.name, f.overload), f]))
    this.#externalBytes = externalBytes
  }

  program(model: OnnxModel): OperatorProgram {
    const { graph } = model
    const scope = new Scope()
    const weights = new Set(graph.initializers.map((t) => t.name))
    // Files of the first IR versions list weights among the inputs.
    const inputs = graph.inputs.filter((i) => !weights.has(i.name)).map((i) => this.#input(i, scope))
    this.#graph(graph, scope, { opsets: model.opsets, attributes: new Map(), absent: new Set(), functions: [] })
    this.#report()
    const outputs = graph.outputs.map((info) => {
      const { name } = info
      const value = scope.get(name)
      if (value === undefined) throw new FormatError(`ONNX: nothing computes the output '${name}'`)
      if (typeof value !== 'string') throw new UnsupportedError(`ONNX: the output '${name}' is a sequence of tensors`)
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

  #graph(graph: OnnxGraph, scope: Scope, frame: Frame, around = ''): void {
    if (graph.sparseInitializers > 0) this.#note('sparse initializers', 'are not supported', graph.name)
    for (const tensor of graph.initializers) {
      // Each step of a loop has them again.
      let value = this.#constants.get(tensor)
      if (value === undefined) {
        const array = this.#array(tensor)
        value = this.#conversion.addConstant(tensor.name, array, isFoldable(array, false))
        this.#constants.set(tensor, value)
      }
      scope.set(tensor.name, value)
    }
    this.#nodes(graph.nodes, scope, frame, around)
  }

  #nodes(nodes: readonly OnnxNode[], scope: Scope, frame: Frame, around: string): void {
    nodes.forEach((node, i) => {
      const place = `${around}${node.name === '' ? `node ${i}` : node.name}`
      if (this.#depth > 0 && ++this.#inlined > MAX_INLINED)
        throw new FormatError(`ONNX: more than ${MAX_INLINED} nodes in place of branches, functions and loops`)
      this.#node(node, place, scope, frame)
    })
  }

  #array(tensor: OnnxTensor): HostArray {
    const known = this.#arrays.get(tensor)
    if (known) return known
    const array = tensorArray(tensor, this.#externalBytes)
    this.#conversion.allow(array.data.byteLength)
    this.#arrays.set(tensor, array)
    return array
  }

  #node(given: OnnxNode, place: string, scope: Scope, frame: Frame): void {
    const node = this.#located(given.opType, place, () => inFrame(given, frame))
    const full = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`
    const failed = (reason: string): void => {
      this.#note(full, reason, place)
      // What follows is looked at all the same, so that everything is told at once.
      for (const name of node.outputs) if (name !== '') scope.set(name, this.#conversion.fresh(name))
    }
    const defined = this.#functions.get(functionKey(node.domain, node.opType, node.overload ?? ''))
    if (defined) {
      if ([...node.attributes.values()].some((a) => a.kind === 'graph')) return failed('graphs as its attributes')
      return this.#function(defined, node, place, scope, frame)
    }
    const operator = Object.hasOwn(onnxOperators, full) ? onnxOperators[full] : null
    if (!operator) {
      const why = Object.hasOwn(refusedOperators, node.opType) ? refusedOperators[node.opType] : undefined
      return failed(why ?? (node.domain === '' ? 'not supported' : 'an operator that is not ONNX’s own'))
    }
    const opset = frame.opsets.get('') ?? 0
    if (opset < OLDEST_OPSET) return failed(`of version ${opset} of the operator set, older than ${OLDEST_OPSET}`)
    const convert = ruleFor(operator, opset)
    if (!convert) return failed(`not in version ${opset} of the operator set`)
    this.#conversion.origin = `${node.opType} ${place}`
    const inline = (body: OnnxGraph, operands: readonly Value[]): readonly Value[] =>
      this.#inline(body, operands, scope, frame, place)
    const arrayOf = (tensor: OnnxTensor): HostArray => this.#array(tensor)
    const call = new NodeCall(node, opset, this.#conversion, scope, arrayOf, inline)
    try {
      convert(call)
    } catch (error) {
      if (error instanceof Unsupported) return failed(`with ${error.message}`)
      // After the first problem, operands of unknown shape lead to others that are none.
      if (this.#problems.size > 0) return failed('')
      if (error instanceof FormatError && !error.message.startsWith('ONNX: '))
        throw new FormatError(`ONNX: ${node.opType} (${place}): ${error.message}`, { cause: error })
      throw error
    }
  }

  #inline(body: OnnxGraph, operands: readonly Value[], outer: Scope, frame: Frame, place: string): readonly Value[] {
    const scope = new Scope(outer)
    body.inputs.forEach(({ name }, i) => {
      const value = operands[i]
      if (value !== undefined) scope.set(name, value)
    })
    this.#deeper(() => this.#graph(body, scope, frame, `${place}/`))
    return body.outputs.map(({ name }) => {
      const value = scope.get(name)
      if (value === undefined) throw new FormatError(`ONNX: nothing computes '${name}' in ${place}`)
      return value
    })
  }

  /** Puts the nodes of a function in the place of a call. */
  #function(f: OnnxFunction, call: OnnxNode, place: string, outer: Scope, outside: Frame): void {
    const [scope, frame] = this.#located(f.name, place, () => enter(f, call, outer, outside))
    this.#deeper(() => this.#nodes(f.nodes, scope, frame, `${place}/`))
    f.outputs.forEach((name, k) => {
      const wanted = call.outputs[k] ?? ''
      const value = scope.get(name)
      if (wanted === '') return
      if (value === undefined) throw new FormatError(`ONNX: nothing computes '${name}' in the function '${f.name}'`)
      outer.set(wanted, value)
    })
  }

  #deeper(read: () => void): void {
    if (++this.#depth > MAX_DEPTH)
      throw new FormatError(`ONNX: branches, functions and loops inside one another, more than ${MAX_DEPTH} deep`)
    try {
      read()
    } finally {
      this.#depth--
    }
  }

  #located<T>(what: string, place: string, f: () => T): T {
    try {
      return f()
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      throw new FormatError(`ONNX: ${what} (${place}): ${error.message}`, { cause: error })
    }
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
  return new Reader(model.functions, externalBytes).program(model)
}
