/** Who wants to know when plans were made, and when they and their launches ran. While nobody does, runs are not timed. */
import type { Backend } from '../runtime/backend.ts'
import type { TimedRun } from '../runtime/kernel-summary.ts'
import type { Plan } from '../schedule/plan.ts'

/** One run of a plan. Milliseconds on the clock of `performance.now()`. */
export interface ProfiledRun extends TimedRun {
  readonly backend: Backend
  /** When the run was handed to the device, where it waits for those before it. */
  readonly submitted: number
  /** What ended the run early; null where it ran through. */
  readonly fault: Error | null
}

export type RunListener = (run: ProfiledRun) => void

const listeners = new Set<RunListener>()

/** Whether runs that start now should be timed. */
export function isProfiling(): boolean {
  return listeners.size > 0
}

/** Tells `listener` of each run that starts from now on, when it has ended, in order. Returns what ends it. */
export function observeRuns(listener: RunListener): () => void {
  // Wrapped: who observes twice with one function is told twice.
  const own: RunListener = (run) => listener(run)
  listeners.add(own)
  return () => void listeners.delete(own)
}

export function noteRun(run: ProfiledRun): void {
  for (const listener of listeners) listener(run)
}

/** A plan that this process did not know before, and the time that it took the JS thread; compiling comes on top. */
export interface PlanMade {
  readonly backend: Backend
  readonly plan: Plan
  readonly ms: number
  /** Whether it was read from disk, where another process had left it. */
  readonly recalled: boolean
}

export type PlanListener = (made: PlanMade) => void

export interface ObserveOptions {
  /** Whether plans list what lies in their arenas, which takes time to put into words. Default false. */
  readonly listsArena?: boolean
}

const planListeners = new Map<PlanListener, ObserveOptions>()

/** Tells `listener` of each plan that is made from now on. Returns what ends it. */
export function observePlans(listener: PlanListener, options: ObserveOptions = {}): () => void {
  const own: PlanListener = (made) => listener(made)
  planListeners.set(own, options)
  return () => void planListeners.delete(own)
}

export function notePlan(made: PlanMade): void {
  for (const listener of planListeners.keys()) listener(made)
}

/** Whether somebody wants to see what lies in the arenas of plans. */
export function isArenaListed(): boolean {
  return [...planListeners.values()].some((o) => o.listsArena)
}
