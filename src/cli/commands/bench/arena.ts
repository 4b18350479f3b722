/** `longzhou bench --arena WORKLOAD`: what the memory of a training step is taken by, where it takes most. */
import { InternalError } from '../../../common/errors.ts'
import { arenaPeak, type ArenaPeak } from '../../../runtime/arena-summary.ts'
import type { Plan } from '../../../schedule/plan.ts'
import { observePlans } from '../../../tensor/profile.ts'
import { prepareWorkload, type StepSettings, type Workload } from './workloads.ts'

/** The largest plan of a workload's first step, and what is alive at its peak. Plans must not be read from disk. */
export async function arenaOf(
  workload: Workload,
  settings: StepSettings,
): Promise<{ readonly plan: Plan; readonly peak: ArenaPeak }> {
  const step = await prepareWorkload(workload, settings)
  const plans: Plan[] = []
  const end = observePlans(({ plan }) => void plans.push(plan), { listsArena: true })
  await step()
  end()
  if (plans.length === 0) throw new InternalError('a first step made no plan')
  const plan = plans.reduce((a, b) => (b.arenaBytes > a.arenaBytes ? b : a))
  return { plan, peak: arenaPeak(plan.values ?? []) }
}
