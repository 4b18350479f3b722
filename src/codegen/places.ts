/**
 * Where the values of a graph are kept while it is lowered: given ones where they are, results where they belong, unless that memory is
 * still wanted, all others in temporaries.
 */
import { sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { formatShape, numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import type { Groups, KernelGroup } from './groups.ts'
import { placeOfPart } from './joined.ts'
import type { GraphPart, Location, Result } from './pending.ts'

/** A value that has to go from one place to another. */
export interface Move {
  readonly node: Node
  readonly from: Location
  readonly to: Location
}

export const bytesOf = ({ shape, dtype }: Pick<Node, 'shape' | 'dtype'>): number => numel(shape) * sizeOf(dtype)

/** A value in words, for listings. */
export function describe(node: Node): string {
  const value = node.op === 'output' ? `result ${node.attributes.index} of ${node.sources[0]!.op}` : node.op
  return `${value} ${node.dtype}${formatShape(node.shape)}`
}

export class Places {
  readonly #part: GraphPart
  readonly #joined: Groups['joined']
  readonly #temporary: (bytes: number, what: () => string) => Location
  readonly #places = new Map<Node, Location>()
  readonly #firstResult = new Map<Node, Result>()
  /** Numbers of leaves that are results as they are: they are copied at the end. */
  readonly #copiedLeaves = new Set<number>()
  readonly #lastUses: ReadonlyMap<number, { readonly group: number; readonly shifted: boolean }>
  readonly #kept: Move[] = []

  /** `temporary` makes one that lives from now on. */
  constructor(part: GraphPart, { groups, joined }: Groups, temporary: (bytes: number, what: () => string) => Location) {
    this.#part = part
    this.#temporary = temporary
    this.#joined = joined
    for (const r of part.results) {
      const given = part.given.get(r.node)
      if (given && r.node.op === 'buffer') this.#copiedLeaves.add(given.slot)
      if (!given && !this.#firstResult.has(r.node)) this.#firstResult.set(r.node, r)
    }
    this.#lastUses = lastUses(part, groups)
  }

  of(node: Node): Location {
    const place = this.#places.get(node) ?? this.#part.given.get(node)
    if (!place) throw new InternalError(`${node.op} is used before it is computed`)
    return place
  }

  /** Forgets where a value is: it is computed again, and may lie elsewhere. */
  renew(sink: Node): void {
    this.#places.delete(sink)
  }

  /** Finds a place for what a group computes. A result is computed where it belongs, unless that memory is still wanted: then it is kept aside. */
  place(sink: Node, group: number): void {
    if (this.#places.has(sink)) return
    const joined = this.#joined.get(sink)
    if (joined) {
      this.place(joined.join, group)
      this.#places.set(sink, placeOfPart(this.of(joined.join), joined.join, joined.axis, joined.part))
      return
    }
    const result = this.#firstResult.get(sink)
    if (!result) {
      this.#places.set(
        sink,
        this.#temporary(bytesOf(sink), () => describe(sink)),
      )
      return
    }
    const last = result.overwrites >= 0 ? this.#lastUses.get(result.overwrites) : undefined
    if (
      this.#copiedLeaves.has(result.overwrites) ||
      (last && (last.group > group || (last.group === group && last.shifted)))
    ) {
      const aside = this.#temporary(bytesOf(sink), () => `${describe(sink)}, kept aside`)
      this.#places.set(sink, aside)
      this.#kept.push({ from: aside, to: result.place, node: sink })
      return
    }
    this.#places.set(sink, result.place)
  }

  /**
   * What has to be moved once everything is computed: results that are leaves, or values that another result holds already (before anything
   * overwrites them), then what was kept aside.
   */
  moves(): Move[] {
    const copies = this.#part.results.filter((r) => numel(r.node.shape) > 0 && this.#firstResult.get(r.node) !== r)
    return [...copies.map((r) => ({ node: r.node, from: this.of(r.node), to: r.place })), ...this.#kept]
  }
}

/** Number of the last group that reads each leaf, and whether at other places than it writes. */
function lastUses(
  part: GraphPart,
  groups: readonly KernelGroup[],
): Map<number, { readonly group: number; readonly shifted: boolean }> {
  const out = new Map<number, { group: number; shifted: boolean }>()
  groups.forEach((g, i) => {
    for (const n of g.reads) {
      const place = part.given.get(n)
      const shifted = g.kind === 'nest' && g.nest ? g.nest.shifted.has(n) : true
      if (place?.space === 'leaf') out.set(place.slot, { group: i, shifted })
    }
  })
  return out
}
