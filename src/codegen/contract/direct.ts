/**
 * Contractions that are no matrix products because one operand has no free letters (depthwise convolutions and their gradients,
 * matrix times vector, sums of elementwise products): loops over memory in order, with vectors along one letter. That letter is free (each
 * lane sums for itself) or contracted (lanes are added at the end). An operand with windows is copied plane by plane to scratch, with zeros
 * around it, so that no window needs a test.
 */
import {
  add,
  constant,
  div,
  fma,
  ge,
  index,
  load,
  min,
  mul,
  reduceLanes,
  rem,
  splat,
  sub,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { originOf, type AffineDim } from './affine.ts'
import { Assembler, isStride } from './assembler.ts'
import { FlatAxes, mergeAxes } from './axes.ts'
import { registerTile } from './blocking.ts'
import {
  needsPlane,
  planeOf,
  schemeOf,
  structureOf,
  type DirectProblem,
  type Loop,
  type Plane,
  type Scheme,
} from './direct-scheme.ts'
import { epilogueOf, resultView, type StepList } from './form.ts'
import { copyRows, type CopyAxis } from './relayout.ts'
import { ResultStore } from './store.ts'

/** Vectors that one pass over the summed letters feeds. */
const UNROLL = 4
/** Tasks that one long vector axis is cut into where nothing else is parallel. */
const AXIS_TASKS = 16
const GRAIN_FLOPS = 100_000

/** Writes the step of one case, or returns false where the plain loop nest has to do. */
export function lowerDirect(d: DirectProblem, list: StepList): boolean {
  const isNeeded = needsPlane(d)
  const plane = isNeeded ? planeOf(d) : null
  if (isNeeded && plane === null) return false
  const scheme = schemeOf(d, plane)
  if (!scheme) return false
  new DirectKernel(d, plane, scheme).emit(list)
  return true
}

/** Offsets in the windowed operand (or its plane), the other operand, the result, and the epilogue's operands. */
type Offsets = readonly Expr[]

interface LoopParameters {
  readonly size: Expr
  readonly strides: readonly Expr[]
  readonly phase: { readonly step: number; readonly phases: number; readonly run: Expr } | null
}

interface ScratchPlace {
  readonly buffer: BufferParameter
  readonly at: Expr
}

interface Range {
  readonly from: Expr
  readonly to: Expr
}

class DirectKernel {
  private readonly k: Assembler
  private readonly d: DirectProblem
  private readonly plane: Plane | null
  private readonly scheme: Scheme
  private readonly lanes: number
  private readonly source: BufferParameter
  private readonly other: BufferParameter
  private readonly result: ResultStore
  private readonly views: number
  private planeBuffer: BufferParameter | null = null

  constructor(d: DirectProblem, plane: Plane | null, scheme: Scheme) {
    this.d = d
    this.plane = plane
    this.scheme = scheme
    this.lanes = registerTile(d.problem.capabilities).lanes
    this.k = new Assembler(`direct ${this.lanes} ${structureOf(plane, scheme)}`, d.title)
    this.source = this.k.memory(d.windowed.view.memory, d.windowed.view.dtype, 'read')
    this.other = this.k.memory(d.other.view.memory, d.other.view.dtype, 'read')
    const { problem } = d
    this.result = new ResultStore(this.k, resultView(problem, originOf(d.case.out)), epilogueOf(problem, d.case.out))
    this.views = 2 + this.result.views
  }

  emit(list: StepList): void {
    const { k, plane, scheme, views } = this
    const { vector } = scheme
    const taskAxes = mergeAxes(scheme.tasks, views)
    const tasks = new FlatAxes(k, taskAxes, views)
    const taskCount = taskAxes.reduce((n, a) => n * a.size, 1)
    const cut = !scheme.contracted && plane === null && taskCount < AXIS_TASKS
    const block = cut ? Math.max(UNROLL, Math.ceil(vector.size / AXIS_TASKS / this.lanes)) * this.lanes : vector.size
    const blocks = Math.max(1, Math.ceil(vector.size / Math.max(1, block)))
    const [vectorSize, blockSize, blockCount] = [vector.size, Math.max(1, block), blocks].map((n) => k.size(n)) as [
      Expr,
      Expr,
      Expr,
    ]
    const otherOffset = k.size(this.d.other.view.offset + originOf(this.d.other.dims))
    const outer = plane
      ? this.d.windowed.dims.filter((dim) => dim !== plane.inner && dim !== plane.middle)
      : this.d.windowed.dims
    const sourceOffset = k.size(this.d.windowed.view.offset + originOf(outer))
    const planeSize = plane ? plane.rows * plane.run * plane.phases : 0
    const scratch = plane ? k.reserve('float32', planeSize) : null
    this.planeBuffer = scratch?.buffer ?? null
    // Lanes whose results are not neighbours, and sums that wait for the next plane.
    const resultCount = scheme.results.reduce((n, l) => n * l.size, 1)
    const waiting = k.reserve('float32', scheme.contracted ? resultCount : this.lanes)
    const copy = plane ? this.planeCopy(plane) : null
    const planeOrigin = plane ? k.size(this.originInPlane(plane)) : null
    const [around, results, summed] = [scheme.around, scheme.results, scheme.summed].map((l) => this.parameters(l)) as [
      LoopParameters[],
      LoopParameters[],
      LoopParameters[],
    ]
    const strides = vector.strides.map((s) => k.stride(s))
    const total = k.size(resultCount)

    const inPlane = (at: Offsets): Offsets =>
      scratch && planeOrigin ? [k.let('at', add(scratch.at, planeOrigin)), ...at.slice(1)] : at

    k.parallel('t', (t) => {
      const part = k.let('part', rem(t, blockCount))
      const located = tasks.locate(k, k.let('task', div(t, blockCount))).offsets
      const bases = located.map((o, v) => {
        const start = v === 0 ? sourceOffset : v === 1 ? otherOffset : this.result.offsets[v - 2]!
        return k.let('base', add(o, start))
      })
      const start = k.let('vectorFrom', mul(part, blockSize))
      const range = { from: start, to: k.let('vectorTo', min(add(start, blockSize), vectorSize)) }
      const eachResult = (base: Offsets, visit: (at: Offsets, number: Expr) => void): void => {
        const number = k.declare('number', index(0))
        this.loops(results, base, (at) => {
          visit(at, number)
          k.assign(number, add(number, 1))
        })
      }
      if (!scheme.contracted) {
        if (copy) copy(bases[0]!, scratch!)
        const from = inPlane(bases)
        this.loops(results, from, (at) => this.freeVector(at, strides, summed, range, waiting))
        return
      }
      k.loop('i', 0, total, 1, (i) => k.store(waiting.buffer, add(waiting.at, i), constant(0, 'f32')))
      this.loops(around, bases, (base) => {
        if (copy) copy(base[0]!, scratch!)
        eachResult(inPlane(base), (at, number) => {
          const sum = this.summedVector(at, strides, summed, range)
          const place = add(waiting.at, number)
          k.store(waiting.buffer, place, add(load(waiting.buffer, place), sum))
        })
      })
      eachResult(bases, (at, number) => {
        this.result.store(load(waiting.buffer, add(waiting.at, number)), at.slice(2), strides.slice(2), 1)
      })
    })

    const terms = [...scheme.around, ...scheme.summed, ...(scheme.contracted ? [vector] : [])].reduce(
      (n, l) => n * l.size,
      1,
    )
    const elements = taskCount * resultCount * (scheme.contracted ? 1 : vector.size)
    const flops = 2 * terms * elements
    const extent = taskCount * blocks
    if (extent === 0) return
    const bytes = 4 * (elements + taskCount * Math.max(planeSize, terms))
    list.steps.push(k.step(extent, GRAIN_FLOPS / (flops / extent + 1), flops, bytes))
  }

  /** Emits the copy of the plane that starts at `base` to the front of the scratch; returns where its elements start. */
  private planeCopy(plane: Plane): (base: Expr, scratch: ScratchPlace) => void {
    const { k } = this
    const axis = (dim: AffineDim, low: number, length: number): CopyAxis => ({
      size: k.size(dim.size),
      stride: k.stride(dim.stride),
      low: k.size(low),
      length: k.size(length),
    })
    const one: CopyAxis = { size: index(1), stride: index(0), low: index(0), length: index(1) }
    const middle = plane.middle ? axis(plane.middle, plane.low.middle, plane.rows) : one
    const inner = axis(plane.inner, plane.low.inner, plane.run * plane.phases)
    const run = plane.phases === 1 ? inner.length : k.size(plane.run)
    const zero = constant(0, 'f32')
    return (base, scratch) => {
      const place = { outerAt: base, outerInside: null, target: scratch.at }
      copyRows(k, { from: this.source, to: scratch.buffer, zero }, middle, inner, place, plane.phases, run)
    }
  }

  /** Offset in the plane of the element at which all letters are 0. */
  private originInPlane(plane: Plane): number {
    const middle = plane.middle ? (plane.middle.shift - plane.low.middle) * plane.run * plane.phases : 0
    return middle + (plane.phases === 1 ? plane.inner.shift - plane.low.inner : 0)
  }

  private parameters(loops: readonly Loop[]): LoopParameters[] {
    const { k, plane } = this
    return loops.map((l) => ({
      size: k.size(l.size),
      strides: l.strides.map((s) => k.stride(s)),
      phase: l.phasedStep > 0 ? { step: l.phasedStep, phases: plane!.phases, run: k.size(plane!.run) } : null,
    }))
  }

  /** Nested loops, with the offsets inside them. */
  private loops(loops: readonly LoopParameters[], base: Offsets, body: (at: Offsets) => void): void {
    const { k } = this
    const [first, ...rest] = loops
    if (!first) {
      body(base)
      return
    }
    const { phase } = first
    const [run, quotient] = phase ? [k.declare('phase', index(0)), k.declare('quotient', index(0))] : [null, null]
    k.loop('i', 0, first.size, 1, (i) => {
      const at = base.map((o, v) => k.let('at', add(o, mul(i, first.strides[v]!))))
      const here = phase ? [k.let('at', add(at[0]!, add(mul(run!, phase.run), quotient!))), ...at.slice(1)] : at
      this.loops(rest, here, body)
      if (!phase) return
      // The next tap's place among the interleaved runs.
      k.assign(run!, add(run!, phase.step % phase.phases))
      k.assign(quotient!, add(quotient!, Math.floor(phase.step / phase.phases)))
      k.if(ge(run!, phase.phases), () => {
        k.assign(run!, sub(run!, phase.phases))
        k.assign(quotient!, add(quotient!, 1))
      })
    })
  }

  private product(at: Offsets, strides: Offsets, v: Expr | number, lanes: number, sum: Expr): Expr {
    const [a, b] = [this.source, this.other].map((buffer, side) => {
      const stride = strides[side]!
      const from = side === 0 && this.plane ? this.planeBuffer! : buffer
      const where = add(at[side]!, mul(stride, v))
      if (lanes === 1 || isStride(stride, 1)) return load(from, where, lanes)
      return splat(load(from, where), lanes)
    }) as [Expr, Expr]
    return fma(a, b, sum)
  }

  /** Splits [from, to) into passes of several vectors, single vectors, and elements. */
  private passes(from: Expr, to: Expr, visit: (v: Expr, vectors: number, lanes: number) => void): void {
    const { k, lanes } = this
    const wide = UNROLL * lanes
    const wideEnd = k.let('wideEnd', sub(to, rem(sub(to, from), wide)))
    const vectorEnd = k.let('vectorEnd', sub(to, rem(sub(to, from), lanes)))
    k.loop('v', from, wideEnd, wide, (v) => visit(v, UNROLL, lanes))
    k.loop('v', wideEnd, vectorEnd, lanes, (v) => visit(v, 1, lanes))
    k.loop('v', vectorEnd, to, 1, (v) => visit(v, 1, 1))
  }

  /**
   * Splits [from, to) for results that may be computed twice: passes of several vectors, then as many as reach the end, the last of them back
   * from it. What is shorter than a vector is two halves of one that overlap, or single elements.
   */
  private overlappingPasses(from: Expr, to: Expr, visit: (starts: readonly Expr[], lanes: number) => void): void {
    const { k, lanes } = this
    const wide = UNROLL * lanes
    const count = k.let('count', sub(to, from))
    const half = lanes / 2
    /** Vectors of which the last ends where the range does. */
    const reaching = (first: Expr, vectors: number, width: number): void =>
      visit(
        Array.from({ length: vectors }, (_, u) => k.let('v', min(add(first, u * width), sub(to, width)))),
        width,
      )
    const elements = (): void => k.loop('v', from, to, 1, (v) => visit([v], 1))
    k.if(
      ge(count, lanes),
      () => {
        const wideEnd = k.let('wideEnd', sub(to, rem(count, wide)))
        k.loop('v', from, wideEnd, wide, (v) =>
          visit(
            Array.from({ length: UNROLL }, (_, u) => add(v, u * lanes)),
            lanes,
          ),
        )
        const rest = k.let('rest', sub(to, wideEnd))
        k.if(
          ge(rest, 2 * lanes + 1),
          () => reaching(wideEnd, UNROLL, lanes),
          () => k.if(ge(rest, 1), () => reaching(wideEnd, 2, lanes)),
        )
      },
      () => (half >= 4 ? k.if(ge(count, half), () => reaching(from, 2, half), elements) : elements()),
    )
  }

  /** Results along a free letter, each lane its own. */
  private freeVector(
    at: Offsets,
    strides: Offsets,
    summed: readonly LoopParameters[],
    r: Range,
    spill: ScratchPlace,
  ): void {
    const { k } = this
    const outStrides = strides.slice(2)
    this.overlappingPasses(r.from, r.to, (starts, lanes) => {
      const sums = starts.map(() => k.declare('sum', constant(0, 'f32', lanes)))
      this.loops(summed, at, (p) => {
        sums.forEach((sum, u) => k.assign(sum, this.product(p, strides, starts[u]!, lanes, sum)))
      })
      sums.forEach((sum, u) => {
        const where = at.slice(2).map((o, view) => k.let('at', add(o, mul(outStrides[view]!, starts[u]!))))
        if (lanes === 1 || isStride(outStrides[0]!, 1)) {
          this.result.store(sum, where, outStrides, lanes)
          return
        }
        k.store(spill.buffer, spill.at, sum)
        k.loop('lane', 0, lanes, 1, (lane) => {
          const each = where.map((o, view) => add(o, mul(outStrides[view]!, lane)))
          this.result.store(load(spill.buffer, add(spill.at, lane)), each, outStrides, 1)
        })
      })
    })
  }

  /** The sum along a contracted letter and the loops around it. */
  private summedVector(at: Offsets, strides: Offsets, summed: readonly LoopParameters[], r: Range): Expr {
    const { k, lanes } = this
    const sums = Array.from({ length: UNROLL }, () => k.declare('sum', constant(0, 'f32', lanes)))
    const rest = k.declare('rest', constant(0, 'f32'))
    this.loops(summed, at, (p) => {
      this.passes(r.from, r.to, (v, vectors, width) => {
        for (let u = 0; u < vectors; u++) {
          const sum = width === 1 ? rest : sums[u]!
          k.assign(sum, this.product(p, strides, add(v, u * width), width, sum))
        }
      })
    })
    const all = sums.reduce((x, y) => add(x, y))
    return k.let('total', add(reduceLanes('add', all), rest))
  }
}
