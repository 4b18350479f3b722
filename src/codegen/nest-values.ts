/** Values of a nest: fused expressions as expressions of the kernel, each computed once, as far outside the loops as it can be. */
import type { Node } from '../graph/node.ts'
import type { Affine } from './affine.ts'
import * as ir from './builder.ts'
import { emitCast, emitOperation } from './elementwise.ts'
import { covers, expressionsOf, isProduct, MaterializeRequest, type Bound, type Expression } from './expression.ts'
import type { Expr } from './kernel.ts'
import type { Level, NestAddresses } from './nest-addresses.ts'
import type { Group } from './nest-loops.ts'
import type { NestParameters } from './nest-parameters.ts'
import { emitRandom } from './random.ts'

export class NestValues {
  readonly #ir: ir.KernelBuilder
  readonly #parameters: NestParameters
  readonly #addresses: NestAddresses
  /** Whether all bounds hold in what is being written. */
  #isInside = false

  constructor(builder: ir.KernelBuilder, parameters: NestParameters, addresses: NestAddresses) {
    this.#ir = builder
    this.#parameters = parameters
    this.#addresses = addresses
  }

  /** Computes, at this level, whatever inside `roots` depends on no deeper loop. */
  hoist(level: Level, roots: readonly Expression[], addresses: readonly Affine[]): void {
    const known = (e: Expression): boolean => level.valueOf(e) !== undefined
    const seen = new Set<Expression>()
    const walk = (e: Expression): void => {
      if (seen.has(e) || known(e)) return
      seen.add(e)
      if (covers(level.loops, e.loops) && this.#reductionsKnown(level, e)) {
        this.value(level, e)
        return
      }
      if (e.kind === 'operation') e.args.forEach(walk)
      else if (e.kind === 'guard') walk(e.x)
      else if (e.kind === 'gather') {
        walk(e.index)
        if (covers(level.loops, e.index.loops)) this.#gatherBase(level, e)
        this.#addresses.base(level, e.at)
      } else if (e.kind === 'load') this.#addresses.base(level, e.at)
      else if (e.kind === 'random') {
        walk(e.key)
        walk(e.offset)
      }
    }
    roots.forEach(walk)
    for (const a of addresses) this.#addresses.base(level, a)
  }

  #reductionsKnown(level: Level, e: Expression): boolean {
    const seen = new Set<Expression>()
    const isKnown = (x: Expression): boolean => {
      if (seen.has(x) || level.valueOf(x)) return true
      seen.add(x)
      if (x.kind === 'reduction') return false
      if (x.kind === 'operation') return x.args.every(isKnown)
      if (x.kind === 'guard') return isKnown(x.x)
      return x.kind !== 'gather' || isKnown(x.index)
    }
    return isKnown(e)
  }

  /** The value where its loops exist. Throws MaterializeRequest for a reduction that no phase has computed. */
  value(level: Level, e: Expression): Expr {
    const known = level.valueOf(e)
    if (known) return known
    const made = this.#ir.let('v', this.#emit(level, e))
    level.values.set(e, made)
    return made
  }

  #emit(level: Level, e: Expression): Expr {
    switch (e.kind) {
      case 'constant':
        return this.#parameters.constant(e.value, e)
      case 'scalar':
        return this.#parameters.scalar(`slot${e.slot}`, e, { kind: 'scalar', slot: e.slot })
      case 'index':
        return emitCast(
          this.#ir,
          ir.convert(this.#addresses.address(level, e.at), e.dtype === 'int64' ? 'i64' : 'i32'),
          e.dtype === 'int64' ? 'int64' : 'int32',
          e.dtype,
        )
      case 'load':
        return this.#loaded(e, this.#guarded(level, e.guards, this.#addresses.address(level, e.at)))
      case 'gather': {
        const base = this.#gatherBase(level, e)
        return this.#loaded(e, this.#guarded(level, e.guards, ir.add(base, this.#addresses.address(level, e.at))))
      }
      case 'operation': {
        const args = e.args.map((a) => this.value(level, a))
        if (e.op === 'cast') return emitCast(this.#ir, args[0]!, e.args[0]!.dtype, e.dtype)
        return emitOperation(this.#ir, e.op, e.args[0]!.dtype, args, (n) => isProduct(e.args[n]!))
      }
      case 'guard': {
        const x = this.value(level, e.x)
        if (this.#isInside) return x
        const inside = this.#inside(level, e.bounds)
        return e.dtype === 'bool' ? ir.and(inside, x) : ir.select(inside, x, 0)
      }
      case 'random':
        return emitRandom(
          this.#ir,
          this.value(level, e.key),
          this.value(level, e.offset),
          this.#addresses.address(level, e.at),
          e.dtype,
        )
      case 'reduction':
        throw new MaterializeRequest(e.node)
    }
  }

  #loaded(e: Expression & { source: Node }, at: Expr): Expr {
    const x = ir.load(this.#parameters.source(e.source), at)
    return e.dtype === 'bool' ? ir.ne(x, 0) : x
  }

  /**
   * The part [begin, end) of an innermost loop over [from, to) in which all bounds inside `roots` hold, so that nothing there needs a test; null where
   * no bound depends on the loop, or one does in another way than growing with it by a few elements, or on a loop inside.
   */
  insideRange(
    level: Level,
    group: Group,
    roots: readonly Expression[],
    from: Expr,
    to: Expr,
  ): { readonly begin: Expr; readonly end: Expr } | null {
    const bounds = this.#boundsIn(level, roots)
    const loops = new Set([...level.loops, ...group.members])
    const steps = bounds.map((b) => (covers(loops, b.at.loops) ? this.#addresses.stepOf(group, b.at) : null))
    if (steps.every((step) => step === 0) || steps.includes(null)) return null
    let [begin, end] = [from, to]
    let isAnywhere: Expr | null = null
    bounds.forEach((b, i) => {
      const step = steps[i]!
      if (step === 0) {
        const here = this.#inside(level, [b])
        isAnywhere = isAnywhere ? ir.and(isAnywhere, here) : here
        return
      }
      const start = this.#addresses.baseOf(level, b.at)
      // The first iteration that is at a coordinate or behind it.
      const first = (coordinate: Expr | number): Expr => {
        const distance = ir.max(0, ir.sub(coordinate, start))
        return step === 1 ? distance : ir.div(ir.add(distance, step - 1), step)
      }
      begin = this.#ir.let('begin', ir.max(begin, first(b.low)))
      end = this.#ir.let('end', ir.min(end, first(this.#high(b))))
    })
    if (isAnywhere) begin = this.#ir.let('begin', ir.select(isAnywhere, begin, to))
    begin = this.#ir.let('begin', ir.min(begin, to))
    return { begin, end: this.#ir.let('end', ir.max(begin, end)) }
  }

  /** Writes what `body` does where all bounds hold. */
  whereInside(body: () => void): void {
    this.#isInside = true
    body()
    this.#isInside = false
  }

  /** Bounds of what is not yet computed, each once; reductions are computed by phases of their own. */
  #boundsIn(level: Level, roots: readonly Expression[]): Bound[] {
    const bounds = new Map<string, Bound>()
    for (const e of expressionsOf(roots, (e) => e.kind === 'reduction' || level.valueOf(e) !== undefined)) {
      const own = e.kind === 'guard' ? e.bounds : e.kind === 'load' || e.kind === 'gather' ? e.guards : []
      for (const b of own) bounds.set(boundKey(b), b)
    }
    return [...bounds.values()]
  }

  #high(b: Bound): Expr {
    return this.#parameters.index(`high ${b.at.key}`, b.high, { of: 'high', bound: b })
  }

  /** The address where the bounds hold, and that of the first element elsewhere. */
  #guarded(level: Level, guards: readonly Bound[], at: Expr): Expr {
    return guards.length === 0 || this.#isInside ? at : ir.select(this.#inside(level, guards), at, 0)
  }

  #inside(level: Level, bounds: readonly Bound[]): Expr {
    let all: Expr | null = null
    for (const b of bounds) {
      const key = boundKey(b)
      let test = level.addressOf(key)
      if (!test) {
        const x = this.#ir.let('x', this.#addresses.address(level, b.at))
        test = this.#ir.let('inside', ir.and(ir.ge(x, b.low), ir.lt(x, this.#high(b))))
        level.addresses.set(key, test)
      }
      all = all ? ir.and(all, test) : test
    }
    return all!
  }

  /** Offset of the slice that a dynamic index picks; out of range is reported and reads the first slice. */
  #gatherBase(level: Level, e: Expression & { kind: 'gather' }): Expr {
    const key = `gather ${e.at.key} ${e.size} ${e.stride}`
    const holder = level.valueOf(e.index)
    const cached = holder && level.addressOf(`${key} ${describe(holder)}`)
    if (cached) return cached
    const value = this.value(level, e.index)
    const size = this.#parameters.index(`size ${key}`, e.size, { of: 'size', gather: e })
    const { at, outside } = this.#ir.position(value, size)
    this.#ir.if(outside, () => this.#ir.fail(1))
    const base = this.#ir.let(
      'base',
      ir.mul(ir.select(outside, 0, at), this.#parameters.index(`stride ${key}`, e.stride, { of: 'stride', gather: e })),
    )
    level.addresses.set(`${key} ${describe(value)}`, base)
    return base
  }
}

const boundKey = (b: Bound): string => `inside ${b.at.key}<${b.high}`

/** A name for an expression that was computed before. */
const describe = (e: Expr): string =>
  e.kind === 'variable'
    ? e.name
    : e.kind === 'parameter'
      ? `#${e.index}`
      : JSON.stringify(e, (_, v) => (typeof v === 'bigint' ? `${v}n` : (v as unknown)))
