/** Parameters of a nest's kernel, and the arguments that go with them: sizes, strides, sources, numbers. Each is made once. */
import type { Node } from '../graph/node.ts'
import type { Affine, Variable } from './affine.ts'
import * as ir from './builder.ts'
import { constantOf, isWritten, valueScalar } from './elementwise.ts'
import type { Bound, Expression } from './expression.ts'
import type { Expr } from './kernel.ts'
import type { Group } from './nest-loops.ts'

export type NestArgument =
  | { readonly kind: 'source'; readonly node: Node }
  | { readonly kind: 'sink'; readonly index: number }
  | { readonly kind: 'index'; readonly value: number }
  | { readonly kind: 'number'; readonly value: number | bigint }
  | { readonly kind: 'scalar'; readonly slot: number }
  | { readonly kind: 'scratch' }

/** How a nest's work is shared out: chosen by its sizes, and an argument of its kernel. */
export interface Work {
  readonly chunk: number
  readonly length: number
  readonly chunks: number
  /** Whole blocks of random draws among the elements (draws.ts). */
  readonly blocks: number
}

/** What an argument is a number of, so that it can be found in another nest of the same structure. */
export type Origin =
  | { readonly of: keyof Work }
  | { readonly of: 'extent'; readonly group: Group }
  | { readonly of: 'offset'; readonly form: Affine }
  | { readonly of: 'term'; readonly form: Affine; readonly variable: Variable }
  | { readonly of: 'divisor' | 'modulus'; readonly variable: Variable }
  | { readonly of: 'high'; readonly bound: Bound }
  | { readonly of: 'size' | 'stride'; readonly gather: Expression & { readonly kind: 'gather' } }
  | { readonly of: 'value'; readonly expression: Expression }

export class NestParameters {
  readonly arguments: NestArgument[] = []
  /** Where the numbers among the arguments come from, by argument. */
  readonly origins: (Origin | null)[] = []
  readonly #ir: ir.KernelBuilder
  /** Whether a sink may lie where a source lies. */
  readonly #inPlace: boolean
  readonly #indices = new Map<string, Expr>()
  readonly #sources = new Map<Node, ir.BufferParameter>()
  readonly #scalars = new Map<string, Expr>()

  constructor(builder: ir.KernelBuilder, inPlace: boolean) {
    this.#ir = builder
    this.#inPlace = inPlace
  }

  /** What is read from memory. */
  get sources(): Iterable<Node> {
    return this.#sources.keys()
  }

  #add(argument: NestArgument, origin: Origin | null = null): void {
    this.arguments.push(argument)
    this.origins.push(origin)
  }

  /** The memory of each result, in order. */
  sinks(sinks: readonly Node[]): ir.BufferParameter[] {
    return sinks.map((s, index) => {
      this.#add({ kind: 'sink', index })
      return this.#ir.buffer(s.dtype, this.#inPlace ? 'update' : 'write')
    })
  }

  /** The memory of the first result as words of four bytes. */
  words(): ir.BufferParameter {
    this.#add({ kind: 'sink', index: 0 })
    return this.#ir.buffer('int32', 'update')
  }

  scratch(dtype: 'float32' | 'float64' | 'int32' | 'int64'): ir.BufferParameter {
    this.#add({ kind: 'scratch' })
    return this.#ir.scratch(dtype)
  }

  /** A size or stride; equal numbers in different roles are different parameters, so that a kernel does not depend on their being equal. */
  index(role: string, value: number, origin: Origin | null = null): Expr {
    const key = `${role}=${value}`
    const known = this.#indices.get(key)
    if (known) return known
    this.#add({ kind: 'index', value }, origin)
    const made = this.#ir.index()
    this.#indices.set(key, made)
    return made
  }

  source(node: Node): ir.BufferParameter {
    const known = this.#sources.get(node)
    if (known) return known
    this.#add({ kind: 'source', node })
    const made = this.#ir.buffer(node.dtype, this.#inPlace ? 'update' : 'read')
    this.#sources.set(node, made)
    return made
  }

  constant(value: number | bigint, e: Expression): Expr {
    if (isWritten(value, e.dtype) || e.dtype === 'bool') return constantOf(value, e.dtype)
    return this.scalar(`constant${String(value)}`, e, { kind: 'number', value })
  }

  scalar(role: string, e: Expression, argument: NestArgument): Expr {
    const scalar = valueScalar(e.dtype)
    const key = `${role}:${scalar}`
    const known = this.#scalars.get(key)
    if (known) return known
    this.#add(argument, { of: 'value', expression: e })
    const parameter = this.#ir.scalar(scalar === 'mask' ? 'i32' : scalar)
    const made = scalar === 'mask' ? ir.ne(parameter, 0) : parameter
    this.#scalars.set(key, made)
    return made
  }
}
