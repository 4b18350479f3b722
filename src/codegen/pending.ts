/** A plan under construction: the graphs it is made of, and launches whose temporaries have no places in memory yet. */
import type { Node } from '../graph/node.ts'
import type { Launch } from '../schedule/plan.ts'
import type { StepArgument } from './step.ts'

/** Where a value is: a leaf or output by number, or a temporary whose place the memory plan finds. `step` bytes an iteration in loops. */
export interface Location {
  readonly space: 'leaf' | 'output' | 'temporary'
  readonly slot: number
  readonly byteOffset: number
  readonly step: number
}

export interface PendingLaunch extends Omit<Launch, 'arguments' | 'kind'> {
  readonly arguments: readonly StepArgument<Location>[]
}

export interface PendingLoop {
  readonly count: number
  readonly steps: readonly PendingLaunch[]
  /** See `Loop` in schedule/plan.ts. */
  readonly besideNext: boolean
}

export type PendingStep = PendingLaunch | PendingLoop

/** A graph to lower: a capture, or the body of a scan. */
export interface GraphPart {
  /** Sources first. */
  readonly nodes: readonly Node[]
  /** What is in memory from the start. */
  readonly given: ReadonlyMap<Node, Location>
  readonly results: readonly Result[]
}

export interface Result {
  readonly node: Node
  readonly place: Location
  /** Number of the leaf that the result overwrites, or -1. */
  readonly overwrites: number
}
