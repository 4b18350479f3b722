import { expect, test } from 'vitest'
import { cutTasks, type Panels } from './tile-tasks.ts'

const cost =
  (perRow: number, perColumn: number) =>
  ({ rows, columns }: Panels): number =>
    rows * columns + perRow * rows + perColumn * columns

test('one thread takes everything at once', () => {
  expect(cutTasks({ rows: 15, columns: 30 }, { rows: 15, columns: 30 }, 1, 1, cost(0.9, 1))).toEqual({
    rows: 15,
    columns: 30,
  })
})

test('the operand whose words cost more is cut', () => {
  const all = { rows: 16, columns: 16 }
  expect(cutTasks(all, all, 1, 2, cost(2, 0)).columns).toBe(16)
  expect(cutTasks(all, all, 1, 2, cost(0, 2)).rows).toBe(16)
})

test('threads end together', () => {
  for (const threads of [2, 3, 4, 8]) {
    const all = { rows: 7, columns: 15 }
    const { rows, columns } = cutTasks(all, all, 1, threads, cost(0.9, 1))
    const tasks = Math.ceil(7 / rows) * Math.ceil(15 / columns)
    // The last round keeps more than half of the threads busy.
    const last = tasks % threads
    expect(last === 0 || last > threads / 2 || tasks > 2 * threads).toBe(true)
  }
})

test('tasks are no larger than they may be, and enough products are not cut', () => {
  const { rows, columns } = cutTasks({ rows: 100, columns: 100 }, { rows: 12, columns: 9 }, 1, 2, cost(1, 1))
  expect(rows).toBeLessThanOrEqual(12)
  expect(columns).toBeLessThanOrEqual(9)
  expect(cutTasks({ rows: 3, columns: 4 }, { rows: 3, columns: 4 }, 100, 2, cost(1, 1))).toEqual({
    rows: 3,
    columns: 4,
  })
})
