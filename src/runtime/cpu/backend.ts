/**
 * The CPU backend: generated C, compiled by the system's compiler, run by a native thread pool off the JS thread. Runs are executed in
 * the order of submission; results do not depend on the number of threads.
 */
import { readEnvironment } from '../../common/env.ts'
import { InternalError } from '../../common/errors.ts'
import { RecentMap } from '../../common/recent-map.ts'
import type { GeneratedPlan } from '../../codegen/generate.ts'
import type { CompiledKernel, Kernel } from '../../codegen/kernel.ts'
import { structureOf } from '../../codegen/structure.ts'
import { renderKernel, type CKernel } from '../../render/c.ts'
import type { Plan } from '../../schedule/plan.ts'
import type { Backend, PlanRequest, Program, ProgramOptions, RecalledPlan } from '../backend.ts'
import { cacheDirectoryPath } from '../cache-directory.ts'
import type { Roof } from '../kernel-summary.ts'
import { readRoofline, roofOf } from '../roofline.ts'
import { KernelLibrary } from './kernel-library.ts'
import { CpuMachine } from './machine.ts'
import { codeDirectory } from './native.ts'
import type { StoredKernel } from './plan-file.ts'
import { PlanStore } from './plan-store.ts'
import { encodeProgram } from './program.ts'
import { noteSubmitted } from './submitted-graphs.ts'
import { Undisturbed } from './undisturbed.ts'

export class CpuBackend extends CpuMachine implements Backend {
  readonly name = 'cpu'
  /** By the directory that they keep code in. */
  private readonly libraries = new Map<string | false, KernelLibrary>()
  /** By the directory that they lie in. */
  private readonly stores = new Map<string, PlanStore>()
  private readonly undisturbed = new Undisturbed(this.native)
  private readonly keepsPlans = readEnvironment().planCache
  /** Printed kernels by structure: a new size of a known program has the same ones. */
  private readonly rendered = new RecentMap<string, CKernel>(4096)

  async compile(plan: Plan, kernels: readonly Kernel[], options: ProgramOptions = {}): Promise<Program> {
    const addresses = await this.library(options).load(this.render(kernels), () => this.expectArena(plan.arenaBytes))
    return encodeProgram(plan, kernels, addresses, options)
  }

  compileSync(plan: Plan, kernels: readonly Kernel[], options: ProgramOptions = {}): Program {
    return encodeProgram(plan, kernels, this.library(options).loadSync(this.render(kernels)), options)
  }

  compileAhead(kernels: readonly Kernel[], options: ProgramOptions = {}): void {
    // Whoever needs one of them compiles it again, and is told what is wrong.
    this.library(options)
      .load(this.render(kernels))
      .catch(() => {})
  }

  private library({ cache = cacheDirectoryPath() }: ProgramOptions): KernelLibrary {
    let library = this.libraries.get(cache)
    if (!library) {
      const directory = cache === false ? null : codeDirectory(cache)
      library = new KernelLibrary(this.native, directory, this.features.logicalCores)
      this.libraries.set(cache, library)
    }
    return library
  }

  /** Null where nothing is kept. */
  private store({ cache = cacheDirectoryPath() }: ProgramOptions): PlanStore | null {
    if (!this.keepsPlans || cache === false) return null
    let store = this.stores.get(cache)
    if (!store) this.stores.set(cache, (store = new PlanStore(codeDirectory(cache))))
    return store
  }

  recall(request: PlanRequest, options: ProgramOptions = {}): RecalledPlan | null {
    const found = this.store(options)?.read(request)
    const addresses = found && this.library(options).find(found.kernels.map((k) => k.identity))
    if (!found || !addresses) return null
    return { ...found, bind: (plan) => encodeProgram(plan, found.kernels, addresses, options) }
  }

  remember(request: PlanRequest, made: GeneratedPlan, options: ProgramOptions = {}): void {
    void this.store(options)?.write(request, { ...made, kernels: this.stored(made.kernels, options) })
  }

  /** Compiled kernels as plans on disk name them. */
  stored(kernels: readonly (Kernel | CompiledKernel)[], options: ProgramOptions = {}): StoredKernel[] {
    const library = this.library(options)
    return kernels.map((k) => {
      if (isStored(k)) return k
      if ('structure' in k) throw new InternalError(`the compiled kernel '${k.title}' has no place on disk`)
      const { title, parameters } = k
      return { title, parameters, structure: structureOf(k), identity: library.identityOf(this.render([k])[0]!) }
    })
  }

  private render(kernels: readonly Kernel[]): CKernel[] {
    return kernels.map((k) => this.rendered.getOrMake(structureOf(k), () => renderKernel(k, this.vectorBytes)))
  }

  planning(): void {
    this.undisturbed.begin()
  }

  submitted(nodes: number, isPlanned: boolean): void {
    this.undisturbed.submitted()
    noteSubmitted(nodes, isPlanned)
  }

  roof(): Roof | null {
    const roofline = readRoofline()
    return roofline && roofOf(roofline, this.threads)
  }
}

const isStored = (kernel: Kernel | CompiledKernel): kernel is StoredKernel => 'identity' in kernel
