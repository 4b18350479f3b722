import { expect, test } from 'vitest'
import { Completions } from './completions.ts'

function fake() {
  const state = { finished: 0, listens: [] as number[], done: [] as string[] }
  const completions = new Completions(
    () => state.finished,
    (ticket) => state.listens.push(ticket),
  )
  const wait = (ticket: number, name: string): void => completions.wait(ticket, () => state.done.push(name))
  const tell = (finished: number): void => {
    state.finished = finished
    completions.told()
  }
  return { state, completions, wait, tell }
}

test('native code is asked for the first ticket that somebody waits for', () => {
  const { state, wait, tell } = fake()
  wait(5, 'five')
  wait(7, 'seven')
  wait(3, 'three')
  wait(5, 'again five')
  expect(state.listens).toEqual([5, 3])
  tell(5)
  expect(state.done).toEqual(['five', 'three', 'again five'])
  expect(state.listens).toEqual([5, 3, 7])
  tell(9)
  expect(state.done).toEqual(['five', 'three', 'again five', 'seven'])
  expect(state.listens.at(-1)).toBe(0)
})

test('who is told may wait again, and is listened for once', () => {
  const { state, completions, wait, tell } = fake()
  completions.wait(1, () => {
    wait(2, 'two')
    wait(4, 'four')
  })
  tell(1)
  expect(state.listens).toEqual([1, 2])
  expect(state.done).toEqual([])
  tell(2)
  expect(state.listens).toEqual([1, 2, 4])
  expect(state.done).toEqual(['two'])
})

test('being told too early changes nothing', () => {
  const { state, wait, tell } = fake()
  wait(2, 'two')
  tell(1)
  expect(state.done).toEqual([])
  expect(state.listens).toEqual([2, 2])
})
