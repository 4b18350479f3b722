/** Runs each contestant, ours and the peers, in a process of its own: nothing is warm that should not be, and the peak of memory is its own. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { WorkerError } from '../../../common/errors.ts'
import type { Words } from '../../fresh-words.ts'
import {
  kernelProfile,
  readJsonLines,
  sweepRun,
  walkRun,
  workloadRun,
  type KernelProfile,
  type SweepRun,
  type WalkRun,
  type WorkloadRun,
} from './measure.ts'
import { flopsOf, type SweepCase } from './sweep-cases.ts'

/** No single run takes this long; one that does hangs. */
const TIMEOUT_MS = 900_000

export interface RunSettings {
  readonly steps: number
  readonly threads: number
}

export interface Contestant {
  readonly name: string
  readonly train: (workload: string, settings: RunSettings) => Promise<WorkloadRun>
}

interface Command {
  readonly file: string
  readonly words: readonly string[]
  readonly input?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** The lines that a program prints. Throws WorkerError with the end of its complaints when it fails or prints none. */
async function linesOf<T>({ file, words, input, environment }: Command, form: z.ZodType<T>): Promise<T[]> {
  const env = { ...process.env, ...environment }
  const output = await new Promise<string>((done, failed) => {
    const options = { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 64 << 20 } as const
    const child = execFile(file, words, options, (error, stdout, stderr) => {
      if (!error) return done(stdout)
      const ended = error.signal ? `ended by ${error.signal}` : `exit code ${error.code}`
      const reason = stderr.trim().split('\n').at(-1) || ended
      failed(new WorkerError(`${words.slice(-8).join(' ')}: ${reason}`, { cause: error }))
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input ?? '')
  })
  const lines = readJsonLines(output, form)
  if (lines.length === 0) throw new WorkerError(`${words.join(' ')} printed no result`)
  return lines
}

function settingWords({ steps, threads }: RunSettings): string[] {
  return ['--steps', String(steps), '--threads', String(threads)]
}

function ourCommand(ours: Words, words: readonly string[], cacheDirectory?: string): Command {
  const command = { file: process.execPath, words: ours(['bench', ...words, '--json']) }
  return cacheDirectory === undefined ? command : { ...command, environment: { LONGZHOU_CACHE_DIR: cacheDirectory } }
}

/** Longzhou, with a cache directory other than the user's where one is given, and with these words more. */
export function longzhou(ours: Words, cacheDirectory?: string, more: readonly string[] = []): Contestant {
  return {
    name: 'longzhou',
    train: async (workload, settings) => {
      const words = ['--workload', workload, ...more, ...settingWords(settings)]
      return (await linesOf(ourCommand(ours, words, cacheDirectory), workloadRun))[0]!
    },
  }
}

/** Scripts of bench/peers by contestant; `torch+compile` is measured for its first step alone. */
const PEER_SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  torch: ['torch_train.py'],
  paddle: ['paddle_train.py'],
  'torch+compile': ['torch_train.py', '--compile'],
}

/** The interpreter that bench/setup.sh makes below a folder; undefined where it was not run. */
export function peerPython(folder: string): string | undefined {
  const path = join(folder, 'bench/venv/bin/python')
  return existsSync(path) ? path : undefined
}

/** A peer by its name in PEER_SCRIPTS. */
export function peer(name: string, folder: string, python: string): Contestant {
  const [script = '', ...flags] = PEER_SCRIPTS[name] ?? []
  return {
    name,
    train: async (workload, settings) => {
      const words = [join(folder, 'bench/peers', script), ...flags, '--only', workload, ...settingWords(settings)]
      return (await linesOf({ file: python, words }, workloadRun))[0]!
    },
  }
}

export interface SweepSettings {
  readonly threads: number
  readonly budgetMs: number
}

export async function sweepOfLongzhou(
  ours: Words,
  cases: readonly SweepCase[],
  settings: SweepSettings,
): Promise<SweepRun[]> {
  const words = ['--sweep', '-', '--budget-ms', String(settings.budgetMs), '--threads', String(settings.threads)]
  return linesOf({ ...ourCommand(ours, words), input: JSON.stringify(cases) }, sweepRun)
}

/** Where the time of a workload's step goes. */
export async function kernelsOfLongzhou(ours: Words, workload: string, settings: RunSettings): Promise<KernelProfile> {
  return (await linesOf(ourCommand(ours, ['--kernels', workload, ...settingWords(settings)]), kernelProfile))[0]!
}

export async function walkOfLongzhou(ours: Words, walk: string, threads: number): Promise<WalkRun[]> {
  return linesOf(ourCommand(ours, ['--walk', walk, '--threads', String(threads)]), walkRun)
}

export async function sweepOfTorch(
  cases: readonly SweepCase[],
  settings: SweepSettings,
  folder: string,
  python: string,
): Promise<SweepRun[]> {
  const script = join(folder, 'bench/peers/torch_sweep.py')
  const words = [script, '--threads', String(settings.threads), '--budget-ms', String(settings.budgetMs)]
  const input = JSON.stringify(cases.map((c) => ({ ...c, flops: flopsOf(c) })))
  return linesOf({ file: python, words, input }, sweepRun)
}
