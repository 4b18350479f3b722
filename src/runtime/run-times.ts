/** When the launches of a run began and ended: what profiles are made of. */
import type { Launch, Plan } from '../schedule/plan.ts'

/** One execution of a launch. Milliseconds on the clock of `performance.now()`. */
export interface LaunchTime {
  readonly launch: Launch
  /** Of the loop that the launch stands in; 0 outside loops. */
  readonly iteration: number
  readonly start: number
  readonly end: number
  /** Share of that time that is its own: less than 1 where loops ran beside each other. */
  readonly share: number
}

/**
 * Calls `visit` for each execution of a launch, in the order in which backends execute them, and `pause` behind everything that may run at the same
 * time.
 */
function forEachExecution(plan: Plan, visit: (launch: Launch, iteration: number) => void, pause: () => void): void {
  for (const step of plan.steps) {
    if (step.kind === 'launch') visit(step, 0)
    else for (let i = 0; i < step.count; i++) for (const launch of step.steps) visit(launch, i)
    if (step.kind === 'launch' || !step.besideNext) pause()
  }
}

/** Launches of which some ran at the same time, with their shares. */
function shared(launches: readonly Omit<LaunchTime, 'share'>[]): LaunchTime[] {
  const busy = launches.reduce((ms, l) => ms + l.end - l.start, 0)
  const began = launches.reduce((t, l) => Math.min(t, l.start), Infinity)
  const passed = launches.reduce((t, l) => Math.max(t, l.end), 0) - began
  const share = busy > passed ? passed / busy : 1
  return launches.map((l) => ({ ...l, share }))
}

/** Numbers that a timed run of a plan writes: start and end of the run, and of each execution of a launch. */
export function timeCount(plan: Plan): number {
  const executions = plan.steps.reduce((n, s) => n + (s.kind === 'launch' ? 1 : s.count * s.steps.length), 0)
  return 2 + 2 * executions
}

/** Times of one run. Milliseconds on the clock of `performance.now()`. */
export class RunTimes {
  readonly #values: Float64Array

  /** `values` as `timeCount` says, in milliseconds; 0 for what did not run since a fault ended the run. */
  constructor(values: Float64Array) {
    this.#values = values
  }

  get start(): number {
    return this.#values[0]!
  }

  get end(): number {
    return this.#values[1]!
  }

  /** Every execution of a launch of `plan`, whose run this was, in order. */
  launches(plan: Plan): LaunchTime[] {
    const out: LaunchTime[] = []
    let together: Omit<LaunchTime, 'share'>[] = []
    let at = 2
    forEachExecution(
      plan,
      (launch, iteration) => {
        const [start, end] = [this.#values[at]!, this.#values[at + 1]!]
        at += 2
        if (end > 0) together.push({ launch, iteration, start, end })
      },
      () => {
        for (const l of shared(together)) out.push(l)
        together = []
      },
    )
    return out
  }
}
