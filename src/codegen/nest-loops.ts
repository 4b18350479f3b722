/** Which loops of a nest run as one. */
import type { Affine, Variable } from './affine.ts'
import type { Expression } from './expression.ts'

/** Loops that run as one: their variables, outermost first. */
export interface Group {
  readonly members: readonly Variable[]
  readonly extent: number
}

export class JoinedLoops {
  readonly #groupOf = new Map<Variable, Group>()
  /** Coefficients of joined loops, by form. */
  readonly #terms = new Map<Affine, ReadonlyMap<Group, number>>()

  /** Joins neighbouring loops of the lists that every address walks through as if they were one. `parts`: all expressions of the nest. */
  constructor(lists: readonly (readonly Variable[])[], parts: readonly Expression[], stores: readonly Affine[]) {
    const forms = new Set(stores)
    const note = (a: Affine): void => {
      if (forms.has(a)) return
      forms.add(a)
      for (const v of a.terms.keys()) if (v.quotient) note(v.quotient.of)
    }
    for (const e of parts) {
      if (e.kind === 'load' || e.kind === 'gather' || e.kind === 'index' || e.kind === 'random') note(e.at)
      if (e.kind === 'load' || e.kind === 'gather') for (const g of e.guards) note(g.at)
      else if (e.kind === 'guard') for (const b of e.bounds) note(b.at)
      else if (e.kind === 'reduction' && (e.op === 'argmax' || e.op === 'argmin')) note(e.position)
    }
    const areOne = (outer: Variable, inner: Variable): boolean => {
      for (const f of forms) if ((f.terms.get(outer) ?? 0) !== (f.terms.get(inner) ?? 0) * inner.extent) return false
      return true
    }
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
        if (before && !areOne(before, v)) close()
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

  /** By how much a step of each of the joined loops moves an address. */
  terms(a: Affine): ReadonlyMap<Group, number> {
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

  coefficient(a: Affine, g: Group): number {
    return this.terms(a).get(g) ?? 0
  }
}
