/**
 * A session of a model that earlier processes have prepared: it runs what lies in the cache, and loads nothing of what reads models, records
 * networks, plans and generates code. Shapes that nobody has met yet are left to a session that does, which is opened when the first of them comes.
 */
import { sizeOf, type HostArray } from '../../common/dtype.ts'
import { RecentMap } from '../../common/recent-map.ts'
import { numel, shapesKey, type Shape } from '../../common/shape.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import { bytesOf, fromBytes } from '../../io/host-array.ts'
import { KernelFiles } from '../../runtime/cpu/kernel-files.ts'
import { cpuBuffer, cpuMachine, type CpuMachine } from '../../runtime/cpu/machine.ts'
import { encodeProgram, type BoundProgram } from '../../runtime/cpu/program.ts'
import type { EngineOptions, PortInfo, Session } from '../engine.ts'
import { InputBuffers } from '../input-buffers.ts'
import { noteArrays } from '../young-arrays.ts'
import { keyOf, type KeptRun } from './kept-run.ts'
import type { KeptModel } from './store.ts'

/** A run that is ready: its program with the weights that it reads, and the inputs that it lacks, by number. */
interface Ready {
  readonly run: KeptRun
  readonly bound: BoundProgram
  readonly inputs: readonly number[]
}

export class KeptSession implements Session {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly device = 'cpu'
  readonly #model: KeptModel
  readonly #threads: number | undefined
  readonly #machine: CpuMachine
  readonly #kernels: KernelFiles
  readonly #inputBuffers: InputBuffers
  readonly #open: () => Promise<Session>
  readonly #ready: RecentMap<string, Promise<Ready | null>>
  /** By digest. */
  readonly #pieces = new Map<string, DeviceBuffer>()
  #other: Promise<Session> | null = null
  #otherBytes: () => number = () => 0

  /** `open` makes the session for other shapes. */
  constructor(model: KeptModel, { threads, maxShapes = 64 }: EngineOptions, open: () => Promise<Session>) {
    const { inputs, outputNames, metadata } = model.ports
    this.inputs = inputs
    this.outputNames = outputNames
    this.metadata = metadata
    this.#model = model
    this.#threads = threads
    this.#machine = cpuMachine()
    this.#kernels = new KernelFiles(this.#machine.native, model.code)
    this.#inputBuffers = new InputBuffers(this.#machine)
    this.#open = open
    this.#ready = new RecentMap(maxShapes)
  }

  async run(inputs: readonly HostArray[]): Promise<readonly HostArray[]> {
    const shapes = inputs.map((a) => [...a.shape])
    const buffers = inputs.map((array) => this.#inputBuffers.upload(bytesOf(array)))
    try {
      const ready = await this.#ready.getOrMake(shapesKey(shapes), () => this.#prepare(shapes))
      if (ready) return await this.#runHere(ready, buffers)
      // The arrays may have changed since they were given.
      const copies = shapes.map((shape, i) => fromBytes(this.inputs[i]!.dtype, shape, cpuBuffer(buffers[i]!).view))
      return await (await this.#otherSession()).run(copies)
    } finally {
      this.#inputBuffers.giveBack(buffers)
    }
  }

  get constantBytes(): number {
    return [...this.#pieces.values()].reduce((sum, b) => sum + b.bytes, 0) + this.#otherBytes()
  }

  async dispose(): Promise<void> {
    for (const buffer of this.#pieces.values()) this.#machine.shared.release(buffer)
    this.#pieces.clear()
    await (await this.#other)?.dispose()
  }

  async #runHere({ run, bound, inputs }: Ready, buffers: readonly DeviceBuffer[]): Promise<HostArray[]> {
    const given = inputs.map((input) => buffers[input]!)
    const outputs = run.outputs.map((o) => this.#machine.allocate(numel(o.shape) * sizeOf(o.dtype)))
    const done = this.#machine.runBound(bound, given, outputs)
    noteArrays(run.outputs)
    await done
    // Nobody else holds the memory of an output.
    return run.outputs.map(({ dtype, shape }, i) => fromBytes(dtype, [...shape], cpuBuffer(outputs[i]!).view))
  }

  /** Null where it is not kept, or what is kept does not hold. */
  async #prepare(shapes: readonly Shape[]): Promise<Ready | null> {
    const run = this.#model.run(shapes)
    if (!run) return null
    const addresses = this.#kernels.find(run.kernels.map((k) => k.identity))
    const pieces = addresses && (await this.#load(run))
    if (!addresses || !pieces) {
      this.#model.forget(shapes)
      return null
    }
    const options = { flushesSubnormals: true, ...(this.#threads !== undefined && { threads: this.#threads }) }
    const program = encodeProgram(run.plan, run.kernels, addresses, options)
    const nothing = this.#machine.allocate(0)
    const leaves = run.leaves.map((leaf) => {
      if (leaf === null) return nothing
      return 'input' in leaf ? null : pieces[leaf.piece]!
    })
    const inputs = run.leaves.flatMap((leaf) => (leaf && 'input' in leaf ? [leaf.input] : []))
    return { run, bound: this.#machine.bind(program, leaves, run.outputs.length, run.scalars), inputs }
  }

  async #load(run: KeptRun): Promise<DeviceBuffer[] | null> {
    const buffers: DeviceBuffer[] = []
    for (const { digest, checksum, bytes, file, offset } of run.pieces) {
      const path = `${this.#model.directory}/${run.files[file]!}`
      const known = this.#pieces.get(digest)
      const buffer = known ?? (await this.#machine.shared.load(keyOf(digest), { path, offset, bytes, checksum }))
      if (!buffer) {
        this.#model.forgetFile(run.files[file]!)
        return null
      }
      // Another choice of shapes may have loaded it meanwhile.
      const first = this.#pieces.get(digest)
      if (first && first !== buffer) this.#machine.shared.release(buffer)
      this.#pieces.set(digest, first ?? buffer)
      buffers.push(first ?? buffer)
    }
    return buffers
  }

  #otherSession(): Promise<Session> {
    this.#other ??= this.#open().then(
      (session) => {
        this.#otherBytes = () => session.constantBytes
        return session
      },
      (error: unknown) => {
        this.#other = null
        throw error
      },
    )
    return this.#other
  }
}
