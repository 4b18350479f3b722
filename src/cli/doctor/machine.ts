/** What the doctor finds out about the machine itself: Node, processor, memory, worker threads and fonts. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { freemem, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { CpuFeatures } from '../../runtime/cpu-features.ts'
import { formatBytes } from '../ui.ts'
import type { Finding } from './report.ts'

const MIN_NODE_MAJOR = 20
const LOW_MEMORY = 2 * 1024 ** 3
const WORKER_TIMEOUT_MS = 1_500
const FONT_PACKAGE = '@embedpdf/fonts-sc'

/** Instruction sets that the kernels have a use for, in the order in which they are shown. */
const NOTABLE_FLAGS =
  /^(?:avx2|fma|f16c|avx_vnni|avx512(?:f|bw|dq|vl|_vnni|_bf16|_fp16)|amx_(?:tile|int8|bf16)|asimd|asimdhp|bf16|i8mm|sve2?)$/

export function checkNode(version: string = process.versions.node): Finding {
  const supported = Number.parseInt(version, 10) >= MIN_NODE_MAJOR
  return {
    name: 'node',
    title: 'Node',
    status: supported ? 'ok' : 'problem',
    summary: `${version}, ${process.platform} ${process.arch}`,
    ...(!supported && { fix: `install Node ${MIN_NODE_MAJOR} or newer` }),
    details: { version, platform: process.platform, architecture: process.arch },
  }
}

export function checkCpu(cpu: CpuFeatures): Finding {
  const { caches, vectorBytes, physicalCores, logicalCores } = cpu
  const features = [...cpu.flags].filter((flag) => NOTABLE_FLAGS.test(flag))
  // Every 64-bit Arm processor has NEON; the kernel calls it asimd, everybody else neon.
  if (cpu.architecture === 'arm64') features.unshift('neon')
  const slow = cpu.architecture === 'x64' && !cpu.flags.has('avx2')
  const sizes = `L1 ${formatBytes(caches.l1d)}, L2 ${formatBytes(caches.l2)}, L3 ${formatBytes(caches.l3)}`
  return {
    name: 'cpu',
    title: 'CPU',
    status: slow ? 'warning' : 'ok',
    summary: `${cpu.model}, ${physicalCores} cores, ${logicalCores} threads`,
    notes: [`${features.join(' ') || 'no wide vectors'}; vectors of ${vectorBytes} bytes; ${sizes}`],
    ...(slow && {
      fix: 'run on a processor with AVX2 (any x86 server since 2015): this one computes several times slower',
    }),
    details: { ...cpu, flags: undefined, features },
  }
}

export function checkMemory(total: number = totalmem(), free: number = freemem()): Finding {
  // 0 and absurdly large values both mean that no limit is set.
  const limit = process.constrainedMemory?.() ?? 0
  const usable = limit > 0 && limit < total ? limit : total
  const low = usable < LOW_MEMORY
  return {
    name: 'memory',
    title: 'Memory',
    status: low ? 'warning' : 'ok',
    summary: `${formatBytes(usable)}${usable < total ? ` (limit of this container; the machine has ${formatBytes(total)})` : ''}, ${formatBytes(free)} free`,
    ...(low && { fix: 'give this machine or container at least 2 GiB, or train with small batches' }),
    details: { total, free, usable },
  }
}

/** Starts one worker thread and waits for its answer. */
export async function checkWorkers(): Promise<Finding> {
  const started = performance.now()
  const worker = new Worker(`require('node:worker_threads').parentPort.postMessage('ready')`, { eval: true })
  let timer: NodeJS.Timeout | undefined
  const failure = await new Promise<string | undefined>((resolve) => {
    worker.once('message', () => resolve(undefined))
    worker.once('error', (error) => resolve(error.message))
    timer = setTimeout(() => resolve(`no answer within ${WORKER_TIMEOUT_MS / 1000} s`), WORKER_TIMEOUT_MS)
  })
  clearTimeout(timer)
  await worker.terminate()
  const milliseconds = Math.round(performance.now() - started)
  return {
    name: 'workers',
    title: 'Workers',
    status: failure === undefined ? 'ok' : 'problem',
    summary:
      failure === undefined
        ? `a worker thread starts in ${milliseconds} ms`
        : `worker threads do not start: ${failure}`,
    ...(failure !== undefined && { fix: 'raise the limits on threads and memory (ulimit -u, ulimit -v) of this user' }),
    details: { milliseconds, failure },
  }
}

/** The fonts with which training text is drawn; they come with the package, so only a broken installation lacks them. */
export function checkFonts(resolvePackage: (name: string) => string = createRequire(import.meta.url).resolve): Finding {
  let folder: string | undefined
  let files: string[] = []
  try {
    folder = join(dirname(resolvePackage(FONT_PACKAGE)), '..', 'fonts')
    if (existsSync(folder)) files = readdirSync(folder).filter((file) => /\.(?:otf|ttf|ttc)$/i.test(file))
  } catch {
    // Not installed: told below.
  }
  const bytes = files.reduce((sum, file) => sum + statSync(join(folder ?? '', file)).size, 0)
  const found = files.length > 0
  return {
    name: 'fonts',
    title: 'Fonts',
    status: found ? 'ok' : 'warning',
    summary: found
      ? `${files.length} Chinese fonts, ${formatBytes(bytes)}`
      : 'no Chinese fonts: training text cannot be drawn',
    ...(!found && { fix: `install the package ${FONT_PACKAGE} (npm ci brings it)` }),
    details: { folder, files, bytes },
  }
}
