/** What the doctor finds out about compiling: the C compiler, the cache of compiled kernels and the last failure. */
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  type Stats,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type EnvironmentVariables, processVariables } from '../../common/env.ts'
import { LongzhouError } from '../../common/errors.ts'
import { cacheDirectoryPath, formatMode, privacyProblem } from '../../runtime/cache-directory.ts'
import {
  compileSharedObject,
  type Compiler,
  compilerCandidates,
  findCompiler,
  LAST_COMPILE_ERROR,
} from '../../runtime/compiler.ts'
import { formatBytes } from '../ui.ts'
import type { Finding } from './report.ts'

/** Keeps the whole report under two seconds even where a compiler hangs. */
const PROBE_TIMEOUT_MS = 1_500

const WITHOUT_COMPILER = 'programs run on the slower wasm backend'

/** Finds the compilers, and has the first that works compile, link and run a function. */
export async function checkCompiler(variables: EnvironmentVariables = processVariables()): Promise<Finding> {
  const candidates = compilerCandidates(variables)
  let compiler: Compiler | undefined
  let failure: string | undefined
  try {
    compiler = findCompiler(variables, PROBE_TIMEOUT_MS)
    await tryCompiler(compiler)
  } catch (error) {
    failure = (error as Error).message
  }
  const found = candidates.map(({ name, path }) => ({ name, path, realPath: realpathSync(path) }))
  const base = { name: 'compiler', title: 'Compiler', details: { compiler: serialize(compiler), found, failure } }
  if (compiler !== undefined && failure === undefined) {
    const flags = compiler.machineFlags.join(' ') || 'no flag for this processor'
    const summary = `${compiler.family} ${compiler.version} (${compiler.name}: ${compiler.path})`
    return {
      ...base,
      status: 'ok',
      summary,
      notes: [`${flags}: ${[...compiler.features].join(' ')}`, ...others(compiler, found)],
    }
  }
  return {
    ...base,
    status: 'warning',
    summary: `${candidates.length === 0 ? 'none' : 'none that works'}: ${WITHOUT_COMPILER}`,
    notes: failure === undefined ? [] : [failure],
    fix: variables['CC']
      ? 'correct or unset CC'
      : 'install a C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install)',
  }
}

const serialize = (compiler: Compiler | undefined) =>
  compiler === undefined ? undefined : { ...compiler, features: [...compiler.features] }

/** Other compilers on PATH, one line; the same program under a second name is not another. */
function others(compiler: Compiler, found: readonly { path: string; realPath: string }[]): string[] {
  const seen = new Set([realpathSync(compiler.path)])
  const rest = found.filter(({ realPath }) => !seen.has(realPath) && seen.add(realPath))
  return rest.length === 0 ? [] : [`also: ${rest.map(({ path }) => path).join(', ')}`]
}

/** @throws CompileError when it does not compile, and an Error when what it made does not run. */
async function tryCompiler(compiler: Compiler): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'longzhou-doctor-'))
  try {
    const library = join(folder, 'probe.so')
    const source = 'int longzhou_probe(int x) { return 2 * x; }\n'
    const flags = ['-O2', ...compiler.machineFlags]
    await compileSharedObject(source, library, flags, { compiler, timeoutMs: PROBE_TIMEOUT_MS })
    const { default: koffi } = await import('koffi')
    const answer: unknown = koffi.load(library).func('int longzhou_probe(int x)')(21)
    if (answer !== 42) throw new Error(`a compiled function gave ${String(answer)} where 42 is right`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Looks at the cache directory without creating it. */
export function checkCache(variables: EnvironmentVariables = processVariables()): Finding {
  const base = { name: 'cache', title: 'Cache' }
  let path: string
  try {
    path = cacheDirectoryPath(variables)
  } catch (error) {
    const summary = (error as Error).message
    return { ...base, status: 'problem', summary, fix: 'correct or unset the variable', details: {} }
  }
  const parent = nearestExisting(path)
  const writable = mayWrite(parent)
  if (parent !== path) {
    const status = writable ? 'ok' : 'warning'
    const summary = writable ? `${path}, made on first use` : `${path} cannot be made: ${parent} is not writable`
    return { ...base, status, summary, ...(!writable && cacheFix), details: { path, exists: false, writable } }
  }
  const stats = statSync(path)
  const mode = formatMode(stats.mode)
  const details = { path, exists: true, writable, private: mode === '0700', mode, owner: stats.uid }
  const problem = cacheProblem(path, stats, writable)
  if (problem !== undefined) return { ...base, status: 'warning', ...problem, details }
  const { bytes, files } = sizeOf(path)
  const summary = `${path}, ${files} files, ${formatBytes(bytes)}`
  return { ...base, status: 'ok', summary, details: { ...details, files, bytes } }
}

const cacheFix = { fix: 'set LONGZHOU_CACHE_DIR to a directory of your own; until then every program compiles anew' }

function cacheProblem(path: string, stats: Stats, writable: boolean): { summary: string; fix: string } | undefined {
  if (!stats.isDirectory()) return { summary: `${path} is not a directory`, ...cacheFix }
  const privacy = privacyProblem(path, stats)
  if (privacy !== undefined) return { summary: privacy.what, fix: privacy.fix }
  if (!writable) return { summary: `${path} is not writable`, ...cacheFix }
  if (formatMode(stats.mode) === '0700') return undefined
  return { summary: `${path} is not private (mode ${formatMode(stats.mode)})`, fix: `run: chmod 700 ${path}` }
}

function nearestExisting(path: string): string {
  let at = path
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at)
  return at
}

function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function sizeOf(folder: string): { bytes: number; files: number } {
  let bytes = 0
  let files = 0
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    // Another process may have removed the file since.
    const stats = statSync(join(folder, path), { throwIfNoEntry: false })
    if (stats?.isFile() !== true) continue
    bytes += stats.size
    files++
  }
  return { bytes, files }
}

/** The last compilation that failed on this machine, if the cache remembers one. */
export function checkLastCompileError(variables: EnvironmentVariables = processVariables()): Finding[] {
  let path: string
  let text: string
  try {
    path = join(cacheDirectoryPath(variables), LAST_COMPILE_ERROR)
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  const [when = '', , reason = ''] = text.split('\n')
  return [
    {
      name: 'lastCompileError',
      title: 'Last error',
      status: 'warning',
      summary: `a compilation failed at ${when}: ${reason}`,
      notes: [path],
      fix: `if the compiler works now, remove the record: rm ${path}; if not, report it with that file`,
      details: { path, when, text },
    },
  ]
}

/** The environment variables, where one holds a value that no program will accept. */
export function environmentFinding(read: () => unknown): Finding[] {
  try {
    read()
    return []
  } catch (error) {
    if (!(error instanceof LongzhouError)) throw error
    const fix = 'give the variable one of these values, or unset it'
    return [{ name: 'environment', title: 'Variables', status: 'problem', summary: error.message, fix, details: {} }]
  }
}
