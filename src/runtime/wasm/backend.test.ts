import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import * as ir from '../../codegen/builder.ts'
import { KernelBuilder } from '../../codegen/builder.ts'
import type { Kernel } from '../../codegen/kernel.ts'
import { DeviceError, IndexOutOfRangeError, InternalError, OutOfMemoryError } from '../../common/errors.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { Argument } from '../../schedule/plan.ts'
import { WasmBackend } from './backend.ts'
import { launchOf, planOf } from './test-support.ts'

/** out[i] = x[i] * scale + y[i] over n elements. */
function axpy(): Kernel {
  const k = new KernelBuilder('axpy')
  const [x, y, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const [n, scale] = [k.index(), k.scalar('f32')]
  k.parallel('b', (b) => {
    const start = k.let('start', ir.mul(b, 8))
    k.vector('i', start, ir.min(ir.add(start, 8), n), (i) =>
      k.store(out, i, ir.add(ir.mul(ir.load(x, i), scale), ir.load(y, i))),
    )
  })
  return k.build()
}

const memory = (space: 'leaf' | 'output' | 'arena', slot: number, byteOffset = 0, step = 0): Argument => ({
  kind: 'buffer',
  ref: { space, slot, byteOffset, step },
})

function floats(backend: WasmBackend, values: readonly number[]): DeviceBuffer {
  const buffer = backend.allocate(values.length * 4)
  backend.write(buffer, new Uint8Array(Float32Array.from(values).buffer))
  return buffer
}

function contents(backend: WasmBackend, buffer: DeviceBuffer): number[] {
  return [...new Float32Array(backend.readSync(buffer).buffer)]
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

describe('plans on the wasm device', () => {
  test('launches run in order over leaves, the arena and outputs, with the scalars of the run', async () => {
    const backend = new WasmBackend()
    const n: Argument = { kind: 'index', value: 19 }
    const plan = planOf(
      [
        launchOf(0, [memory('leaf', 0), memory('leaf', 1), memory('arena', 0, 128), n, { kind: 'scalar', slot: 1 }], 3),
        launchOf(
          0,
          [memory('arena', 0, 128), memory('leaf', 0), memory('output', 0), n, { kind: 'number', value: -1 }],
          3,
        ),
      ],
      4096,
    )
    const program = await backend.compile(plan, [axpy()])
    const [x, y, out] = [
      floats(backend, range(19)),
      floats(
        backend,
        range(19).map((i) => i * 10),
      ),
      backend.allocate(19 * 4),
    ]
    for (const scale of [2, 3]) {
      await backend.run(program, [x, y], [out], [NaN, scale])
      expect(contents(backend, out)).toEqual(range(19).map((i) => i - (i * scale + i * 10)))
    }
    expect(backend.memory().arenaBytes).toBe(4096)
  })

  test('a loop advances its pointers by their steps', async () => {
    const backend = new WasmBackend()
    const args = [
      memory('leaf', 0, 0, 16),
      memory('output', 0),
      memory('output', 0),
      { kind: 'index', value: 4 },
      { kind: 'number', value: 2 },
    ] as const
    const back = [
      memory('output', 0),
      memory('output', 0),
      memory('output', 1, 32, -16),
      { kind: 'index', value: 4 },
      { kind: 'number', value: 0 },
    ] as const
    const program = await backend.compile(
      planOf([{ kind: 'loop', count: 3, steps: [launchOf(0, args, 1), launchOf(0, back, 1)], besideNext: false }]),
      [axpy()],
    )
    const x = floats(backend, range(12))
    for (let repeat = 0; repeat < 2; repeat++) {
      const [sum, steps] = [floats(backend, [0, 0, 0, 0]), backend.allocate(48)]
      await backend.run(program, [x], [sum, steps], [])
      const after = (t: number) => range(4).map((i) => range(t + 1).reduce((a, s) => a + 2 * (s * 4 + i), 0))
      expect(contents(backend, sum)).toEqual(after(2))
      expect(contents(backend, steps)).toEqual([...after(2), ...after(1), ...after(0)])
    }
  })

  test('an extent of 0 and a loop of 0 run nothing', async () => {
    const backend = new WasmBackend()
    const args = [
      memory('leaf', 0),
      memory('leaf', 0),
      memory('output', 0),
      { kind: 'index', value: 4 },
      { kind: 'number', value: 1 },
    ] as const
    const plan = planOf([
      launchOf(0, args, 0),
      { kind: 'loop', count: 0, steps: [launchOf(0, args, 1)], besideNext: false },
    ])
    const [x, out] = [floats(backend, range(4)), floats(backend, [7, 7, 7, 7])]
    await backend.run(await backend.compile(plan, [axpy()]), [x], [out], [])
    expect(contents(backend, out)).toEqual([7, 7, 7, 7])
  })

  test('long launches are cut into several calls that cover every iteration once', async () => {
    const backend = new WasmBackend()
    const k = new KernelBuilder('count')
    const out = k.buffer('float32', 'update')
    k.parallel('i', (i) => k.store(out, i, ir.add(ir.load(out, i), 1)))
    const out0 = floats(backend, new Array(1003).fill(0))
    await backend.run(
      await backend.compile(planOf([launchOf(0, [memory('output', 0)], 1003)]), [k.build()]),
      [],
      [out0],
      [],
    )
    expect(contents(backend, out0)).toEqual(new Array(1003).fill(1))
  })

  test('a fault rejects with a typed error that names the kernel, and the next run is clean', async () => {
    const backend = new WasmBackend()
    const k = new KernelBuilder('embedding')
    const [limit, at] = [k.scalar('i64'), k.scalar('i64')]
    k.parallel('i', () => k.if(ir.ge(at, limit), () => k.fail(1)))
    const args = [
      { kind: 'number', value: 2n ** 40n },
      { kind: 'scalar', slot: 0 },
    ] as const
    const program = await backend.compile(planOf([launchOf(0, args, 1)]), [k.build()])
    await expect(backend.run(program, [], [], [2 ** 40])).rejects.toThrow(IndexOutOfRangeError)
    await expect(backend.run(program, [], [], [2 ** 40])).rejects.toThrow(/'embedding'/)
    await backend.run(program, [], [], [2 ** 40 - 1])
    backend.synchronizeSync()
    const unheard = backend.run(program, [], [], [2 ** 40])
    expect(() => backend.synchronizeSync()).toThrow(/'embedding'/)
    backend.synchronizeSync()
    await expect(unheard).rejects.toThrow(IndexOutOfRangeError)
  })

  test('sizes beyond 32 bits are refused where the plan is compiled', async () => {
    const backend = new WasmBackend()
    const args = [
      memory('leaf', 0),
      memory('leaf', 0),
      memory('output', 0),
      { kind: 'index', value: 2 ** 31 },
      { kind: 'number', value: 1 },
    ] as const
    await expect(backend.compile(planOf([launchOf(0, args, 1)]), [axpy()])).rejects.toThrow(DeviceError)
  })

  test('what a plan does not give is an error, not a wrong address', async () => {
    const backend = new WasmBackend()
    const args = [
      memory('leaf', 0),
      memory('leaf', 1),
      memory('output', 0),
      { kind: 'index', value: 1 },
      { kind: 'scalar', slot: 0 },
    ] as const
    const program = await backend.compile(planOf([launchOf(0, args, 1)]), [axpy()])
    const x = floats(backend, [1])
    await expect(backend.run(program, [x], [x], [1])).rejects.toThrow(InternalError)
    await expect(backend.run(program, [x, x], [x], [])).rejects.toThrow(/scalar 0/)
    await expect(backend.run(program, [x, { bytes: 4 }], [x], [1])).rejects.toThrow(/another device/)
    await expect(backend.compile(planOf([launchOf(0, args.slice(1), 1)]), [axpy()])).rejects.toThrow(
      /4 arguments, expected 5/,
    )
  })
})

describe('memory of the wasm device', () => {
  test('reads are copies that outlive growth, and writes land in the buffer only', () => {
    const backend = new WasmBackend()
    const [a, b] = [floats(backend, [1, 2]), floats(backend, [3, 4])]
    const before = backend.readSync(a)
    backend.write(b, new Uint8Array(Float32Array.of(5).buffer))
    backend.allocate(64 * 2 ** 20)
    expect([...new Float32Array(before.buffer)]).toEqual([1, 2])
    expect(contents(backend, a)).toEqual([1, 2])
    expect(contents(backend, b)).toEqual([5, 4])
    expect(() => backend.write(a, new Uint8Array(9))).toThrow(InternalError)
  })

  test('live and peak bytes are counted, and the arena gives way when memory runs out', async () => {
    const backend = new WasmBackend({ maximumBytes: 8 * 2 ** 20 })
    const kept = backend.allocate(2 ** 20)
    await backend.run(await backend.compile(planOf([], 5 * 2 ** 20), []), [], [], [])
    expect(backend.memory()).toEqual({ liveBytes: 2 ** 20, peakBytes: 6 * 2 ** 20, arenaBytes: 5 * 2 ** 20 })
    backend.allocate(4 * 2 ** 20)
    expect(backend.memory().arenaBytes).toBe(0)
    expect(() => backend.allocate(4 * 2 ** 20)).toThrow(OutOfMemoryError)
    expect(kept.bytes).toBe(2 ** 20)
  })

  test('buffers and programs that nobody holds are freed', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const backend = new WasmBackend()
    for (let i = 0; i < 100; i++) backend.allocate(2 ** 16)
    expect(backend.memory().liveBytes).toBe(100 * 2 ** 16)
    for (let i = 0; i < 20 && backend.memory().liveBytes > 0; i++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(backend.memory().liveBytes).toBe(0)
    expect(backend.memory().peakBytes).toBe(100 * 2 ** 16)
  })
})
