import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { format } from 'prettier'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../errors.ts'
import { checkBenchArguments } from './arguments.ts'
import { peerPython } from './contestants.ts'
import { markdownTable, renderPage } from './markdown.ts'
import { geometricMean, median, pairedRatio, readJsonLines, workloadRun, type WorkloadRun } from './measure.ts'
import { budgetsOf, sweepResults, workloadResult, type Results } from './results.ts'
import { flopsOf, sweepCases } from './sweep.ts'

const names = ['seed_cnn_b64', 'crnn_b16']

describe('arguments', () => {
  test('defaults, and those of a quick run', () => {
    const defaults = { workload: undefined, sweep: undefined, threads: undefined, budgetMs: 200, bfloat16: false }
    expect(checkBenchArguments({}, names)).toEqual({ ...defaults, steps: 7, rounds: 5, quick: false, json: false })
    expect(checkBenchArguments({ quick: true }, names)).toMatchObject({ steps: 3, rounds: 1, quick: true })
    expect(checkBenchArguments({ quick: true, steps: '2', rounds: '4' }, names)).toMatchObject({ steps: 2, rounds: 4 })
  })

  test('one workload', () => {
    const args = { workload: 'crnn_b16', steps: '20', threads: '2', amp: 'bf16', json: true }
    const expected = { workload: 'crnn_b16', steps: 20, threads: 2, bfloat16: true, json: true }
    expect(checkBenchArguments(args, names)).toMatchObject(expected)
  })

  test.each([
    [{ workload: 'crnn' }, "there is no workload 'crnn'; there are: seed_cnn_b64, crnn_b16"],
    [{ steps: '0' }, "--steps is '0', expected a whole number from 1 to 100000"],
    [{ threads: '1.5' }, "--threads is '1.5', expected a whole number from 1 to 1024"],
    [{ workload: 'crnn_b16', amp: 'fp16' }, "--amp is 'fp16', expected bf16"],
    [{ amp: 'bf16' }, '--amp goes with --workload'],
    [{ workload: 'crnn_b16', sweep: 'conv' }, 'give --workload or --sweep, not both'],
    [{ sweep: 'conv', quick: true }, '--quick and --rounds belong to the comparison, not to --workload or --sweep'],
  ])('%o is refused', (args, message) => {
    expect(() => checkBenchArguments(args, names)).toThrow(new UsageError(message))
  })
})

describe('statistics', () => {
  test('medians and means', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(median([])).toBeNaN()
    expect(geometricMean([0.5, 2])).toBeCloseTo(1)
    expect(geometricMean([])).toBeNaN()
  })

  test('ratios pair the runs of a round, so a disturbed round does not mix with a calm one', () => {
    // Twice as slow in round 2, both of them: the ratio stays.
    expect(pairedRatio([10, 20, 10], [20, 40, 20])).toBe(0.5)
    expect(pairedRatio([10, undefined, 30], [20, 40, 40])).toBe(0.625)
    expect(pairedRatio([10], [undefined])).toBeNaN()
  })
})

const run = (peer: string, ms: number, more: Partial<WorkloadRun> = {}): WorkloadRun => ({
  peer,
  workload: 'resnet18_cifar_b32',
  ms_median: ms,
  ms_min: ms - 1,
  first_s: 3.5,
  loss: 2.25,
  peak_mb: 500,
  ...more,
})

test('a peer’s chatter between its JSON lines is passed over', () => {
  const line = run('torch2.15.0', 849)
  const text = `warning: x\n${JSON.stringify(line)}\n{broken\n{"peer": "y"}\n`
  expect(readJsonLines(text, workloadRun)).toEqual([line])
  expect(readJsonLines(JSON.stringify({ ...line, loss: NaN }), workloadRun)).toEqual([{ ...line, loss: null }])
})

const rounds = new Map([
  ['longzhou', [run('longzhou', 400, { js_ms: 2 }), run('longzhou', 420, { js_ms: 3 })]],
  ['torch', [run('torch2.15.0', 800, { peak_mb: 400 }), run('torch2.15.0', 840, { peak_mb: 400 })]],
  ['paddle', [undefined, undefined]],
])
const workloads = [workloadResult('resnet18_cifar_b32', rounds, 'longzhou')]

test('rounds of a workload summed up', () => {
  const [ours, torch, ...others] = workloads[0]!.contestants
  expect(ours).toMatchObject({ peer: 'longzhou', rounds: 2, ms_median: 410, ms_min: 399, js_ms: 2.5 })
  expect(ours).not.toHaveProperty('ratio')
  expect(torch).toMatchObject({ peer: 'torch2.15.0', ms_median: 820, ratio: 0.5 })
  expect(others).toEqual([])
})

const speed = (peer: string, gflops: number) => [{ peer, case: 'matmul 256x256x256', ms_min: 1, gflops }]
const sweep = sweepResults([speed('longzhou', 100), speed('longzhou', 120)], [speed('torch', 125), speed('torch', 150)])

test('the sweep summed up, with and without a peer', () => {
  expect(sweep).toEqual([{ case: 'matmul 256x256x256', gflops: 110, torch_gflops: 137.5, speed: 0.8 }])
  expect(sweepResults([speed('longzhou', 100)], [])).toEqual([{ case: 'matmul 256x256x256', gflops: 100 }])
})

const firstSteps = [{ workload: 'resnet18_cifar_b32', cold_s: 3.2, warm_s: 0.6 }]
const measured = { workloads, first_steps: firstSteps, sweep }

test('budgets: kept, missed, not measured', () => {
  expect(budgetsOf(measured).map(({ measured: value, holds }) => [value, holds])).toEqual([
    [0.5, true],
    [0.5, true],
    [null, null],
    [0.8, false],
    [0.8, false],
    [3.2, true],
    [0.6, false],
    [2.5, true],
    [1.25, false],
  ])
  expect(budgetsOf({ workloads: [], first_steps: [], sweep: [] }).every((b) => b.holds === null)).toBe(true)
})

const results: Results = {
  date: '2026-01-02T03:04:05.000Z',
  quick: false,
  machine: { cpu: 'EPYC', cores: 2, vector_bytes: 32, memory_gib: 24, system: 'Linux 6.1' },
  versions: { longzhou: '0.1.0', torch: '2.15.0' },
  settings: { threads: 2, rounds: 2, steps: 7 },
  ...measured,
  budgets: budgetsOf(measured),
  problems: ['resnet18_cifar_b32, paddle: no module named paddle'],
}

describe('the page', () => {
  test('a table lines up in its source', () => {
    const rows = [
      ['name', 'ms'],
      ['龙舟', '1.25'],
    ]
    expect(markdownTable(rows, ['left', 'right'])).toBe('| name |   ms |\n| ---- | ---: |\n| 龙舟 | 1.25 |')
  })

  test('says what falls short and what was not measured', () => {
    const page = renderPage(results)
    expect(page).toContain('- first step of ResNet-18, disk cache warm: 0.6, at most 0.5 s wanted.')
    expect(page).toContain("- Not measured in this run: training step over PaddlePaddle's, worst workload.")
    expect(page).toContain('- resnet18_cifar_b32, paddle: no module named paddle')
    expect(page).toMatch(/\| resnet18_cifar_b32 \| longzhou +\| +410 \| +399 \| +- \| +500 \| +3\.50 \| +2\.50 \|/)
    expect(page).toMatch(/\| +\| torch2\.15\.0 \| +820 \| +799 \| +0\.50 \|/)
  })

  test('is as the formatter would write it', async () => {
    const page = renderPage(results)
    expect(await format(page, { parser: 'markdown', printWidth: 120 })).toBe(page)
  })
})

test('the sweep: names are unique, gradients cost what the output costs', () => {
  expect(new Set(sweepCases('all').map((c) => c.name)).size).toBe(sweepCases('all').length)
  const conv = sweepCases('all').filter((c) => c.name.startsWith('conv 32x64x32x32 to 128, 3x3 stride 2x2'))
  expect(conv.map(flopsOf)).toEqual(Array(3).fill(2 * 32 * 128 * 16 * 16 * 64 * 9))
  expect(flopsOf(sweepCases('all').find((c) => c.name === 'matmul 2048x1248x312')!)).toBe(2 * 2048 * 1248 * 312)
})

test('no peers where setup was not run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longzhou-bench-test-'))
  expect(peerPython(folder)).toBeUndefined()
  rmSync(folder, { recursive: true })
})
