/** The graph that is being written: nodes, initializers, and the names of values. */
import { allocateHost, setElement, type DType, type HostArray } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import { dataTypeOf, type OnnxAttributeValue, type OnnxNode, type OnnxTensor } from '../model.ts'
import { tensorOf } from '../tensor-data.ts'

/** A plain value stands for the attribute that it can only be: numbers for ints; floats are marked. */
export type PlainAttribute = number | string | readonly number[] | OnnxAttributeValue

export const floatAttribute = (value: number): OnnxAttributeValue => ({ kind: 'float', value })

function attributeOf(value: PlainAttribute): OnnxAttributeValue {
  if (typeof value === 'number') return { kind: 'int', value }
  if (typeof value === 'string') return { kind: 'string', value }
  return 'kind' in value ? value : { kind: 'ints', value }
}

/** Names that any file system takes: tools write values and weights to files of their names. */
function safeName(name: string): string {
  const safe = name.replace(/[\s/\\:*?"'<>|\0-\x1f]+/g, '.').replace(/^\.+/, '')
  return safe === '' ? 'value' : safe
}

export class Emission {
  readonly opset: number
  readonly nodes: OnnxNode[] = []
  readonly initializers: OnnxTensor[] = []
  readonly #names = new Map<string, string>()
  readonly #taken = new Set<string>()
  readonly #constants = new Map<string, string>()
  readonly #arrayOf: (name: string) => HostArray | undefined
  #counter = 0

  /** @param arrayOf - The arrays of parameters, which are written when they are first used. */
  constructor(opset: number, arrayOf: (name: string) => HostArray | undefined) {
    this.opset = opset
    this.#arrayOf = arrayOf
  }

  /** Gives a program value a name exactly: inputs and outputs keep theirs. */
  bind(value: string, onnxName: string): void {
    this.#taken.add(onnxName)
    this.#names.set(value, onnxName)
  }

  /** Takes a name that nothing else may have. */
  reserve(onnxName: string): void {
    this.#taken.add(onnxName)
  }

  /** The name of a program value. */
  name(value: string): string {
    const known = this.#names.get(value)
    if (known !== undefined) return known
    const own = this.fresh(value)
    this.#names.set(value, own)
    const array = this.#arrayOf(value)
    if (array) this.initializers.push(tensorOf(own, array))
    return own
  }

  /** A name like this one that is still free. */
  fresh(wanted: string): string {
    const base = safeName(wanted)
    let name = base
    for (let i = 1; this.#taken.has(name); i++) name = `${base}.${i}`
    this.#taken.add(name)
    return name
  }

  /** Adds a node; returns the names of its results. */
  node(
    opType: string,
    inputs: readonly (string | null)[],
    attributes: Readonly<Record<string, PlainAttribute>> = {},
    outputs: readonly string[] | number = 1,
  ): string[] {
    const hint = typeof outputs === 'number' ? opType : outputs.find((o) => o !== '')!
    const names =
      typeof outputs === 'number'
        ? Array.from({ length: outputs }, () => this.fresh(`${opType}.${this.#counter++}`))
        : [...outputs]
    const operands = inputs.map((i) => i ?? '')
    while (operands.at(-1) === '') operands.pop()
    this.nodes.push({
      opType,
      domain: '',
      name: this.fresh(`${hint}.${opType}`),
      inputs: operands,
      outputs: names,
      attributes: new Map(Object.entries(attributes).map(([key, value]) => [key, attributeOf(value)])),
    })
    return names
  }

  /** As `node`, with one result, which is a new value or the given one. */
  one(
    opType: string,
    inputs: readonly (string | null)[],
    attributes: Readonly<Record<string, PlainAttribute>> = {},
    output?: string,
  ): string {
    return this.node(opType, inputs, attributes, output === undefined ? 1 : [output])[0]!
  }

  /** An array as an initializer. */
  array(array: HostArray, hint: string): string {
    const name = this.fresh(hint)
    this.initializers.push(tensorOf(name, array))
    return name
  }

  /** Integers as a vector: equal ones are one initializer. */
  ints(values: readonly number[]): string {
    return this.#shared(`int64[${values.join()}]`, () => ({
      dtype: 'int64',
      shape: [values.length],
      data: BigInt64Array.from(values, (v) => BigInt(v)),
    }))
  }

  /** A number of rank 0. */
  scalar(value: number | bigint | boolean, dtype: DType): string {
    return this.#shared(`${dtype} ${Object.is(value, -0) ? '-0' : value}`, () => this.filled([], value, dtype))
  }

  filled(shape: readonly number[], value: number | bigint | boolean, dtype: DType): HostArray {
    const count = shape.reduce((a, b) => a * b, 1)
    const data = allocateHost(dtype, count)
    if (data instanceof BigInt64Array && typeof value === 'bigint') data.fill(value)
    else for (let i = 0; i < count; i++) setElement(dtype, data, i, Number(value))
    return { dtype, shape, data }
  }

  #shared(key: string, make: () => HostArray): string {
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const name = this.array(make(), `constant.${this.#constants.size}`)
    this.#constants.set(key, name)
    return name
  }

  cast(name: string, dtype: DType): string {
    return this.one('Cast', [name], { to: dataTypeOf(dtype) })
  }

  /** Throws FormatError where the version of the operator set lacks something. */
  require(version: number, what: string): void {
    if (this.opset < version)
      throw new FormatError(`${what} needs version ${version} of the operator set, not ${this.opset}`)
  }
}
