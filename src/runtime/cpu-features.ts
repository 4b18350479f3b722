/**
 * What this processor can do: instruction sets, vector width, cache sizes and the cores that this process may use. The code
 * generator derives tile sizes from these numbers, never from a list of processor names. Read from /proc and /sys on Linux;
 * elsewhere from Node, with defaults that hold on any machine of the last ten years.
 */
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus } from 'node:os'

/** Sizes in bytes; `l1d` and `l2` are per core, `l3` is what one core can reach. */
export interface CacheSizes {
  readonly l1d: number
  readonly l2: number
  readonly l3: number
  readonly line: number
}

export interface CpuFeatures {
  /** Node's name of the architecture: `x64`, `arm64`, ... */
  readonly architecture: string
  readonly model: string
  /** Instruction sets by the kernel's names: `avx2`, `fma`, `avx512f`, `asimd`, ... */
  readonly flags: ReadonlySet<string>
  /** Width of the widest usable vector register, in bytes: 64, 32 or 16. */
  readonly vectorBytes: number
  readonly caches: CacheSizes
  /** Cores that this process may use, within its affinity mask and its cgroup's quota; `physicalCores` counts hyper-threads once. */
  readonly physicalCores: number
  readonly logicalCores: number
}

/** Reads a text file, undefined where there is none; tests put a made-up machine behind it. */
export type ReadText = (path: string) => string | undefined

const DEFAULT_CACHES: CacheSizes = { l1d: 32 << 10, l2: 512 << 10, l3: 8 << 20, line: 64 }
const CPU_SYSFS = '/sys/devices/system/cpu'

/** Inspects the machine; costs about a millisecond, so callers keep the result. */
export function detectCpuFeatures(
  read: ReadText = readTextFile,
  available: number = availableParallelism(),
  architecture: string = arch(),
): CpuFeatures {
  const info = parseCpuInfo(read('/proc/cpuinfo') ?? '')
  const quota = cgroupCpuQuota(read)
  const logicalCores = Math.max(1, Math.min(available, Math.ceil(quota)))
  return {
    architecture,
    model: info.model ?? cpus()[0]?.model ?? 'unknown',
    flags: info.flags,
    vectorBytes: vectorBytes(info.flags),
    caches: readCacheSizes(read),
    physicalCores: Math.max(1, Math.min(logicalCores, info.physicalCores ?? logicalCores)),
    logicalCores,
  }
}

/** Vector width from instruction sets; 16 bytes (SSE2, NEON, WASM SIMD) is what every supported machine has. */
export function vectorBytes(flags: ReadonlySet<string>): number {
  if (flags.has('avx512f') && flags.has('avx512bw') && flags.has('avx512vl') && flags.has('avx512dq')) return 64
  return flags.has('avx2') ? 32 : 16
}

/**
 * How bfloat16 is multiplied, from the instruction sets that compiler and processor have: tiles where the system lets this process use
 * them (`allowTiles` asks). Processors with tiles do half as many products a cycle by vdpbf16ps as by float32 multiply-adds of converted
 * values, so that pairs are for those without tiles.
 */
export function bfloat16Products(flags: ReadonlySet<string>, allowTiles: () => boolean): 'pairs' | 'tiles' | undefined {
  if (vectorBytes(flags) < 64) return undefined
  if (flags.has('amx_tile') && flags.has('amx_bf16')) return allowTiles() ? 'tiles' : undefined
  return flags.has('avx512_bf16') ? 'pairs' : undefined
}

interface CpuInfo {
  readonly model: string | undefined
  readonly flags: ReadonlySet<string>
  readonly physicalCores: number | undefined
}

/** Reads /proc/cpuinfo of x86 (`flags`, `physical id`, `core id`) and Arm (`Features`). */
export function parseCpuInfo(text: string): CpuInfo {
  const flags = new Set<string>()
  const cores = new Set<string>()
  let model: string | undefined
  for (const block of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>()
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':')
      if (colon > 0) fields.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim())
    }
    model ??= fields.get('model name') ?? fields.get('Model')
    for (const flag of (fields.get('flags') ?? fields.get('Features') ?? '').split(' '))
      if (flag !== '') flags.add(flag)
    const core = fields.get('core id')
    if (core !== undefined) cores.add(`${fields.get('physical id') ?? 0}:${core}`)
  }
  return { model, flags, physicalCores: cores.size > 0 ? cores.size : undefined }
}

function readCacheSizes(read: ReadText): CacheSizes {
  const found: { l1d?: number; l2?: number; l3?: number; line?: number } = {}
  // Levels of data cache appear as index0, index1, ...; six directories are more than any machine has.
  for (let index = 0; index < 6; index++) {
    const directory = `${CPU_SYSFS}/cpu0/cache/index${index}`
    const size = parseSize(read(`${directory}/size`))
    const type = read(`${directory}/type`)?.trim()
    if (size === undefined || type === 'Instruction') continue
    const level = read(`${directory}/level`)?.trim()
    if (level === '1') found.l1d = size
    else if (level === '2') found.l2 = size
    else if (level === '3') found.l3 = size
    const line = Number(read(`${directory}/coherency_line_size`))
    if (line > 0) found.line = line
  }
  // A machine that shows its second level but no third has none (many Arm cores): what lies outside is memory.
  const l3 = found.l3 ?? (found.l2 === undefined ? DEFAULT_CACHES.l3 : found.l2)
  return { ...DEFAULT_CACHES, ...found, l3 }
}

/** `32K`, `1024K`, `32M` or a plain number of bytes. */
function parseSize(text: string | undefined): number | undefined {
  const match = /^(\d+)([KMG]?)$/.exec(text?.trim() ?? '')
  if (match === null) return undefined
  const bytes = Number(match[1]) * 1024 ** ['', 'K', 'M', 'G'].indexOf(match[2] ?? '')
  return bytes > 0 ? bytes : undefined
}

/** The least CPU quota of this process's cgroup and its ancestors, in cores; Infinity where there is none. */
export function cgroupCpuQuota(read: ReadText): number {
  let quota = Infinity
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    const isVersion2 = controllers === ''
    if (!isVersion2 && !controllers.split(',').includes('cpu')) continue
    // In a container the path is often the host's; the mount then shows the container's own group at its root.
    for (let group = path; ; group = group.slice(0, group.lastIndexOf('/'))) {
      quota = Math.min(quota, isVersion2 ? quotaVersion2(read, group) : quotaVersion1(read, group))
      if (!group.includes('/') || group === '/') break
    }
  }
  return quota
}

function quotaVersion2(read: ReadText, group: string): number {
  const [limit, period] = (read(joinGroup('/sys/fs/cgroup', group, 'cpu.max')) ?? '').trim().split(' ')
  return ratio(Number(limit), Number(period))
}

function quotaVersion1(read: ReadText, group: string): number {
  const limit = read(joinGroup('/sys/fs/cgroup/cpu', group, 'cpu.cfs_quota_us'))
  const period = read(joinGroup('/sys/fs/cgroup/cpu', group, 'cpu.cfs_period_us'))
  return ratio(Number(limit ?? -1), Number(period ?? -1))
}

function joinGroup(mount: string, group: string, file: string): string {
  return `${mount}${group === '/' ? '' : group}/${file}`
}

/** `max` (not a number) and -1 both mean: no quota. */
function ratio(limit: number, period: number): number {
  return limit > 0 && period > 0 ? limit / period : Infinity
}

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
