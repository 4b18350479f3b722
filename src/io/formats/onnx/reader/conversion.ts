/**
 * The state of a conversion from an ONNX graph to a program: which program value each ONNX value has become, what is known of it, and which
 * values are constants. Operations whose operands are all constants are computed at once, on the host, where they are small: shapes, and what
 * leads to them. Weights stay parameters.
 */
import { getElement, isFloat, viewHost, type HostArray } from '../../../../common/dtype.ts'
import { FormatError, LongzhouError } from '../../../../common/errors.ts'
import { numel } from '../../../../common/shape.ts'
import { evaluate } from '../../program/evaluate.ts'
import { Inference } from '../../program/inference/infer.ts'
import { isNumber, MAX_CONTENT, numbersOf, type Dim, type Known } from '../../program/inference/known.ts'
import { slotNames, type AttributeValue, type ModelParameter, type Operation } from '../../program/program.ts'

/** Larger results are computed when the model runs. */
const MAX_FOLDED = 1 << 16
/** Bytes that a conversion may make of a file whatever its size, and for each byte of its arrays: integers of 8 bits become floats. */
const FREE_BYTES = 48 << 20
const BYTES_A_BYTE = 4

interface Constant {
  readonly array: HostArray
  /** Whether it may disappear into what is computed from it; weights may not. */
  readonly foldable: boolean
}

/** An attribute that may be a value of the program: a tensor, or scalars that stand for the elements of a list. */
export class Variable {
  readonly names: string | readonly string[]
  readonly dims: readonly Dim[] | null
  readonly single: boolean

  constructor(names: string | readonly string[], dims: readonly Dim[] | null, single: boolean) {
    this.names = names
    this.dims = dims
    this.single = single
  }
}

export type Attributes = Readonly<Record<string, AttributeValue | Variable>>
export type Inputs = Operation['inputs']

export class Conversion {
  readonly inference = new Inference()
  readonly operations: Operation[] = []
  readonly parameters = new Map<string, ModelParameter>()
  readonly #constants = new Map<string, Constant>()
  readonly #buffers = new Set<string>()
  readonly #taken = new Set<string>()
  #bytesLeft = FREE_BYTES
  /** The last number behind a name that was taken. */
  readonly #copies = new Map<string, number>()
  /** Where the operations that are emitted come from. */
  origin = ''

  /** Says that the file has an array of so many bytes. */
  allow(bytes: number): void {
    this.#bytesLeft += BYTES_A_BYTE * bytes
  }

  /** Says that so many bytes are about to be made of the file. Throws FormatError where it asks for more than its arrays allow. */
  charge(bytes: number): void {
    this.#bytesLeft -= bytes
    if (this.#bytesLeft < 0)
      throw new FormatError(
        'ONNX: constants that are computed when the model is read take far more memory than its arrays: corrupt or hostile',
      )
  }

  /** Takes a name for a program value; another one where it is taken. */
  fresh(wanted: string): string {
    let name = wanted
    let i = this.#copies.get(wanted) ?? 0
    while (this.#taken.has(name)) name = `${wanted}.${++i}`
    // Nodes of functions and loops have the same names again and again.
    if (i > 0) this.#copies.set(wanted, i)
    this.#taken.add(name)
    return name
  }

  addInput(name: string, known: Known): void {
    this.#taken.add(name)
    this.inference.set(name, known)
  }

  /** Makes an array a value. `foldable`: it is no weight. */
  addConstant(wanted: string, array: HostArray, foldable: boolean): string {
    const name = this.fresh(wanted)
    this.#keep(name, array, foldable)
    return name
  }

  constant(name: string): HostArray | null {
    return this.#constants.get(name)?.array ?? null
  }

  /** The name for use as an operand: constants become parameters. */
  operand(name: string): string {
    const constant = this.#constants.get(name)
    if (constant && !this.parameters.has(name)) {
      const { array } = constant
      const trainable = isFloat(array.dtype) && numel(array.shape) > 1 && !this.#buffers.has(name)
      this.parameters.set(name, { array, trainable })
    }
    return name
  }

  /** As `operand`, for what is not trained: running means and their like. */
  buffer(name: string): string {
    this.#buffers.add(name)
    const held = this.parameters.get(name)
    if (held) this.parameters.set(name, { ...held, trainable: false })
    return this.operand(name)
  }

  /** Adds an operation, or computes it. Names of results are taken already. */
  emit(type: string, inputs: Inputs, attributes: Attributes, outputs: Operation['outputs']): void {
    const constants: Record<string, AttributeValue> = {}
    const slots: Record<string, string | readonly string[] | null> = { ...inputs }
    for (const [name, value] of Object.entries(attributes)) {
      if (!(value instanceof Variable)) constants[name] = value
      else {
        const numbers = numbersOf(value.dims)
        if (!numbers) slots[name] = value.names
        else constants[name] = value.single ? numbers[0]! : numbers
      }
    }
    const operation: Operation = { type, inputs: slots, outputs, attributes: constants, origin: this.origin }
    this.inference.add(operation)
    if (this.#settle(operation)) return
    for (const slot of Object.values(slots)) slotNames(slot).forEach((name) => this.operand(name))
    this.operations.push(operation)
  }

  /** Whether the results are constants. */
  #settle(operation: Operation): boolean {
    const names = Object.values(operation.outputs).flatMap(slotNames)
    if (names.every((name) => this.#followed(name))) return true
    const operands = Object.values(operation.inputs).flatMap(slotNames)
    if (!operands.every((name) => this.#constants.get(name)?.foldable)) return false
    for (const name of names) {
      const sizes = numbersOf(this.inference.get(name).shape)
      if (!sizes || numel(sizes) > MAX_FOLDED) return false
    }
    try {
      const results = evaluate(operation, (name) => this.#constants.get(name)!.array)
      if (!results || names.some((name) => !results.has(name))) return false
      for (const [name, array] of results) {
        this.charge(array.data.byteLength)
        this.#keep(name, array, true)
      }
      return true
    } catch (cause) {
      if (!(cause instanceof LongzhouError)) throw cause
      throw new FormatError(`${operation.type} of constants (${this.origin}): ${cause.message}`, { cause })
    }
  }

  /** Whether the elements of a value are all known from sizes. */
  #followed(name: string): boolean {
    if (this.#constants.has(name)) return true
    const { dtype, shape, content } = this.inference.get(name)
    const numbers = numbersOf(content)
    const sizes = numbersOf(shape)
    if (
      !numbers?.every(Number.isSafeInteger) ||
      !sizes ||
      isFloat(dtype) ||
      sizes.length > 1 ||
      numel(sizes) !== numbers.length
    )
      return false
    const data = viewHost(dtype, new ArrayBuffer(numbers.length * (dtype === 'int64' ? 8 : dtype === 'int32' ? 4 : 1)))
    numbers.forEach((v, i) => {
      data[i] = dtype === 'int64' ? BigInt(v) : v
    })
    this.#keep(name, { dtype, shape: sizes, data }, true)
    return true
  }

  #keep(name: string, array: HostArray, foldable: boolean): void {
    this.#constants.set(name, { array, foldable })
    const content = contentOf(array)
    this.inference.set(name, { dtype: array.dtype, shape: array.shape, content })
  }
}

/** The elements of a short vector of integers, but those that numbers do not hold. */
function contentOf(array: HostArray): readonly Dim[] | undefined {
  const n = numel(array.shape)
  if (isFloat(array.dtype) || array.shape.length > 1 || n > MAX_CONTENT) return undefined
  return Array.from({ length: n }, (_, i) => {
    const v = getElement(array.dtype, array.data, i)
    return Number.isSafeInteger(v) ? v : ''
  })
}

/** The numbers of a constant. */
export function elementsOf(array: HostArray): number[] {
  return Array.from({ length: numel(array.shape) }, (_, i) => getElement(array.dtype, array.data, i))
}

export { isNumber }
