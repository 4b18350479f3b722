/**
 * Compiled kernels on disk: shared objects, each beside a list of the kernels in it, so that any plan finds what another plan or process has
 * compiled. They are opened here; kernel-library.ts makes them.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { NativeRuntime } from './native.ts'

export const LIST = '.kernels'

/** What tells a compiled kernel from all others: its name, a short hash, and the digest of its text. */
export interface KernelIdentity {
  readonly name: string
  readonly digest: string
  /** The shared object that it was found in; '' where none is kept. Its name holds the digest of what it was compiled from. */
  readonly file: string
}

type Named = Pick<KernelIdentity, 'name' | 'digest'>

const fileName = /^[0-9a-f]{32}\.so$/

export class KernelFiles {
  protected readonly native: NativeRuntime
  protected readonly directory: string | null
  protected readonly addresses = new Map<string, number>()
  private readonly libraries = new Map<string, number>()
  /** Files by kernel on disk. */
  private readonly files = new Map<string, string>()
  private readonly listsRead = new Set<string>()

  /** `directory` keeps them for all processes; null: there is none. */
  constructor(native: NativeRuntime, directory: string | null) {
    this.native = native
    this.directory = directory
  }

  /** Addresses of kernels that were compiled before, by any process; null where one is missing. */
  find(kernels: readonly KernelIdentity[]): number[] | null {
    for (const k of kernels) {
      if (this.addresses.has(k.name) || this.directory === null || !fileName.test(k.file)) continue
      const path = join(this.directory, k.file)
      if (existsSync(path) && this.open(path, [k])) this.files.set(lineOf(k), path)
    }
    const unknown = kernels.filter((k) => !this.addresses.has(k.name))
    this.look(unknown)
    for (const k of unknown) {
      const path = this.fileOf(k)
      if (path === undefined || !this.open(path, [k])) return null
    }
    return this.addressesOf(kernels)
  }

  protected addressesOf(kernels: readonly { readonly name: string }[]): number[] {
    return kernels.map((k) => this.addresses.get(k.name)!)
  }

  /** Reads the lists on disk where they may tell of kernels that are not known. */
  protected look(kernels: readonly Named[]): void {
    if (kernels.some((k) => !this.files.has(lineOf(k)))) this.readLists()
  }

  /** The shared object on disk that has a kernel, as far as lists were read. */
  protected fileOf(kernel: Named): string | undefined {
    return this.files.get(lineOf(kernel))
  }

  protected note(kernels: readonly Named[], path: string): void {
    for (const k of kernels) this.files.set(lineOf(k), path)
  }

  /** The name of the shared object of a kernel that was opened or compiled here, else ''. */
  protected fileNameOf(kernel: Named): string {
    return basename(this.fileOf(kernel) ?? '')
  }

  /** Reads the lists of units that other processes may have added. */
  private readLists(): void {
    if (this.directory === null) return
    // Processes that compiled a kernel at the same time left it in several: in order, all find the same one.
    for (const name of readdirSync(this.directory).sort()) {
      if (!name.endsWith(LIST) || this.listsRead.has(name)) continue
      this.listsRead.add(name)
      const path = join(this.directory, name.slice(0, -LIST.length))
      if (!existsSync(path)) continue
      for (const line of readFileSync(join(this.directory, name), 'utf8').split('\n')) this.files.set(line, path)
    }
  }

  /** Whether a shared object could be opened and has the kernels; a damaged one is forgotten and removed. */
  protected open(path: string, kernels: readonly { readonly name: string }[]): boolean {
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
}

/** A kernel in the list of a shared object. */
export function lineOf({ name, digest }: Named): string {
  return `${name} ${digest}`
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
