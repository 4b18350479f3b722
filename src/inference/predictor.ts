/**
 * The inference engine: a program (or a layer) prepared for running. Weights are folded and packed once, and shared by all shapes and all
 * predictors that are cloned from one; runs are asynchronous, may be called at the same time, and each gets its own results.
 */
import { allocateHost, viewHost, type DType, type HostArray } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { RecentMap } from '../common/recent-map.ts'
import { formatShape, numel, type Shape } from '../common/shape.ts'
import { foldConstants } from '../graph/fold.ts'
import type { Node } from '../graph/node.ts'
import { readModel } from '../io/formats/model-files.ts'
import { TranslatedLayer } from '../io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'
import type { DeviceBuffer } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'
import { noGrad } from '../tensor/autograd.ts'
import { backendOf, getDevice, withDevice } from '../tensor/device.ts'
import { ConstantStore, InputPlace, PreparedComputation } from '../tensor/prepared.ts'
import { tensorsIn } from '../tensor/nested.ts'
import { InputBuffers } from './input-buffers.ts'
import { Tensor } from '../tensor/tensor.ts'

export interface PredictorOptions {
  readonly model: OperatorProgram
  /** Default: the current device. */
  readonly device?: string
  /** Shapes whose plans are kept; the one not used for longest goes first. Default 64. */
  readonly maxShapes?: number
}

/** What a model takes or gives: -1 for an axis of any size. */
export interface PortInfo {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
}

export type PredictorInputs = Readonly<Record<string, HostArray | Tensor>> | readonly (HostArray | Tensor)[]

export class Predictor {
  /** What the model takes, in order. */
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  /** What travels with the model. */
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  readonly #backend: Backend
  readonly #inputBuffers: InputBuffers
  readonly #layer: TranslatedLayer
  readonly #constants: ConstantStore
  readonly #prepared: RecentMap<string, PreparedComputation>

  constructor(
    layer: TranslatedLayer,
    device: string,
    constants: ConstantStore,
    prepared: RecentMap<string, PreparedComputation>,
  ) {
    const { program } = layer
    this.inputs = program.inputs
    this.outputNames = program.outputs.map((o) => o.name)
    this.metadata = program.metadata
    this.device = device
    this.#backend = backendOf(device)
    this.#inputBuffers = new InputBuffers(this.#backend)
    this.#layer = layer
    this.#constants = constants
    this.#prepared = prepared
  }

  /** Another predictor over the same weights and plans, as `Predictor.clone` of Paddle Inference; one serves any number of calls as well. */
  clone(): Predictor {
    return new Predictor(this.#layer, this.device, this.#constants, this.#prepared)
  }

  /**
   * Runs the model on inputs by name, or in order. May be called again before it resolves. Resolves to the outputs by name.
   * Throws ArgumentError, ShapeError, DTypeError for inputs that do not fit; rejects with what the run met.
   * @example const { output_0 } = await predictor.run({ x: { dtype: 'float32', shape: [1, 3, 48, 320], data } })
   */
  async run(inputs: PredictorInputs): Promise<Record<string, HostArray>> {
    const arrays = await Promise.all(this.#inOrder(inputs).map((v) => (v instanceof Tensor ? v.hostArray() : v)))
    arrays.forEach((array, i) => checkInput(this.inputs[i]!, array))
    const computation = this.#computation(arrays.map((a) => a.shape))
    const buffers = arrays.map((array) => this.#upload(array))
    const results = await computation.run(buffers).finally(() => this.#inputBuffers.giveBack(buffers))
    const outputs: Record<string, HostArray> = {}
    for (let i = 0; i < results.length; i++) {
      const { dtype, shape } = computation.outputs[i]!
      const bytes = await this.#backend.read(results[i]!)
      const count = numel(shape)
      // Nobody else holds the memory of an output; other devices' is copied by reading it.
      const data =
        bytes.byteLength === 0 ? allocateHost(dtype, 0) : viewHost(dtype, bytes.buffer, bytes.byteOffset, count)
      outputs[this.outputNames[i]!] = { dtype, shape: [...shape], data }
    }
    return outputs
  }

  /** Plans these shapes, and computes what is shared, before the first run. */
  async prepare(shapes: readonly Shape[]): Promise<void> {
    const arrays = shapes.map((shape, i) => {
      const { dtype } = this.inputs[i] ?? { dtype: 'float32' as DType }
      return { dtype, shape: [...shape], data: allocateHost(dtype, numel(shape)) }
    })
    await this.run(arrays)
  }

  /** Bytes of packed weights and other constants. */
  get constantBytes(): number {
    return this.#constants.bytes
  }

  #inOrder(inputs: PredictorInputs): (HostArray | Tensor)[] {
    const names = this.inputs.map((i) => i.name)
    const expected = `the model takes ${names.join(', ')}`
    if (Array.isArray(inputs)) {
      if (inputs.length !== names.length) throw new ArgumentError(`run: got ${inputs.length} inputs; ${expected}`)
      return [...(inputs as readonly (HostArray | Tensor)[])]
    }
    const byName = inputs as Readonly<Record<string, HostArray | Tensor>>
    const unknown = Object.keys(byName).filter((n) => !names.includes(n))
    if (unknown.length > 0) throw new ArgumentError(`run: there is no input '${unknown.join("', '")}'; ${expected}`)
    return names.map((name) => {
      const value = byName[name]
      if (!value) throw new ArgumentError(`run: the input '${name}' is missing; ${expected}`)
      return value
    })
  }

  #upload({ data }: HostArray): DeviceBuffer {
    return this.#inputBuffers.upload(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }

  #computation(shapes: readonly Shape[]): PreparedComputation {
    return this.#prepared.getOrMake(shapes.map((s) => s.join('x')).join(' '), () => this.#record(shapes))
  }

  #record(shapes: readonly Shape[]): PreparedComputation {
    return withDevice(this.device, () => {
      const places = this.inputs.map(({ dtype }, i) => new InputPlace(this.device, dtype, shapes[i]!))
      const changing = new Set(places.map((p) => p.storage))
      const isFixed = (leaf: Node): boolean => leaf.op !== 'buffer' || !changing.has(leaf.attributes.storage)
      const results = noGrad(() => {
        const out = this.#layer(...places.map((p) => p.tensor))
        return foldConstants(
          tensorsIn(out).map((t) => t.node),
          isFixed,
        )
      })
      return new PreparedComputation(results, places, this.device, this.#constants)
    })
  }
}

function checkInput(port: PortInfo, { dtype, shape, data }: HostArray): void {
  if (dtype !== port.dtype) throw new DTypeError(`run: input '${port.name}' is ${dtype}, the model takes ${port.dtype}`)
  const fits = shape.length === port.shape.length && shape.every((d, i) => port.shape[i] === -1 || port.shape[i] === d)
  if (!fits) {
    const wanted = port.shape.map((d) => (d === -1 ? 'any' : d)).join(', ')
    throw new ShapeError(`run: input '${port.name}' has shape ${formatShape(shape)}, the model takes [${wanted}]`)
  }
  if (data.length !== numel(shape))
    throw new ShapeError(`run: input '${port.name}' of shape ${formatShape(shape)} has ${data.length} elements`)
}

/** As `createPredictor`, for a model file of any format. Throws StorageError, FormatError. */
export async function loadPredictor(path: string, options: Omit<PredictorOptions, 'model'> = {}): Promise<Predictor> {
  return createPredictor({ ...options, model: await readModel(path) })
}

/** Prepares a model for running. Throws FormatError that lists operators that are not supported. */
export function createPredictor(options: PredictorOptions): Predictor {
  const device = options.device ?? getDevice()
  const layer = withDevice(device, () => new TranslatedLayer(options.model))
  return new Predictor(layer, device, new ConstantStore(), new RecentMap(options.maxShapes ?? 64))
}
