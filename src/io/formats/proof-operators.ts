/** Which operator of a program parts first from the same one in another program, or in another runtime. */
import type { HostArray } from '../../common/dtype.ts'
import { sameShape } from '../../common/shape.ts'
import { placeOf, slotNames, type Operation, type OperatorProgram } from './program/program.ts'

/** Outputs of a program for a sample, in order. */
export type RunProgram = (program: OperatorProgram) => Promise<readonly HostArray[]>

type Measure = (a: HostArray, b: HostArray) => number

/** An operation's place in words, and how far its first result is from the other's. */
export interface OperatorDifference {
  readonly place: string
  readonly difference: number
}

interface Compared {
  readonly place: string
  readonly own: string
  readonly other: string
}

/** The first operation whose result differs by more than `tolerance` in what `theirs` makes of the same program; null: none. */
export function firstInRuntime(
  program: OperatorProgram,
  ours: RunProgram,
  theirs: RunProgram,
  measure: Measure,
  tolerance: number,
): Promise<OperatorDifference | null> {
  const pairs = program.operations.flatMap((o, i) => {
    const name = firstResult(o)
    return name === undefined ? [] : [{ place: placeOf(o, i), own: name, other: name }]
  })
  return first(pairs, [program, ours], [program, theirs], measure, tolerance)
}

/**
 * The first operation of `program` whose counterpart in `other`, a program that says the same, gives something else: the one of the same origin that
 * `other` was recorded from, else of a type that both have equally often, the one of the same number.
 */
export function firstInProgram(
  program: OperatorProgram,
  other: OperatorProgram,
  run: RunProgram,
  measure: Measure,
  tolerance: number,
): Promise<OperatorDifference | null> {
  // Results of another shape are those of another operation.
  const ofSameShape: Measure = (a, b) => (sameShape(a.shape, b.shape) ? measure(a, b) : 0)
  return first(counterparts(program, other), [program, run], [other, run], ofSameShape, tolerance)
}

function counterparts(program: OperatorProgram, other: OperatorProgram): Compared[] {
  const recorded = new Map(other.operations.map((o) => [o.origin?.replace(/^[^:]*: /, ''), firstResult(o)] as const))
  const [own, theirs] = [byType(program), byType(other)]
  return program.operations.flatMap((o, i) => {
    const place = placeOf(o, i)
    const [mine, others] = [own.get(o.type)!, theirs.get(o.type) ?? []]
    const match =
      recorded.get(place) ?? (mine.length === others.length ? firstResult(others[mine.indexOf(o)]!) : undefined)
    const name = firstResult(o)
    return name === undefined || match === undefined ? [] : [{ place, own: name, other: match }]
  })
}

function byType({ operations }: OperatorProgram): Map<string, Operation[]> {
  const found = new Map<string, Operation[]>()
  for (const o of operations) found.set(o.type, [...(found.get(o.type) ?? []), o])
  return found
}

const firstResult = ({ outputs }: Operation): string | undefined => Object.values(outputs).flatMap(slotNames)[0]

async function first(
  pairs: readonly Compared[],
  [program, run]: readonly [OperatorProgram, RunProgram],
  [otherProgram, runOther]: readonly [OperatorProgram, RunProgram],
  measure: Measure,
  tolerance: number,
): Promise<OperatorDifference | null> {
  if (pairs.length === 0) return null
  const asOutputs = (names: readonly string[]) => names.map((name) => ({ name, value: name }))
  const own = await run({ ...program, outputs: asOutputs(pairs.map((p) => p.own)) })
  const others = await runOther({ ...otherProgram, outputs: asOutputs(pairs.map((p) => p.other)) })
  for (const [i, { place }] of pairs.entries()) {
    const difference = measure(own[i]!, others[i]!)
    if (difference > tolerance) return { place, difference }
  }
  return null
}
