/** One ONNX node, as its rule sees it: operands and attributes with their defaults, and how to say what it becomes. */
import { allocateHost, isFloat, setElement, type DType, type HostArray } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import { numel } from '../../../../common/shape.ts'
import { isNumber, numbersOf, type Dim, type Known } from '../../program/inference/known.ts'
import { dtypeOfDataType, DATA_TYPES, type OnnxGraph, type OnnxNode, type OnnxTensor } from '../model.ts'
import { elementsOf, Variable, type Attributes, type Conversion, type Inputs } from './conversion.ts'
import { Scope, type Value } from './frame.ts'

/** What a rule cannot do: the node is listed with the reason. */
export class Unsupported extends FormatError {}

type Inline = (graph: OnnxGraph, operands: readonly Value[]) => readonly Value[]

export class NodeCall {
  readonly node: OnnxNode
  readonly opset: number
  readonly #conversion: Conversion
  readonly #scope: Scope
  readonly #arrayOf: (tensor: OnnxTensor) => HostArray
  readonly #inline: Inline

  constructor(
    node: OnnxNode,
    opset: number,
    conversion: Conversion,
    scope: Scope,
    arrayOf: (tensor: OnnxTensor) => HostArray,
    inline: Inline,
  ) {
    this.node = node
    this.opset = opset
    this.#conversion = conversion
    this.#scope = scope
    this.#arrayOf = arrayOf
    this.#inline = inline
  }

  // ---- operands -----------------------------------------------------------------------------------------------------------

  get inputCount(): number {
    return this.node.inputs.length
  }

  has(i: number): boolean {
    return (this.node.inputs[i] ?? '') !== ''
  }

  /** The program value of an operand, without making a constant a parameter. */
  value(i: number): string {
    const value = this.any(i)
    return typeof value === 'string' ? value : this.refuse('a sequence of tensors as an operand')
  }

  /** The program values of an operand that is a sequence. */
  sequence(i: number): readonly string[] {
    const value = this.any(i)
    if (typeof value === 'string') throw new FormatError(`takes a sequence as operand ${i}`)
    return value
  }

  /** An operand of either kind. */
  any(i: number): Value {
    const onnxName = this.node.inputs[i] ?? ''
    if (onnxName === '') throw new FormatError(`lacks operand ${i}`)
    const value = this.#scope.get(onnxName)
    if (value === undefined) throw new FormatError(`nothing computes its operand '${onnxName}'`)
    return value
  }

  operand(i: number): string {
    return this.#conversion.operand(this.value(i))
  }

  optional(i: number): string | null {
    return this.has(i) ? this.operand(i) : null
  }

  /** All operands from `from` on. */
  operands(from = 0): string[] {
    return this.node.inputs.slice(from).map((_, i) => this.operand(from + i))
  }

  /** An operand that training does not change. */
  buffer(i: number): string {
    return this.#conversion.buffer(this.value(i))
  }

  known(i: number): Known {
    return this.#conversion.inference.get(this.value(i))
  }

  knownOf(name: string): Known {
    return this.#conversion.inference.get(name)
  }

  dtype(i = 0): DType {
    return this.known(i).dtype
  }

  /** Number of axes; refused where it is not known. */
  rank(i = 0): number {
    const { shape } = this.known(i)
    if (!shape)
      this.refuse(
        `the number of axes of '${this.node.inputs[i]}' is not known; run onnx.shape_inference on the model first`,
      )
    return shape.length
  }

  /** The size of an axis of a value; refused where it is not known. */
  knownSize(name: string, axis: number): number {
    const size = this.knownOf(name).shape?.at(axis)
    return isNumber(size) ? size : this.refuse('an axis whose size is not known')
  }

  constant(i: number): HostArray | null {
    return this.has(i) ? this.#conversion.constant(this.value(i)) : null
  }

  /** The numbers of an operand that is a constant, or null. */
  numbers(i: number): number[] | null {
    return this.numbersOf(this.value(i))
  }

  /** The numbers of a value that is a constant, or null. */
  numbersOf(name: string): number[] | null {
    const array = this.#conversion.constant(name)
    return array ? elementsOf(array) : numbersOf(this.knownOf(name).content)
  }

  /** The numbers of an operand that must be constant; undefined where it is absent. */
  fixed(i: number, what: string): number[] | undefined {
    if (!this.has(i)) return undefined
    return this.numbers(i) ?? this.refuse(`its ${what} depend on the input's values`)
  }

  /** The elements of an operand as sizes: numbers, names of sizes, or ''. */
  dims(i: number): readonly Dim[] | null {
    return this.constant(i) ? elementsOf(this.constant(i)!) : (this.known(i).content ?? null)
  }

  /** An operand as an attribute that may be a value. */
  variable(i: number, single = false): Variable {
    return new Variable(this.value(i), this.dims(i), single)
  }

  // ---- attributes ---------------------------------------------------------------------------------------------------------

  int(name: string): number | undefined
  int(name: string, ifMissing: number): number
  int(name: string, ifMissing?: number): number | undefined {
    const a = this.node.attributes.get(name)
    return a === undefined ? ifMissing : a.kind === 'int' ? Number(a.value) : this.#wrong(name, 'an int')
  }

  float(name: string, ifMissing: number): number {
    const a = this.node.attributes.get(name)
    return a === undefined ? ifMissing : a.kind === 'float' ? a.value : this.#wrong(name, 'a float')
  }

  text(name: string, ifMissing: string): string {
    const a = this.node.attributes.get(name)
    return a === undefined ? ifMissing : a.kind === 'string' ? a.value : this.#wrong(name, 'a string')
  }

  ints(name: string): number[] | undefined
  ints(name: string, ifMissing: readonly number[]): number[]
  ints(name: string, ifMissing?: readonly number[]): number[] | undefined {
    const a = this.node.attributes.get(name)
    if (a === undefined) return ifMissing ? [...ifMissing] : undefined
    return a.kind === 'ints' ? a.value.map(Number) : this.#wrong(name, 'ints')
  }

  floats(name: string): number[] | undefined {
    const a = this.node.attributes.get(name)
    return a === undefined ? undefined : a.kind === 'floats' ? [...a.value] : this.#wrong(name, 'floats')
  }

  texts(name: string): readonly string[] | undefined {
    const a = this.node.attributes.get(name)
    return a === undefined ? undefined : a.kind === 'strings' ? a.value : this.#wrong(name, 'strings')
  }

  tensor(name: string): HostArray | undefined {
    const a = this.node.attributes.get(name)
    if (a === undefined) return undefined
    return a.kind === 'tensor' ? this.#arrayOf(a.value) : this.#wrong(name, 'a tensor')
  }

  /** A dtype by its number in ONNX. */
  dtypeAttribute(name: string, ifMissing?: DType): DType {
    const number = this.int(name)
    if (number === undefined) return ifMissing ?? this.#wrong(name, 'a data type')
    return (
      dtypeOfDataType(number) ?? this.refuse(`${DATA_TYPES[number] ?? `data type ${number}`} tensors are not supported`)
    )
  }

  graph(name: string): OnnxGraph {
    const a = this.node.attributes.get(name)
    return a?.kind === 'graph' ? a.value : this.#wrong(name, 'a graph')
  }

  // ---- results ------------------------------------------------------------------------------------------------------------

  /** Whether the node names a result. */
  wants(k: number): boolean {
    return (this.node.outputs[k] ?? '') !== ''
  }

  /** Adds an operation whose first result is an intermediate value; returns its name. */
  emit(type: string, inputs: Inputs, attributes: Attributes = {}, slot = 'out'): string {
    const name = this.#conversion.fresh(`${this.#base()}.${type}`)
    this.#conversion.emit(type, inputs, attributes, { [slot]: name })
    return name
  }

  /** A value in a dtype: itself where it has it. */
  cast(x: string, dtype: DType): string {
    return this.knownOf(x).dtype === dtype ? x : this.emit('cast', { x }, { dtype })
  }

  /** Elements from `from` to `to` of an axis. */
  slice(x: string, axis: number, from: number, to: number): string {
    return this.emit('slice', { input: x }, sliceBounds([axis], [from], [to]))
  }

  /** The size of an axis: a tensor of one element. */
  sizeOf(x: string, axis: number): string {
    return this.slice(this.emit('shape64', { input: x }), 0, axis, axis + 1)
  }

  /** As `emit`, with several results in the given slots. */
  emitAll(
    type: string,
    inputs: Inputs,
    attributes: Attributes,
    slots: Readonly<Record<string, number | null>>,
  ): Record<string, string[]> {
    const names = Object.fromEntries(
      Object.entries(slots).map(([slot, n]) => [
        slot,
        Array.from({ length: n ?? 1 }, (_, i) =>
          this.#conversion.fresh(`${this.#base()}.${slot}${n === null ? '' : i}`),
        ),
      ]),
    )
    const outputs = Object.fromEntries(
      Object.entries(slots).map(([slot, n]) => [slot, n === null ? names[slot]![0]! : names[slot]!]),
    )
    this.#conversion.emit(type, inputs, attributes, outputs)
    return names
  }

  /** Adds an operation whose first result is result `k` of the node. */
  give(type: string, inputs: Inputs, attributes: Attributes = {}, slot = 'out', k = 0): void {
    const onnxName = this.node.outputs[k] ?? ''
    const name = this.#conversion.fresh(onnxName === '' ? `${this.#base()}.${slot}` : onnxName)
    this.#conversion.emit(type, inputs, attributes, { [slot]: name })
    if (onnxName !== '') this.#scope.set(onnxName, name)
  }

  /** What another operator's rule makes of program values, by this node's attributes: its first result. */
  through(convert: (n: NodeCall) => void, operands: readonly string[]): string {
    const result = `${this.#base()}.of`
    const scope = new Scope()
    for (const name of operands) scope.set(name, name)
    const node = { ...this.node, inputs: operands, outputs: [result] }
    convert(new NodeCall(node, this.opset, this.#conversion, scope, this.#arrayOf, this.#inline))
    return scope.get(result) as string
  }

  /** Says that result `k` is a value that there is already. */
  bind(k: number, value: Value): void {
    const onnxName = this.node.outputs[k] ?? ''
    if (onnxName !== '') this.#scope.set(onnxName, value)
  }

  /** Says that result `k` is a constant of the file. */
  bindConstant(k: number, array: HostArray): void {
    this.charge(array.data.byteLength)
    const onnxName = this.node.outputs[k] ?? ''
    if (onnxName !== '')
      this.#scope.set(onnxName, this.#conversion.addConstant(onnxName, array, isFoldable(array, true)))
  }

  /** Says that so many bytes are about to be made: what is made of a small file must be small. Throws FormatError. */
  charge(bytes: number): void {
    this.#conversion.charge(bytes)
  }

  /** A constant that the conversion makes. */
  make(array: HostArray, what = 'constant', foldable = true): string {
    this.charge(array.data.byteLength)
    return this.#conversion.addConstant(`${this.#base()}.${what}`, array, foldable)
  }

  /** A constant of one number. */
  makeNumber(value: number, dtype: DType, what = 'number', shape: readonly [] | readonly [1] = []): string {
    const data = allocateHost(dtype, 1)
    setElement(dtype, data, 0, value)
    return this.make({ dtype, shape, data }, what)
  }

  /** One number as an operand. */
  number(value: number, dtype: DType, shape: readonly [] | readonly [1] = []): string {
    return this.asOperand(this.makeNumber(value, dtype, 'number', shape))
  }

  /** A parameter made from weights of the file. */
  weight(array: HostArray, what: string): string {
    this.charge(array.data.byteLength)
    return this.#conversion.operand(this.#conversion.addConstant(`${this.#base()}.${what}`, array, false))
  }

  asOperand(name: string): string {
    return this.#conversion.operand(name)
  }

  constantOf(name: string): HostArray | null {
    return this.#conversion.constant(name)
  }

  /** Puts the nodes of a graph in the node's place; returns the values of its outputs. */
  inline(graph: OnnxGraph, operands: readonly Value[] = []): readonly Value[] {
    return this.#inline(graph, operands)
  }

  refuse(reason: string): never {
    throw new Unsupported(reason)
  }

  #base(): string {
    return this.node.name !== '' ? this.node.name : (this.node.outputs.find((o) => o !== '') ?? this.node.opType)
  }

  #wrong(name: string, wanted: string): never {
    throw new FormatError(`wants ${wanted} as '${name}'`)
  }
}

/** Attributes of a slice: bounds along axes, of which those in `dropped` go. */
export function sliceBounds<B>(
  axes: readonly number[],
  starts: B,
  ends: B,
  dropped: readonly number[] = [],
): Attributes {
  return { axes, starts, ends, infer_flags: axes.map(() => 1), decrease_axis: dropped } as Attributes
}

/** Weights stay parameters: floats of more than one element are not folded into what is computed from them. */
export function isFoldable(array: HostArray, isConstantNode: boolean): boolean {
  return !isFloat(array.dtype) || numel(array.shape) <= (isConstantNode ? 4 : 1)
}

/** Sizes that are all numbers, or null. */
export function staticShape(known: Known): number[] | null {
  return numbersOf(known.shape)
}

export { isNumber }
