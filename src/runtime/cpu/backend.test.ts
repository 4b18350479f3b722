/** Hand-built plans on the native executor. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import * as ir from '../../codegen/builder.ts'
import { KernelBuilder } from '../../codegen/builder.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import { CompileError, IndexOutOfRangeError, InternalError } from '../../common/errors.ts'
import { withMemoryLimit } from '../../common/memory.ts'
import { renderKernel } from '../../render/c.ts'
import type { Argument, Launch, Loop, Plan } from '../../schedule/plan.ts'
import { compilerCandidates, defaultCompiler } from '../compiler.ts'
import { CpuBackend } from './backend.ts'
import { KernelLibrary } from './kernel-library.ts'
import type { RunTimes } from '../run-times.ts'
import { nativeRuntime } from './native.ts'

let root: string
let cpu: CpuBackend

const hasCompiler = compilerCandidates().length > 0

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-cpu-'))
  vi.stubEnv('LONGZHOU_CACHE_DIR', join(root, 'cache'))
  if (hasCompiler) cpu = new CpuBackend()
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(root, { recursive: true })
})

const at = (space: 'leaf' | 'output' | 'arena', slot: number, byteOffset = 0, step = 0): Argument => ({
  kind: 'buffer',
  ref: { space, slot, byteOffset, step },
})
const index = (value: number): Argument => ({ kind: 'index', value })
const launch = (kernel: number, extent: number, args: readonly Argument[], more: Partial<Launch> = {}): Launch => ({
  kind: 'launch',
  kernel,
  arguments: args,
  extent,
  grain: 1,
  scratchBytes: 0,
  flops: 0,
  bytes: 0,
  ...more,
})
const planOf = (steps: readonly (Launch | Loop)[], arenaBytes = 0): Plan => ({ steps, arenaBytes })
const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)

function upload(data: Float32Array | BigInt64Array) {
  const buffer = cpu.allocate(data.byteLength)
  cpu.write(buffer, bytesOf(data))
  return buffer
}

const BLOCK = 64

/** out = x * scale + y over blocks. */
function axpy(): Kernel {
  const k = new KernelBuilder('x * scale + y')
  const [x, y, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const [n, scale] = [k.index(), k.scalar('f32')]
  k.parallel('block', (block) => {
    const from = k.let('from', ir.mul(block, BLOCK))
    k.vector('i', from, ir.min(ir.add(from, BLOCK), n), (i) => {
      k.store(out, i, ir.fma(ir.load(x, i), scale, ir.load(y, i)))
    })
  })
  return k.build()
}

/** Sum of each row, through a copy of the row in scratch. */
function rowSums(): Kernel {
  const k = new KernelBuilder('row sums')
  const [x, out, scratch, n] = [
    k.buffer('float32', 'read'),
    k.buffer('float32', 'write'),
    k.scratch('float32'),
    k.index(),
  ]
  k.parallel('row', (row) => {
    k.vector('i', 0, n, (i) => k.store(scratch, i, ir.load(x, ir.add(ir.mul(row, n), i))))
    const sum = k.declare('sum', ir.f32(0))
    k.vector('j', 0, n, (j) => k.accumulate(sum, 'add', ir.load(scratch, j)))
    k.store(out, row, sum)
  })
  return k.build()
}

/** state = state * decay + input, element by element. */
function recurrence(): Kernel {
  const k = new KernelBuilder('recurrence')
  const [state, input, out] = [k.buffer('float32', 'update'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  k.parallel('i', (i) => {
    const next = k.let('next', ir.fma(ir.load(state, i), 0.5, ir.load(input, i)))
    k.store(state, i, next)
    k.store(out, i, next)
  })
  return k.build()
}

function gatherRows(): Kernel {
  const k = new KernelBuilder('gather')
  const [table, ids, out, rows] = [
    k.buffer('float32', 'read'),
    k.buffer('int64', 'read'),
    k.buffer('float32', 'write'),
    k.index(),
  ]
  k.parallel('i', (i) => {
    const id = k.declare('id', ir.convert(ir.load(ids, i), 'index'))
    k.if(ir.or(ir.lt(id, 0), ir.ge(id, rows)), () => {
      k.fail(1)
      k.assign(id, 0)
    })
    k.store(out, i, ir.load(table, id))
  })
  return k.build()
}

/** Does nothing, but for as long as an optimiser cannot see through. */
function tripled(): Kernel {
  const k = new KernelBuilder('tripled')
  const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  k.parallel('i', (i) => k.store(out, i, ir.mul(ir.load(x, i), 3)))
  return k.build()
}

function idle(work: number): Kernel {
  const k = new KernelBuilder('idle')
  const out = k.buffer('float32', 'write')
  k.parallel('i', (i) => {
    const sum = k.declare('sum', ir.f32(1))
    k.loop('j', 0, work, 1, (j) => k.assign(sum, ir.fma(sum, 0.999, ir.convert(j, 'f32'))))
    k.store(out, i, sum)
  })
  return k.build()
}

describe.runIf(hasCompiler).each([1, 2, 5])('on %i threads', (threads) => {
  beforeAll(() => cpu.setNumThreads(threads))

  test('an elementwise kernel, twice with other scalars', async () => {
    const n = 1000
    const x = Float32Array.from({ length: n }, (_, i) => i)
    const y = Float32Array.from({ length: n }, (_, i) => -i / 2)
    const args = [at('leaf', 0), at('leaf', 1), at('output', 0), index(n), { kind: 'scalar', slot: 0 } as const]
    const program = await cpu.compile(planOf([launch(0, Math.ceil(n / BLOCK), args)]), [axpy()])
    const out = cpu.allocate(n * 4)
    const leaves = [upload(x), upload(y)]
    for (const scale of [2, -0.25]) {
      await cpu.run(program, leaves, [out], [scale])
      expect(floats(await cpu.read(out))).toEqual(x.map((v, i) => v * scale + y[i]!))
    }
  })

  test('intermediates in the arena, and scratch for every thread', () => {
    const [rows, n] = [37, 500]
    const x = Float32Array.from({ length: rows * n }, (_, i) => (i % 13) - 6)
    const elementwise = [
      at('leaf', 0),
      at('leaf', 0),
      at('arena', 0, 128),
      index(rows * n),
      { kind: 'number', value: 3 } as const,
    ]
    const sums = [at('arena', 0, 128), at('output', 0), { kind: 'scratch' } as const, index(n)]
    const program = cpu.compileSync(
      planOf(
        [launch(0, Math.ceil((rows * n) / BLOCK), elementwise), launch(1, rows, sums, { scratchBytes: n * 4 })],
        128 + rows * n * 4,
      ),
      [axpy(), rowSums()],
    )
    const out = cpu.allocate(rows * 4)
    void cpu.run(program, [upload(x)], [out], [])
    const wanted = Float32Array.from({ length: rows }, (_, r) =>
      x.subarray(r * n, r * n + n).reduce((s, v) => s + v * 4, 0),
    )
    expect(floats(cpu.readSync(out))).toEqual(wanted)
    expect(cpu.memory().arenaBytes).toBeGreaterThanOrEqual(128 + rows * n * 4)
  })

  test('a loop whose pointers step', async () => {
    const [steps, n] = [20, 33]
    const input = Float32Array.from({ length: steps * n }, (_, i) => Math.sin(i))
    const args = [at('output', 0), at('leaf', 0, 0, n * 4), at('output', 1, 0, n * 4)]
    const loop: Loop = { kind: 'loop', count: steps, steps: [launch(0, n, args)], besideNext: false }
    const program = await cpu.compile(planOf([loop]), [recurrence()])
    const [state, trace] = [upload(new Float32Array(n)), cpu.allocate(steps * n * 4)]
    await cpu.run(program, [upload(input)], [state, trace], [])
    const wanted = new Float32Array(steps * n)
    for (let i = 0; i < steps * n; i++) wanted[i] = (i < n ? 0 : wanted[i - n]! * 0.5) + input[i]!
    floats(await cpu.read(trace)).forEach((v, i) => expect(v).toBeCloseTo(wanted[i]!, 5))
    expect(floats(await cpu.read(state))).toEqual(floats(await cpu.read(trace)).slice(-n))
  })

  test('loops beside each other give what they give one after another, with their times', async () => {
    const [steps, n] = [50, 40]
    const inputs = [0, 1].map((k) => Float32Array.from({ length: steps * n }, (_, i) => Math.sin(i + k)))
    const loop = (k: number): Loop => ({
      kind: 'loop',
      count: steps,
      steps: [launch(0, n, [at('output', 2 * k), at('leaf', k, 0, n * 4), at('output', 2 * k + 1, 0, n * 4)])],
      besideNext: k === 0,
    })
    const last = launch(0, n, [at('output', 4), at('output', 1), at('output', 5)])
    const plan = planOf([loop(0), loop(1), last])
    const program = await cpu.compile(plan, [recurrence()])
    const outs = [n, steps * n, n, steps * n, n, n].map((size) => upload(new Float32Array(size)))
    const times = await new Promise<RunTimes>((tell, fail) => {
      const settled = (fault: Error | null, t?: RunTimes): void => (t ? tell(t) : fail(fault ?? new Error('no times')))
      void cpu.run(program, inputs.map(upload), outs, [], settled, true)
    })
    inputs.forEach((input, k) => {
      const wanted = new Float32Array(steps * n)
      for (let i = 0; i < steps * n; i++) wanted[i] = (i < n ? 0 : wanted[i - n]! * 0.5) + input[i]!
      expect(floats(cpu.readSync(outs[2 * k + 1]!))).toEqual(wanted)
    })
    const launches = times.launches(plan)
    expect(launches).toHaveLength(2 * steps + 1)
    expect(launches.map((l) => l.iteration)).toEqual([...Array(steps).keys(), ...Array(steps).keys(), 0])
    for (const own of [launches.slice(0, steps), launches.slice(steps, 2 * steps)])
      own.forEach((l, i) => expect(l.start).toBeGreaterThanOrEqual(own[i - 1]?.end ?? 0))
    expect(launches.at(-1)!.start).toBeGreaterThanOrEqual(Math.max(...launches.slice(0, -1).map((l) => l.end)))
  })

  test('an empty extent and a loop of no iterations do nothing', async () => {
    const args = [at('output', 0), at('leaf', 0), at('output', 1)]
    const loop: Loop = { kind: 'loop', count: 0, steps: [launch(0, 4, args)], besideNext: false }
    const program = await cpu.compile(planOf([loop, launch(0, 0, args), launch(0, 2, args)]), [recurrence()])
    const [state, out] = [upload(new Float32Array(4)), upload(new Float32Array(4))]
    await cpu.run(program, [upload(Float32Array.of(1, 2, 3, 4))], [state, out], [])
    expect([...floats(await cpu.read(out))]).toEqual([1, 2, 0, 0])
  })

  test('an index out of range rejects that run and no other', async () => {
    const args = [at('leaf', 0), at('leaf', 1), at('output', 0), index(3)]
    const program = await cpu.compile(planOf([launch(0, 4, args)]), [gatherRows()])
    const table = upload(Float32Array.of(10, 20, 30))
    const outs = [cpu.allocate(16), cpu.allocate(16), cpu.allocate(16)]
    const ids = [
      [0n, 1n, 2n, 0n],
      [0n, 3n, 1n, 1n],
      [2n, 2n, 2n, 2n],
    ].map((v) => upload(BigInt64Array.from(v)))
    const runs = ids.map((id, i) => cpu.run(program, [table, id], [outs[i]!], []))
    const results = await Promise.allSettled(runs)
    expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    await expect(runs[1]).rejects.toThrow(IndexOutOfRangeError)
    expect([...floats(await cpu.read(outs[2]!))]).toEqual([30, 30, 30, 30])
    const failing = cpu.run(program, [table, ids[1]!], [outs[0]!], [])
    const error = (() => {
      try {
        cpu.readSync(outs[0]!)
      } catch (e) {
        return e
      }
      return null
    })()
    expect(error).toBeInstanceOf(IndexOutOfRangeError)
    await expect(failing).rejects.toBe(error)
  })

  test('many uneven launches in a row lose no chunk', async () => {
    const n = 4096
    const steps = Array.from({ length: 2000 }, (_, i) => {
      const extent = 1 + ((i * 37) % n)
      return launch(0, extent, [at('arena', 0), at('leaf', 0), at('output', 0)], { grain: 1 + (i % 7) })
    })
    const first = launch(1, n / BLOCK, [
      at('leaf', 1),
      at('leaf', 1),
      at('arena', 0),
      index(n),
      { kind: 'number', value: 1 },
    ])
    const program = await cpu.compile(planOf([first, ...steps], n * 4), [recurrence(), axpy()])
    const out = cpu.allocate(n * 4)
    await cpu.run(program, [upload(new Float32Array(n).fill(1)), upload(new Float32Array(n))], [out], [])
    const wanted = new Float32Array(n)
    for (const s of steps) for (let i = 0; i < s.extent; i++) wanted[i] = wanted[i]! * 0.5 + 1
    expect(floats(await cpu.read(out))).toEqual(wanted)
  })
})

describe.runIf(hasCompiler)('the queue', () => {
  test('200 runs leave the event loop free, and finish in order', async () => {
    cpu.setNumThreads(2)
    const program = await cpu.compile(planOf([launch(0, 64, [at('output', 0)])]), [idle(40_000)])
    const out = cpu.allocate(64 * 4)
    let [ticks, longest, last] = [0, 0, performance.now()]
    const timer = setInterval(() => {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
      ticks++
    }, 10)
    const order: number[] = []
    const start = performance.now()
    const runs = Array.from({ length: 200 }, (_, i) => cpu.run(program, [], [out], []).then(() => order.push(i)))
    const submitted = performance.now() - start
    await Promise.all(runs)
    const total = performance.now() - start
    clearInterval(timer)
    expect(order).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(submitted).toBeLessThan(total / 4)
    expect(ticks).toBeGreaterThan(total / 10 / 4)
  })

  test('a write is ordered after the runs before it, and a read after the writes', async () => {
    const program = await cpu.compile(planOf([launch(0, 64, [at('output', 0)])]), [idle(40_000)])
    const out = cpu.allocate(64 * 4)
    const run = cpu.run(program, [], [out], [])
    const data = new Float32Array(64).fill(7)
    cpu.write(out, bytesOf(data))
    data.fill(8)
    expect(floats(await cpu.read(out))).toEqual(new Float32Array(64).fill(7))
    await run
    await cpu.synchronize()
  })

  test('a thousand doors wait at once', async () => {
    const program = await cpu.compile(planOf([launch(0, 64, [at('output', 0)])]), [idle(40_000)])
    const outs = Array.from({ length: 20 }, () => cpu.allocate(64 * 4))
    for (const out of outs) void cpu.run(program, [], [out], [])
    const read = Array.from({ length: 1000 }, (_, i) => cpu.read(outs[i % 20]!))
    await expect(Promise.all(read)).resolves.toHaveLength(1000)
  })

  test('more runs than the queue holds', async () => {
    const program = await cpu.compile(planOf([launch(0, 1, [at('output', 0)])]), [idle(10)])
    const out = cpu.allocate(4)
    const runs = Array.from({ length: 5000 }, () => cpu.run(program, [], [out], []))
    await expect(Promise.all(runs)).resolves.toHaveLength(5000)
  })

  test('a short run that somebody waits for has run when it is submitted, and others before it have', async () => {
    cpu.setNumThreads(2)
    const long = await cpu.compile(planOf([launch(0, 64, [at('output', 0)])]), [idle(40_000)])
    const scaled = await cpu.compile(planOf([launch(0, 4, [at('leaf', 0), at('output', 0)])]), [tripled()])
    const [x, other, out] = [upload(Float32Array.of(1, 2, 3, 4)), cpu.allocate(64 * 4), cpu.allocate(16)]
    let settled = 0
    const wait = (): Promise<void> => cpu.run(scaled, [x], [out], [], () => settled++, false, true)
    // The first run tells how long it takes; a busy machine may make any of them long.
    let isAtOnce = false
    for (let i = 0; i < 1000 && !isAtOnce; i++) {
      const run = wait()
      isAtOnce = settled === i + 1
      await run
    }
    expect(isAtOnce).toBe(true)
    expect([...floats(cpu.readSync(out))]).toEqual([3, 6, 9, 12])
    // It keeps its place behind runs that wait.
    const order: string[] = []
    const runs = [cpu.run(long, [], [other], []), cpu.run(scaled, [x], [out], [], undefined, false, true)]
    await Promise.all(runs.map((run, i) => run.then(() => order.push(['long', 'short'][i]!))))
    expect(order).toEqual(['long', 'short'])
    settled = 0
    await Promise.all(Array.from({ length: 5000 }, wait))
    expect(settled).toBe(5000)
    await cpu.run(long, [], [other], [])
  })

  test('runs may differ in how many threads work for them', async () => {
    const rows = 64
    const x = upload(Float32Array.from({ length: rows * 300 }, (_, i) => (i % 7) - 3))
    const plan = planOf([
      launch(0, rows, [at('leaf', 0), at('output', 0), { kind: 'scratch' }, index(300)], {
        scratchBytes: 4 * 300 + 64,
      }),
    ])
    const programs = [1, 3, 2, undefined].map((threads) =>
      cpu.compileSync(plan, [rowSums()], threads === undefined ? {} : { threads }),
    )
    const outs = Array.from({ length: 200 }, () => cpu.allocate(4 * rows))
    await Promise.all(outs.map((out, i) => cpu.run(programs[i % 4]!, [x], [out], [])))
    const [first] = outs.map((out) => floats(cpu.readSync(out)))
    expect(outs.every((out) => floats(cpu.readSync(out)).every((v, i) => v === first![i]))).toBe(true)
    expect(first![0]).toBe(Array.from({ length: 300 }, (_, i) => (i % 7) - 3).reduce((a, b) => a + b))
  })

  test('a program takes subnormal numbers for zero where it is asked to, and no other run does', async () => {
    const n = 4 * BLOCK
    const plan = planOf([
      launch(0, 4, [at('leaf', 0), at('leaf', 1), at('output', 0), index(n), { kind: 'scalar', slot: 0 }]),
    ])
    const [flushing, exact] = [true, false].map((flushesSubnormals) =>
      cpu.compileSync(plan, [axpy()], { flushesSubnormals }),
    )
    const [x, y] = [upload(new Float32Array(n).fill(1e-20)), upload(new Float32Array(n))]
    const product = async (program: typeof exact): Promise<number[]> => {
      const out = cpu.allocate(4 * n)
      // Awaited ones run in this thread once they are known to be short.
      await cpu.run(program!, [x, y], [out], [1e-20], undefined, false, true)
      return [...new Set(floats(cpu.readSync(out)))]
    }
    for (let i = 0; i < 6; i++) {
      expect(await product(flushing)).toEqual([0])
      expect(await product(exact)).toEqual([Math.fround(Math.fround(1e-20) * Math.fround(1e-20))])
    }
    expect(Math.fround(1e-20) * 1e-300).toBeGreaterThan(0)
  })

  test('buffers are aligned, counted, and freed when nobody has them', async () => {
    const before = cpu.memory().liveBytes
    const one = cpu.allocate(1 << 20) as ReturnType<CpuBackend['allocate']> & { address: number }
    expect(one.address % 64).toBe(0)
    expect(cpu.memory().liveBytes).toBe(before + (1 << 20))
    expect(cpu.memory().peakBytes).toBeGreaterThanOrEqual(before + (1 << 20))
    expect(() => cpu.allocate(2 ** 52)).toThrow(/needs 4194304.0 GiB/)
    expect(cpu.allocate(0).bytes).toBe(0)
  })

  test('arguments that do not fit the parameters are refused', () => {
    expect(() => cpu.compileSync(planOf([launch(0, 1, [at('output', 0), index(1)])]), [idle(10)])).toThrow(
      InternalError,
    )
    expect(() => cpu.compileSync(planOf([launch(0, 1, [index(1)])]), [idle(10)])).toThrow(
      /gives a index for a parameter/,
    )
    const program = cpu.compileSync(planOf([launch(0, 1, [at('output', 0)])]), [idle(10)])
    expect(() => cpu.run(program, [], [], [])).toThrow(InternalError)
  })
})

const hasFusedProducts = hasCompiler && ['fma', 'neon'].some((feature) => defaultCompiler().features.has(feature))

test.runIf(hasFusedProducts)('kernels that are compiled in a hurry still multiply and add in one', async () => {
  expect(renderKernel(axpy(), 32).needsRegions).toBe(false)
  // The product is 1 + 2^-11 + 2^-24, which float32 does not hold.
  const [x, y] = [1 + 2 ** -12, -(1 + 2 ** -11)].map((value) => new Float32Array(BLOCK).fill(value))
  const args = [at('leaf', 0), at('leaf', 1), at('output', 0), index(BLOCK), { kind: 'scalar', slot: 0 } as const]
  const program = await cpu.compile(planOf([launch(0, 1, args)]), [axpy()])
  const out = cpu.allocate(BLOCK * 4)
  await cpu.run(program, [upload(x!), upload(y!)], [out], [1 + 2 ** -12])
  expect(floats(await cpu.read(out))).toEqual(new Float32Array(BLOCK).fill(2 ** -24))
})

describe.runIf(hasCompiler)('the kernel cache', () => {
  const fresh = (directory: string) => new KernelLibrary(nativeRuntime(), directory, 2)
  const kernels = Array.from({ length: 60 }, (_, i) => renderKernel(idle(i + 100), 32))
  const directory = (): string => mkdtempSync(join(root, 'kernels-'))
  const objects = (path: string): string[] => readdirSync(path).filter((f) => f.endsWith('.so'))

  test('kernels are spread over units, found again, and kept private', async () => {
    const path = directory()
    const addresses = await fresh(path).load(kernels)
    expect(new Set(addresses).size).toBe(60)
    expect(objects(path).length).toBe(2)
    const modified = objects(path).map((f) => statSync(join(path, f)).mtimeMs)
    // Another process finds any of them, in any combination.
    const again = await fresh(path).load([kernels[59]!, kernels[0]!])
    expect(again.every((a) => a > 0)).toBe(true)
    expect(objects(path).map((f) => statSync(join(path, f)).mtimeMs)).toEqual(modified)
    expect(readdirSync(path).filter((f) => f.endsWith('.tmp'))).toEqual([])
  })

  test('keeps nothing where it is told to', async () => {
    vi.stubEnv('TMPDIR', directory())
    const library = new KernelLibrary(nativeRuntime(), null, 2)
    const addresses = await library.load(kernels.slice(0, 3))
    expect(library.loadSync(kernels.slice(2, 4))[0]).toBe(addresses[2])
    await expect(library.load([{ ...kernels[0]!, name: 'k_broken', text: 'void k_broken(' }])).rejects.toThrow(
      CompileError,
    )
    expect(readdirSync(process.env['TMPDIR']!)).toEqual([])
  })

  test('a damaged file is compiled again', async () => {
    const path = directory()
    await fresh(path).load(kernels.slice(0, 2))
    const copy = directory()
    for (const f of readdirSync(path))
      writeFileSync(join(copy, f), f.endsWith('.so') ? 'damaged' : readFileSync(join(path, f)))
    const [address] = await fresh(copy).load(kernels.slice(0, 1))
    expect(address).toBeGreaterThan(0)
  })

  test('memory for intermediates is there when a plan is compiled, unless there is too little', async () => {
    const bytes = cpu.memory().arenaBytes + 70_000_000
    const plan = planOf([], bytes)
    const options = { cache: false } as const
    await withMemoryLimit(bytes / 2, () => cpu.compile(plan, [idle(11)], options))
    await cpu.synchronize()
    expect(cpu.memory().arenaBytes).toBeLessThan(bytes)
    await cpu.compile(plan, [idle(12)], options)
    await cpu.synchronize()
    expect(cpu.memory().arenaBytes).toBeGreaterThanOrEqual(bytes)
  })

  test('two requests for one kernel compile it once', async () => {
    const path = directory()
    const library = fresh(path)
    const [a, b] = await Promise.all([library.load(kernels.slice(0, 3)), library.load(kernels.slice(2, 4))])
    expect(a[2]).toBe(b[0])
    expect(objects(path).length).toBe(2)
  })

  test('a kernel that does not compile is a CompileError, and can be asked for again', async () => {
    const library = fresh(directory())
    const broken = { ...kernels[0]!, name: 'k_broken', text: 'void k_broken(void) { undeclared(; }' }
    await expect(library.load([broken])).rejects.toThrow(CompileError)
    await expect(library.load([broken])).rejects.toThrow(CompileError)
    expect(() => library.loadSync([broken])).toThrow(/error/)
    expect(library.loadSync([kernels[0]!])[0]).toBeGreaterThan(0)
  })
})
