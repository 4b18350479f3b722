/**
 * Machines that models are compiled for ahead of time: what compilers call them, and what kernels may count on. Sizes of caches and the number
 * of threads only choose tiles; any machine of the kind runs what was made, and gives the same.
 */
import { readEnvironment } from '../../common/env.ts'
import { ArgumentError, CompileError } from '../../common/errors.ts'
import { isThreadCount } from '../../common/thread-count.ts'
import type { Capabilities } from '../../codegen/capabilities.ts'
import { crossCompiler, defaultCompiler, probeCompiler, type Compiler } from '../compiler.ts'
import { detectCpuFeatures, vectorBytes } from '../cpu-features.ts'
import { isTargetName, targetNames, type TargetName } from './target-names.ts'

export { isTargetName, targetNames, type TargetName }

export interface Target {
  readonly name: TargetName
  /** Node's name of the architecture. */
  readonly architecture: 'x64' | 'arm64'
  readonly machineFlags: readonly string[]
  /** Instruction sets beyond the architecture's base, by the names of /proc/cpuinfo; what was made runs only where they are. */
  readonly features: readonly string[]
  readonly capabilities: Capabilities
}

/** Instruction sets that a library asks for before it runs: those of level 3, then those that level 4 adds. */
const CHECKED = ['avx', 'avx2', 'fma', 'bmi1', 'bmi2', 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl']
const LEVEL_3 = CHECKED.slice(0, 5)

interface TargetRow {
  readonly architecture: Target['architecture']
  readonly machineFlags: readonly string[]
  readonly features: readonly string[]
  readonly vectorBytes: number
  /** What small machines of the kind have for each core. */
  readonly cacheBytes: Capabilities['cacheBytes']
}

const rows: Readonly<Record<Exclude<TargetName, 'native'>, TargetRow>> = {
  'x86-64-v3': {
    architecture: 'x64',
    machineFlags: ['-march=x86-64-v3'],
    features: LEVEL_3,
    vectorBytes: 32,
    cacheBytes: [32 << 10, 256 << 10, 2 << 20],
  },
  'x86-64-v4': {
    architecture: 'x64',
    machineFlags: ['-march=x86-64-v4'],
    features: CHECKED,
    vectorBytes: 64,
    cacheBytes: [32 << 10, 1 << 20, 2 << 20],
  },
  aarch64: {
    architecture: 'arm64',
    machineFlags: ['-march=armv8-a'],
    features: [],
    vectorBytes: 16,
    cacheBytes: [32 << 10, 256 << 10, 1 << 20],
  },
}

/**
 * `threads`: what tiles are made for (a run may use any number); default this machine's for `native`, else 4.
 * @throws ArgumentError for another name; CompileError where `native` finds no compiler to ask.
 */
export function targetNamed(name: TargetName, threads?: number): Target {
  if (!isTargetName(name))
    throw new ArgumentError(`there is no target '${String(name)}'; use ${targetNames.join(', ')}`)
  if (threads !== undefined && !isThreadCount(threads))
    throw new ArgumentError(`threads of a target: got ${threads}, expected an integer from 1 to 1024`)
  const { winograd } = readEnvironment()
  if (name === 'native') return thisMachine(threads, winograd)
  const { architecture, machineFlags, features, vectorBytes, cacheBytes } = rows[name]
  const capabilities = { vectorBytes, threads: threads ?? 4, cacheBytes, blocking: true, winograd }
  return { name, architecture, machineFlags, features, capabilities }
}

function thisMachine(threads: number | undefined, winograd: boolean): Target {
  const compiler = defaultCompiler()
  const { caches, physicalCores } = detectCpuFeatures()
  if (compiler.target !== 'x64' && compiler.target !== 'arm64')
    throw new ArgumentError(`target native: models are compiled for x64 and arm64, and this is ${compiler.target}`)
  return {
    name: 'native',
    architecture: compiler.target,
    machineFlags: compiler.machineFlags,
    features: CHECKED.filter((f) => compiler.features.has(f)),
    capabilities: {
      vectorBytes: vectorBytes(compiler.features),
      threads: threads ?? readEnvironment().numThreads ?? physicalCores,
      cacheBytes: [caches.l1d, caches.l2, caches.l3],
      blocking: true,
      winograd,
    },
  }
}

/** Compilers for other machines, and the packages of Debian and Ubuntu that they are in. */
export const crossCompilers: Readonly<Record<Target['architecture'], readonly [program: string, install: string]>> = {
  arm64: ['aarch64-linux-gnu-gcc', 'apt-get install gcc-aarch64-linux-gnu'],
  x64: ['x86_64-linux-gnu-gcc', 'apt-get install gcc-x86-64-linux-gnu'],
}

/** The compiler for a target; `cc` names another one. @throws CompileError that says what to install. */
export function compilerFor(target: Target, cc?: string): Compiler {
  const { name, architecture, machineFlags } = target
  const isForeign = architecture !== detectCpuFeatures().architecture
  if (cc === undefined && !isForeign)
    return name === 'native' ? defaultCompiler() : probeCompiler(defaultCompiler(), undefined, [machineFlags])
  const [program, install] = crossCompilers[architecture]
  const remedy =
    cc === undefined
      ? `install it (Debian, Ubuntu: ${install}), name another one with --cc, or write C with --emit c and compile it there`
      : 'correct --cc'
  const compiler = crossCompiler(cc ?? program, machineFlags, remedy)
  if (compiler.target !== architecture)
    throw new CompileError(
      `the C compiler ${compiler.path} compiles for ${compiler.target}, the target ${name} is ${architecture}; name another one with --cc`,
    )
  return compiler
}

/**
 * Flags for the library of a compiled model, behind those of its code. It stays in memory once it is loaded: its threads may still spin in it when
 * a program ends that loaded it by name.
 */
export function libraryFlags(name: string): string[] {
  const elf = process.platform === 'darwin' ? [] : [`-Wl,-soname,lib${name}.so`, '-Wl,-z,nodelete']
  return ['-std=c11', '-fvisibility=hidden', '-s', '-w', ...elf, '-pthread', '-lm']
}
