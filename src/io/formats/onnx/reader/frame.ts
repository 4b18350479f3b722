/** Where the nodes that are read stand: in the model's graph, or in a function that a node of it calls. */
import { FormatError } from '../../../../common/errors.ts'
import type { OnnxAttributeValue, OnnxFunction, OnnxNode } from '../model.ts'

/** What an ONNX value has become: a program value, or, of a sequence, one for each tensor in it. */
export type Value = string | readonly string[]

/** Values by their ONNX names; graphs inside see those of the graphs around. */
export class Scope {
  readonly #own = new Map<string, Value>()
  readonly #outer: Scope | null

  constructor(outer: Scope | null = null) {
    this.#outer = outer
  }

  get(name: string): Value | undefined {
    return this.#own.get(name) ?? this.#outer?.get(name)
  }

  set(name: string, value: Value): void {
    this.#own.set(name, value)
  }
}

export interface Frame {
  /** Version of the operator set by domain. */
  readonly opsets: ReadonlyMap<string, number>
  /** Attributes of the call. */
  readonly attributes: ReadonlyMap<string, OnnxAttributeValue>
  /** Operands of the function that the call leaves out. */
  readonly absent: ReadonlySet<string>
  /** The functions that are being read, the outermost first. */
  readonly functions: readonly OnnxFunction[]
}

/** Names the function that a node calls, and that a function is. */
export const functionKey = (domain: string, name: string, overload: string): string => `${domain}::${name}:${overload}`

/** A node of a function with what its call gives. */
export function inFrame(node: OnnxNode, frame: Frame): OnnxNode {
  const attributes = new Map<string, OnnxAttributeValue>()
  for (const [name, given] of node.attributes) {
    if (given.kind === 'reference' && frame.functions.length === 0)
      throw new FormatError(`its attribute '${name}' is that of a function, and it stands in none`)
    const value = given.kind === 'reference' ? frame.attributes.get(given.value) : given
    if (value) attributes.set(name, value)
  }
  return { ...node, attributes, inputs: node.inputs.map((name) => (frame.absent.has(name) ? '' : name)) }
}

/** The scope and the frame of a function's nodes. Throws FormatError where it calls itself. */
export function enter(f: OnnxFunction, call: OnnxNode, outer: Scope, frame: Frame): readonly [Scope, Frame] {
  if (frame.functions.includes(f)) throw new FormatError(`the function '${f.name}' calls itself`)
  if (call.inputs.length > f.inputs.length)
    throw new FormatError(`has ${call.inputs.length} operands; the function '${f.name}' takes ${f.inputs.length}`)
  const scope = new Scope()
  const absent = new Set<string>()
  f.inputs.forEach((name, i) => {
    const given = call.inputs[i] ?? ''
    const value = outer.get(given)
    if (given === '') absent.add(name)
    else if (value === undefined) throw new FormatError(`nothing computes its operand '${given}'`)
    else scope.set(name, value)
  })
  const attributes = new Map([...f.defaults, ...call.attributes])
  // Versions that the function does not tell are the model's.
  const opsets = new Map([...frame.opsets, ...f.opsets])
  return [scope, { opsets, attributes, absent, functions: [...frame.functions, f] }]
}
