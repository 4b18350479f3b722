/**
 * What this machine can do at best: multiply-adds and bytes a second (Williams, Waterman and Patterson, "Roofline", CACM 2009). Measured
 * once by `longzhou doctor` or `longzhou bench` and kept in the cache directory with the identity of the machine.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectoryPath, ensureCacheDirectory } from './cache-directory.ts'
import { detectCpuFeatures, type CpuFeatures } from './cpu-features.ts'
import type { Roof } from './kernel-summary.ts'

/** Whose roofline it is: measured anew where any of this differs. */
export interface MachineIdentity {
  readonly model: string
  readonly architecture: string
  readonly cores: number
  readonly vectorBytes: number
}

/** Speeds with a number of threads. */
export interface Speeds {
  readonly threads: number
  /** GFLOP/s of float32 multiply-adds (two operations each) by the width of the vectors in bytes. */
  readonly gflops: Readonly<Record<string, number>>
  /** GB/s: bytes that the program reads and writes; what caches fetch before they write is not counted. */
  readonly memory: { readonly read: number; readonly write: number; readonly triad: number }
}

export interface Roofline {
  readonly machine: MachineIdentity
  /** ISO date. */
  readonly measured: string
  /** One core, then all cores. */
  readonly speeds: readonly Speeds[]
}

export function identityOf(features: CpuFeatures): MachineIdentity {
  const { model, architecture, physicalCores, vectorBytes } = features
  return { model, architecture, cores: physicalCores, vectorBytes }
}

/** Arithmetic grows with threads until all cores work; memory as it was measured, the lesser of the two between. */
export function roofOf(roofline: Roofline, threads: number): Roof {
  const roofs = roofline.speeds.map(({ gflops, memory }) => ({
    gflops: Math.max(...Object.values(gflops)),
    gbs: memory.triad,
  }))
  const [one, all] = [roofs[0]!, roofs.at(-1)!]
  return { gflops: Math.min(all.gflops, threads * one.gflops), gbs: Math.min(all.gbs, threads * one.gbs) }
}

const FILE = 'roofline.json'

let known: Roofline | null | undefined

/** What was measured on this machine before, or null. Read once a process. */
export function readRoofline(): Roofline | null {
  return (known ??= readFile(join(cacheDirectoryPath(), FILE)))
}

function readFile(path: string): Roofline | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return null
  }
  const found = parseRoofline(text)
  return found && isSame(found.machine, identityOf(detectCpuFeatures())) ? found : null
}

export function writeRoofline(roofline: Roofline): void {
  const path = join(ensureCacheDirectory(), FILE)
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, `${JSON.stringify(roofline, null, 2)}\n`, { mode: 0o600 })
  renameSync(temporary, path)
  known = roofline
}

function isSame(a: MachineIdentity, b: MachineIdentity): boolean {
  return (
    a.model === b.model && a.architecture === b.architecture && a.cores === b.cores && a.vectorBytes === b.vectorBytes
  )
}

/** The roofline that a text holds; null for a damaged one, which is measured again. */
export function parseRoofline(text: string): Roofline | null {
  try {
    const value = JSON.parse(text) as Partial<Roofline> | null
    const positive = (x: unknown): boolean => typeof x === 'number' && Number.isFinite(x) && x > 0
    const fits =
      typeof value?.machine === 'object' &&
      typeof value.measured === 'string' &&
      Array.isArray(value.speeds) &&
      value.speeds.length > 0 &&
      value.speeds.every(
        ({ threads, gflops, memory }: Speeds) =>
          positive(threads) &&
          Object.values(gflops).length > 0 &&
          Object.values(gflops).every(positive) &&
          positive(memory.read) &&
          positive(memory.write) &&
          positive(memory.triad),
      )
    return fits ? (value as Roofline) : null
  } catch {
    return null
  }
}
