/** LONGZHOU_DEBUG: prints the stages of each new plan to standard error. 1 plans, 2 launches, 3 kernels, 4 C, 5 the graph too. */
import { readEnvironment } from '../common/env.ts'
import type { Kernel } from '../codegen/kernel.ts'
import { printKernel } from '../codegen/print.ts'
import { printGraph } from '../graph/print.ts'
import { renderC } from '../render/c.ts'
import type { Capture } from '../schedule/capture.ts'
import type { Plan } from '../schedule/plan.ts'
import { printPlan } from '../schedule/print.ts'

export const debugLevel: number = readEnvironment().debug

export function traceStages(capture: Capture, plan: Plan, kernels: readonly Kernel[], vectorBytes: number): void {
  const say = (title: string, text: string): void => void process.stderr.write(`--- ${title}\n${text}\n`)
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
