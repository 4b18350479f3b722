/**
 * The plain loop nest: any contraction, any dtype, any strides. One task per element of the result, loops over the letters that the
 * result lacks, a test for every windowed coordinate. It defines what the fast paths must give.
 */
import { isFloat, sizeOf, type DType } from '../../common/dtype.ts'
import { numel } from '../../common/shape.ts'
import type { ContractAxis, Window } from '../../graph/node.ts'
import {
  add,
  and,
  constant,
  div,
  eq,
  fma,
  ge,
  load,
  lt,
  mul,
  registerType,
  rem,
  sub,
  type BufferParameter,
} from '../builder.ts'
import type { Expr } from '../kernel.ts'
import { Assembler } from './assembler.ts'
import { isWindow, lettersOf } from './letters.ts'
import type { ContractProblem, StridedView } from './problem.ts'
import type { StepList } from './form.ts'

/** Elements of the result that a thread takes at a time. */
const GRAIN_FLOPS = 100_000

interface Operand {
  readonly axes: readonly ContractAxis[]
  readonly buffer: BufferParameter
  readonly offset: Expr
  readonly sizes: readonly Expr[]
  readonly strides: readonly Expr[]
}

export function lowerNest(problem: ContractProblem, title: string, list: StepList): void {
  const { spec, dtype, epilogue } = problem
  const k = new Assembler(`nest ${JSON.stringify(spec)}`, title)
  const outDType = problem.outDType ?? dtype
  const operand = (kind: 'lhs' | 'rhs' | 'out', type: DType): Operand => {
    const view: StridedView = problem[kind]
    return {
      axes: spec[kind],
      buffer: k.memory({ kind }, type, kind === 'out' ? 'write' : 'read'),
      offset: k.size(view.offset),
      sizes: view.shape.map((n) => k.size(n)),
      strides: view.strides.map((s) => k.stride(s)),
    }
  }
  const out = operand('out', outDType)
  const inputs = [operand('lhs', dtype), operand('rhs', dtype)]
  const besides = (epilogue?.operands ?? []).map((o, number) => ({
    buffer: k.memory({ kind: 'operand', number }, o.dtype, 'read'),
    offset: k.size(o.offset),
    strides: o.strides.map((s) => k.stride(s)),
  }))
  const results = (epilogue?.results ?? []).map((type, number) => k.memory({ kind: 'result', number }, type, 'write'))
  const scalars = k.scalars(epilogue)

  const letters = lettersOf(problem)
  const sizes = new Map(letters.map((l) => [l.letter, k.size(l.size)]))
  const windowsOfOut = spec.out.filter(isWindow)
  const derived = new Set(windowsOfOut.map((w) => w.position))
  const summed = letters.filter((l) => !spec.out.includes(l.letter) && !derived.has(l.letter))

  k.parallel('t', (t) => {
    const outCoordinates = takeApart(k, t, out.sizes)
    const coordinates = new Map<number, Expr>()
    spec.out.forEach((axis, i) => {
      if (!isWindow(axis)) coordinates.set(axis, outCoordinates[i]!)
    })
    const type = registerType(dtype)
    const sum = k.declare('sum', constant(0, type.scalar))
    const accumulate = (): void => {
      const [a, b] = inputs.map((o) => load(o.buffer, addressOf(k, o, coordinates))) as [Expr, Expr]
      k.assign(sum, isFloat(dtype) ? fma(a, b, sum) : add(mul(a, b), sum))
    }
    const loops = (n: number): void => {
      if (n < summed.length) {
        const { letter } = summed[n]!
        k.loop('s', 0, sizes.get(letter)!, 1, (i) => {
          coordinates.set(letter, i)
          loops(n + 1)
        })
        return
      }
      positionsInOut(k, spec.out, outCoordinates, coordinates, sizes, () =>
        insideWindows(k, inputs, coordinates, accumulate),
      )
    }
    loops(0)
    const flat = (strides: readonly Expr[], offset: Expr): Expr =>
      outCoordinates.reduce((at, c, i) => add(at, mul(c, strides[i]!)), offset)
    const values = besides.map((o) => k.let('operand', load(o.buffer, flat(o.strides, o.offset))))
    const at = k.let('at', flat(out.strides, out.offset))
    const given = epilogue ? epilogue.build(k, sum, values, scalars) : [sum]
    given.forEach((v, n) => k.store(n === 0 ? out.buffer : results[n - 1]!, at, v))
  })

  const terms = letters
    .filter((l) => !derived.has(l.letter) && !spec.out.includes(l.letter))
    .reduce((n, l) => n * l.size, 1)
  const elements = numel(problem.out.shape)
  const bytes = sizeOf(dtype) * (numel(problem.lhs.shape) + numel(problem.rhs.shape)) + sizeOf(outDType) * elements
  list.steps.push(k.step(elements, GRAIN_FLOPS / (2 * terms + 1), 2 * terms * elements, bytes))
}

function takeApart(k: Assembler, flat: Expr, sizes: readonly Expr[]): Expr[] {
  const coordinates: Expr[] = new Array<Expr>(sizes.length)
  let rest = flat
  for (let i = sizes.length - 1; i >= 0; i--) {
    coordinates[i] = i === 0 ? rest : k.let('c', rem(rest, sizes[i]!))
    if (i > 0) rest = k.let('q', div(rest, sizes[i]!))
  }
  return coordinates
}

const reach = (window: Window, position: Expr, tap: Expr): Expr =>
  sub(add(mul(position, window.stride), mul(tap, window.dilation)), window.padding)

function addressOf(k: Assembler, o: Operand, coordinates: ReadonlyMap<number, Expr>): Expr {
  let at = o.offset
  o.axes.forEach((axis, i) => {
    const c = isWindow(axis)
      ? reach(axis, coordinates.get(axis.position)!, coordinates.get(axis.tap)!)
      : coordinates.get(axis)!
    at = add(at, mul(c, o.strides[i]!))
  })
  return k.let('at', at)
}

/** Solves coordinate = position * stride + tap * dilation - padding for the positions of the result's windows. */
function positionsInOut(
  k: Assembler,
  axes: readonly ContractAxis[],
  out: readonly Expr[],
  coordinates: Map<number, Expr>,
  sizes: ReadonlyMap<number, Expr>,
  body: () => void,
): void {
  let condition: Expr | null = null
  const test = (c: Expr): void => {
    condition = condition ? and(condition, c) : c
  }
  axes.forEach((axis, i) => {
    if (!isWindow(axis)) return
    const scaled = k.let('scaled', sub(add(out[i]!, axis.padding), mul(coordinates.get(axis.tap)!, axis.dilation)))
    const position = k.let('position', div(scaled, axis.stride))
    if (axis.stride !== 1) test(eq(rem(scaled, axis.stride), 0))
    test(and(ge(scaled, 0), lt(position, sizes.get(axis.position)!)))
    coordinates.set(axis.position, position)
  })
  if (condition) k.if(condition, body)
  else body()
}

function insideWindows(
  k: Assembler,
  operands: readonly Operand[],
  coordinates: ReadonlyMap<number, Expr>,
  body: () => void,
): void {
  let condition: Expr | null = null
  for (const o of operands) {
    o.axes.forEach((axis, i) => {
      if (!isWindow(axis)) return
      const c = k.let('c', reach(axis, coordinates.get(axis.position)!, coordinates.get(axis.tap)!))
      const inside = and(ge(c, 0), lt(c, o.sizes[i]!))
      condition = condition ? and(condition, inside) : inside
    })
  }
  if (condition) k.if(condition, body)
  else body()
}
