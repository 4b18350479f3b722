/**
 * Addresses of a nest: which loops run as one, and affine forms of the loops' variables as expressions, the part of each that depends on no
 * deeper loop computed outside it.
 */
import type { Affine, Variable } from './affine.ts'
import * as ir from './builder.ts'
import type { Expression } from './expression.ts'
import type { Expr } from './kernel.ts'
import type { Group, JoinedLoops } from './nest-loops.ts'
import type { NestParameters } from './nest-parameters.ts'

/** Longest last axis, and largest stride of an innermost loop, that stand in a kernel as numbers. */
export const longestWritten = 4

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
  readonly #loops: JoinedLoops
  readonly #groupVariables = new Map<Group, Expr>()
  /** The innermost loop: its strides of a few elements are written out, so that compilers can load such elements together. */
  #vectorGroup: Group | null = null

  constructor(builder: ir.KernelBuilder, parameters: NestParameters, loops: JoinedLoops) {
    this.#ir = builder
    this.#parameters = parameters
    this.#loops = loops
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
      const size = this.#parameters.index(`extent${i}`, g.extent, { of: 'extent', group: g })
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
    for (const [g, c] of this.#loops.terms(a)) {
      if (base?.done.has(g)) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    for (const [v, c] of a.terms)
      if (v.quotient)
        sum = ir.add(
          sum,
          ir.mul(
            this.#quotient(level, v),
            this.#parameters.index(`coefficient ${a.key} ${v.key}`, c, { of: 'term', form: a, variable: v }),
          ),
        )
    return sum
  }

  /** Keeps, at this level, the part of an address that depends on no deeper loop. */
  base(level: Level, a: Affine): void {
    if (level.bases.has(a.key)) return
    const above = level.parent ? this.#baseFrom(level.parent, a) : null
    let sum = above ? above.sum : this.#offset(a)
    for (const [g, c] of this.#loops.terms(a)) {
      if (above?.done.has(g) || !isInside(level, g)) continue
      sum = ir.add(sum, this.#scaled(a, g, c))
    }
    level.bases.set(a.key, this.#ir.let('at', sum))
  }

  /** The part of an address that depends on no deeper loop. */
  baseOf(level: Level, a: Affine): Expr {
    this.base(level, a)
    return level.bases.get(a.key)!
  }

  /** By how much a step of a loop moves a form: 0, or a number that may stand in a kernel; null for others. */
  stepOf(group: Group, a: Affine): number | null {
    if ([...a.terms.keys()].some((v) => v.quotient !== undefined)) return null
    const step = this.#loops.coefficient(a, group)
    return step >= 0 && step <= longestWritten ? step : null
  }

  #baseFrom(level: Level, a: Affine): { sum: Expr; done: Set<Group> } | null {
    for (let l: Level | null = level; l; l = l.parent) {
      const sum = l.bases.get(a.key)
      if (!sum) continue
      const done = new Set<Group>()
      for (const g of this.#loops.terms(a).keys()) if (isInside(l, g)) done.add(g)
      return { sum, done }
    }
    return null
  }

  #offset(a: Affine): Expr {
    return a.constant === 0
      ? ir.index(0)
      : this.#parameters.index(`offset ${a.key}`, a.constant, { of: 'offset', form: a })
  }

  #scaled(a: Affine, g: Group, c: number): Expr {
    const v = this.#groupVariables.get(g)!
    if (c === 1) return v
    const isWritten = g === this.#vectorGroup && c > 1 && c <= longestWritten
    return ir.mul(
      v,
      isWritten
        ? c
        : this.#parameters.index(`stride ${a.key} ${g.members[0]!.key}`, c, {
            of: 'term',
            form: a,
            variable: g.members.at(-1)!,
          }),
    )
  }

  #quotient(level: Level, v: Variable): Expr {
    const known = level.addressOf(`quotient ${v.key}`)
    if (known) return known
    const { of, divisor, whole } = v.quotient!
    let x = this.address(level, of)
    if (divisor !== 1)
      x = ir.div(x, this.#parameters.index(`divisor ${v.key}`, divisor, { of: 'divisor', variable: v }))
    if (!whole) x = ir.rem(x, this.#parameters.index(`modulus ${v.key}`, v.extent, { of: 'modulus', variable: v }))
    const made = this.#ir.let('q', x)
    level.addresses.set(`quotient ${v.key}`, made)
    return made
  }
}
