/**
 * A computation that is run many times over other inputs and the same weights: recorded, captured and planned once. Whatever depends on
 * weights alone is computed before the first run and shared by all computations over the same weights.
 */
import { sizeOf, type DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { numel, type Shape } from '../common/shape.ts'
import type { CompiledKernel, Kernel } from '../codegen/kernel.ts'
import { makeLeaf, type Node } from '../graph/node.ts'
import { Storage, type DeviceBuffer } from '../graph/storage.ts'
import type { Backend, ProgramOptions } from '../runtime/backend.ts'
import { capture, type Capture } from '../schedule/capture.ts'
import type { Plan } from '../schedule/plan.ts'
import type { ConstantStore } from './constant-store.ts'
import { backendOf } from './device.ts'
import { laneOf, type Lane, type PreparedPlan } from './lane.ts'
import { Tensor } from './tensor.ts'

/** A tensor that stands for an input; runs bring its values. */
export class InputPlace {
  readonly storage: Storage
  readonly tensor: Tensor

  constructor(device: string, dtype: DType, shape: Shape) {
    this.storage = new Storage(device, dtype, numel(shape), backendOf(device).allocate(0))
    this.storage.isPlace = true
    this.tensor = new Tensor(makeLeaf(this.storage, [...shape], false))
  }
}

/** A computation apart: what somebody needs who runs it elsewhere. */
export interface PreparedParts {
  readonly plan: Plan
  readonly kernels: readonly (Kernel | CompiledKernel)[]
  readonly scalars: readonly number[]
  readonly outputs: readonly { readonly dtype: DType; readonly shape: Shape }[]
  /** Of each leaf of the plan: the input that it is, by number, or the memory that holds it in every run. */
  readonly leaves: readonly ({ readonly input: number } | { readonly buffer: DeviceBuffer })[]
}

export class PreparedComputation {
  readonly #backend: Backend
  readonly #lane: Lane
  readonly #capture: Capture
  readonly #plan: PreparedPlan | null
  readonly #outputs: readonly { readonly dtype: DType; readonly shape: Shape }[]
  /** Of each leaf: the number of the input that it stands for, or -1 for a weight. */
  readonly #inputOf: readonly number[]
  readonly #store: ConstantStore
  #constants: Promise<readonly DeviceBuffer[]> | null = null

  /** `outputs` are recorded over the tensors of `inputs` and tensors that never change. */
  constructor(
    outputs: readonly Node[],
    inputs: readonly InputPlace[],
    device: string,
    store: ConstantStore,
    options: ProgramOptions = {},
  ) {
    this.#backend = backendOf(device)
    this.#lane = laneOf(this.#backend)
    this.#capture = capture(outputs, [])
    this.#outputs = this.#capture.targets.map(({ node }) => ({ dtype: node.dtype, shape: node.shape }))
    this.#inputOf = this.#capture.leaves.map((leaf) => inputs.findIndex((i) => i.storage === leaf))
    this.#store = store
    const fixed = new Set(this.#inputOf.flatMap((input, leaf) => (input < 0 ? [leaf] : [])))
    fixed.forEach((leaf) => store.nameOf(this.#capture.leaves[leaf]!))
    this.#plan = this.#lane.prepare(this.#capture, fixed, options)
  }

  /** The outputs of a run; `buffers` hold the inputs and must not change until it resolves. Rejects with what this run met. */
  async run(buffers: readonly DeviceBuffer[]): Promise<DeviceBuffer[]> {
    const leaves = this.#capture.leaves.map((leaf, i) => {
      const input = this.#inputOf[i]!
      return input < 0 ? leaf.buffer : (buffers[input] ?? absent(input))
    })
    const outputs = this.#outputs.map((o) => this.#backend.allocate(numel(o.shape) * sizeOf(o.dtype)))
    if (!this.#plan) {
      this.#lane.run(this.#capture, leaves, outputs, outputs, true)
      return outputs
    }
    const constants = await (this.#constants ??= this.#computeConstants(this.#plan))
    await this.#lane.execute(this.#plan.main, [...leaves, ...constants], outputs, this.#capture.scalars)
    return outputs
  }

  /** What runs consist of, once one has run; null where the device interprets programs itself. */
  async parts(): Promise<PreparedParts | null> {
    if (!this.#plan || !this.#constants) return null
    const { plan, kernels } = this.#plan.main
    const { leaves, scalars } = this.#capture
    const given = leaves.map((leaf, i) => (this.#inputOf[i]! < 0 ? leaf : { input: this.#inputOf[i]! }))
    const constants = (await this.#constants).map((buffer) => ({ buffer }))
    return { plan, kernels, scalars, outputs: this.#outputs, leaves: [...given, ...constants] }
  }

  /** Shapes and dtypes of the outputs. */
  get outputs(): readonly { readonly dtype: DType; readonly shape: Shape }[] {
    return this.#outputs
  }

  /** Those that no other computation has made are made here, one computation at a time. */
  #computeConstants(plan: PreparedPlan): Promise<readonly DeviceBuffer[]> {
    const computed = this.#store.pending.then(async () => {
      const { constants } = plan
      const weightNames = (leaves: readonly number[]): string[] =>
        leaves.map((leaf) => this.#store.nameOf(this.#capture.leaves[leaf]!))
      const names = constants.map((c) => `${c.recipe} of ${weightNames(c.leaves).join()}`)
      const known = constants.map((c, i) => this.#store.get(names[i]!, c.bytes))
      const buffers = constants.map((c, i) => known[i] ?? this.#store.allocate(c.bytes))
      if (known.every((k) => k)) return buffers
      const missing = known.map((k) => !k)
      // A launch that computes what is missing also writes what is there already, and others may be reading that.
      completeGroups(missing, plan.writes)
      const targets = buffers.map((b, i) => (known[i] && missing[i] ? this.#backend.allocate(b.bytes) : b))
      const leaves = this.#capture.leaves.map((l) => l.buffer)
      await this.#lane.execute(
        plan.prologue((i) => missing[i]!),
        leaves,
        targets,
        this.#capture.scalars,
      )
      return names.map((name, i) => known[i] ?? this.#store.set(name, buffers[i]!))
    })
    this.#store.pending = computed.then(
      () => {},
      () => {},
    )
    return computed
  }
}

/** Adds to the wanted numbers all that stand in a group with a wanted one. */
function completeGroups(wanted: boolean[], groups: readonly (readonly number[])[]): void {
  for (let grown = true; grown;) {
    grown = false
    for (const group of groups) {
      if (!group.some((i) => wanted[i]) || group.every((i) => wanted[i])) continue
      for (const i of group) wanted[i] = true
      grown = true
    }
  }
}

function absent(input: number): never {
  throw new InternalError(`a run lacks input ${input}`)
}
