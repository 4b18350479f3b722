/**
 * Vector loops become loops over lanes and a scalar tail, for dialects whose compiler does not do it. Each index expression is judged by
 * its stride in the loop variable: 0 is one value for all lanes, 1 a contiguous load, another stride that the loop does not change a
 * gather; an unknown one leaves the loop as it is. Accumulators get lanes of their own, joined after the loop. Results are those of the
 * scalar loop up to the order of accumulation.
 */
import { lt, rem, sub, variable } from './builder.ts'
import type { Expr, Kernel, Stmt } from './kernel.ts'
import { isConstant, LaneBody, type ForStmt } from './lane-body.ts'
import { flatten, isAtom } from './walk.ts'

export interface VectorizeOptions {
  /** Lanes of a vector register. */
  readonly lanes: number
  /** Whether lanes can be stored to bool, uint8, int8, float16 and bfloat16. */
  readonly narrowStores: boolean
}

/** Registers that a loop with accumulators fills at once, so that one addition need not wait for the one before. */
const accumulatorRegisters = 4

/** The same kernel without vector loops: those that can be are loops over lanes and a tail, the others sequential. */
export function vectorize(kernel: Kernel, options: VectorizeOptions): Kernel {
  const names = new Set(flatten(kernel.body).flatMap((s) => ('name' in s ? [s.name] : [])))
  const block = (statements: readonly Stmt[]): Stmt[] => statements.flatMap(statement)
  const statement = (s: Stmt): readonly Stmt[] => {
    if (s.kind === 'if') return [{ ...s, then: block(s.then), else: block(s.else) }]
    if (s.kind !== 'for') return [s]
    if (s.loop === 'vector') {
      const made = laneLoops(kernel, s, options, names)
      if (made) return made
      return [{ ...s, loop: 'sequential', body: block(s.body) }]
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
  const accumulates = inner.some((x) => x.kind === 'accumulate' && !own.has(x.name))
  const widths = accumulates ? [options.lanes * accumulatorRegisters, options.lanes] : [options.lanes]
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
  for (const lanes of widths) {
    const converted = new LaneBody(kernel, s, lanes, options.narrowStores, own, unique).convert()
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

function isSame(a: Expr, b: Expr): boolean {
  return a.kind === 'const' && isConstant(b, Number(a.value))
}
