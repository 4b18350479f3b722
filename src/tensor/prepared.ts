/**
 * A computation that is run many times over other inputs and the same weights: recorded, captured and planned once. Whatever depends on
 * weights alone is computed before the first run and shared by all computations over the same weights.
 */
import { sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { numel } from '../common/shape.ts'
import { makeLeaf, type Node } from '../graph/node.ts'
import { Storage, type DeviceBuffer } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'
import { capture, type Capture } from '../schedule/capture.ts'
import type { DType } from '../common/dtype.ts'
import type { Shape } from '../common/shape.ts'
import { backendOf } from './device.ts'
import { laneOf, type Lane, type PreparedPlan } from './lane.ts'
import { Tensor } from './tensor.ts'

/** A tensor that stands for an input; runs bring its values. */
export class InputPlace {
  readonly storage: Storage
  readonly tensor: Tensor

  constructor(device: string, dtype: DType, shape: Shape) {
    this.storage = new Storage(device, dtype, numel(shape), backendOf(device).allocate(0))
    this.tensor = new Tensor(makeLeaf(this.storage, [...shape], false))
  }
}

/** Packed weights and other constants, by recipe and the weights that it is over; for all computations over one set of weights. */
export class ConstantStore {
  readonly #buffers = new Map<string, DeviceBuffer>()
  /** Ends when what is being computed is there. */
  pending: Promise<void> = Promise.resolve()

  get(name: string): DeviceBuffer | undefined {
    return this.#buffers.get(name)
  }

  set(name: string, buffer: DeviceBuffer): void {
    this.#buffers.set(name, buffer)
  }

  get bytes(): number {
    return [...this.#buffers.values()].reduce((sum, b) => sum + b.bytes, 0)
  }
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
  constructor(outputs: readonly Node[], inputs: readonly InputPlace[], device: string, store: ConstantStore) {
    this.#backend = backendOf(device)
    this.#lane = laneOf(this.#backend)
    this.#capture = capture(outputs, [])
    this.#outputs = this.#capture.targets.map(({ node }) => ({ dtype: node.dtype, shape: node.shape }))
    this.#inputOf = this.#capture.leaves.map((leaf) => inputs.findIndex((i) => i.storage === leaf))
    this.#store = store
    const fixed = new Set(this.#inputOf.flatMap((input, leaf) => (input < 0 ? [leaf] : [])))
    this.#plan = this.#lane.prepare(this.#capture, fixed)
  }

  /** The outputs of a run; `buffers` hold the inputs and must not change until it resolves. Rejects with what this run met. */
  async run(buffers: readonly DeviceBuffer[]): Promise<DeviceBuffer[]> {
    const leaves = this.#capture.leaves.map((leaf, i) => {
      const input = this.#inputOf[i]!
      return input < 0 ? leaf.buffer : (buffers[input] ?? missing(input))
    })
    const outputs = this.#outputs.map((o) => this.#backend.allocate(numel(o.shape) * sizeOf(o.dtype)))
    if (!this.#plan) {
      this.#lane.run(this.#capture, leaves, outputs, outputs)
      return outputs
    }
    const constants = await (this.#constants ??= this.#computeConstants(this.#plan))
    await this.#lane.execute(this.#plan.main, [...leaves, ...constants], outputs, this.#capture.scalars)
    return outputs
  }

  /** Shapes and dtypes of the outputs. */
  get outputs(): readonly { readonly dtype: DType; readonly shape: Shape }[] {
    return this.#outputs
  }

  /** Those that no other computation has made are made here, one computation at a time. */
  #computeConstants(plan: PreparedPlan): Promise<readonly DeviceBuffer[]> {
    const computed = this.#store.pending.then(async () => {
      const { constants } = plan
      const names = constants.map((c) => `${c.recipe} ${c.leaves.map((l) => this.#capture.leaves[l]!.id).join()}`)
      const known = names.map((name) => this.#store.get(name))
      const buffers = constants.map((c, i) => known[i] ?? this.#backend.allocate(c.bytes))
      if (known.every((k) => k)) return buffers
      const leaves = this.#capture.leaves.map((l) => l.buffer)
      await this.#lane.execute(
        plan.prologue((i) => !known[i]),
        leaves,
        buffers,
        this.#capture.scalars,
      )
      names.forEach((name, i) => this.#store.set(name, buffers[i]!))
      return buffers
    })
    this.#store.pending = computed.then(
      () => {},
      () => {},
    )
    return computed
  }
}

function missing(input: number): never {
  throw new InternalError(`a run lacks input ${input}`)
}
