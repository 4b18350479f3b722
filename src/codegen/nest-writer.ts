/**
 * Writes the kernel of a nest: parallel outer loops; inside, phases that each reduce over loops of their own, and at the end loops that store the
 * results. What is written depends on the structure of the nest alone (see nest-structure.ts).
 */
import type { Affine } from './affine.ts'
import * as ir from './builder.ts'
import { valueScalar } from './elementwise.ts'
import { covers, expressionsOf, type Expression } from './expression.ts'
import type { Expr, ReduceIr } from './kernel.ts'
import { Level, NestAddresses } from './nest-addresses.ts'
import type { Group } from './nest-loops.ts'
import type { WrittenNest } from './nest-kernels.ts'
import { NestParameters, type Work } from './nest-parameters.ts'
import type { NestLayout, Reduction } from './nest-structure.ts'
import { NestValues } from './nest-values.ts'

/** Reductions that have an operation of the kernel IR. */
export const accumulators: Partial<Record<string, ReduceIr>> = {
  reduceSum: 'add',
  reduceProd: 'mul',
  reduceMax: 'max',
  reduceMin: 'min',
}

/** Throws MaterializeRequest for a reduction that no phase computes before it is wanted. */
export function writeNest(layout: NestLayout, title: string): WrittenNest {
  return new NestWriter(layout, title).write()
}

/** What sums of a dtype are kept as in scratch. */
export function scratchOf(reductions: readonly Reduction[]): 'float32' | 'float64' | 'int32' | 'int64' {
  const scalar = valueScalar(reductions[0]!.dtype)
  return ({ f32: 'float32', f64: 'float64', i32: 'int32', i64: 'int64', mask: 'int32' } as const)[scalar]
}

class NestWriter {
  readonly #layout: NestLayout
  readonly #ir: ir.KernelBuilder
  readonly #parameters: NestParameters
  readonly #addresses: NestAddresses
  readonly #values: NestValues
  readonly #sinkParameters: readonly ir.BufferParameter[]
  #current: Level | null = null

  constructor(layout: NestLayout, title: string) {
    this.#layout = layout
    this.#ir = new ir.KernelBuilder(title)
    this.#parameters = new NestParameters(this.#ir, layout.inPlace)
    this.#addresses = new NestAddresses(this.#ir, this.#parameters, layout.loops)
    this.#values = new NestValues(this.#ir, this.#parameters, this.#addresses)
    this.#sinkParameters = this.#parameters.sinks(layout.sinks)
  }

  write(): WrittenNest {
    const { reductions, column } = this.#layout
    if (reductions.length === 0) this.#elementwise()
    else if (column) this.#columns(column)
    else this.#rows()
    return { kernel: this.#ir.build(), arguments: this.#parameters.arguments, origins: this.#parameters.origins }
  }

  #work(name: keyof Work): Expr {
    return this.#parameters.index(name, this.#layout.work[name], { of: name })
  }

  /** Stores only: parallel over all loops but the last, and over chunks of that. */
  #elementwise(): void {
    const { inner, tail, expressions, stores } = this.#layout
    const looped = tail ? inner.slice(0, -1) : inner
    const last = looped[looped.length - 1] ?? { members: [], extent: 1 }
    const [size, length, count] = [this.#work('chunk'), this.#work('length'), this.#work('chunks')]
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#addresses.enter(null, looped.slice(0, -1), ir.div(p, count))
      this.#innermost(outer, last, from, to, expressions, stores, () => this.#storeTail(tail))
    })
  }

  /** Phases over rows, then the stores, for each outer iteration. */
  #rows(): void {
    const { outer: outerGroups, inner, tail, phases, expressions, stores } = this.#layout
    this.#ir.parallel('p', (p) => {
      const outer = this.#addresses.enter(null, outerGroups, p)
      for (const phase of phases) this.#reducePhase(outer, phase)
      if (inner.length === 0) {
        this.#current = outer
        this.#storeAll(outer)
      } else {
        this.#loops(outer, tail ? inner.slice(0, -1) : inner, expressions, stores, () => this.#storeTail(tail))
      }
    })
  }

  /** As rows, for a block of one outer loop at a time: accumulators of the block lie in scratch, and memory is read in order. */
  #columns(column: Group): void {
    const { outer: outerGroups, phases, reductions, stores } = this.#layout
    const others = outerGroups.filter((g) => g !== column)
    const [size, length, count] = [this.#work('chunk'), this.#work('length'), this.#work('chunks')]
    const scratch = this.#parameters.scratch(scratchOf(reductions))
    this.#ir.parallel('p', (p) => {
      const from = this.#ir.let('from', ir.mul(ir.rem(p, count), size))
      const to = this.#ir.let('to', ir.min(ir.add(from, size), length))
      const outer = this.#addresses.enter(null, others, ir.div(p, count))
      const cell = (r: Reduction, k: Expr): Expr => ir.add(ir.mul(size, reductions.indexOf(r)), ir.sub(k, from))
      const withCells = (level: Level, k: Expr, upTo: number): void => {
        for (const phase of phases.slice(0, upTo))
          for (const r of phase) level.values.set(r, asValue(r, ir.load(scratch, cell(r, k))))
      }
      phases.forEach((phase, i) => {
        this.#ir.vector('k', from, to, (k) => {
          for (const r of phase) this.#ir.store(scratch, cell(r, k), startOf(r))
        })
        const groups = this.#layout.loops.groups(phase[0]!.over)
        const roots = phase.map((r) => r.x)
        this.#nested(outer, groups, (level) => {
          this.#innermost(level, column, from, to, roots, [], (k) => {
            const here = this.#current!
            withCells(here, k, i)
            for (const r of phase) {
              const at = this.#ir.let('cell', cell(r, k))
              this.#ir.store(scratch, at, combine(r, ir.load(scratch, at), raw(r, this.#values.value(here, r.x))))
            }
          })
        })
      })
      this.#innermost(outer, column, from, to, [], stores, (k) => {
        withCells(this.#current!, k, phases.length)
        this.#storeAll(this.#current!)
      })
    })
  }

  #reducePhase(outer: Level, phase: readonly Reduction[]): void {
    const simple = accumulators[phase[0]!.op] !== undefined
    const variables = phase.map((r) => this.#ir.declare('acc', startOf(r)))
    const position = simple ? null : this.#ir.declare('best', ir.index(-1))
    const roots = phase.map((r) => r.x)
    this.#loops(
      outer,
      this.#layout.loops.groups(phase[0]!.over),
      roots,
      simple ? [] : [phase[0]!.position],
      () => {
        const level = this.#current!
        phase.forEach((r, i) => {
          const x = raw(r, this.#values.value(level, r.x))
          if (position === null) return this.#ir.accumulate(variables[i]!, accumulators[r.op]!, x)
          const v = this.#ir.let('v', x)
          const best = variables[i]!
          const better = ir.compare(r.op === 'argmax' ? 'gt' : 'lt', v, best)
          const isFloating = v.type.scalar === 'f32' || v.type.scalar === 'f64'
          const firstNaN = isFloating ? ir.and(ir.ne(v, v), ir.eq(best, best)) : null
          const take = this.#ir.let('take', ir.or(firstNaN ? ir.or(better, firstNaN) : better, ir.lt(position, 0)))
          this.#ir.assign(position, ir.select(take, this.#addresses.address(level, r.position), position))
          this.#ir.assign(best, ir.select(take, v, best))
        })
      },
      simple,
    )
    phase.forEach((r, i) => outer.values.set(r, position ? ir.convert(position, 'i32') : asValue(r, variables[i]!)))
  }

  // ---- loops ------------------------------------------------------------------------------------------------------------

  /** Sequential loops over groups, with `body` inside. */
  #nested(parent: Level, groups: readonly Group[], body: (level: Level) => void): void {
    const [first, ...rest] = groups
    if (!first) return body(parent)
    this.#ir.loop('r', 0, this.#parameters.index('extent', first.extent, { of: 'extent', group: first }), 1, (i) => {
      this.#addresses.bind(first, i)
      this.#nested(new Level(parent, first.members), rest, body)
    })
  }

  /** Loops over groups, the last one in lanes where possible; what does not depend on them is computed before. */
  #loops(
    parent: Level,
    groups: readonly Group[],
    roots: readonly Expression[],
    addresses: readonly Affine[],
    body: () => void,
    lanes = true,
  ): void {
    const last = groups[groups.length - 1]
    if (!last) {
      this.#current = parent
      return body()
    }
    this.#values.hoist(parent, roots, addresses)
    this.#nested(parent, groups.slice(0, -1), (level) => {
      this.#innermost(
        level,
        last,
        ir.index(0),
        this.#parameters.index('extent', last.extent, { of: 'extent', group: last }),
        roots,
        addresses,
        body,
        lanes,
      )
    })
  }

  #innermost(
    parent: Level,
    group: Group,
    from: Expr,
    to: Expr,
    roots: readonly Expression[],
    addresses: readonly Affine[],
    body: (i: Expr) => void,
    lanes = true,
  ): void {
    this.#values.hoist(parent, roots, addresses)
    const dynamic = this.#hasGatherInside(parent, roots)
    const fill = (i: Expr): void => {
      this.#addresses.bindInnermost(group, i)
      this.#current = new Level(parent, group.members)
      body(i)
    }
    if (!lanes || dynamic) {
      this.#ir.loop('k', from, to, 1, fill)
      return
    }
    const inside = this.#values.insideRange(parent, group, roots, from, to)
    if (!inside) {
      this.#ir.vector('k', from, to, fill)
      return
    }
    // What lies in front of the range and behind it is tested element by element.
    this.#ir.loop('side', 0, 2, 1, (side) => {
      const isFirst = ir.eq(side, 0)
      const start = this.#ir.let('start', ir.select(isFirst, from, inside.end))
      this.#ir.loop('k', start, this.#ir.let('stop', ir.select(isFirst, inside.begin, to)), 1, fill)
    })
    this.#values.whereInside(() => this.#ir.vector('k', inside.begin, inside.end, fill))
  }

  #hasGatherInside(level: Level, roots: readonly Expression[]): boolean {
    return expressionsOf(roots).some((e) => e.kind === 'gather' && !covers(level.loops, e.index.loops))
  }

  /** Stores; a last loop of a few iterations is written out. */
  #storeTail(tail: Group | null): void {
    const level = this.#current!
    if (!tail) return this.#storeAll(level)
    this.#values.hoist(level, this.#layout.expressions, this.#layout.stores)
    for (let i = 0; i < tail.extent; i++) {
      this.#addresses.bind(tail, ir.index(i))
      this.#storeAll(new Level(level, tail.members))
    }
  }

  #storeAll(level: Level): void {
    const values = this.#layout.expressions.map((e) => this.#values.value(level, e))
    values.forEach((v, i) =>
      this.#ir.store(this.#sinkParameters[i]!, this.#addresses.address(level, this.#layout.stores[i]!), v),
    )
  }
}

/** First value of an accumulator. */
function startOf(r: Reduction): Expr {
  const scalar = valueScalar(r.x.dtype) === 'mask' ? 'i32' : (valueScalar(r.x.dtype) as 'i32' | 'i64' | 'f32' | 'f64')
  const floating = scalar === 'f32' || scalar === 'f64'
  const least = floating ? -Infinity : scalar === 'i64' ? -(2n ** 63n) : -(2 ** 31)
  const most = floating ? Infinity : scalar === 'i64' ? 2n ** 63n - 1n : 2 ** 31 - 1
  const start = { reduceSum: 0, reduceProd: 1, reduceMax: least, reduceMin: most, argmax: least, argmin: most }[
    r.op as 'reduceSum'
  ]
  return ir.constant(start, scalar)
}

/** A value as the accumulator holds it: masks as integers. */
function raw(r: Reduction, x: Expr): Expr {
  return r.x.dtype === 'bool' ? ir.convert(x, 'i32') : x
}

/** What an accumulator stands for as a value of the reduction's dtype. */
function asValue(r: Reduction, acc: Expr): Expr {
  return r.dtype === 'bool' ? ir.ne(acc, 0) : acc
}

function combine(r: Reduction, a: Expr, b: Expr): Expr {
  const op = accumulators[r.op]!
  if ((op === 'max' || op === 'min') && (a.type.scalar === 'f32' || a.type.scalar === 'f64')) {
    return ir.select(ir.or(ir.ne(a, a), ir.compare(op === 'max' ? 'gt' : 'lt', a, b)), a, b)
  }
  return ir.binary(op, a, b)
}
