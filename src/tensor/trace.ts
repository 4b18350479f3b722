/**
 * LONGZHOU_DEBUG: prints the stages of each new plan to standard error, and from 2 on where the time of each run went. 1 plans, 2 launches,
 * 3 kernels, 4 C, 5 the graph too.
 */
import { readEnvironment } from '../common/env.ts'
import type { Kernel } from '../codegen/kernel.ts'
import { printKernel } from '../codegen/print.ts'
import { printGraph } from '../graph/print.ts'
import { renderC } from '../render/c.ts'
import { formatKernels, summarizeKernels } from '../runtime/kernel-summary.ts'
import type { Capture } from '../schedule/capture.ts'
import type { Plan } from '../schedule/plan.ts'
import { printPlan } from '../schedule/print.ts'
import { observeRuns } from './profile.ts'

export const debugLevel: number = readEnvironment().debug

/** Kernels that are listed of each run. */
const listedKernels = 12

const say = (title: string, text: string): void => void process.stderr.write(`--- ${title}\n${text}\n`)

/** Prints where the time of each run from now on goes. */
function traceRuns(): void {
  observeRuns((run) => {
    const summary = summarizeKernels([run], run.backend.roof?.() ?? null)
    const { stepMs, rows } = summary
    say(
      `run of ${run.plan.steps.length} steps, ${stepMs.toFixed(2)} ms`,
      rows.length > 0 ? formatKernels(summary, listedKernels) : 'no kernels',
    )
  })
}

if (debugLevel >= 2) traceRuns()

export function traceStages(capture: Capture, plan: Plan, kernels: readonly Kernel[], vectorBytes: number): void {
  say(
    `plan ${capture.key}`,
    `${capture.nodes.length} nodes, ${plan.steps.length} steps, ${kernels.length} kernels, arena ${plan.arenaBytes} bytes`,
  )
  if (debugLevel >= 5) say('graph', printGraph(capture.nodes))
  if (debugLevel >= 2)
    say(
      'launches',
      printPlan(
        plan,
        kernels.map((k) => k.title),
      ),
    )
  if (debugLevel >= 3) say('kernels', kernels.map(printKernel).join('\n'))
  if (debugLevel >= 4) say('C', renderC(kernels, vectorBytes))
}
