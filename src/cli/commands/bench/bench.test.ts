import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { format } from 'prettier'
import { describe, expect, test } from 'vitest'
import { UsageError } from '../../errors.ts'
import { checkBenchArguments as check, PARTS, type BenchArguments } from './arguments.ts'
import { peerPython } from './contestants.ts'
import { markdownTable, renderPage } from './markdown.ts'
import { geometricMean, median, pairedRatio, readJsonLines, workloadRun, type WorkloadRun } from './measure.ts'
import { budgetsOf, efficiencyOfRandom, sweepResults, workloadResult, type Results } from './results.ts'
import { kernelsResult, walkResult } from './compare.ts'
import { inferenceResult, inferenceRounds, memoryRatio, type InferenceRun, type Runner } from './inference.ts'
import { plotRoofline } from './roofline-plot.ts'
import { parseCases } from './sweep.ts'
import { variantResult } from './variants.ts'
import { bytesOf, flopsOf, outputShape, randomCases, sweepCases, type ConvCase } from './sweep-cases.ts'

const checkBenchArguments = (args: Readonly<Record<string, unknown>>): BenchArguments =>
  check(args, ['seed_cnn_b64', 'crnn_b16'], ['crnn_widths'])

describe('arguments', () => {
  test('defaults, and those of a quick run', () => {
    const flags = { bfloat16: false, recomputes: false, quick: false, resume: false, page: false, json: false }
    const numbers = { steps: 7, rounds: 5, threads: undefined, budgetMs: 200, seed: undefined }
    expect(checkBenchArguments({})).toEqual({ alone: null, parts: PARTS, ...numbers, ...flags })
    expect(checkBenchArguments({ quick: true })).toMatchObject({ steps: 3, rounds: 1, quick: true })
    expect(checkBenchArguments({ quick: true, steps: '2', rounds: '4' })).toMatchObject({ steps: 2, rounds: 4 })
  })

  test('one workload', () => {
    const args = { workload: 'crnn_b16', steps: '20', threads: '2', amp: 'bf16', json: true }
    const alone = { what: 'workload', name: 'crnn_b16' }
    const expected = { alone, steps: 20, threads: 2, bfloat16: true, json: true }
    expect(checkBenchArguments(args)).toMatchObject(expected)
  })

  test('parts of the comparison, in the order in which they run', () => {
    expect(checkBenchArguments({ only: 'sweep, training', resume: true })).toMatchObject({
      parts: ['training', 'sweep'],
      resume: true,
    })
  })

  test.each([
    [{ workload: 'crnn' }, "there is no workload 'crnn'; there are: seed_cnn_b64, crnn_b16"],
    [{ steps: '0' }, "--steps is '0', expected a whole number from 1 to 100000"],
    [{ threads: '1.5' }, "--threads is '1.5', expected a whole number from 1 to 1024"],
    [{ workload: 'crnn_b16', amp: 'fp16' }, "--amp is 'fp16', expected bf16"],
    [{ amp: 'bf16' }, '--amp goes with --workload, --kernels or --arena'],
    [{ sweep: 'conv', recompute: true }, '--recompute goes with --workload, --kernels or --arena'],
    [{ arena: 'crnn' }, "there is no workload 'crnn'; there are: seed_cnn_b64, crnn_b16"],
    [{ workload: 'crnn_b16', sweep: 'conv' }, 'give --workload or --sweep, not both'],
    [{ sweep: 'conv', quick: true }, '--quick belongs to the comparison, not to --sweep'],
    [{ kernels: 'crnn_b16', only: 'sweep' }, '--only belongs to the comparison, not to --kernels'],
    [{ walk: 'widths' }, "there is no walk 'widths'; there are: crnn_widths"],
    [{ only: 'sweeps' }, "--only is 'sweeps', expected some of training, amp, kernels, first, walks, sweep, inference"],
  ])('%o is refused', (args, message) => {
    expect(() => checkBenchArguments(args)).toThrow(new UsageError(message))
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
const workloads = [workloadResult('resnet18_cifar_b32', rounds, 'longzhou', 2.2)]

test('rounds of a workload summed up', () => {
  const [ours, torch, ...others] = workloads[0]!.contestants
  expect(ours).toMatchObject({ peer: 'longzhou', rounds: 2, ms_median: 410, ms_min: 399, js_ms: 2.5, js_long_ms: 2.2 })
  expect(ours).not.toHaveProperty('ratio')
  expect(torch).toMatchObject({ peer: 'torch2.15.0', ms_median: 820, ratio: 0.5 })
  expect(torch).not.toHaveProperty('js_long_ms')
  expect(others).toEqual([])
})

const speed = (peer: string, gflops: number) => [{ peer, case: 'matmul 256x256x256', ms_min: 1, gflops }]
const sweep = sweepResults([speed('longzhou', 100), speed('longzhou', 120)], [speed('torch', 125), speed('torch', 150)])

test('the sweep summed up, with and without a peer', () => {
  expect(sweep).toEqual([{ case: 'matmul 256x256x256', gflops: 110, torch_gflops: 137.5, speed: 0.8 }])
  expect(sweepResults([speed('longzhou', 100)], [])).toEqual([{ case: 'matmul 256x256x256', gflops: 100 }])
})

const firstSteps = [{ workload: 'resnet18_cifar_b32', cold_s: 3.2, warm_s: 0.6 }]
const walks = [
  walkResult(
    'crnn_widths',
    [10, 30, 20].map((plan_ms, i) => ({
      walk: 'crnn_widths',
      size: 100 + i,
      plan_ms,
      plans: 1,
      compiles: i === 1 ? 2 : 0,
      first_ms: 50,
      again_ms: 20,
    })),
  ),
]
const inferenceTime = (peer: string, ms: number, peak_mb = 100): InferenceRun => ({
  peer,
  load_ms: 20,
  first_ms: 30,
  ms_min: ms,
  ms_median: ms,
  peak_mb,
})
const inference = [
  inferenceResult(
    'det_640',
    [
      { name: 'longzhou', threads: 1 },
      { name: 'longzhou', threads: 2 },
      { name: 'longzhou high', threads: 2 },
      { name: 'onnxruntime', threads: 1 },
      { name: 'paddle', threads: 1 },
    ],
    [
      [inferenceTime('longzhou', 40, 90), inferenceTime('longzhou', 80, 90)],
      [inferenceTime('longzhou', 24, 95), inferenceTime('longzhou', 50, 95)],
      [inferenceTime('longzhou high', 12, 80), inferenceTime('longzhou high', 30, 80)],
      [inferenceTime('onnxruntime1.32.0', 60), inferenceTime('onnxruntime1.32.0', 120)],
      [undefined, inferenceTime('paddle3.3.1', 100, 400)],
    ],
  ),
]

test('inference summed up: the best number of threads of ours over the faster peer, round by round', () => {
  expect(inference[0]).toMatchObject({ case: 'det_640', ratio: 0.45, ratio_high: 0.25 })
  expect(inference[0]!.rows.map((r) => [r.peer, r.threads, r.rounds, r.ms_median])).toEqual([
    ['longzhou', 1, 2, 60],
    ['longzhou', 2, 2, 37],
    ['longzhou high', 2, 2, 21],
    ['onnxruntime1.32.0', 1, 2, 90],
    ['paddle3.3.1', 1, 1, 100],
  ])
  expect(memoryRatio(inference[0]!)).toBe(0.9)
  const alone = inferenceResult('cls', [{ name: 'longzhou', threads: 1 }], [[inferenceTime('longzhou', 1)]])
  expect(alone).not.toHaveProperty('ratio')
  expect(memoryRatio(alone)).toBeNaN()
})

const variantRun = (workload: string, ms: number, arena: number): WorkloadRun => ({
  peer: 'longzhou',
  workload,
  ms_median: ms,
  ms_min: ms,
  first_s: 1,
  loss: 2,
  peak_mb: 100,
  arena_mb: arena,
})
const plain = [variantRun('ernie', 200, 100), variantRun('ernie', 400, 100)]
const variants = [
  variantResult('ernie', 'bf16', [variantRun('ernie', 120, 55), variantRun('ernie', 200, 55)], plain)!,
  variantResult('ernie', 'recompute', [variantRun('ernie', 300, 40), undefined], plain)!,
]

test('a variant beside float32, by rounds that have both', () => {
  expect(variants).toEqual([
    expect.objectContaining({ ms_median: 160, float32_ms: 300, time: 0.55, arena_mb: 55, memory: 0.55, loss: 2 }),
    expect.objectContaining({ ms_median: 300, float32_ms: 300, time: 1.5, memory: 0.4 }),
  ])
  expect(variantResult('ernie', 'bf16', [undefined], [variantRun('ernie', 1, 1)])).toBeUndefined()
})

const measured = { workloads, variants, first_steps: firstSteps, walks, sweep, inference }

test('a walk summed up', () => {
  const times = { plan_ms_median: 20, plan_ms_max: 30 }
  expect(walks[0]).toEqual({ walk: 'crnn_widths', sizes: 3, ...times, compiles: 2, compiled_at: [101] })
})

test('random shapes are compared with the named ones by what was measured of both', () => {
  const at = (speed: number | null, roof: number, seed?: number) => ({
    case: `${roof} ${seed}`,
    gflops: 1,
    roof_share: roof,
    ...(speed !== null && { speed }),
    ...(seed !== undefined && { seed }),
  })
  expect(efficiencyOfRandom([at(1, 0.5), at(0.9, 0.8, 7)])).toBeCloseTo(0.9)
  expect(efficiencyOfRandom([at(null, 0.5), at(null, 0.4, 7)])).toBeCloseTo(0.8)
  expect(efficiencyOfRandom([at(1, 0.5)])).toBeNaN()
})

test('budgets: kept, missed, not measured', () => {
  expect(budgetsOf(measured).map(({ measured: value, holds }) => [value, holds])).toEqual([
    [0.5, true],
    [0.5, true],
    [null, null],
    [0.8, false],
    [0.8, false],
    [null, null],
    [3.2, true],
    [0.6, false],
    [30, false],
    [2, false],
    [2.2, true],
    [1.25, false],
    [1.818, true],
    [0.55, true],
    [0.4, true],
    [1.5, false],
    [0.45, true],
    [0.45, true],
    [0.9, true],
  ])
  expect(
    budgetsOf({ workloads: [], variants: [], first_steps: [], walks: [], sweep: [], inference: [] }).every(
      (b) => b.holds === null,
    ),
  ).toBe(true)
})

const profile = {
  model: 'resnet18_cifar_b32',
  device: 'cpu',
  threads: 2,
  steps: 7,
  runs: 1,
  stepMs: 100,
  kernelMs: 90,
  betweenMs: 1,
  outsideMs: 9,
  roof: { gflops: 200, gbs: 20 },
  roofShare: 0.5,
  rows: [
    {
      title: 'a <b>',
      shapes: '2x3',
      calls: 3,
      ms: 60,
      share: 0.6,
      flops: 6e9,
      bytes: 1e8,
      gflops: 100,
      gbs: 1.7,
      roofShare: 0.5,
    },
    {
      title: 'copy',
      shapes: '',
      calls: 1,
      ms: 30,
      share: 0.3,
      flops: 0,
      bytes: 3e8,
      gflops: 0,
      gbs: 10,
      roofShare: 0.5,
    },
  ],
}
const speeds = (threads: number, gflops: number, triad: number) => ({
  threads,
  gflops: { 16: gflops / 2, 32: gflops },
  memory: { read: triad, write: triad, triad },
})

const results: Results = {
  date: '2026-01-02T03:04:05.000Z',
  quick: false,
  machine: { cpu: 'EPYC', cores: 2, vector_bytes: 32, memory_gib: 24, system: 'Linux 6.1' },
  versions: { longzhou: '0.1.0', torch: '2.15.0' },
  settings: { threads: 2, rounds: 2, steps: 7 },
  roofline: {
    machine: { model: 'EPYC', architecture: 'x64', cores: 2, vectorBytes: 32 },
    measured: '2026-01-01T00:00:00.000Z',
    speeds: [speeds(1, 100, 12), speeds(2, 200, 20)],
  },
  kernels: [kernelsResult(profile)],
  ...measured,
  budgets: budgetsOf(measured),
  problems: ['resnet18_cifar_b32, paddle: no module named paddle'],
}

describe('rounds of a network', () => {
  const network = {
    test: { name: 'net', description: '', network: 'net', shapes: [[1]] },
    files: { paddle: '', legacy: '', onnx: '', inputs: [], macs: 0 },
  }

  /** What each program was asked for, in order, as its name and how often it ran the network; `fails` names those that cannot. */
  async function asked(names: readonly string[], fails: readonly string[] = []): Promise<string[]> {
    const calls: string[] = []
    const runners = names.map((name): Runner => ({
      name,
      threads: 1,
      run: (_, __, repeat) => {
        calls.push(`${name} ${repeat}`)
        if (fails.includes(name)) return Promise.reject(new Error('no'))
        return Promise.resolve({ peer: name, load_ms: 1, first_ms: 1, ms_min: 1, ms_median: 1, peak_mb: 1 })
      },
    }))
    await inferenceRounds(network.test, network.files, runners, {
      rounds: 2,
      quick: true,
      say: () => {},
      attempt: (_, run) => run().catch(() => undefined),
    })
    return calls
  }

  test('do not count the process that compiles our kernels', async () => {
    const round = ['longzhou 3', 'onnxruntime 3']
    expect(await asked(['longzhou', 'onnxruntime'])).toEqual(['longzhou 1', ...round, ...round])
  })

  test('who fails once is not asked again', async () => {
    expect(await asked(['longzhou', 'onnxruntime'], ['longzhou', 'onnxruntime'])).toEqual([
      'longzhou 1',
      'onnxruntime 3',
    ])
  })
})

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
    expect(page).toContain(
      "- Not measured in this run: training step over PaddlePaddle's, worst workload; efficiency of random shapes over that of the named.",
    )
    expect(page).toContain('- resnet18_cifar_b32, paddle: no module named paddle')
    expect(page).toMatch(/\| resnet18_cifar_b32 \| longzhou +\| +410 \| +399 \| +- \| +500 \| +3\.50 \| +2\.50 \|/)
    expect(page).toMatch(/\| +\| torch2\.15\.0 \| +820 \| +799 \| +0\.50 \|/)
  })

  test('is as the formatter would write it', async () => {
    const page = renderPage(results)
    expect(await format(page, { parser: 'markdown', printWidth: 120 })).toBe(page)
  })
})

test('the plot holds what did arithmetic, under the roofs of one core and of all', () => {
  const svg = plotRoofline(results)!
  expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/)
  expect(svg).toContain('2 cores: 200 GFLOP/s, 20 GB/s')
  expect(svg).toContain('a &lt;b&gt; 2x3: 100.0 GFLOP/s, 60.00 ms')
  expect(svg).not.toContain('copy')
  // Neither NaN nor infinity among the coordinates, and nothing outside the picture.
  const numbers = [...svg.matchAll(/ (?:c?[xy][12]?)="([^"]*)"/g)].map(([, value]) => Number(value))
  expect(numbers.every((v) => v >= 0 && v <= 900)).toBe(true)
  expect(plotRoofline({ ...results, roofline: null })).toBeNull()
})

test('random shapes: those of a seed, of middling work, in a form that another process reads', () => {
  const cases = randomCases(7)
  expect(randomCases(7)).toEqual(cases)
  expect(randomCases(8)).not.toEqual(cases)
  expect(cases.filter((c) => c.kind === 'matmul')).toHaveLength(12)
  expect(cases.filter((c) => c.kind === 'conv')).toHaveLength(24)
  expect(cases.every((c) => flopsOf(c) <= 2e9 && bytesOf(c) > 0)).toBe(true)
  const all = [...cases, ...sweepCases('all')]
  expect(parseCases(JSON.stringify(all))).toEqual(all)
  expect(() => parseCases('[{"kind": "conv"}]')).toThrow(UsageError)
})

test('the sweep: a transposed convolution', () => {
  const [c] = sweepCases('transposed conv 4x24x80x80 to 24') as ConvCase[]
  expect(outputShape(c!)).toEqual([4, 24, 160, 160])
  expect(flopsOf(c!)).toBe(2 * 4 * 24 * 80 * 80 * 24 * 4)
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
