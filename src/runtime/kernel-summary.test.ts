import { describe, expect, test } from 'vitest'
import type { Kernel } from '../codegen/kernel.ts'
import type { Launch, Plan } from '../schedule/plan.ts'
import { formatKernels, leastTime, summarizeKernels, type TimedRun } from './kernel-summary.ts'
import { RunTimes, timeCount } from './run-times.ts'

const kernel = (title: string, parameters: number): Kernel => ({
  title,
  parameters: Array.from({ length: parameters }, () => ({ kind: 'index' })),
  body: [],
})
const launch = (number: number, flops: number, bytes: number): Launch => ({
  kind: 'launch',
  kernel: number,
  arguments: [],
  extent: 1,
  grain: 1,
  scratchBytes: 0,
  flops,
  bytes,
})

const kernels = [kernel('matmul', 1), kernel('add', 2)]
const small = launch(1, 0, 1e6)
const large = launch(0, 4e6, 1e6)
const plan: Plan = { steps: [large, { kind: 'loop', count: 2, steps: [small], besideNext: false }], arenaBytes: 0 }

/** A run from 10 to 20 ms: 4 ms of `large`, twice 1 ms of `small`. */
const run: TimedRun = {
  plan,
  kernels,
  times: new RunTimes(Float64Array.of(10, 20, 11, 15, 16, 17, 18, 19)),
}

test('times are read in the order of execution; what a fault left out is not there', () => {
  expect(timeCount(plan)).toBe(8)
  expect(run.times.launches(plan)).toEqual([
    { launch: large, iteration: 0, start: 11, end: 15, share: 1 },
    { launch: small, iteration: 0, start: 16, end: 17, share: 1 },
    { launch: small, iteration: 1, start: 18, end: 19, share: 1 },
  ])
  const ended = new RunTimes(Float64Array.of(10, 15, 11, 15, 0, 0, 0, 0))
  expect(ended.launches(plan)).toEqual([{ launch: large, iteration: 0, start: 11, end: 15, share: 1 }])
})

describe('a summary', () => {
  const roof = { gflops: 2, gbs: 1 }

  test('divides two runs into two steps', () => {
    const summary = summarizeKernels([run, run], roof, 2, 30)
    expect(summary).toMatchObject({ runs: 1, stepMs: 15, kernelMs: 6, betweenMs: 4, outsideMs: 5 })
    expect(summary.rows).toMatchObject([
      { title: 'matmul', calls: 1, ms: 4, share: 4 / 15, gflops: 1, gbs: 0.25, roofShare: 0.5 },
      { title: 'add', calls: 2, ms: 2, flops: 0, bytes: 2e6, gbs: 1, roofShare: 1 },
    ])
    // 2 ms of arithmetic and 2 ms of memory at best, of 6.
    expect(summary.roofShare).toBeCloseTo(2 / 3)
    expect(leastTime({ flops: 4e6, bytes: 1e6 }, roof)).toBe(2)
  })

  test('tells launches of one kernel apart by their work and shapes', () => {
    const shapes = [
      [2, 4],
      [2, 3],
      [3, 4],
    ]
    const three: Plan = { steps: [small, launch(1, 0, 2e6), { ...small, shapes }], arenaBytes: 0 }
    const times = new RunTimes(Float64Array.of(0, 9, 1, 2, 3, 5, 5, 8))
    expect(summarizeKernels([{ plan: three, kernels, times }], null).rows).toMatchObject([
      { ms: 3, bytes: 1e6, shapes: '2x4 = 2x3 * 3x4' },
      { ms: 2, bytes: 2e6, shapes: '', roofShare: null },
      { ms: 1, bytes: 1e6, shapes: '', roofShare: null },
    ])
  })

  test('as a table, cut to the longest kernels', () => {
    const lines = formatKernels(summarizeKernels([run], roof), 1).split('\n')
    expect(lines).toEqual([
      'calls    ms  share  GFLOP/s   GB/s  roof  Mflop    MB  kernel',
      '    1  4.00    40%     1.00  0.250   50%   4.00  1.00  matmul',
      '    2  2.00    20%                                     1 more',
      '    3  6.00    60%                   67%               all kernels',
      '       4.00    40%                                     between kernels',
      'roof: 2.00 GFLOP/s, 1.00 GB/s',
    ])
    expect(formatKernels(summarizeKernels([run], null))).toContain("'longzhou doctor' measures it")
  })
})
