import { afterEach, describe, expect, test } from 'vitest'
import { binary } from '../graph/build.ts'
import { compilerCandidates } from '../runtime/compiler.ts'
import { add, gather, getDevice, matmul, ones, setDevice, toTensor, zeros } from './index.ts'
import { runLoop } from './loop.ts'
import { isProfiling, observeRuns, type ProfiledRun } from './profile.ts'
import { Tensor } from './tensor.ts'

const before = getDevice()
afterEach(() => setDevice(before))

/** What `body` made the device run. */
async function runsOf(body: () => Promise<unknown>): Promise<ProfiledRun[]> {
  const runs: ProfiledRun[] = []
  const end = observeRuns((run) => runs.push(run))
  try {
    await body()
  } finally {
    end()
  }
  return runs
}

const devices = ['wasm', ...(compilerCandidates().length > 0 ? ['cpu'] : [])]

describe.each(devices)('launches on %s are timed', (device) => {
  test('in order, within their run, on the clock of the process', async () => {
    setDevice(device)
    const started = performance.now()
    const runs = await runsOf(() => add(matmul(ones([40, 30]), ones([30, 20])), 1).data())
    const ended = performance.now()
    expect(runs).toHaveLength(1)
    const { plan, kernels, submitted, times, fault, backend } = runs[0]!
    expect([backend.name, fault]).toEqual([device, null])
    const launches = times.launches(plan)
    expect(launches.map((l) => l.launch)).toEqual(plan.steps)
    expect(launches.map((l) => kernels[l.launch.kernel]!.title).some((t) => t.includes('matmul'))).toBe(true)
    const marks = [submitted, times.start, ...launches.flatMap((l) => [l.start, l.end]), times.end]
    expect(marks).toEqual(marks.toSorted((a, b) => a - b))
    // The clocks are set to each other once, in two readings: the end may seem to come a little late.
    expect(started).toBeLessThanOrEqual(submitted)
    expect(times.end).toBeLessThan(ended + 1)
  })

  test('in loops each time', async () => {
    setDevice(device)
    const sequence = ones([7, 5])
    const runs = await runsOf(async () => {
      const { states } = runLoop(
        ([sum], [x]) => ({ states: [binary('add', sum!, x!)], outputs: [] }),
        [zeros([5]).node],
        [sequence.node],
      )
      expect([...(await new Tensor(states[0]!).data())]).toEqual([7, 7, 7, 7, 7])
    })
    const { plan, times } = runs.at(-1)!
    const loop = plan.steps.find((s) => s.kind === 'loop')!
    const body = loop.kind === 'loop' ? loop.steps : []
    const inside = times.launches(plan).filter((l) => body.includes(l.launch))
    expect(inside).toHaveLength(7 * body.length)
    expect(inside.map((l) => l.iteration)).toEqual([...Array(7).keys()].flatMap((i) => body.map(() => i)))
  })

  test('up to a fault', async () => {
    setDevice(device)
    const table = ones([4, 2])
    await table.data()
    const runs = await runsOf(() =>
      matmul(gather(table, toTensor([9, 1])), ones([2, 3]))
        .data()
        .catch(() => {}),
    )
    const run = runs.at(-1)!
    expect(run.fault?.message).toContain('index')
    expect(run.times.launches(run.plan).length).toBeLessThan(run.plan.steps.length)
    expect(run.times.end).toBeGreaterThan(run.times.start)
  })
})

test('nobody asks, nothing is timed', async () => {
  expect(isProfiling()).toBe(false)
  const runs = await runsOf(async () => {})
  await add(ones([2]), 1).data()
  expect(runs).toEqual([])
})
