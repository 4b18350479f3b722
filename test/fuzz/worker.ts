/** The thread in which damaged files are parsed. */
import { getHeapStatistics } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { FormatError } from '../../src/common/errors.ts'
import { mutated } from '../support/mutate.ts'
import {
  allowedBytes,
  BLOCK,
  blockRandom,
  SLOW_MS,
  type FuzzJob,
  type FuzzMessage,
  type FuzzReport,
} from './harness.ts'
import { targets } from './targets.ts'

const { job, state } = workerData as { job: FuzzJob; state: Int32Array }

/** What is alive or waits for the collector: of a call that allocates, the difference is seen unless a collection falls into it. */
function allocated(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

class Failure extends Error {}

/** One input. Gives whether it was refused. */
function parse(
  parser: (bytes: Uint8Array) => unknown,
  input: Uint8Array,
  seen: { slow: number; most: number },
): boolean {
  const [before, started, cpu] = [allocated(), performance.now(), process.cpuUsage()]
  let refused = false
  let value: unknown
  try {
    value = parser(input)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    refused = true
  }
  const bytes = allocated() - before
  let ms = performance.now() - started
  // A machine that does other work makes every call long now and then: what counts then is the processor's time.
  if (ms > SLOW_MS) {
    const { user, system } = process.cpuUsage(cpu)
    ms = Math.min(ms, (user + system) / 1000)
  }
  if (ms > SLOW_MS) throw new Failure(`a file of ${input.byteLength} bytes took ${Math.round(ms)} ms`)
  if (bytes > allowedBytes(input.byteLength))
    throw new Failure(
      `a file of ${input.byteLength} bytes took ${bytes} bytes of memory${value === undefined ? '' : ' as a value'}`,
    )
  seen.slow = Math.max(seen.slow, ms)
  seen.most = Math.max(seen.most, bytes)
  return refused
}

function run(): FuzzReport {
  const target = targets.find(({ name }) => name === job.target)
  if (!target) throw new Failure(`there is no such target; there are ${targets.map(({ name }) => name).join(', ')}`)
  const seeds = target.seeds()
  for (const seed of seeds) target.parse(seed)
  const seen = { slow: 0, most: 0 }
  let refused = 0
  let random = blockRandom(job.seed, 0)
  for (let i = 0; i < job.runs; i++) {
    if (i % BLOCK === 0) random = blockRandom(job.seed, i / BLOCK)
    const input = mutated(seeds[random.randint(0, seeds.length)]!, random)
    Atomics.store(state, 0, i)
    Atomics.store(state, 1, 1)
    if (parse(target.parse, input, seen)) refused++
    Atomics.store(state, 1, 0)
  }
  return { runs: job.runs, refused, slowestMs: seen.slow, mostBytes: seen.most }
}

function answer(): FuzzMessage {
  try {
    return { report: run() }
  } catch (error) {
    return { failure: error instanceof Failure ? error.message : `threw ${(error as Error).stack ?? String(error)}` }
  }
}

parentPort!.postMessage(answer())
