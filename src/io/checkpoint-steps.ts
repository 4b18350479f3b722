/** A run's checkpoints: directories `step-N` under one root, the newest of which a resumed run continues from, and of which the last K are kept. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ArgumentError, FormatError, StorageError } from '../common/errors.ts'
import { findDirectory } from './atomic.ts'
import type { AtomicOptions } from './atomic.ts'
import { loadCheckpoint, readManifest, saveCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { codeOf, storageError } from './storage-error.ts'

/** `step-12`, and what a killed save of it moved aside. */
const STEP = /^(?:step-(\d+)|\.step-(\d+)\.old-.+)$/

export interface StepOptions extends AtomicOptions {
  /** How many of the newest steps stay; older ones are removed after a successful save. Default: all. */
  readonly keepLast?: number
}

export interface StepCheckpoint {
  readonly step: number
  readonly directory: string
}

/** Saves `ROOT/step-N`, then removes the oldest beyond `keepLast`, never the one just saved. Gives the directory. */
export async function saveStep(
  root: string,
  step: number,
  checkpoint: Checkpoint,
  options: StepOptions = {},
): Promise<string> {
  const { keepLast = Number.POSITIVE_INFINITY } = options
  if (!Number.isSafeInteger(step) || step < 0) throw new ArgumentError(`saveStep: step ${step} is not a count of steps`)
  if (!(keepLast >= 1)) throw new ArgumentError(`saveStep: keepLast is ${keepLast}; at least 1 checkpoint must stay`)
  const directory = stepDirectory(root, step)
  await saveCheckpoint(directory, checkpoint, options)
  const others = (await listSteps(root)).filter((s) => s !== step)
  for (const old of others.slice(0, Math.max(0, others.length + 1 - keepLast))) await removeStep(root, old)
  return directory
}

/** The newest step under `root` whose manifest is whole, or undefined. Directories without one (a removal that was killed) are passed over. */
export async function latestCheckpoint(root: string): Promise<StepCheckpoint | undefined> {
  for (const step of (await listSteps(root)).reverse()) {
    const directory = stepDirectory(root, step)
    if (await hasManifest(directory)) return { step, directory }
  }
  return undefined
}

/**
 * Loads the newest checkpoint under `root` that passes verification; `onCorrupt` is told of each newer one that did not.
 * Undefined when there is none at all.
 */
export async function loadLatest(
  root: string,
  onCorrupt: (directory: string, error: FormatError) => void = () => {},
): Promise<(StepCheckpoint & Checkpoint) | undefined> {
  for (const step of (await listSteps(root)).reverse()) {
    const directory = stepDirectory(root, step)
    try {
      return { step, directory, ...(await loadCheckpoint(directory)) }
    } catch (error) {
      if (isAbsent(error)) continue
      if (!(error instanceof FormatError)) throw error
      onCorrupt(directory, error)
    }
  }
  return undefined
}

function stepDirectory(root: string, step: number): string {
  return join(root, `step-${step}`)
}

async function listSteps(root: string): Promise<number[]> {
  let names: string[]
  try {
    names = await readdir(root)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw storageError('reading', root, error)
  }
  const steps = names.flatMap((name) => {
    const match = STEP.exec(name)
    return match ? [Number(match[1] ?? match[2])] : []
  })
  return [...new Set(steps)].sort((a, b) => a - b)
}

async function hasManifest(directory: string): Promise<boolean> {
  const path = await findDirectory(directory)
  if (path === undefined) return false
  try {
    await readManifest(path)
    return true
  } catch (error) {
    if (isAbsent(error) || error instanceof FormatError) return false
    throw error
  }
}

/** No manifest: not a checkpoint. A disk that refuses to be read is another matter. */
function isAbsent(error: unknown): boolean {
  return error instanceof StorageError && codeOf(error.cause) === 'ENOENT'
}

/** The manifest goes first: what a killed removal leaves is then no checkpoint. */
async function removeStep(root: string, step: number): Promise<void> {
  const directory = stepDirectory(root, step)
  try {
    await rm(join(directory, 'manifest.json'), { force: true })
    await rm(directory, { recursive: true, force: true })
  } catch (error) {
    throw storageError('removing', directory, error)
  }
}
