/** Plans as text: the launches in order, with where each argument lives. */
import type { Argument, Launch, Plan } from './plan.ts'

function argument(a: Argument): string {
  switch (a.kind) {
    case 'buffer': {
      const { space, slot, byteOffset, step } = a.ref
      const where = space === 'arena' ? `arena+${byteOffset}` : `${space}${slot}${byteOffset ? `+${byteOffset}` : ''}`
      return step ? `${where}(${step > 0 ? '+' : ''}${step} each)` : where
    }
    case 'index':
    case 'number':
      return String(a.value)
    case 'scalar':
      return `scalar${a.slot}`
    case 'scratch':
      return 'scratch'
  }
}

function launch(l: Launch, titles: readonly string[], indent: string): string {
  return `${indent}${titles[l.kernel]}  x${l.extent} by ${l.grain}  (${l.arguments.map(argument).join(', ')})`
}

/** One line a launch; `titles` are those of the kernels. */
export function printPlan(plan: Plan, titles: readonly string[]): string {
  const lines = plan.steps.flatMap((s) =>
    s.kind === 'launch'
      ? [launch(s, titles, '')]
      : [`loop x${s.count}${s.besideNext ? ', beside the next' : ''}`, ...s.steps.map((l) => launch(l, titles, '  '))],
  )
  return [...lines, `arena ${plan.arenaBytes} bytes`].join('\n')
}
