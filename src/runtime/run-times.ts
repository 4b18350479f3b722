/** When the launches of a run began and ended: what profiles are made of. */
import type { Launch, Plan } from '../schedule/plan.ts'

/** One execution of a launch. Milliseconds on the clock of `performance.now()`. */
export interface LaunchTime {
  readonly launch: Launch
  /** Of the loop that the launch stands in; 0 outside loops. */
  readonly iteration: number
  readonly start: number
  readonly end: number
}

/** Calls `visit` for each execution of a launch, in the order in which backends execute them. */
function forEachExecution(plan: Plan, visit: (launch: Launch, iteration: number) => void): void {
  for (const step of plan.steps) {
    if (step.kind === 'launch') visit(step, 0)
    else for (let i = 0; i < step.count; i++) for (const launch of step.steps) visit(launch, i)
  }
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
    let at = 2
    forEachExecution(plan, (launch, iteration) => {
      const [start, end] = [this.#values[at]!, this.#values[at + 1]!]
      at += 2
      if (end > 0) out.push({ launch, iteration, start, end })
    })
    return out
  }
}
