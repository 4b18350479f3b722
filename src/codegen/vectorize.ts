/**
 * Vector loops become loops over lanes, with a last vector that overlaps or a scalar tail, instead of leaving that to a dialect's compiler. Each index expression is judged by
 * its stride in the loop variable: 0 is one value for all lanes, 1 a contiguous load, another stride that the loop does not change a
 * gather; an unknown one leaves the loop as it is. Accumulators get lanes of their own, joined after the loop. Results are those of the
 * scalar loop up to the order of accumulation.
 */
import { ge, lt, min, rem, sub, variable } from './builder.ts'
import type { Expr, Kernel, Stmt } from './kernel.ts'
import { isConstant, LaneBody, type ForStmt, type LaneOptions } from './lane-body.ts'
import { flatten, isAtom } from './walk.ts'

export interface VectorizeOptions extends LaneOptions {
  /** Lanes of the loops, the widest first. */
  readonly lanes: readonly number[]
  /** Registers that a loop with accumulators fills at once, so that one addition need not wait for the one before. */
  readonly accumulatorRegisters: number
  /** What becomes of vector loops that cannot be loops over lanes: left to the dialect's compiler (`vector`), or plain loops. */
  readonly otherwise: 'vector' | 'sequential'
}

/** The same kernel, with loops over lanes and a tail for the vector loops that can be. */
export function vectorize(kernel: Kernel, options: VectorizeOptions): Kernel {
  const names = new Set(flatten(kernel.body).flatMap((s) => ('name' in s ? [s.name] : [])))
  const block = (statements: readonly Stmt[]): Stmt[] => statements.flatMap(statement)
  const statement = (s: Stmt): readonly Stmt[] => {
    if (s.kind === 'if') return [{ ...s, then: block(s.then), else: block(s.else) }]
    if (s.kind !== 'for') return [s]
    if (s.loop === 'vector') {
      const made = laneLoops(kernel, s, options, names)
      if (made) return made
      return [{ ...s, loop: options.otherwise, body: block(s.body) }]
    }
    return [{ ...s, body: block(s.body) }]
  }
  return { ...kernel, body: block(kernel.body) }
}

/** Loops over lanes, the widest first, and the scalar tail; null where the loop must stay scalar. */
function laneLoops(kernel: Kernel, s: ForStmt, options: VectorizeOptions, names: Set<string>): Stmt[] | null {
  const inner = flatten(s.body)
  if (s.step !== 1 || inner.some((x) => x.kind === 'for' && x.loop === 'vector')) return null
  const own = new Set(inner.flatMap((x) => (x.kind === 'declare' ? [x.name] : [])))
  const out: Stmt[] = []
  const unique = (name: string): string => {
    let n = 0
    while (names.has(n ? `${name}${n}` : name)) n++
    names.add(n ? `${name}${n}` : name)
    return n ? `${name}${n}` : name
  }
  const bind = (name: string, value: Expr): Expr => {
    if (isAtom(value)) return value
    const fresh = unique(name)
    out.push({ kind: 'let', name: fresh, value })
    return variable(fresh, value.type)
  }
  let from = bind(`${s.name}From`, s.from)
  const to = bind(`${s.name}To`, s.to)
  if (isRepeatable(kernel, inner)) {
    const made = overlappingLoops(kernel, s, options, own, unique, { from, to })
    return made && [...out, ...made]
  }
  const accumulates = inner.some((x) => x.kind === 'accumulate' && !own.has(x.name))
  const widest = options.lanes[0]! * options.accumulatorRegisters
  const widths = accumulates && widest > options.lanes[0]! ? [widest, ...options.lanes] : options.lanes
  for (const lanes of widths) {
    const converted = new LaneBody(kernel, s, lanes, options, own, unique).convert()
    if (!converted) return null
    const end = bind(`${s.name}End`, sub(to, rem(sub(to, from), lanes)))
    if (isSame(from, end)) continue
    const main: Stmt[] = [
      ...converted.before,
      { kind: 'for', loop: 'sequential', name: s.name, from, to: end, step: lanes, body: converted.body },
      ...converted.after,
    ]
    if (converted.before.length > 0) out.push({ kind: 'if', condition: lt(from, end), then: main, else: [] })
    else out.push(...main)
    from = end
  }
  if (!isSame(from, to)) out.push({ ...s, loop: 'sequential', from, to })
  return out
}

/**
 * Whether iterations may run twice: what a kernel reads it does not write, and nothing is accumulated. The last vector of a loop then
 * overlaps the one before, instead of a tail.
 */
function isRepeatable(kernel: Kernel, inner: readonly Stmt[]): boolean {
  const isWritten = (parameter: number): boolean => {
    const p = kernel.parameters[parameter]!
    return p.kind === 'buffer' && p.access === 'write'
  }
  return inner.every((s) => s.kind === 'let' || (s.kind === 'store' && isWritten(s.buffer)))
}

/** For each width a loop whose last iteration begins where its vector ends with the loop; which one runs is decided by the length. */
function overlappingLoops(
  kernel: Kernel,
  s: ForStmt,
  options: VectorizeOptions,
  own: ReadonlySet<string>,
  unique: (name: string) => string,
  { from, to }: { readonly from: Expr; readonly to: Expr },
): Stmt[] | null {
  let rest: Stmt[] = [{ ...s, loop: 'sequential', from, to }]
  const length = sub(to, from)
  const known = length.kind === 'const' ? Number(length.value) : null
  for (const lanes of [...options.lanes].sort((a, b) => a - b)) {
    const converted = new LaneBody(kernel, s, lanes, options, own, unique).convert()
    if (!converted) return null
    if (known !== null && known < lanes) continue
    if (known !== null && known % lanes === 0) {
      rest = [{ ...s, loop: 'sequential', from, to, step: lanes, body: converted.body }]
      continue
    }
    const at = unique(`${s.name}At`)
    const clamped = min(variable(at, s.from.type), sub(to, lanes))
    const body: Stmt[] = [{ kind: 'let', name: s.name, value: clamped }, ...converted.body]
    const loop: Stmt = { kind: 'for', loop: 'sequential', name: at, from, to, step: lanes, body }
    rest = known === null ? [{ kind: 'if', condition: ge(length, lanes), then: [loop], else: rest }] : [loop]
  }
  return rest
}

function isSame(a: Expr, b: Expr): boolean {
  return a.kind === 'const' && isConstant(b, Number(a.value))
}
