/** What the printing of a loop depends on: what it adds up, whether its lanes are written out, and what it reads only at times. */
import type { ReduceIr, Stmt } from '../codegen/kernel.ts'
import { expressionsOf, flatten, some } from '../codegen/walk.ts'

/** Accumulations of variables that are declared outside the statements. */
export function outerAccumulations(body: readonly Stmt[]): Map<string, ReduceIr> {
  const found = new Map<string, ReduceIr>()
  const own = new Set<string>()
  const visit = (statements: readonly Stmt[]): void => {
    for (const s of statements) {
      if (s.kind === 'declare') own.add(s.name)
      else if (s.kind === 'accumulate') found.set(s.name, s.op)
      else if (s.kind === 'for') visit(s.body)
      else if (s.kind === 'if') [s.then, s.else].forEach(visit)
    }
  }
  visit(body)
  for (const name of own) found.delete(name)
  return found
}

/** Whether values are vectors already: then the compiler has nothing left to vectorise. */
export function usesLanes(body: readonly Stmt[]): boolean {
  return body.some((s) => {
    if (s.kind === 'for') return usesLanes(s.body)
    if (s.kind === 'if') return usesLanes(s.then) || usesLanes(s.else)
    return 'value' in s && s.value.type.lanes > 1
  })
}

/**
 * Whether an address in memory depends on a condition, as `p[inside ? at : 0]`. gcc 12 vectorises two such loads of neighbours, where it is made to,
 * as one load without the condition: wrong values, and reads outside of memory.
 */
export function loadsByCondition(body: readonly Stmt[]): boolean {
  return flatten(body)
    .flatMap(expressionsOf)
    .some((e) => some(e, (x) => x.kind === 'load' && some(x.at, (y) => y.kind === 'select')))
}
