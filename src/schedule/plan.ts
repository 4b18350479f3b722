/**
 * A plan: launches of kernels in order, over leaves, outputs and one arena of intermediates. Everything that depends on sizes is
 * in its numbers; the kernels depend on structure only.
 */
import type { Shape } from '../common/shape.ts'

/** Where an argument's memory is; `step` bytes are added for each iteration of the loop that the launch stands in. */
export type BufferRef = {
  readonly space: 'leaf' | 'output' | 'arena'
  /** Number of the leaf or output; 0 for the arena. */
  readonly slot: number
  readonly byteOffset: number
  readonly step: number
}

export type Argument =
  | { readonly kind: 'buffer'; readonly ref: BufferRef }
  /** A size, stride, or scratch marker. */
  | { readonly kind: 'index'; readonly value: number }
  /** A number of the program. */
  | { readonly kind: 'number'; readonly value: number | bigint }
  /** A number of the run: scalar `slot` of the capture. */
  | { readonly kind: 'scalar'; readonly slot: number }
  | { readonly kind: 'scratch' }

export interface Launch {
  readonly kind: 'launch'
  /** Number of the kernel in the list that goes with the plan. */
  readonly kernel: number
  readonly arguments: readonly Argument[]
  /** Iterations of the parallel loop. */
  readonly extent: number
  /** Iterations that a thread takes at a time; at least 1. */
  readonly grain: number
  readonly scratchBytes: number
  /** Floating-point operations and bytes moved, for profiles. */
  readonly flops: number
  readonly bytes: number
  /** Shapes of the result and, of a contraction, of its operands, for profiles. */
  readonly shapes?: readonly Shape[]
}

/** Launches repeated `count` times. */
export interface Loop {
  readonly kind: 'loop'
  readonly count: number
  readonly steps: readonly Launch[]
  /** The step behind this one is a loop that needs nothing of it and takes about as long: they may run at the same time. */
  readonly besideNext: boolean
}

/** A value in the arena, for listings. */
export interface ArenaValue {
  readonly bytes: number
  readonly byteOffset: number
  /** Steps of the plan between which it must stay, both included. */
  readonly first: number
  readonly last: number
  /** What it is: op, dtype and shape, or what a kernel keeps for itself. */
  readonly what: string
  /** Titles of the kernels that write it first and that touch it last. */
  readonly maker: string
  readonly reader: string
}

/** Holds no tensors and no nodes: a cached plan keeps nothing of the run that made it alive. */
export interface Plan {
  readonly steps: readonly (Launch | Loop)[]
  readonly arenaBytes: number
  /** What lies in the arena; absent unless somebody asked for it when the plan was made. */
  readonly values?: readonly ArenaValue[]
}

/** All launches of a plan, those of loops once. */
export function launchesOf(plan: Plan): Launch[] {
  return plan.steps.flatMap((s) => (s.kind === 'loop' ? s.steps : [s]))
}

/** The memory that launches of a plan name, as often as they do. */
export function buffersOf(plan: Plan): BufferRef[] {
  return launchesOf(plan).flatMap((l) => l.arguments.flatMap((a) => (a.kind === 'buffer' ? [a.ref] : [])))
}
