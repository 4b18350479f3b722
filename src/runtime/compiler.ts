/**
 * The system's C compiler: finding it ($CC, cc, gcc, clang), asking what it targets, and turning C source into a shared object.
 * Source goes in through standard input and the result appears under its name only when it is whole, so that several processes
 * may compile the same file. What a compiler complained about last is kept in the cache directory, where `longzhou doctor` shows it.
 */
import { accessSync, constants, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { threadId } from 'node:worker_threads'
import { type EnvironmentVariables, processVariables } from '../common/env.ts'
import { CompileError } from '../common/errors.ts'
import { ensureCacheDirectory } from './cache-directory.ts'
import { runSubprocess, runSubprocessSync, type SubprocessOptions, type SubprocessResult } from './subprocess.ts'

/** A compiler's command line before any arguments of ours; `CC='ccache gcc'` has a leading argument. */
export interface CompilerCommand {
  /** How it was named: `$CC`, `cc`, `gcc` or `clang`. */
  readonly name: string
  readonly path: string
  readonly leadingArguments: readonly string[]
}

export interface Compiler extends CompilerCommand {
  readonly family: 'gcc' | 'clang' | 'unknown'
  /** As the compiler tells it, such as `12.2.0`. */
  readonly version: string
  /** Architecture that it compiles for, by Node's names where there is one: `x64`, `arm64`. */
  readonly target: string
  /** What names the machine that it compiles for: `-march=native` for this one, none where the compiler has no such flag. */
  readonly machineFlags: readonly string[]
  /** Instruction sets that code compiled with `machineFlags` may use: `avx2`, `fma`, `neon`, ... */
  readonly features: ReadonlySet<string>
}

export interface CompileOptions {
  /** Default: the one that `defaultCompiler` finds. */
  readonly compiler?: Compiler
  /** A compiler that runs longer is killed. Default 120,000. */
  readonly timeoutMs?: number
}

/** File in the cache directory with the command and the messages of the last compilation that failed. */
export const LAST_COMPILE_ERROR = 'last-compile-error.txt'

const PROBE_TIMEOUT_MS = 10_000
const COMPILE_TIMEOUT_MS = 120_000

/** Macros that compilers predefine for an instruction set, and its name in /proc/cpuinfo's spelling where it has one. */
const FEATURE_MACROS: Readonly<Record<string, string>> = {
  __SSE2__: 'sse2',
  __AVX__: 'avx',
  __AVX2__: 'avx2',
  __FMA__: 'fma',
  __F16C__: 'f16c',
  __BMI__: 'bmi1',
  __BMI2__: 'bmi2',
  __AVXVNNI__: 'avx_vnni',
  __AVX512F__: 'avx512f',
  __AVX512BW__: 'avx512bw',
  __AVX512CD__: 'avx512cd',
  __AVX512DQ__: 'avx512dq',
  __AVX512VL__: 'avx512vl',
  __AVX512VNNI__: 'avx512_vnni',
  __AVX512BF16__: 'avx512_bf16',
  __AVX512FP16__: 'avx512_fp16',
  __AMX_TILE__: 'amx_tile',
  __AMX_INT8__: 'amx_int8',
  __AMX_BF16__: 'amx_bf16',
  __ARM_NEON: 'neon',
  __ARM_FEATURE_FP16_VECTOR_ARITHMETIC: 'fp16',
  __ARM_FEATURE_BF16_VECTOR_ARITHMETIC: 'bf16',
  __ARM_FEATURE_MATMUL_INT8: 'i8mm',
  __ARM_FEATURE_SVE: 'sve',
}

/** Compilers present on this machine in order of preference; a $CC that is set excludes the others, as in make. */
export function compilerCandidates(variables: EnvironmentVariables = processVariables()): CompilerCommand[] {
  const chosen = variables['CC']?.trim()
  const names = chosen ? [['$CC', chosen] as const] : ['cc', 'gcc', 'clang'].map((name) => [name, name] as const)
  return names.flatMap(([name, command]) => commandNamed(name, command, variables) ?? [])
}

/** A command line such as `ccache gcc` as a compiler called `name`; undefined where its program is not on PATH. */
function commandNamed(name: string, command: string, variables: EnvironmentVariables): CompilerCommand | undefined {
  const [program = '', ...leadingArguments] = command.split(/\s+/).filter((word) => word !== '')
  const path = findProgram(program, variables)
  return path === undefined ? undefined : { name, path, leadingArguments }
}

/**
 * The compiler of a given command line, for the machine that `machineFlags` name.
 * @param remedy what to do where there is no such program
 * @throws CompileError where it is missing, or does not work with these flags.
 */
export function crossCompiler(
  command: string,
  machineFlags: readonly string[],
  remedy: string,
  variables: EnvironmentVariables = processVariables(),
): Compiler {
  const found = commandNamed(command, command, variables)
  if (!found) throw new CompileError(`the C compiler '${command}' is not on PATH; ${remedy}`)
  return probeCompiler(found, PROBE_TIMEOUT_MS, [machineFlags])
}

/**
 * The first candidate that answers.
 * @throws CompileError with one sentence that says what was tried and what to install.
 */
export function findCompiler(
  variables: EnvironmentVariables = processVariables(),
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Compiler {
  let failure: CompileError | undefined
  for (const candidate of compilerCandidates(variables)) {
    try {
      return probeCompiler(candidate, timeoutMs)
    } catch (error) {
      if (!(error instanceof CompileError)) throw error
      failure ??= error
    }
  }
  if (failure !== undefined) throw failure
  throw new CompileError(noCompilerMessage(variables))
}

let found: Compiler | undefined

/** The compiler that this process uses, looked for once. @throws CompileError as `findCompiler` does. */
export function defaultCompiler(): Compiler {
  return (found ??= findCompiler())
}

/** clang for Arm long knew only -mcpu=native; a cross compiler knows neither. */
const thisMachine: readonly (readonly string[])[] = [['-march=native'], ['-mcpu=native'], []]

/** Asks a compiler for its version and for what it targets with the first of the flags that it takes. @throws CompileError */
export function probeCompiler(
  command: CompilerCommand,
  timeoutMs: number = PROBE_TIMEOUT_MS,
  flagChoices: readonly (readonly string[])[] = thisMachine,
): Compiler {
  let failure: string | undefined
  for (const machineFlags of flagChoices) {
    const parameters = [...command.leadingArguments, ...machineFlags, '-dM', '-E', '-x', 'c', '-']
    const result = runSubprocessSync(command.path, parameters, { timeoutMs })
    if (result.status === 0) return describeCompiler(command, machineFlags, result.stdout)
    failure ??= failureReason(result, timeoutMs)
    if (result.timedOut || result.startError !== undefined) break
  }
  throw new CompileError(
    `the C compiler ${command.path} (${command.name}) does not work${forFlags(flagChoices)}: ${failure}; repair it, or ${flagChoices === thisMachine ? 'point CC at' : 'name'} another one`,
  )
}

const forFlags = (choices: readonly (readonly string[])[]): string =>
  choices === thisMachine ? '' : ` with ${choices.map((flags) => flags.join(' ')).join(', ')}`

/**
 * Compiles C source to a shared object and blocks until it is there.
 * @param flags such as `-O2`, `-march=native` or `-lm`; `-shared -fPIC` are added.
 * @throws CompileError with the compiler's first message when it fails, is missing, or runs past its time.
 */
export function compileSharedObjectSync(
  source: string,
  output: string,
  flags: readonly string[],
  options: CompileOptions = {},
): void {
  const job = planCompilation(source, output, flags, options)
  job.finish(runSubprocessSync(job.command, job.parameters, job.options))
}

/** Like `compileSharedObjectSync` without blocking, so that several chunks compile in parallel. */
export async function compileSharedObject(
  source: string,
  output: string,
  flags: readonly string[],
  options: CompileOptions = {},
): Promise<void> {
  const job = planCompilation(source, output, flags, options)
  job.finish(await runSubprocess(job.command, job.parameters, job.options))
}

interface Compilation {
  readonly command: string
  readonly parameters: readonly string[]
  readonly options: SubprocessOptions
  /** Publishes the result under its name, or throws. */
  finish(result: SubprocessResult): void
}

let temporaryFiles = 0

/** Compilations that this process has started. */
export function compilerCalls(): number {
  return temporaryFiles
}

function planCompilation(
  source: string,
  output: string,
  flags: readonly string[],
  { compiler = defaultCompiler(), timeoutMs = COMPILE_TIMEOUT_MS }: CompileOptions,
): Compilation {
  const temporary = `${output}.${process.pid}.${threadId}.${temporaryFiles++}.tmp`
  // Flags follow the source because -lm counts only after the code that needs it.
  const parameters = [...compiler.leadingArguments, '-shared', '-fPIC', '-o', temporary, '-x', 'c', '-', ...flags]
  return {
    command: compiler.path,
    parameters,
    options: { input: source, timeoutMs },
    finish(result) {
      if (result.status === 0) {
        publish(temporary, output)
        return
      }
      rmSync(temporary, { force: true })
      const reason = failureReason(result, timeoutMs)
      const kept = keepCompileError([compiler.path, ...parameters].join(' '), reason, result.stderr)
      throw new CompileError(
        `the C compiler ${compiler.path} failed: ${reason}${kept === undefined ? '' : ` (its messages are in ${kept})`}`,
      )
    },
  }
}

function publish(temporary: string, output: string): void {
  try {
    renameSync(temporary, output)
  } catch (cause) {
    throw new CompileError(`the compiled ${output} could not be put in place (${(cause as Error).message})`, { cause })
  }
}

function failureReason(result: SubprocessResult, timeoutMs: number): string {
  if (result.timedOut) return `it did not finish within ${timeoutMs / 1000} s and was ended`
  if (result.startError !== undefined) return `it could not be started (${result.startError.message})`
  const lines = result.stderr.split('\n').map((line) => line.trim())
  const message = lines.find((line) => /error/i.test(line)) ?? lines.find((line) => line !== '')
  return message ?? (result.signal === null ? `exit status ${result.status}` : `ended by ${result.signal}`)
}

/** Returns the file's path; undefined where it cannot be written, which must not hide the error itself. */
function keepCompileError(command: string, reason: string, messages: string): string | undefined {
  try {
    const path = join(ensureCacheDirectory(), LAST_COMPILE_ERROR)
    writeFileSync(path, `${new Date().toISOString()}\n${command}\n${reason}\n\n${messages}`, { mode: 0o600 })
    return path
  } catch {
    return undefined
  }
}

function describeCompiler(command: CompilerCommand, machineFlags: readonly string[], text: string): Compiler {
  const macros = new Map<string, string>()
  for (const [, name = '', value = ''] of text.matchAll(/^#define (\w+) ?(.*)$/gm)) macros.set(name, value)
  const family = macros.has('__clang__') ? 'clang' : macros.has('__GNUC__') ? 'gcc' : 'unknown'
  const versionMacros = {
    clang: ['__clang_major__', '__clang_minor__', '__clang_patchlevel__'],
    gcc: ['__GNUC__', '__GNUC_MINOR__', '__GNUC_PATCHLEVEL__'],
    unknown: ['__VERSION__'],
  }[family]
  const target = macros.has('__x86_64__') ? 'x64' : macros.has('__aarch64__') ? 'arm64' : 'unknown'
  const features = Object.entries(FEATURE_MACROS).filter(([macro]) => macros.has(macro))
  return {
    ...command,
    family,
    version: versionMacros.map((macro) => macros.get(macro) ?? '?').join('.'),
    target,
    machineFlags,
    features: new Set(features.map(([, feature]) => feature)),
  }
}

function noCompilerMessage(variables: EnvironmentVariables): string {
  const chosen = variables['CC']?.trim()
  if (chosen) return `CC is '${chosen}', which is not an executable on PATH; correct it or unset it`
  return 'no C compiler found (looked for cc, gcc and clang on PATH, and CC is not set); install one, for example with: apt-get install gcc'
}

/** What a shell's `command -v` finds, without a shell. */
function findProgram(program: string, variables: EnvironmentVariables): string | undefined {
  if (program.includes('/')) {
    const path = resolve(program)
    return isExecutable(path) ? path : undefined
  }
  // Relative entries of PATH are skipped: they would run whatever lies in the working directory.
  const directories = (variables['PATH'] ?? '').split(delimiter).filter((directory) => isAbsolute(directory))
  return directories.map((directory) => join(directory, program)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
