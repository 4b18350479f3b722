/** A plan under construction: launches whose temporaries have no places in memory yet. */
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
}

export type PendingStep = PendingLaunch | PendingLoop
