/**
 * Loops over time or over columns: a step written as ordinary code over nodes becomes the body of one `scan`. What the step
 * takes from outside (weights, masks) becomes a constant of the loop, and what does not depend on the step is computed once, before it.
 */
import { InternalError } from '../common/errors.ts'
import { constant, constantValue, param, scan, substitute, where } from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import { topologicalOrder, type Node } from '../graph/node.ts'
import { constantLike } from './promotion.ts'

/** What a step makes of the carried states and of one slice of each sequence. */
export type LoopStep = (
  states: Node[],
  slices: Node[],
) => { readonly states: readonly Node[]; readonly outputs: readonly Node[] }

export interface LoopOptions {
  /** Runs from the last slice to the first. Default false. */
  readonly reverse?: boolean
  /** [T, B] of bool: where false, the states of that batch entry stay as they are. */
  readonly mask?: Node | null
  /** Outputs are 0 where the mask is false. Default false. */
  readonly zeroPadding?: boolean
}

export interface LoopResult {
  readonly states: Node[]
  /** Stacked on axis 0 in the order of time, whatever the direction. */
  readonly outputs: Node[]
}

/** Runs `step` for each slice (axis 0) of the sequences. States of masked loops have the batch on axis 0. */
export function runLoop(
  step: LoopStep,
  initial: readonly Node[],
  sequences: readonly Node[],
  options: LoopOptions = {},
): LoopResult {
  const mask = options.mask ?? null
  const stacked = mask ? [...sequences, mask] : [...sequences]
  const length = stacked[0]?.shape[0]
  if (length === undefined) throw new InternalError('a loop needs a sequence')
  const states = initial.map((n, i) => param(i, n.dtype, n.shape))
  const slices = stacked.map((n, i) => param(states.length + i, n.dtype, n.shape.slice(1)))
  const made = step(states, slices.slice(0, sequences.length))
  let next = made.states
  let outputs = made.outputs
  if (mask) {
    const valid = slices[sequences.length]!
    const choose = (a: Node, b: Node): Node =>
      where(spread(valid, a.shape, a.shape.map((_, i) => i).slice(valid.shape.length)), a, b)
    next = next.map((n, i) => choose(n, states[i]!))
    if (options.zeroPadding) outputs = outputs.map((o) => choose(o, constantLike(o, 0)))
  }
  if (length === 0) return { states: [...initial], outputs: outputs.map((o) => constant(0, o.dtype, [0, ...o.shape])) }
  const results = [...next, ...outputs]
  const outer = invariants(results, new Set([...states, ...slices]))
  const constants = outer.map((n, i) => param(states.length + slices.length + i, n.dtype, n.shape))
  const body = {
    params: [...states, ...slices, ...constants],
    outputs: substitute(results, new Map(outer.map((n, i) => [n, constants[i]!]))),
  }
  const out = scan(body, initial, stacked, outer, length, options.reverse ?? false)
  return { states: out.slice(0, initial.length), outputs: out.slice(initial.length) }
}

/** The values that a step uses and that no argument of the step leads to. Numbers of the program stay inside. */
function invariants(results: readonly Node[], args: ReadonlySet<Node>): Node[] {
  const order = topologicalOrder(results, (n) => n.storage !== null || args.has(n))
  const varies = new Set<Node>(args)
  for (const n of order) if (n.sources.some((s) => varies.has(s))) varies.add(n)
  const outer = new Set<Node>()
  const note = (n: Node): void => {
    if (varies.has(n) || constantValue(n) !== null) return
    // Repeating is free inside the step and would cost memory outside.
    let value = n
    while (value.op === 'expand') value = value.sources[0]!
    outer.add(value)
  }
  for (const n of order) if (varies.has(n) && !args.has(n)) n.sources.forEach(note)
  results.forEach(note)
  return [...outer]
}
