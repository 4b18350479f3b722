/**
 * Measures what the roofline of this machine is made of, with kernels that go the way of all others (kernel IR, C, the native executor):
 * multiply-adds in registers for each vector width, and memory read, written, and both (McCalpin's STREAM triad).
 */
import { freemem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import * as ir from '../../codegen/builder.ts'
import { KernelBuilder } from '../../codegen/builder.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { Argument, Plan } from '../../schedule/plan.ts'
import type { Program } from '../backend.ts'
import { detectCpuFeatures } from '../cpu-features.ts'
import type { RunTimes } from '../run-times.ts'
import { identityOf, readRoofline, writeRoofline, type Roofline, type Speeds } from '../roofline.ts'
import type { CpuBackend } from './backend.ts'

/** Multiply-adds of a task: some tenths of a millisecond of one core. */
const CHAIN_ROUNDS = 50_000
/** Tasks a thread, so that a thread that loses its core for a moment does not keep the others waiting. */
const TASKS_PER_THREAD = 16
/** Floats that a task streams through: 64 KiB. */
const BLOCK = 16_384
const READ_STREAMS = 4
/** Each array; far more than the last level of cache holds of three. */
const LEAST_BYTES = 96 << 20
const MOST_BYTES = 512 << 20
const REPEATS = 2
/** Rounds over everything, with pauses in between, of which the best counts: other programs come and go within tenths of a second. */
const ROUNDS = 4
const PAUSE_MS = 100

/** Independent chains of x = x * m + c: enough to hide the latency of a multiply-add, few enough to stay in registers. */
function chains(lanes: number, count: number): Kernel {
  const k = new KernelBuilder(`multiply-adds of ${lanes} lanes`)
  const [input, output] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const rounds = k.index()
  k.parallel('task', (task) => {
    const m = k.let('m', ir.splat(ir.load(input, 0), lanes))
    const c = k.let('c', ir.splat(ir.load(input, 1), lanes))
    const x = Array.from({ length: count }, (_, i) => k.declare('x', ir.splat(ir.load(input, 2 + i), lanes)))
    k.loop('round', 0, rounds, 1, () => x.forEach((v) => k.assign(v, ir.fma(v, m, c))))
    const sum = x.reduce((a, b) => ir.add(a, b))
    k.store(output, task, ir.reduceLanes('add', sum))
  })
  return k.build()
}

/** The sum of each block, read as several streams: of a single one, a core does not fetch far enough ahead. */
function readMemory(lanes: number): Kernel {
  const k = new KernelBuilder('read memory')
  const [input, output] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const stream = BLOCK / READ_STREAMS
  k.parallel('block', (block) => {
    const from = k.let('from', ir.mul(block, BLOCK))
    const sums = Array.from({ length: 2 * READ_STREAMS }, () => k.declare('sum', ir.f32(0, lanes)))
    k.loop('i', from, ir.add(from, stream), 2 * lanes, (i) => {
      sums.forEach((s, n) => {
        const at = ir.add(i, (n >> 1) * stream + (n & 1) * lanes)
        k.assign(s, ir.add(s, ir.load(input, at, lanes)))
      })
    })
    const sum = sums.reduce((a, b) => ir.add(a, b))
    k.store(output, block, ir.reduceLanes('add', sum))
  })
  return k.build()
}

function writeMemory(): Kernel {
  const k = new KernelBuilder('write memory')
  const output = k.buffer('float32', 'write')
  const value = k.scalar('f32')
  k.parallel('block', (block) => {
    const from = k.let('from', ir.mul(block, BLOCK))
    k.vector('i', from, ir.add(from, BLOCK), (i) => k.store(output, i, value))
  })
  return k.build()
}

function triad(): Kernel {
  const k = new KernelBuilder('triad')
  const [x, y, output] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const scale = k.scalar('f32')
  k.parallel('block', (block) => {
    const from = k.let('from', ir.mul(block, BLOCK))
    k.vector('i', from, ir.add(from, BLOCK), (i) => k.store(output, i, ir.fma(ir.load(y, i), scale, ir.load(x, i))))
  })
  return k.build()
}

/** A kernel of the roofline, ready to run. */
interface Probe {
  readonly plan: Plan
  readonly program: Program
  readonly leaves: readonly DeviceBuffer[]
  readonly outputs: readonly DeviceBuffer[]
  /** Floating-point operations, or bytes, of one run. */
  readonly work: number
}

class Probes {
  readonly #cpu: CpuBackend

  constructor(cpu: CpuBackend) {
    this.#cpu = cpu
  }

  /** Arguments in the order of parameters: buffers first, leaves before outputs, then one number of the kernel. */
  async make(
    kernel: Kernel,
    leaves: readonly DeviceBuffer[],
    outputs: readonly DeviceBuffer[],
    extent: number,
    work: number,
    number: number,
  ): Promise<Probe> {
    const refs = [
      ...leaves.map((_, slot) => ({ space: 'leaf', slot, byteOffset: 0, step: 0 }) as const),
      ...outputs.map((_, slot) => ({ space: 'output', slot, byteOffset: 0, step: 0 }) as const),
    ]
    const last = kernel.parameters.at(-1)!.kind
    const args: Argument[] = [
      ...refs.map((ref): Argument => ({ kind: 'buffer', ref })),
      ...(last === 'index' ? [{ kind: 'index', value: number } as const] : []),
      ...(last === 'scalar' ? [{ kind: 'number', value: number } as const] : []),
    ]
    const launch = { kind: 'launch', kernel: 0, arguments: args, extent, grain: 1, scratchBytes: 0 } as const
    const plan: Plan = { steps: [{ ...launch, flops: 0, bytes: 0 }], arenaBytes: 0 }
    return { plan, program: await this.#cpu.compile(plan, [kernel]), leaves, outputs, work }
  }

  /** Billions of operations or bytes a second: the best of several runs, since what disturbs a run only slows it down. */
  async speedOf({ plan, program, leaves, outputs, work }: Probe, repeats = REPEATS): Promise<number> {
    let best = Infinity
    for (let i = 0; i < repeats; i++) {
      let times: RunTimes | undefined
      await this.#cpu.run(program, leaves, outputs, [], (_, t) => (times = t), true)
      const [launch] = times!.launches(plan)
      best = Math.min(best, launch!.end - launch!.start)
    }
    return Number((work / best / 1e6).toPrecision(4))
  }
}

/** The greater of each speed. */
function faster(x: Speeds | null, y: Speeds): Speeds {
  if (!x) return y
  const [a, b] = [x.memory, y.memory]
  return {
    threads: y.threads,
    gflops: Object.fromEntries(
      Object.entries(y.gflops).map(([width, g]) => [width, Math.max(g, x.gflops[width] ?? 0)]),
    ),
    memory: {
      write: Math.max(a.write, b.write),
      read: Math.max(a.read, b.read),
      triad: Math.max(a.triad, b.triad),
    },
  }
}

/**
 * Measures this machine, in about three seconds; the backend's number of threads is as before afterwards. Other programs that run at the same
 * time make it slower than it is.
 */
export async function measureRoofline(cpu: CpuBackend): Promise<Roofline> {
  const features = detectCpuFeatures()
  const { vectorBytes, cacheBytes, threads: before } = cpu.capabilities
  const probes = new Probes(cpu)
  const counts = [...new Set([1, features.physicalCores])]

  const small = cpu.allocate(4096)
  const start = new Float32Array(1024).fill(0.5)
  cpu.write(small, new Uint8Array(start.buffer))
  // Wide vectors come with 32 registers; half of 16 or 32 holds chains that hide 4 or 5 cycles of two units and more.
  const chainCount = vectorBytes === 64 || features.architecture === 'arm64' ? 24 : 12
  const widths = [16, 32, 64].filter((w) => w <= vectorBytes)
  const tasks = TASKS_PER_THREAD * Math.max(...counts)
  const results = cpu.allocate(4 * tasks)
  const chainProbes = await Promise.all(
    widths.map(async (bytes) => {
      const lanes = bytes / 4
      const work = 2 * lanes * chainCount * CHAIN_ROUNDS * tasks
      const kernel = chains(lanes, chainCount)
      return { bytes, probe: await probes.make(kernel, [small], [results], tasks, work, CHAIN_ROUNDS) }
    }),
  )

  const unit = 4 * BLOCK
  const most = Math.min(MOST_BYTES, freemem() / 8)
  const bytes = Math.max(1, Math.floor(Math.min(most, Math.max(LEAST_BYTES, 3 * cacheBytes[2])) / unit)) * unit
  const blocks = bytes / unit
  const [a, b, c] = [cpu.allocate(bytes), cpu.allocate(bytes), cpu.allocate(bytes)]
  const sums = cpu.allocate(4 * blocks)
  // Memory that nothing was written to is one page of zeros, which would be read from the cache.
  for (const array of [b, c]) await probes.speedOf(await probes.make(writeMemory(), [], [array], blocks, bytes, 1), 1)
  const write = await probes.make(writeMemory(), [], [a], blocks, bytes, 1)
  const read = await probes.make(readMemory(vectorBytes / 4), [a], [sums], blocks, bytes, 0)
  const both = await probes.make(triad(), [a, b], [c], blocks, 3 * bytes, 0.5)

  const speeds: Speeds[] = []
  try {
    for (const threads of counts) {
      cpu.setNumThreads(threads)
      let best: Speeds | null = null
      for (let round = 0; round < ROUNDS; round++) {
        if (round > 0) await sleep(PAUSE_MS)
        const gflops: Record<string, number> = {}
        for (const { bytes: width, probe } of chainProbes) gflops[width] = await probes.speedOf(probe)
        const memory = {
          write: await probes.speedOf(write),
          read: await probes.speedOf(read),
          triad: await probes.speedOf(both),
        }
        best = faster(best, { threads, gflops, memory })
      }
      if (best) speeds.push(best)
    }
  } finally {
    cpu.setNumThreads(before)
  }
  return { machine: identityOf(features), measured: new Date().toISOString(), speeds }
}

/** The roofline of this machine: what the cache directory keeps, or measured now and kept. `again` measures in any case. */
export async function machineRoofline(cpu: CpuBackend, again = false): Promise<Roofline> {
  const known = again ? null : readRoofline()
  if (known) return known
  const roofline = await measureRoofline(cpu)
  writeRoofline(roofline)
  return roofline
}
