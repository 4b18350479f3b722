/**
 * Elementwise work behind a contraction, done where its tiles are stored: bias, activation, residual, scale, cast, dropout, and as much of
 * the backward pass. From nodes to what the contraction's templates take: operands as strided views on the axes of the result, numbers as
 * scalar parameters, and a function that writes the expression for one lane or many.
 */
import { sizeOf, type DType } from '../common/dtype.ts'
import { RecentMap } from '../common/recent-map.ts'
import { contiguousStrides, numel, sameShape } from '../common/shape.ts'
import type { Node, NodeOf } from '../graph/node.ts'
import type { OpName } from '../graph/ops.ts'
import { delinearize, linearize, SplitRequest, type Affine } from './affine.ts'
import * as ir from './builder.ts'
import type { Epilogue, EpilogueOperand } from './contract/problem.ts'
import { constantOf, emitCast, emitOperation, isWritten, valueScalar } from './elementwise.ts'
import { ExpressionBuilder, MaterializeRequest, type Expression, type Surroundings } from './expression.ts'
import type { Expr } from './kernel.ts'
import { some } from './walk.ts'

/** Operands that a store may read: each costs a stream of memory and registers for its address. */
const mostOperands = 8
/**
 * Bytes an element that a store may read besides what is repeated: a residual and a mask. Tiles walk over memory in pieces of a few lines,
 * which no cache foresees; more of that costs more than a pass of its own (the gradient of a GELU behind 2048 x 312 x 1248: 8.3 ms against
 * 7.6 ms on two cores with AVX-512; LONGZHOU_DEBUG=2 names the kernels to time).
 */
const mostRead = 5

export type EpilogueNumber =
  { readonly kind: 'scalar'; readonly slot: number } | { readonly kind: 'number'; readonly value: number | bigint }

/** A contraction with what is computed where it is stored. */
export interface FusedContract {
  readonly epilogue: Epilogue
  /** The dtype of the first of the results; the others' are the epilogue's. */
  readonly dtype: DType
  /** What the epilogue's operands are views of. */
  readonly operands: readonly Node[]
  readonly numbers: readonly EpilogueNumber[]
}

/** Values of an epilogue, numbered in the order of their making. */
type Value =
  | { readonly kind: 'sum' }
  | { readonly kind: 'operand'; readonly number: number; readonly dtype: DType }
  | { readonly kind: 'number'; readonly number: number; readonly dtype: DType }
  | { readonly kind: 'written'; readonly value: number | bigint; readonly dtype: DType }
  | { readonly kind: 'operation'; readonly op: OpName; readonly dtype: DType; readonly args: readonly number[] }

class Unfit extends Error {}

/**
 * The epilogue of `contract` that computes `chain` (sinks, each of the contraction's elements at the same place) and leaves `stored` (of
 * the contraction itself and of the chain, at least one) in memory; null where it cannot be one.
 */
export function fuseEpilogue(
  contract: NodeOf<'contract'>,
  chain: readonly Node[],
  stored: readonly Node[],
  surroundings: Surroundings,
): FusedContract | null {
  try {
    return new EpilogueBuilder(contract, chain, surroundings).build(stored)
  } catch (reason) {
    if (reason instanceof Unfit || reason instanceof SplitRequest || reason instanceof MaterializeRequest) return null
    throw reason
  }
}

class EpilogueBuilder {
  readonly #contract: Node
  readonly #chain: readonly Node[]
  readonly #surroundings: Surroundings
  readonly #values: Value[] = [{ kind: 'sum' }]
  /** Names of the values, by number. */
  readonly #keys: string[] = ['sum']
  readonly #known = new Map<string, number>()
  readonly #places = new Map<Expression, number>()
  readonly #sinks = new Map<Node, number>()
  readonly #operands: Node[] = []
  readonly #views: EpilogueOperand[] = []
  readonly #numbers: EpilogueNumber[] = []
  readonly #numberTypes: ('i32' | 'i64' | 'f32' | 'f64')[] = []
  #own: Affine | null = null

  constructor(contract: Node, chain: readonly Node[], surroundings: Surroundings) {
    this.#contract = contract
    this.#chain = chain
    this.#surroundings = surroundings
  }

  build(stored: readonly Node[]): FusedContract {
    const { shape } = this.#contract
    this.#sinks.set(this.#contract, 0)
    for (const sink of this.#chain) {
      const inside = sink
      const builder = new ExpressionBuilder(
        { ...this.#surroundings, isMaterialized: (n) => n !== inside && this.#surroundings.isMaterialized(n) },
        new Map(),
      )
      const axes = shape.map((d, i) => builder.axis(`d${i}`, d))
      this.#own = linearize(axes, contiguousStrides(shape))
      const expression = builder.at(sink, delinearize(this.#own, sink.shape), [], true)
      this.#sinks.set(sink, this.#value(expression))
    }
    const results = stored.map((s) => this.#sinks.get(s)!)
    const values = this.#values
    const read = this.#operands.reduce(
      (n, o, i) => (numel(o.shape) < numel(shape) ? n : n + sizeOf(this.#views[i]!.dtype)),
      0,
    )
    if (read > mostRead) throw new Unfit()
    const key = `${this.#keys.join(';')}|${results.join()}`
    const dtypes = stored.map((s) => s.dtype)
    const epilogue: Epilogue = {
      title: titleOf(values),
      key,
      operands: this.#views,
      results: dtypes.slice(1),
      scalars: this.#numberTypes,
      build: writer(values, results),
    }
    const form = `${key} ${this.#views.map((v) => v.dtype).join()} ${this.#numberTypes.join()} ${dtypes.join()}`
    if (!hasLanes.getOrMake(form, () => fitsLanes(epilogue, dtypes))) throw new Unfit()
    return { epilogue, dtype: dtypes[0]!, operands: this.#operands, numbers: this.#numbers }
  }

  #value(e: Expression): number {
    const found = this.#places.get(e)
    if (found !== undefined) return found
    const made = this.#make(e)
    this.#places.set(e, made)
    return made
  }

  #make(e: Expression): number {
    if (sizeOf(e.dtype) > 4) throw new Unfit()
    switch (e.kind) {
      case 'constant':
        if (e.dtype === 'bool' || isWritten(e.value, e.dtype))
          return this.#push({ kind: 'written', value: e.value, dtype: e.dtype })
        return this.#number(e.dtype, { kind: 'number', value: e.value })
      case 'scalar':
        return this.#number(e.dtype, { kind: 'scalar', slot: e.slot })
      case 'load':
        return this.#load(e)
      case 'operation':
        return this.#push({ kind: 'operation', op: e.op, dtype: e.dtype, args: e.args.map((a) => this.#value(a)) })
      default:
        throw new Unfit()
    }
  }

  #push(value: Value): number {
    const key = keyOf(value)
    let place = this.#known.get(key)
    if (place === undefined) {
      this.#known.set(key, (place = this.#values.push(value) - 1))
      this.#keys.push(key)
    }
    return place
  }

  #number(dtype: DType, number: EpilogueNumber): number {
    const scalar = valueScalar(dtype)
    const same = this.#numbers.findIndex((n, i) => {
      if (this.#numberTypes[i] !== scalar) return false
      return n.kind === 'scalar'
        ? number.kind === 'scalar' && n.slot === number.slot
        : number.kind === 'number' && Object.is(n.value, number.value)
    })
    if (same < 0) {
      this.#numbers.push(number)
      this.#numberTypes.push(scalar === 'mask' ? 'i32' : scalar)
    }
    return this.#push({ kind: 'number', number: same < 0 ? this.#numbers.length - 1 : same, dtype })
  }

  #load(e: Expression & { kind: 'load' }): number {
    if (e.guards.length > 0) throw new Unfit()
    const made = this.#sinks.get(e.source)
    if (made !== undefined) {
      if (!sameForm(e.at, this.#own!)) throw new Unfit()
      return made
    }
    const strides = this.#contract.shape.map(() => 0)
    for (const [v, c] of e.at.terms) {
      if (v.quotient) throw new Unfit()
      strides[Number(v.key.slice(1))] = c
    }
    const view: EpilogueOperand = { dtype: e.dtype, strides, offset: e.at.constant }
    let number = this.#operands.findIndex((o, i) => o === e.source && sameView(view, this.#views[i]!))
    if (number < 0) {
      if (this.#operands.length === mostOperands) throw new Unfit()
      number = this.#operands.push(e.source) - 1
      this.#views.push(view)
    }
    return this.#push({ kind: 'operand', number, dtype: e.dtype })
  }
}

/** Tells values apart whose sources are told apart by their numbers. */
function keyOf(value: Value): string {
  switch (value.kind) {
    case 'sum':
      return 'sum'
    case 'operand':
    case 'number':
      return `${value.kind} ${value.number} ${value.dtype}`
    case 'written':
      return `${textOf(value.value)} ${value.dtype}`
    case 'operation':
      return `${value.op} ${value.dtype} ${value.args.join()}`
  }
}

/** Text that tells all numbers apart. */
function textOf(value: number | bigint): string {
  if (typeof value === 'bigint') return `${value}n`
  return Object.is(value, -0) ? '-0' : String(value)
}

function sameView(a: EpilogueOperand, b: EpilogueOperand): boolean {
  return a.dtype === b.dtype && a.offset === b.offset && sameShape(a.strides, b.strides)
}

function sameForm(a: Affine, b: Affine): boolean {
  return (
    a.constant === b.constant && a.terms.size === b.terms.size && [...a.terms].every(([v, c]) => termOf(b, v.key) === c)
  )
}

function termOf(a: Affine, key: string): number | undefined {
  for (const [v, c] of a.terms) if (v.key === key) return c
  return undefined
}

/** Epilogues are kept: made here, what writes one holds on to its values, but not to the builder and the program that these were made of. */
function writer(values: readonly Value[], results: readonly number[]): Epilogue['build'] {
  return (scope, sum, operands, scalars) => write(values, results, scope, sum, operands, scalars)
}

function write(
  values: readonly Value[],
  results: readonly number[],
  scope: ir.Scope,
  sum: Expr,
  operands: readonly Expr[],
  scalars: readonly Expr[],
): Expr[] {
  const made: Expr[] = []
  const dtypeOf = (i: number): DType => {
    const v = values[i]!
    return v.kind === 'sum' ? 'float32' : v.dtype
  }
  const isProductOf = (i: number): boolean => {
    const v = values[i]!
    return v.kind === 'operation' && (v.op === 'mul' || (v.op === 'neg' && isProductOf(v.args[0]!)))
  }
  const emit = (v: Value): Expr => {
    switch (v.kind) {
      case 'sum':
        return sum
      case 'operand': {
        const x = operands[v.number]!
        return v.dtype === 'bool' ? ir.ne(x, 0) : x
      }
      case 'number': {
        const x = scalars[v.number]!
        return v.dtype === 'bool' ? ir.ne(x, 0) : x
      }
      case 'written':
        return constantOf(v.value, v.dtype)
      case 'operation': {
        const args = v.args.map((a) => made[a]!)
        const from = dtypeOf(v.args[0]!)
        return v.op === 'cast'
          ? emitCast(scope, args[0]!, from, v.dtype)
          : emitOperation(scope, v.op, from, args, (n) => isProductOf(v.args[n]!))
      }
    }
  }
  for (const v of values) made.push(v.kind === 'operation' ? scope.let('v', emit(v)) : emit(v))
  return results.map((r) => ir.coerce(made[r]!, ir.typeOf(made[r]!.type.scalar, sum.type.lanes)))
}

/** What `fitsLanes` said of epilogues, by all that it depends on. */
const hasLanes = new RecentMap<string, boolean>(1024)

/** Whether the expression has a form for lanes: it calls no functions of the host, and its results are 32-bit lanes. */
function fitsLanes(epilogue: Epilogue, dtypes: readonly DType[]): boolean {
  if (dtypes.some((d) => sizeOf(d) > 4)) return false
  let calls = false
  const trial = new ir.KernelBuilder('trial')
  const scope: ir.Scope = {
    let: (name, value) => {
      calls ||= some(value, (x) => x.kind === 'call')
      return trial.let(name, value)
    },
  }
  const lanes = 4
  const operands = epilogue.operands.map((o, i) => ir.variable(`o${i}`, ir.registerType(o.dtype, lanes)))
  const scalars = epilogue.scalars.map((s, i) => ir.variable(`s${i}`, ir.typeOf(s)))
  const made = epilogue.build(scope, ir.variable('sum', ir.typeOf('f32', lanes)), operands, scalars)
  return !calls && !made.some((e) => some(e, (x) => x.kind === 'call'))
}

/** What is behind the sum, for titles: the names of the ops, each once. */
function titleOf(values: readonly Value[]): string {
  const names = values.flatMap((v) => (v.kind === 'operation' ? [v.op] : []))
  return names.length === 0 ? '' : `+${[...new Set(names)].join('+')}`
}
