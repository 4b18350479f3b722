/**
 * Runs a parser on damaged files, in a thread of its own: what crashes or hangs there is an outcome, not the end. Input number i of a seed is
 * the same in every run (`inputOf`), so that a report names it by two numbers.
 *
 * A parser may give a value or throw a FormatError. It may not throw anything else, take 2 s, or allocate more than 4 times the file and 64 MiB.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { RandomState } from '../../src/common/numpy-random.ts'
import { mutated } from '../support/mutate.ts'

export interface FuzzJob {
  readonly target: string
  readonly runs: number
  readonly seed: number
}

export interface FuzzReport {
  readonly runs: number
  /** Inputs that a FormatError refused; the others gave a value. */
  readonly refused: number
  /** The longest call, in ms of the processor's time where it was long. */
  readonly slowestMs: number
  /** The most that a call left allocated, in bytes. */
  readonly mostBytes: number
}

export interface FuzzMessage {
  readonly report?: FuzzReport
  readonly failure?: string
}

/** Inputs that draw from one generator: the unit in which a run can be repeated from the middle. */
export const BLOCK = 1000
export const SLOW_MS = 2000
/** Wall-clock time after which a call counts as hanging, however busy the machine. */
const HANG_MS = 60_000

export function allowedBytes(fileBytes: number): number {
  return 4 * fileBytes + (64 << 20)
}

/** The generator of a block of inputs. */
export function blockRandom(seed: number, block: number): RandomState {
  return new RandomState([seed, block])
}

/** Input `index` of a seed. */
export function inputOf(seeds: readonly Uint8Array[], seed: number, index: number): Uint8Array {
  const random = blockRandom(seed, Math.floor(index / BLOCK))
  let input = seeds[0]!
  for (let i = 0; i <= index % BLOCK; i++) input = mutated(seeds[random.randint(0, seeds.length)]!, random)
  return input
}

/** Runs a job to its end or its first failure, which is thrown as an Error that says how to repeat it. */
export async function fuzz(job: FuzzJob, progress: (done: number) => void = () => {}): Promise<FuzzReport> {
  // [index of the input that is being parsed, 1 while it is]
  const state = new Int32Array(new SharedArrayBuffer(8))
  const manifest = createRequire(import.meta.url).resolve('tsx/package.json')
  const tsx = pathToFileURL(join(dirname(manifest), 'dist/esm/api/index.mjs')).href
  const entry = new URL('./worker.ts', import.meta.url).href
  const boot = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(entry)})`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(boot)}`), {
    workerData: { job, state },
    resourceLimits: { maxOldGenerationSizeMb: 1024 },
  })
  const here = (): string =>
    `npm run fuzz -- --target ${job.target} --seed ${job.seed} --only ${Atomics.load(state, 0)}`
  let watch: NodeJS.Timeout | undefined
  try {
    return await new Promise<FuzzReport>((resolve, reject) => {
      const fail = (what: string): void => reject(new Error(`fuzz ${job.target}: ${what}; repeat: ${here()}`))
      let [seen, since] = [-1, Date.now()]
      watch = setInterval(() => {
        const index = Atomics.load(state, 0)
        progress(index)
        if (index !== seen) [seen, since] = [index, Date.now()]
        else if (Atomics.load(state, 1) === 1 && Date.now() - since > HANG_MS) fail(`hangs for ${HANG_MS / 1000} s`)
      }, 250)
      worker.on('message', ({ report, failure }: FuzzMessage) => {
        if (report) resolve(report)
        else fail(failure ?? 'no report')
      })
      worker.on('error', (error) => fail(`crashed: ${error.message}`))
      worker.on('exit', (code) => fail(`ended with status ${code}`))
    })
  } finally {
    clearInterval(watch)
    await worker.terminate()
  }
}
