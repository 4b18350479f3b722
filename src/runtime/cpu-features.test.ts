import { availableParallelism } from 'node:os'
import { describe, expect, test, vi } from 'vitest'
import { bfloat16Products, cgroupCpuQuota, detectCpuFeatures, parseCpuInfo, vectorBytes } from './cpu-features.ts'

/** A machine made of files. */
const machine = (files: Record<string, string>) => (path: string) => files[path]

const x86Core = (processor: number, core: number, flags: string) =>
  `processor\t: ${processor}\nmodel name\t: Test CPU @ 3.00GHz\nphysical id\t: 0\ncore id\t\t: ${core}\nflags\t\t: ${flags}\n`

const cache = (index: number, level: number, type: string, size: string) => {
  const directory = `/sys/devices/system/cpu/cpu0/cache/index${index}`
  return {
    [`${directory}/level`]: `${level}\n`,
    [`${directory}/type`]: `${type}\n`,
    [`${directory}/size`]: `${size}\n`,
    [`${directory}/coherency_line_size`]: '128\n',
  }
}

describe('detectCpuFeatures', () => {
  test('reads flags, caches and cores of an x86 machine with hyper-threads', () => {
    const files = {
      '/proc/cpuinfo': [0, 1, 2, 3].map((i) => x86Core(i, i % 2, 'sse2 avx avx2 fma f16c')).join('\n'),
      ...cache(0, 1, 'Data', '48K'),
      ...cache(1, 1, 'Instruction', '32K'),
      ...cache(2, 2, 'Unified', '2048K'),
      ...cache(3, 3, 'Unified', '36M'),
    }
    const cpu = detectCpuFeatures(machine(files), 4, 'x64')
    expect(cpu).toMatchObject({ model: 'Test CPU @ 3.00GHz', vectorBytes: 32, physicalCores: 2, logicalCores: 4 })
    expect([...cpu.flags]).toEqual(['sse2', 'avx', 'avx2', 'fma', 'f16c'])
    expect(cpu.caches).toEqual({ l1d: 48 * 1024, l2: 2 * 1024 ** 2, l3: 36 * 1024 ** 2, line: 128 })
  })

  test('a cgroup quota limits the cores, and half a core counts as one', () => {
    const cpuinfo = [0, 1, 2, 3].map((i) => x86Core(i, i, 'avx2')).join('\n')
    const files = { '/proc/cpuinfo': cpuinfo, '/proc/self/cgroup': '0::/\n' }
    const withQuota = (max: string) => detectCpuFeatures(machine({ ...files, '/sys/fs/cgroup/cpu.max': max }), 4, 'x64')
    expect(withQuota('250000 100000\n')).toMatchObject({ physicalCores: 3, logicalCores: 3 })
    expect(withQuota('50000 100000\n')).toMatchObject({ physicalCores: 1, logicalCores: 1 })
    expect(withQuota('max 100000\n')).toMatchObject({ physicalCores: 4, logicalCores: 4 })
  })

  test('a machine that tells nothing gets safe defaults', () => {
    const cpu = detectCpuFeatures(machine({}), 8, 'riscv64')
    expect(cpu).toMatchObject({ vectorBytes: 16, physicalCores: 8, logicalCores: 8 })
    expect(cpu.caches).toEqual({ l1d: 32768, l2: 524288, l3: 8388608, line: 64 })
  })

  test('an Arm machine without a third cache level', () => {
    const files = {
      '/proc/cpuinfo': 'processor\t: 0\nFeatures\t: fp asimd asimdhp bf16\nCPU part\t: 0xd0c\n',
      ...cache(0, 1, 'Data', '64K'),
      ...cache(1, 2, 'Unified', '1024K'),
    }
    const cpu = detectCpuFeatures(machine(files), 2, 'arm64')
    expect(cpu.flags.has('asimd')).toBe(true)
    expect(cpu.vectorBytes).toBe(16)
    expect(cpu.caches).toMatchObject({ l2: 1048576, l3: 1048576 })
  })

  test('this machine', () => {
    const cpu = detectCpuFeatures()
    expect(cpu.logicalCores).toBeGreaterThanOrEqual(1)
    expect(cpu.logicalCores).toBeLessThanOrEqual(availableParallelism())
    expect(cpu.physicalCores).toBeLessThanOrEqual(cpu.logicalCores)
    expect([16, 32, 64]).toContain(cpu.vectorBytes)
  })
})

test('vectorBytes needs the whole AVX-512 set that the kernels use', () => {
  expect(vectorBytes(new Set(['avx2', 'avx512f']))).toBe(32)
  expect(vectorBytes(new Set(['avx2', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq']))).toBe(64)
})

test('parseCpuInfo copes with an empty file', () => {
  expect(parseCpuInfo('')).toEqual({ model: undefined, flags: new Set(), physicalCores: undefined })
})

describe('cgroupCpuQuota', () => {
  test('takes the least quota on the way to the root, version 2', () => {
    const files = {
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/cpu.max': 'max 100000',
      '/sys/fs/cgroup/a/cpu.max': '150000 100000',
      '/sys/fs/cgroup/cpu.max': '400000 100000',
    }
    expect(cgroupCpuQuota(machine(files))).toBe(1.5)
  })

  test('version 1, where -1 is no quota', () => {
    const quota = (us: string) => ({
      '/proc/self/cgroup': '4:memory:/x\n1:cpu,cpuacct:/\n0::/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': us,
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
    })
    expect(cgroupCpuQuota(machine(quota('200000')))).toBe(2)
    expect(cgroupCpuQuota(machine(quota('-1')))).toBe(Infinity)
  })
})

describe('bfloat16Products', () => {
  const wide = ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq']
  const amx = ['avx512_bf16', 'amx_tile', 'amx_bf16']
  test.each([
    ['storage without AVX-512', ['avx2', 'f16c'], true, undefined],
    ['storage without the instruction', wide, true, undefined],
    ['pairs', [...wide, 'avx512_bf16'], true, 'pairs'],
    ['tiles', [...wide, ...amx], true, 'tiles'],
    ['storage where the system refuses tiles', [...wide, ...amx], false, undefined],
    ['storage where the compiler was told to leave AVX-512 alone', ['avx2', ...amx.slice(1)], true, undefined],
  ] as const)('%s', (_, flags, allowed, expected) => {
    expect(bfloat16Products(new Set(flags), () => allowed)).toBe(expected)
  })

  test('asks for tiles only where the processor has them', () => {
    const ask = vi.fn(() => true)
    bfloat16Products(new Set([...wide, 'avx512_bf16']), ask)
    expect(ask).not.toHaveBeenCalled()
  })
})
