/** docs/benchmarks.md, generated from the results: the machine, the tables, and what falls short, said first. */
import { padDisplay, displayWidth, type Alignment } from '../../ui.ts'
import { OURS, OURS_HIGH, type InferenceResult } from './inference.ts'
import { geometricMean } from './measure.ts'
import {
  efficiencyOfRandom,
  LONG_RUN,
  randomOverNamed,
  type Budget,
  type KernelsResult,
  type Results,
  type SweepResult,
  type WalkResult,
  type WorkloadResult,
} from './results.ts'
import type { VariantResult } from './variants.ts'

/** A table whose columns line up in the source too, in the form that the project's formatter leaves alone. */
export function markdownTable(rows: readonly (readonly string[])[], alignment: Alignment = []): string {
  const [head = [], ...body] = rows
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => displayWidth(row[column] ?? ''))))
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const padded = (row: readonly string[]): string =>
    line(widths.map((width, column) => padDisplay(row[column] ?? '', width, alignment[column])))
  const rule = line(
    widths.map((width, column) => (alignment[column] === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))),
  )
  return [padded(head), rule, ...body.map(padded)].join('\n')
}

const missing = '-'
const fixed = (value: number | null | undefined, digits: number): string =>
  value === undefined || value === null ? missing : value.toFixed(digits)
const milliseconds = (value: number): string => value.toFixed(value < 100 ? 2 : 0)

function workloadTable(workloads: readonly WorkloadResult[]): string {
  const head = [
    'workload',
    'program',
    'ms',
    'best ms',
    'ours / theirs',
    'peak MiB',
    'first step s',
    'JS ms',
    `of ${LONG_RUN} steps`,
    'loss',
  ]
  const rows = workloads.flatMap(({ workload, contestants }) =>
    contestants.map((c, i) => [
      i === 0 ? workload : '',
      c.peer,
      milliseconds(c.ms_median),
      milliseconds(c.ms_min),
      fixed(c.ratio, 2),
      fixed(c.peak_mb, 0),
      fixed(c.first_s, 2),
      fixed(c.js_ms, 2),
      fixed(c.js_long_ms, 2),
      fixed(c.loss, 4),
    ]),
  )
  return markdownTable([head, ...rows], ['left', 'left', ...Array<'right'>(8).fill('right')])
}

function variantsTable(variants: readonly VariantResult[]): string {
  const head = ['workload', 'variant', 'ms', 'float32 ms', 'time', 'speed', 'MiB of a step', 'memory', 'loss']
  const rows = variants.map((v) => [
    v.workload,
    v.variant,
    milliseconds(v.ms_median),
    milliseconds(v.float32_ms),
    fixed(v.time, 2),
    fixed(1 / v.time, 2),
    fixed(v.arena_mb, 0),
    fixed(v.memory, 2),
    fixed(v.loss, 4),
  ])
  return markdownTable([head, ...rows], ['left', 'left', ...Array<'right'>(7).fill('right')])
}

function inferenceTable(inference: readonly InferenceResult[]): string {
  const head = ['network', 'program', 'threads', 'ms', 'best ms', 'ours / theirs', 'load ms', 'first ms', 'peak MiB']
  const rows = inference.flatMap(({ case: name, rows: programs, ratio, ratio_high: high }) => {
    const ratios: Readonly<Record<string, number | undefined>> = { [OURS]: ratio, [OURS_HIGH]: high }
    return programs.map((p, i) => [
      i === 0 ? name : '',
      p.peer,
      String(p.threads),
      milliseconds(p.ms_median),
      milliseconds(p.ms_min),
      p.threads === 1 ? fixed(ratios[p.peer], 2) : missing,
      fixed(p.load_ms, 0),
      fixed(p.first_ms, 0),
      fixed(p.peak_mb, 0),
    ])
  })
  return markdownTable([head, ...rows], ['left', 'left', ...Array<'right'>(7).fill('right')])
}

/** What arithmetic alone allows. */
function boundsTable(inference: readonly InferenceResult[]): string {
  const head = ['network', 'M multiply-adds', 'ms, 1 thread', 'ms, 2 threads', 'over the faster peer']
  const rows = inference.map(({ case: name, macs, bounds, bound_ratio: ratio }) => [
    name,
    fixed(macs === undefined ? undefined : macs / 1e6, 1),
    ...[1, 2].map((threads) => fixed(bounds?.find((b) => b.threads === threads)?.ms, 2)),
    fixed(ratio, 2),
  ])
  return markdownTable([head, ...rows], ['left', ...Array<'right'>(4).fill('right')])
}

const percent = (share: number | null | undefined): string =>
  share === undefined || share === null ? missing : `${(100 * share).toFixed(0)} %`

function sweepTable(sweep: readonly SweepResult[]): string {
  const head = ['case', 'GFLOP/s', 'of the roof', 'PyTorch GFLOP/s', 'ours / theirs']
  const rows = sweep.map((s) => [
    s.case,
    fixed(s.gflops, 1),
    percent(s.roof_share),
    fixed(s.torch_gflops, 1),
    fixed(s.speed, 2),
  ])
  return markdownTable([head, ...rows], ['left', ...Array<'right'>(4).fill('right')])
}

/** Kernels of a step that the page lists; the results hold more. */
const LISTED_KERNELS = 10

function kernelsSection({ workload, kernels, ...times }: KernelsResult): string[] {
  const head = ['kernel', 'shapes', 'calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'of the roof']
  const rows = kernels
    .slice(0, LISTED_KERNELS)
    .map((k) => [
      k.title,
      k.shapes,
      String(k.calls),
      fixed(k.ms, 2),
      percent(k.ms / times.step_ms),
      fixed(k.gflops, 1),
      fixed(k.gbs, 1),
      percent(k.roof_share),
    ])
  const ms = milliseconds
  return [
    `### ${workload}`,
    `A step of ${ms(times.step_ms)} ms: ${ms(times.kernel_ms)} in kernels (${percent(times.roof_share)} of the roof), ${ms(times.between_ms)} between them, ${ms(times.outside_ms)} outside plans.`,
    markdownTable([head, ...rows], ['left', 'left', ...Array<'right'>(6).fill('right')]),
  ]
}

function walksTable(walks: readonly WalkResult[]): string {
  const head = ['walk', 'sizes', 'planning ms, median', 'planning ms, worst', 'compiler calls', 'compiled at']
  const rows = walks.map((w) => [
    w.walk,
    String(w.sizes),
    fixed(w.plan_ms_median, 1),
    fixed(w.plan_ms_max, 1),
    String(w.compiles),
    w.compiled_at.join(', ') || missing,
  ])
  return markdownTable([head, ...rows], ['left', ...Array<'right'>(4).fill('right'), 'left'])
}

function rooflineSection({ roofline }: Results, plot: string | null): string[] {
  if (!roofline) return []
  const head = ['threads', 'GFLOP/s by bytes a vector', 'read GB/s', 'write GB/s', 'triad GB/s']
  const rows = roofline.speeds.map(({ threads, gflops, memory }) => [
    String(threads),
    Object.entries(gflops)
      .map(([bytes, speed]) => `${bytes}: ${speed.toFixed(0)}`)
      .join(', '),
    fixed(memory.read, 1),
    fixed(memory.write, 1),
    fixed(memory.triad, 1),
  ])
  const explanation =
    'What this machine reaches at best, with kernels that go the way of all others: float32 multiply-adds in registers, and memory far larger than the caches. The roof of a kernel is the longer of its operations over the first and its bytes over the triad; where data is in a cache, more than 100 % is possible.'
  return [
    '## Roofline',
    explanation,
    markdownTable([head, ...rows], ['right', 'left', 'right', 'right', 'right']),
    ...(plot === null
      ? []
      : [`![Kernels of the training steps, products and convolutions under the roofline](${plot})`]),
  ]
}

const verdict = ({ holds }: Budget): string => (holds === null ? 'not measured' : holds ? 'holds' : 'falls short')

function shortfalls(budgets: readonly Budget[]): string {
  const short = budgets.filter((b) => b.holds === false)
  const open = budgets.filter((b) => b.holds === null)
  const lines = short.map((b) => `- ${b.what}: ${b.measured}, ${b.limit} wanted.`)
  if (open.length > 0) lines.push(`- Not measured in this run: ${open.map((b) => b.what).join('; ')}.`)
  return lines.length === 0 ? 'Nothing: every budget below holds.' : lines.join('\n')
}

/** The page, ending in a line break; `plot` is the path of the roofline's image from the page. */
export function renderPage(results: Results, plot: string | null = null): string {
  const { machine, settings, versions, workloads, first_steps: firstSteps, sweep, budgets, problems } = results
  const named = sweep.filter((s) => s.seed === undefined)
  const random = sweep.filter((s) => s.seed !== undefined)
  const speeds = named.flatMap((s) => s.speed ?? [])
  const parts = [
    '# Benchmarks',
    'Generated by `npm run bench` from `bench/results.json`; do not edit. Ours and the peers run in turn, each in a process of its own, so that what disturbs the machine disturbs all; ratios are medians over pairs of one round.',
    [
      `- Date: ${results.date.slice(0, 10)}${results.quick ? ' (a quick run: too short to judge by)' : ''}`,
      `- Machine: ${machine.cpu}, ${machine.cores} cores, vectors of ${machine.vector_bytes} bytes, ${machine.memory_gib} GiB, ${machine.system}`,
      `- Versions: ${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}`,
      `- Settings: ${settings.threads} threads, float32, ${settings.rounds} rounds of ${settings.steps} timed steps`,
    ].join('\n'),
    '## What falls short',
    shortfalls(budgets),
    '## Budgets',
    markdownTable(
      [
        ['what', 'limit', 'measured', ''],
        ...budgets.map((b) => [b.what, b.limit, b.measured === null ? missing : String(b.measured), verdict(b)]),
      ],
      ['left', 'left', 'right', 'left'],
    ),
    '## Training steps',
    'A step is forward, loss, backward, optimizer, clearing gradients and reading the loss. Peak memory is that of the whole process, with interpreter and libraries; JS time is what recording and submitting a step takes of the JS thread, here and in a longer run: V8 compiles what records steps during the first dozens.',
    workloadTable(workloads),
  ]
  if (results.variants.length > 0) {
    const explanation =
      'Workloads in bfloat16 mixed precision (O1), and with each encoder layer computed again in the backward pass, in turn with themselves in float32. Memory is that which a step plans for what it computes and keeps for its gradients.'
    parts.push('## Mixed precision and recomputation', explanation, variantsTable(results.variants))
  }
  if (firstSteps.length > 0) {
    const rows = firstSteps.map((f) => [
      f.workload,
      fixed(f.cold_s, 2),
      fixed(f.warm_s, 2),
      fixed(f.torch_compile_s, 2),
    ])
    const head = ['workload', 'nothing cached s', 'disk cache warm s', 'torch.compile s']
    const alignment: Alignment = ['left', 'right', 'right', 'right']
    parts.push('## First step', 'Planning, compiling and running the first training step of a fresh process.')
    parts.push(markdownTable([head, ...rows], alignment))
  }
  if (results.walks.length > 0) {
    const explanation =
      'A known training step, batch 2, at sizes that it meets for the first time: what planning takes of the JS thread, and how often the compiler is called.'
    parts.push('## New sizes', explanation, walksTable(results.walks))
  }
  parts.push(...rooflineSection(results, plot))
  if (results.kernels.length > 0) {
    const explanation = `The ${LISTED_KERNELS} kernels of a training step that take most of its time; \`longzhou bench --kernels NAME\` lists all. Calls and times are those of one step.`
    parts.push('## Kernels', explanation, ...results.kernels.flatMap(kernelsSection))
  }
  if (named.length > 0) {
    const summary =
      speeds.length === 0 ? '' : ` Geometric mean of ours over theirs: ${geometricMean(speeds).toFixed(2)}x.`
    parts.push('## Products and convolutions', `Through the public functions, best of several runs.${summary}`)
    parts.push(sweepTable(named))
  }
  if (random.length > 0) {
    const [efficiency, share] = [efficiencyOfRandom(sweep), randomOverNamed(sweep, 'roof_share')]
    const byRoof = Number.isNaN(share) ? '' : `; by shares of the roof, ${share.toFixed(2)}`
    const summary = Number.isNaN(efficiency)
      ? ''
      : ` Their efficiency is ${efficiency.toFixed(2)} of that of the named ones${byRoof}.`
    const explanation = `Drawn with seed ${random[0]!.seed}: nothing is tuned for them.${summary}`
    parts.push('## Random shapes', explanation, sweepTable(random))
  }
  if (results.inference.length > 0) {
    const explanation =
      'Networks beside ONNX Runtime and Paddle Inference with oneDNN, batch and sizes as their names say. The ratio is that of the best number of threads of ours over the best of the faster peer; `longzhou high` multiplies factors of 16 bits (`--precision high`, docs/models.md); loading and the first run, with all planning in it and kernels in the disk cache, are apart.'
    parts.push('## Inference', explanation, inferenceTable(results.inference))
    const bounded = results.inference.filter((c) => c.bounds)
    const what =
      'What arithmetic alone would take: multiply-adds of products and convolutions, each done directly, at the speed of float32 multiply-adds in registers that was measured on this machine; nothing for memory, activations, pools and norms. The last column is the least of these times over that of the faster peer: below it a program must do without some of the multiplications, as Winograd does for 3x3 windows, or multiply in less than float32.'
    if (bounded.length > 0) parts.push(what, boundsTable(bounded))
  }
  if (problems.length > 0) parts.push('## Not run', problems.map((problem) => `- ${problem}`).join('\n'))
  return `${parts.join('\n\n')}\n`
}
