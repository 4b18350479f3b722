/**
 * What the text of a nest's kernel depends on: the expressions, which loops, coefficients of 0 to 4 and equal numbers are in them, but no sizes. Nests
 * of one structure have one kernel, which is written once; its arguments are found in each of them at the same places.
 */
import { InternalError } from '../common/errors.ts'
import { Hash } from '../common/hash.ts'
import type { Node } from '../graph/node.ts'
import { addDType, addOp } from '../schedule/signature.ts'
import type { Affine, Variable } from './affine.ts'
import { isWritten, valueScalar } from './elementwise.ts'
import type { Bound, Expression } from './expression.ts'
import type { Group, JoinedLoops } from './nest-loops.ts'
import type { NestArgument, Origin, Work } from './nest-parameters.ts'

/** Largest coefficient that may stand in a kernel as a number (see `longestWritten`). */
const mostWritten = 4

const kinds = ['constant', 'scalar', 'index', 'load', 'gather', 'operation', 'guard', 'random', 'reduction'] as const
const kindNumbers: ReadonlyMap<Expression['kind'], number> = new Map(kinds.map((k, i) => [k, i]))

/** What a nest is before its kernel is written. */
export interface NestLayout {
  readonly sinks: readonly Node[]
  /** Whether a sink may lie where a source lies. */
  readonly inPlace: boolean
  /** One for each sink, and where it is stored. */
  readonly expressions: readonly Expression[]
  /** All of their parts, arguments first. */
  readonly parts: readonly Expression[]
  readonly stores: readonly Affine[]
  /** The reductions among the expressions, as a walk meets them. */
  readonly reductions: readonly Reduction[]
  readonly loops: JoinedLoops
  /** Loops outside all phases and inside the last one. */
  readonly outer: readonly Group[]
  readonly inner: readonly Group[]
  /** Reductions in the order of their dependence, those that run together in one list. */
  readonly phases: readonly (readonly Reduction[])[]
  /** The outer loop along which sums run, if they do not run along rows. */
  readonly column: Group | null
  /** A last loop of a few iterations that is written out. */
  readonly tail: Group | null
  readonly work: Work
  /** Whether it is drawn block by block (draws.ts). */
  readonly isDrawn: boolean
}

export type Reduction = Expression & { readonly kind: 'reduction' }

/** An argument of a kernel, as a place in the structure. */
export type Place =
  | { readonly kind: 'given'; readonly argument: NestArgument }
  | { readonly kind: 'source'; readonly number: number }
  | { readonly kind: 'expression'; readonly number: number; readonly of: 'value' | 'size' | 'stride' }
  | { readonly kind: 'group'; readonly number: number }
  | { readonly kind: 'bound'; readonly number: number }
  | { readonly kind: 'offset'; readonly form: number }
  | { readonly kind: 'term'; readonly form: number; readonly term: number }
  | { readonly kind: 'variable'; readonly number: number; readonly of: 'divisor' | 'modulus' }
  | { readonly kind: 'work'; readonly of: keyof Work }

export class NestStructure {
  readonly #layout: NestLayout
  readonly #hash = new Hash()
  readonly #expressions: Expression[] = []
  readonly #expressionNumbers = new Map<Expression, number>()
  readonly #sources: Node[] = []
  readonly #bounds: Bound[] = []
  readonly #forms: Affine[] = []
  /** By key: equal forms are one. */
  readonly #formNumbers = new Map<string, number>()
  readonly #variables: Variable[] = []
  readonly #variableNumbers = new Map<string, number>()
  readonly #groups: Group[] = []
  /** Numbers of what is told apart by name: slots of scalars, arguments of gathers. */
  readonly #names = new Map<string, number>()
  /** Equal for nests that have one kernel. */
  readonly key: number

  constructor(layout: NestLayout) {
    this.#layout = layout
    const { sinks, inPlace, expressions, stores, outer, inner, phases, column, tail, parts } = layout
    const hash = this.#hash
    hash.add((inPlace ? 1 : 0) + (layout.isDrawn ? 2 : 0))
    hash.add(sinks.length)
    for (const s of sinks) addDType(hash, s.dtype)
    this.#addGroups(outer)
    this.#addGroups(inner)
    hash.add(phases.length)
    for (const [first] of phases) this.#addGroups(layout.loops.groups(first!.over))
    hash.add(column ? this.#groups.indexOf(column) : -1)
    hash.add(tail ? tail.extent : 0)
    for (const e of parts) this.#addExpression(e)
    for (const e of expressions) hash.add(this.#expressionNumbers.get(e)!)
    for (const a of stores) hash.add(this.#form(a))
    for (const phase of phases) {
      hash.add(phase.length)
      for (const r of phase) hash.add(this.#expressionNumbers.get(r)!)
    }
    this.key = hash.toNumber()
  }

  /** What the nest reads. */
  get sources(): readonly Node[] {
    return this.#sources
  }

  #addGroups(groups: readonly Group[]): void {
    const hash = this.#hash
    hash.add(groups.length)
    for (const g of groups) {
      const number = this.#groups.push(g) - 1
      // Loops of one length share an argument.
      hash.add(this.#groups.findIndex((other) => other.extent === this.#groups[number]!.extent))
      hash.add(g.members.length)
      for (const v of g.members) hash.add(this.#variable(v))
    }
  }

  #variable(v: Variable): number {
    const known = this.#variableNumbers.get(v.key)
    if (known !== undefined) return known
    const number = this.#variables.push(v) - 1
    this.#variableNumbers.set(v.key, number)
    const { quotient } = v
    this.#hash.add(quotient ? 1 : 0)
    if (quotient) {
      this.#hash.add(this.#form(quotient.of))
      this.#hash.add(quotient.divisor === 1 ? 1 : 0)
      this.#hash.add(quotient.whole ? 1 : 0)
    }
    return number
  }

  #form(a: Affine): number {
    const known = this.#formNumbers.get(a.key)
    if (known !== undefined) return known
    const number = this.#forms.push(a) - 1
    this.#formNumbers.set(a.key, number)
    const hash = this.#hash
    hash.add(a.constant === 0 ? 0 : 1)
    hash.add(a.terms.size)
    for (const [v, c] of a.terms) {
      hash.add(this.#variable(v))
      hash.add(c >= 1 && c <= mostWritten ? c : 0)
    }
    return number
  }

  /** A number for a name, the same for the same. */
  #name(name: string): number {
    let number = this.#names.get(name)
    if (number === undefined) this.#names.set(name, (number = this.#names.size))
    return number
  }

  #source(node: Node): number {
    const found = this.#sources.indexOf(node)
    return found >= 0 ? found : this.#sources.push(node) - 1
  }

  #addBounds(bounds: readonly Bound[]): void {
    const hash = this.#hash
    hash.add(bounds.length)
    for (const b of bounds) {
      hash.add(this.#form(b.at))
      hash.add(b.low)
      hash.add(this.#boundNumber(b))
    }
  }

  #boundNumber(bound: Bound): number {
    const found = this.#bounds.findIndex((b) => b.high === bound.high && b.at.key === bound.at.key)
    return found >= 0 ? found : this.#bounds.push(bound) - 1
  }

  #addExpression(e: Expression): void {
    const hash = this.#hash
    const numberOf = (x: Expression): number => this.#expressionNumbers.get(x)!
    hash.add(-1)
    hash.add(kindNumbers.get(e.kind)!)
    addDType(hash, e.dtype)
    switch (e.kind) {
      case 'constant': {
        const text = Object.is(e.value, -0) ? '-0' : String(e.value)
        const isText = e.dtype === 'bool' || isWritten(e.value, e.dtype)
        if (isText) hash.addText(text)
        else hash.add(this.#name(`constant ${text} ${valueScalar(e.dtype)}`))
        break
      }
      case 'scalar':
        hash.add(this.#name(`slot ${e.slot} ${valueScalar(e.dtype)}`))
        break
      case 'index':
        hash.add(this.#form(e.at))
        break
      case 'load':
        hash.add(this.#source(e.source))
        hash.add(this.#form(e.at))
        this.#addBounds(e.guards)
        break
      case 'gather':
        hash.add(this.#source(e.source))
        hash.add(this.#form(e.at))
        hash.add(numberOf(e.index))
        hash.add(this.#name(`gather ${e.at.key} ${e.size} ${e.stride}`))
        this.#addBounds(e.guards)
        break
      case 'operation':
        addOp(hash, e.op)
        for (const x of e.args) hash.add(numberOf(x))
        break
      case 'guard':
        hash.add(numberOf(e.x))
        this.#addBounds(e.bounds)
        break
      case 'random':
        hash.add(numberOf(e.key))
        hash.add(numberOf(e.offset))
        hash.add(this.#form(e.at))
        break
      case 'reduction':
        addOp(hash, e.op)
        hash.add(numberOf(e.x))
        hash.add(this.#form(e.position))
        for (const v of e.over) hash.add(this.#variable(v))
        break
      default:
        e satisfies never
    }
    // A value may be there before its loops are walked: what it depends on is more than its addresses tell.
    hash.add(e.loops.size)
    for (const v of e.loops) hash.add(this.#variable(v))
    this.#expressionNumbers.set(e, this.#expressions.push(e) - 1)
  }

  /** Where an argument of the kernel is found in nests of this structure. */
  placeOf(argument: NestArgument, origin: Origin | null): Place {
    if (argument.kind === 'source') return { kind: 'source', number: this.#source(argument.node) }
    if (argument.kind === 'sink' || argument.kind === 'scratch') return { kind: 'given', argument }
    if (!origin) throw new InternalError('a number of a nest that comes from nowhere')
    switch (origin.of) {
      case 'value':
        return { kind: 'expression', number: this.#expressionNumbers.get(origin.expression)!, of: 'value' }
      case 'size':
      case 'stride':
        return { kind: 'expression', number: this.#expressionNumbers.get(origin.gather)!, of: origin.of }
      case 'extent':
        return { kind: 'group', number: this.#groups.indexOf(origin.group) }
      case 'high':
        return { kind: 'bound', number: this.#boundNumber(origin.bound) }
      case 'offset':
        return { kind: 'offset', form: this.#formNumbers.get(origin.form.key)! }
      case 'term': {
        const form = this.#formNumbers.get(origin.form.key)!
        const term = [...this.#forms[form]!.terms.keys()].findIndex((v) => v.key === origin.variable.key)
        return { kind: 'term', form, term }
      }
      case 'divisor':
      case 'modulus':
        return { kind: 'variable', number: this.#variableNumbers.get(origin.variable.key)!, of: origin.of }
      default:
        return { kind: 'work', of: origin.of }
    }
  }

  /** The argument at a place. */
  argumentAt(place: Place): NestArgument {
    switch (place.kind) {
      case 'given':
        return place.argument
      case 'source':
        return { kind: 'source', node: this.#sources[place.number]! }
      case 'expression': {
        const e = this.#expressions[place.number]!
        if (e.kind === 'constant') return { kind: 'number', value: e.value }
        if (e.kind === 'scalar') return { kind: 'scalar', slot: e.slot }
        if (e.kind === 'gather' && place.of !== 'value') return { kind: 'index', value: e[place.of] }
        throw new InternalError(`no argument of a kernel is of the kind ${e.kind}`)
      }
      default:
        return { kind: 'index', value: this.#numberAt(place) }
    }
  }

  #numberAt(place: Exclude<Place, { kind: 'given' | 'source' | 'expression' }>): number {
    switch (place.kind) {
      case 'group':
        return this.#groups[place.number]!.extent
      case 'bound':
        return this.#bounds[place.number]!.high
      case 'offset':
        return this.#forms[place.form]!.constant
      case 'term':
        return nth(this.#forms[place.form]!.terms.values(), place.term)
      case 'variable': {
        const v = this.#variables[place.number]!
        return place.of === 'modulus' ? v.extent : v.quotient!.divisor
      }
      case 'work':
        return this.#layout.work[place.of]
    }
  }
}

function nth(values: Iterable<number>, n: number): number {
  let i = 0
  for (const v of values) if (i++ === n) return v
  throw new InternalError(`a form without term ${n}`)
}
