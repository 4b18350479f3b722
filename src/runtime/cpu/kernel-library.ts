/**
 * Compiled kernels: looked up in this process, then on disk, then compiled. Kernels that are missing are spread over a few translation
 * units, which compile in parallel. A unit is a shared object named by the SHA-256 of its source, beside a list of the kernels in it,
 * so that any plan finds what another plan or process has compiled.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { CompileError } from '../../common/errors.ts'
import { translationUnit, type CKernel } from '../../render/c.ts'
import { compileSharedObject, compileSharedObjectSync } from '../compiler.ts'
import { kernelFlags } from './flags.ts'
import type { NativeRuntime } from './native.ts'

/** Less text than this is not worth another compiler process: gcc 12 takes about 0.2 s for it, and 0.05 s to start and link. */
const CHARACTERS_PER_UNIT = 10_000
const MAX_UNITS = 4
const LIST = '.kernels'

interface Unit {
  readonly kernels: readonly CKernel[]
  readonly source: string
  readonly path: string
}

/** What tells a compiled kernel from all others: its name, a short hash, and the digest of its text. */
export interface KernelIdentity {
  readonly name: string
  readonly digest: string
}

export class KernelLibrary {
  private readonly native: NativeRuntime
  private readonly directory: string | null
  private readonly maxUnits: number
  private readonly addresses = new Map<string, number>()
  private readonly libraries = new Map<string, number>()
  /** Files by kernel on disk. */
  private readonly files = new Map<string, string>()
  private readonly listsRead = new Set<string>()
  private readonly compiling = new Map<string, Promise<void>>()

  /** `directory` keeps units for other processes; null: they are gone when this one ends. */
  constructor(native: NativeRuntime, directory: string | null, cores: number) {
    this.native = native
    this.directory = directory
    this.maxUnits = Math.min(MAX_UNITS, Math.max(2, cores))
  }

  /** Addresses of kernels, compiling what is not compiled. @throws CompileError */
  async load(kernels: readonly CKernel[]): Promise<number[]> {
    const missing = this.openKnown(kernels)
    const own = missing.filter((k) => !this.compiling.has(k.name))
    const others = missing.flatMap((k) => this.compiling.get(k.name) ?? [])
    const mine = this.units(own).map((unit) => {
      const compiled = this.compile(unit)
      for (const k of unit.kernels) this.compiling.set(k.name, compiled)
      return compiled
    })
    const results = await Promise.allSettled([...mine, ...others])
    for (const k of own) this.compiling.delete(k.name)
    for (const r of results) if (r.status === 'rejected') throw r.reason
    return this.addressesOf(kernels)
  }

  private async compile(unit: Unit): Promise<void> {
    try {
      await compileSharedObject(unit.source, unit.path, kernelFlags())
      this.publish(unit)
    } finally {
      this.forget(unit)
    }
  }

  /** Like `load`, blocking. */
  loadSync(kernels: readonly CKernel[]): number[] {
    for (const unit of this.units(this.openKnown(kernels))) {
      try {
        compileSharedObjectSync(unit.source, unit.path, kernelFlags())
        this.publish(unit)
      } finally {
        this.forget(unit)
      }
    }
    return this.addressesOf(kernels)
  }

  /** Addresses of kernels that were compiled before, by any process; null where one is missing. */
  find(kernels: readonly KernelIdentity[]): number[] | null {
    const unknown = kernels.filter((k) => !this.addresses.has(k.name))
    if (unknown.some((k) => !this.files.has(lineOf(k)))) this.readLists()
    for (const k of unknown) {
      const path = this.files.get(lineOf(k))
      if (path === undefined || !this.open(path, [k])) return null
    }
    return this.addressesOf(kernels)
  }

  private addressesOf(kernels: readonly { readonly name: string }[]): number[] {
    return kernels.map((k) => this.addresses.get(k.name)!)
  }

  /** Opens what lies on disk; gives the kernels that do not, each once. */
  private openKnown(kernels: readonly CKernel[]): CKernel[] {
    const wanted = [...new Map(kernels.map((k) => [k.name, k])).values()].filter((k) => !this.addresses.has(k.name))
    if (wanted.some((k) => !this.files.has(lineOf(identityOf(k))))) this.readLists()
    return wanted.filter((k) => {
      const path = this.files.get(lineOf(identityOf(k)))
      return path === undefined || !this.open(path, [k])
    })
  }

  /** Reads the lists of units that other processes may have added. */
  private readLists(): void {
    if (this.directory === null) return
    for (const name of readdirSync(this.directory)) {
      if (!name.endsWith(LIST) || this.listsRead.has(name)) continue
      this.listsRead.add(name)
      const path = join(this.directory, name.slice(0, -LIST.length))
      if (!existsSync(path)) continue
      for (const line of readFileSync(join(this.directory, name), 'utf8').split('\n')) this.files.set(line, path)
    }
  }

  /** Whether a shared object could be opened and has the kernels; a damaged one is forgotten and removed. */
  private open(path: string, kernels: readonly { readonly name: string }[]): boolean {
    const library = this.libraries.get(path) || this.native.load(path)
    const found = library === 0 ? [] : kernels.map((k) => this.native.symbol(library, k.name))
    if (library === 0 || found.includes(0)) {
      rmSync(path, { force: true })
      rmSync(path + LIST, { force: true })
      return false
    }
    this.libraries.set(path, library)
    kernels.forEach((k, i) => this.addresses.set(k.name, found[i]!))
    return true
  }

  /** Spreads kernels over units of about equal size: the longest first, each to the shortest unit. */
  private units(kernels: readonly CKernel[]): Unit[] {
    const total = kernels.reduce((sum, k) => sum + k.text.length, 0)
    const count = Math.min(this.maxUnits, kernels.length, Math.ceil(total / CHARACTERS_PER_UNIT))
    const groups = Array.from({ length: count }, () => ({ size: 0, kernels: [] as CKernel[] }))
    for (const k of [...kernels].sort((a, b) => b.text.length - a.text.length)) {
      const shortest = groups.reduce((best, g) => (g.size < best.size ? g : best))
      shortest.size += k.text.length
      shortest.kernels.push(k)
    }
    return groups.map((g) => {
      const source = translationUnit(g.kernels)
      const directory = this.directory ?? mkdtempSync(join(tmpdir(), 'longzhou-'))
      return { kernels: g.kernels, source, path: join(directory, `${sha256(source).slice(0, 32)}.so`) }
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
    const list = unit.path + LIST
    const temporary = `${list}.${process.pid}.${threadId}.tmp`
    writeFileSync(temporary, unit.kernels.map((k) => lineOf(identityOf(k))).join('\n'), { mode: 0o600 })
    renameSync(temporary, list)
  }

  /** What has been opened needs no file where none is kept. */
  private forget(unit: Unit): void {
    if (this.directory === null) rmSync(dirname(unit.path), { recursive: true, force: true })
  }
}

const digests = new WeakMap<CKernel, string>()

export function identityOf(kernel: CKernel): KernelIdentity {
  let digest = digests.get(kernel)
  if (!digest) {
    digest = sha256([...kernel.helpers.values(), kernel.text].join('\n')).slice(0, 32)
    digests.set(kernel, digest)
  }
  return { name: kernel.name, digest }
}

/** A kernel in the list of a unit. */
function lineOf({ name, digest }: KernelIdentity): string {
  return `${name} ${digest}`
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
