/**
 * Compiled kernels: looked up in this process, then on disk, then compiled. Kernels that are missing are spread over a few translation
 * units, which compile in parallel. A unit is a shared object named by the SHA-256 of its source.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { CompileError } from '../../common/errors.ts'
import { translationUnit, type CKernel } from '../../render/c.ts'
import { compileSharedObject, compileSharedObjectSync } from '../compiler.ts'
import { kernelFlags } from './flags.ts'
import { KernelFiles, LIST, lineOf, sha256, type KernelIdentity } from './kernel-files.ts'
import type { NativeRuntime } from './native.ts'

/** Less text than this is not worth another compiler process: gcc 12 takes about 0.2 s for it, and 0.05 s to start and link. */
const CHARACTERS_PER_UNIT = 10_000
const MAX_UNITS = 4

interface Unit {
  readonly kernels: readonly CKernel[]
  readonly source: string
  readonly path: string
  readonly flags: readonly string[]
}

export class KernelLibrary extends KernelFiles {
  private readonly maxUnits: number
  private readonly compiling = new Map<string, Promise<void>>()

  /** `directory` keeps units for other processes; null: they are gone when this one ends. */
  constructor(native: NativeRuntime, directory: string | null, cores: number) {
    super(native, directory)
    this.maxUnits = Math.min(MAX_UNITS, Math.max(2, cores))
  }

  /** Addresses of kernels, compiling what is not compiled; `meanwhile` is called where that has begun. @throws CompileError */
  async load(kernels: readonly CKernel[], meanwhile?: () => void): Promise<number[]> {
    const missing = this.openKnown(kernels)
    const own = missing.filter((k) => !this.compiling.has(k.name))
    const others = missing.flatMap((k) => this.compiling.get(k.name) ?? [])
    const mine = this.units(own).map((unit) => {
      const compiled = this.compile(unit)
      for (const k of unit.kernels) this.compiling.set(k.name, compiled)
      return compiled
    })
    if (mine.length > 0) meanwhile?.()
    const results = await Promise.allSettled([...mine, ...others])
    for (const k of own) this.compiling.delete(k.name)
    for (const r of results) if (r.status === 'rejected') throw r.reason
    return this.addressesOf(kernels)
  }

  /** What other processes find a compiled kernel by. */
  identityOf(kernel: CKernel): KernelIdentity {
    const known = named(kernel)
    return { ...known, file: this.fileNameOf(known) }
  }

  private async compile(unit: Unit): Promise<void> {
    try {
      await compileSharedObject(unit.source, unit.path, unit.flags)
      this.publish(unit)
    } finally {
      this.forget(unit)
    }
  }

  /** Like `load`, blocking. */
  loadSync(kernels: readonly CKernel[]): number[] {
    for (const unit of this.units(this.openKnown(kernels))) {
      try {
        compileSharedObjectSync(unit.source, unit.path, unit.flags)
        this.publish(unit)
      } finally {
        this.forget(unit)
      }
    }
    return this.addressesOf(kernels)
  }

  /** Opens what lies on disk; gives the kernels that do not, each once. */
  private openKnown(kernels: readonly CKernel[]): CKernel[] {
    const wanted = [...new Map(kernels.map((k) => [k.name, k])).values()].filter((k) => !this.addresses.has(k.name))
    this.look(wanted.map(named))
    return wanted.filter((k) => {
      const path = this.fileOf(named(k))
      return path === undefined || !this.open(path, [k])
    })
  }

  /** Spreads kernels over units; those whose loops need regions of registers have units of their own. */
  private units(kernels: readonly CKernel[]): Unit[] {
    const share = Math.max(CHARACTERS_PER_UNIT, lengthOf(kernels) / this.maxUnits)
    return [false, true].flatMap((needsRegions) => {
      const some = kernels.filter((k) => k.needsRegions === needsRegions)
      return this.spread(some, Math.ceil(lengthOf(some) / share), kernelFlags(needsRegions))
    })
  }

  /** Units of about equal size: the longest kernels first, each to the shortest unit. */
  private spread(kernels: readonly CKernel[], most: number, flags: readonly string[]): Unit[] {
    const count = Math.min(most, kernels.length)
    const groups = Array.from({ length: count }, () => ({ size: 0, kernels: [] as CKernel[] }))
    for (const k of [...kernels].sort((a, b) => b.text.length - a.text.length)) {
      const shortest = groups.reduce((best, g) => (g.size < best.size ? g : best))
      shortest.size += k.text.length
      shortest.kernels.push(k)
    }
    return groups.map((g) => {
      const source = translationUnit(g.kernels)
      const directory = this.directory ?? mkdtempSync(join(tmpdir(), 'longzhou-'))
      return { kernels: g.kernels, source, path: join(directory, `${sha256(source).slice(0, 32)}.so`), flags }
    })
  }

  /** Opens a compiled unit and lists its kernels for other processes. */
  private publish(unit: Unit): void {
    if (!this.open(unit.path, unit.kernels)) {
      throw new CompileError(
        `the compiled kernels ${unit.path} cannot be loaded (${this.native.loadError() ?? 'a kernel is missing'}); check that the cache directory is not mounted noexec, or set LONGZHOU_CACHE_DIR`,
      )
    }
    if (this.directory === null) return
    const kernels = unit.kernels.map(named)
    this.note(kernels, unit.path)
    const list = unit.path + LIST
    const temporary = `${list}.${process.pid}.${threadId}.tmp`
    writeFileSync(temporary, kernels.map(lineOf).join('\n'), { mode: 0o600 })
    renameSync(temporary, list)
  }

  /** What has been opened needs no file where none is kept. */
  private forget(unit: Unit): void {
    if (this.directory === null) rmSync(dirname(unit.path), { recursive: true, force: true })
  }
}

const lengthOf = (kernels: readonly CKernel[]): number => kernels.reduce((sum, k) => sum + k.text.length, 0)

const digests = new WeakMap<CKernel, string>()

const named = (kernel: CKernel): { name: string; digest: string } => ({ name: kernel.name, digest: digestOf(kernel) })

function digestOf(kernel: CKernel): string {
  let digest = digests.get(kernel)
  if (!digest) {
    digest = sha256([...kernel.helpers.values(), kernel.text].join('\n')).slice(0, 32)
    digests.set(kernel, digest)
  }
  return digest
}
