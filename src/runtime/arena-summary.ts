/** What fills the arena of a plan: the values that are alive where the most bytes are, which is what its size comes from. */
import { formatTable } from '../common/table.ts'
import type { ArenaValue } from '../schedule/plan.ts'

export interface ArenaPeak {
  /** The step of the plan at which most bytes must stay. */
  readonly step: number
  readonly bytes: number
  /** What stays then, the largest first; equal ones next to each other. */
  readonly values: readonly ArenaValue[]
}

/** The step at which the values of a plan take most, and what they are. */
export function arenaPeak(values: readonly ArenaValue[]): ArenaPeak {
  const changes = new Map<number, number>()
  const change = (step: number, bytes: number): void => void changes.set(step, (changes.get(step) ?? 0) + bytes)
  for (const v of values) {
    change(v.first, v.bytes)
    change(v.last + 1, -v.bytes)
  }
  let [step, bytes, now] = [0, 0, 0]
  for (const [at, by] of [...changes].sort((a, b) => a[0] - b[0])) {
    now += by
    if (now > bytes) [step, bytes] = [at, now]
  }
  const alive = values.filter((v) => v.first <= step && step <= v.last)
  return { step, bytes, values: alive.toSorted((a, b) => b.bytes - a.bytes || order(a, b)) }
}

const order = (a: ArenaValue, b: ArenaValue): number => (a.what < b.what ? -1 : a.what > b.what ? 1 : a.first - b.first)

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2)

/** The peak as a table: equal values in one line, with the steps of the first of them. Lines below `leastShare` of the peak are summed up. */
export function formatArena({ step, bytes, values }: ArenaPeak, arenaBytes: number, leastShare = 0.002): string {
  const lines = new Map<string, { count: number; sum: number; value: ArenaValue }>()
  for (const value of values) {
    const key = [value.bytes, value.what, value.maker, value.reader].join('\n')
    const line = lines.get(key)
    if (line) Object.assign(line, { count: line.count + 1, sum: line.sum + value.bytes })
    else lines.set(key, { count: 1, sum: value.bytes, value })
  }
  const all = [...lines.values()].sort((a, b) => b.sum - a.sum)
  const shown = all.filter((l) => l.sum >= leastShare * bytes)
  const others = all.slice(shown.length).reduce((n, l) => n + l.sum, 0)
  const rows = shown.map(({ count, sum, value: v }) => [
    megabytes(sum),
    String(count),
    `${v.first}-${v.last}`,
    v.what,
    `${v.maker} -> ${v.reader}`,
  ])
  const table = [
    ['MB', 'values', 'steps', 'what', 'kernels that write it first and touch it last'],
    ...rows,
    [megabytes(others), '', '', `${all.length - shown.length} more`, ''],
  ]
  return `${formatTable(table, ['right', 'right', 'right'])}\n${megabytes(bytes)} MB at step ${step}; the arena takes ${megabytes(arenaBytes)} MB`
}
