/**
 * Plans on disk, beside the kernels that they launch: the first step of a program that an earlier process has run needs no scheduling, no
 * code generation and no printing. A file is named by everything that a plan depends on: the program with its sizes, what the device can do,
 * and the generator itself. A file that is missing, damaged or stale costs a plan made anew.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PlanRequest } from '../backend.ts'
import { generatorVersion } from './generator-version.ts'
import { readPlan, writePlan, type StoredPlan } from './plan-file.ts'
import { replaceCachedText } from './replace.ts'

/** Bytes of plans that are kept: a few hundred training steps, or thousands of small programs. The oldest go first. */
const mostBytes = 64 << 20
/** Plans that this process writes before it looks again how many there are. */
const writesBetweenTrims = 64

export class PlanStore {
  readonly #directory: string
  #writes = 0

  /** `directory` is private, as machine code's is: what lies in it is trusted as much. */
  constructor(directory: string) {
    this.#directory = join(directory, 'plans')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  /** The plan of a request, or null. */
  read(request: PlanRequest): StoredPlan | null {
    const path = this.#path(request)
    let file: string
    try {
      file = readFileSync(path, 'utf8')
    } catch {
      return null
    }
    const plan = readPlan(file, request)
    if (!plan) rmSync(path, { force: true })
    return plan
  }

  /** Keeps a plan for other processes. What goes wrong is not told: they plan for themselves. */
  async write(request: PlanRequest, plan: StoredPlan): Promise<void> {
    try {
      if (this.#writes++ % writesBetweenTrims === 0) await this.#trim()
      await replaceCachedText(this.#path(request), writePlan(plan))
    } catch {
      // A disk that is full, or not ours to write.
    }
  }

  #path({ description, constant, capabilities }: PlanRequest): string {
    const hash = createHash('sha256')
    hash.update(JSON.stringify([generatorVersion(), capabilities, constant ? [...constant] : null]))
    hash.update(new Uint8Array(description.buffer, description.byteOffset, description.byteLength))
    return join(this.#directory, `${hash.digest('hex').slice(0, 40)}.plan`)
  }

  /** Removes the oldest files, down to half of what may be kept. */
  async #trim(): Promise<void> {
    const names = await readdir(this.#directory)
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#directory, name)
        const known = await stat(path).catch(() => null)
        return known ? [{ path, bytes: known.size, time: known.mtimeMs }] : []
      }),
    )
    const files = found.flat().sort((a, b) => a.time - b.time)
    let bytes = files.reduce((sum, f) => sum + f.bytes, 0)
    if (bytes <= mostBytes) return
    for (const file of files) {
      if (bytes <= mostBytes / 2) return
      bytes -= file.bytes
      await rm(file.path, { force: true })
    }
  }
}
