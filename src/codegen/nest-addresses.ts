/**
 * Addresses of a nest: which loops run as one, and affine forms of the loops' variables as expressions, the part of each that depends on no
 * deeper loop computed outside it.
 */
import type { Affine, Variable } from './affine.ts'
import * as ir from './builder.ts'
import { visitExpressions, type Expression } from './expression.ts'
import type { Expr } from './kernel.ts'
import type { NestParameters } from './nest-parameters.ts'

/** Longest last axis, and largest stride of an innermost loop, that stand in a kernel as numbers. */
export const longestWritten = 4

/** Loops that run as one: their variables, outermost first. */
export interface Group {
  readonly members: readonly Variable[]
  readonly extent: number
}

/** A place in the nest: the loops whose variables exist there, and what is already computed. */
export class Level {
  readonly parent: Level | null
  readonly loops: Set<Variable>
  readonly values = new Map<Expression, Expr>()
  readonly addresses = new Map<string, Expr>()
  /** Parts of addresses that depend on no deeper loop, by the keys of the addresses. */
  readonly bases = new Map<string, Expr>()

  constructor(parent: Level | null, loops: readonly Variable[]) {
    this.parent = parent
    this.loops = new Set(parent?.loops)
    for (const v of loops) this.loops.add(v)
  }

  /** What is computed of an expression, here or further out. */
  valueOf(e: Expression): Expr | undefined {
    return this.values.get(e) ?? this.parent?.valueOf(e)
  }

  /** What is computed by the name of an address, here or further out. */
  addressOf(key: string): Expr | undefined {
    return this.addresses.get(key) ?? this.parent?.addressOf(key)
  }
}

/** Whether the variable of joined loops exists at a level. */
function isInside(level: Level, group: Group): boolean {
  return group.members.every((m) => level.loops.has(m))
}

export class NestAddresses {
  readonly #ir: ir.KernelBuilder
  readonly #parameters: NestParameters
  readonly #groupOf = new Map<Variable, Group>()
  readonly #groupVariables = new Map<Group, Expr>()
  /** Coefficients of joined loops, by form. */
  readonly #terms = new Map<Affine, ReadonlyMap<Group, number>>()
  /** The innermost loop: its strides of a few elements are written out, so that compilers can load such elements together. */
  #vectorGroup: Group | null = null

  constructor(builder: ir.KernelBuilder, parameters: NestParameters) {
    this.#ir = builder
    this.#parameters = parameters
  }

  /** Joins neighbouring loops that every address walks through as if they were one. */
  collapse(
    lists: readonly (readonly Variable[])[],
    expressions: readonly Expression[],
    stores: readonly Affine[],
  ): void {
    const forms: Affine[] = [...stores]
    const note = (a: Affine): void => {
      forms.push(a)
      for (const v of a.terms.keys()) if (v.quotient) note(v.quotient.of)
    }
    visitExpressions(expressions, (e) => {
      if (e.kind === 'load' || e.kind === 'gather' || e.kind === 'index' || e.kind === 'random') note(e.at)
      if (e.kind === 'load' || e.kind === 'gather') e.guards.forEach((g) => note(g.at))
      if (e.kind === 'guard') e.bounds.forEach((b) => note(b.at))
      if (e.kind === 'reduction' && (e.op === 'argmax' || e.op === 'argmin')) note(e.position)
    })
    for (const list of lists) {
      let members: Variable[] = []
      const close = (): void => {
        if (members.length === 0) return
        const group = { members, extent: members.reduce((n, v) => n * v.extent, 1) }
        for (const v of members) this.#groupOf.set(v, group)
        members = []
      }
      for (const v of list) {
        const before = members[members.length - 1]
        const joins = before && forms.every((f) => (f.terms.get(before) ?? 0) === (f.terms.get(v) ?? 0) * v.extent)
        if (!joins) close()
        members.push(v)
      }
      close()
    }
  }

  groupOf(v: Variable): Group | undefined {
    return this.#groupOf.get(v)
  }

  /** The joined loops of variables. */
  groups(list: readonly Variable[]): Group[] {
    return [...new Set(list.map((v) => this.#groupOf.get(v)!))]
  }

  #groupTerms(a: Affine): ReadonlyMap<Group, number> {
    const known = this.#terms.get(a)
    if (known) return known
    const out = new Map<Group, number>()
    for (const [v, c] of a.terms) {
      const g = v.quotient ? undefined : this.#groupOf.get(v)
      if (g && g.members[g.members.length - 1] === v) out.set(g, c)
    }
    this.#terms.set(a, out)
    return out
  }

  /** By how much a step of the joined loops moves an address. */
  coefficient(a: Affine, g: Group): number {
    return this.#groupTerms(a).get(g) ?? 0
  }

  /** Says what a loop's variable is from here on. */
  bind(group: Group, variable: Expr): void {
    this.#groupVariables.set(group, variable)
  }

  /** As `bind`, for the innermost loop. */
  bindInnermost(group: Group, variable: Expr): void {
    this.#vectorGroup = group
    this.bind(group, variable)
  }

  /** The level inside groups whose iterations are numbered together by `number`. */
  enter(parent: Level | null, groups: readonly Group[], number: Expr): Level {
    let rest = number
    for (let i = groups.length - 1; i >= 0; i--) {
      const g = groups[i]!
      if (i === 0) {
        this.#groupVariables.set(g, this.#ir.let('i', rest))
        break
      }
      const size = this.#parameters.index(`extent${i}`, g.extent)
      const whole = this.#ir.let('n', rest)
      this.#groupVariables.set(g, this.#ir.let('i', ir.rem(whole, size)))
      rest = ir.div(whole, size)
    }
    return new Level(
      parent,
      groups.flatMap((g) => [...g.members]),
    )
  }

  /** Value of an affine form where all its loops exist. */
  address(level: Level, a: Affine): Expr {
    const base = level.parent ? this.#baseFrom(level, a) : null
    let sum = base ? base.sum : this.#offset(a)
    for (const [g, c] of this.#groupTerms(a)) {
      if (base?.done.has(g)) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    for (const [v, c] of a.terms)
      if (v.quotient)
        sum = ir.add(sum, ir.mul(this.#quotient(level, v), this.#parameters.index(`coefficient ${a.key} ${v.key}`, c)))
    return sum
  }

  /** Keeps, at this level, the part of an address that depends on no deeper loop. */
  base(level: Level, a: Affine): void {
    if (level.bases.has(a.key)) return
    const above = level.parent ? this.#baseFrom(level.parent, a) : null
    let sum = above ? above.sum : this.#offset(a)
    for (const [g, c] of this.#groupTerms(a)) {
      if (above?.done.has(g) || !isInside(level, g)) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    level.bases.set(a.key, this.#ir.let('at', sum))
  }

  #baseFrom(level: Level, a: Affine): { sum: Expr; done: Set<Group> } | null {
    for (let l: Level | null = level; l; l = l.parent) {
      const sum = l.bases.get(a.key)
      if (!sum) continue
      const done = new Set<Group>()
      for (const g of this.#groupTerms(a).keys()) if (isInside(l, g)) done.add(g)
      return { sum, done }
    }
    return null
  }

  #offset(a: Affine): Expr {
    return a.constant === 0 ? ir.index(0) : this.#parameters.index(`offset ${a.key}`, a.constant)
  }

  #scaled(a: Affine, g: Group, c: number): Expr {
    const v = this.#groupVariables.get(g)!
    if (c === 1) return v
    const isWritten = g === this.#vectorGroup && c > 1 && c <= longestWritten
    return ir.mul(v, isWritten ? c : this.#parameters.index(`stride ${a.key} ${g.members[0]!.key}`, c))
  }

  #quotient(level: Level, v: Variable): Expr {
    const known = level.addressOf(`quotient ${v.key}`)
    if (known) return known
    const { of, divisor, whole } = v.quotient!
    let x = this.address(level, of)
    if (divisor !== 1) x = ir.div(x, this.#parameters.index(`divisor ${v.key}`, divisor))
    if (!whole) x = ir.rem(x, this.#parameters.index(`modulus ${v.key}`, v.extent))
    const made = this.#ir.let('q', x)
    level.addresses.set(`quotient ${v.key}`, made)
    return made
  }
}
