/** How products by tiles are cut into tasks, so that threads end together and little is split or packed by several of them. */
import { evenShare } from './blocking.ts'

/** Panels of rows and of columns. */
export interface Panels {
  readonly rows: number
  readonly columns: number
}

/**
 * What it takes to make words of a panel for one step, over a product of two panels: to split what was packed before into parts while tiles multiply, and to
 * pack what a task has for itself. Measured on AMX with random numbers.
 */
export const WORDS_COST = {
  split: { 1: 0, 2: 0, 3: 0.9 },
  pack: { 1: 2, 2: 1.4, 3: 1 },
} as const

/** Tasks a thread, at most, that cuts are looked for up to. */
const MOST = 8
/** Share of a task that threads wait for the last one, on the mean. */
const TAIL = 0.15

/**
 * The panels of a task, at most `most`, of `all` of each of `others` products, with which `threads` threads end first. `cost`: what a task takes, in any unit.
 */
export function cutTasks(
  all: Panels,
  most: Panels,
  others: number,
  threads: number,
  cost: (task: Panels) => number,
): Panels {
  const count = ({ rows, columns }: Panels): number => Math.ceil(all.rows / rows) * Math.ceil(all.columns / columns)
  const limit = Math.max(count(most), (MOST * threads) / others)
  let best = most
  let least = Infinity
  for (const rows of shares(all.rows, most.rows)) {
    if (count({ rows, columns: most.columns }) > limit) break
    for (const columns of shares(all.columns, most.columns)) {
      const task = { rows, columns }
      const tasks = count(task)
      if (tasks > limit) break
      const estimate = (Math.ceil((tasks * others) / threads) + (threads > 1 ? TAIL : 0)) * cost(task)
      if (estimate < least) [best, least] = [task, estimate]
    }
  }
  return best
}

/** Even shares of all, the largest first. */
function* shares(all: number, most: number): Generator<number> {
  for (let parts = Math.ceil(all / most), last = 0; parts <= all; parts++) {
    const share = evenShare(all, Math.ceil(all / parts))
    if (share !== last) yield share
    last = share
  }
}
