/**
 * A program as a session: recorded once for each shape of its inputs. What depends on weights alone is folded, packed and
 * computed once, and shared by all shapes.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, DeviceError } from '../common/errors.ts'
import { RecentMap } from '../common/recent-map.ts'
import { shapesKey, type Shape } from '../common/shape.ts'
import { bytesOf, fromBytes } from '../io/host-array.ts'
import { TranslatedLayer } from '../io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'
import type { Backend, ProgramOptions } from '../runtime/backend.ts'
import { backendOf, getDevice, withDevice } from '../tensor/device.ts'
import { ConstantStore } from '../tensor/constant-store.ts'
import { PreparedComputation } from '../tensor/prepared.ts'
import { precisions, type EngineOptions, type PortInfo, type Precision, type Session } from './engine.ts'
import { InputBuffers } from './input-buffers.ts'
import type { Keeper } from './kept/keep.ts'
import { recordInference, ValuesNeededError } from './record.ts'
import { noteArrays } from './young-arrays.ts'

/** Elements of an input whose values are recorded: sizes, bounds and their like have few, and every choice of them is a recording of its own. */
const MOST_VALUES = 1024

function checkThreads(threads: number, device: string): void {
  if (threads > 1 && device !== 'cpu')
    throw new ArgumentError(`createPredictor: device '${device}' runs on one thread, got threads: ${threads}`)
}

function checkPrecision(precision: string, device: string, backend: Backend): void {
  const isOneOf: readonly string[] = precisions
  if (!isOneOf.includes(precision))
    throw new ArgumentError(`createPredictor: precision must be ${precisions.join(', ')}, got '${precision}'`)
  if (precision === 'bfloat16' && !backend.capabilities.bfloat16)
    throw new DeviceError(
      `createPredictor: device '${device}' of this machine does not multiply bfloat16 (AVX-512 BF16 or AMX does), which would make it slower and less exact than float32; use that`,
    )
}

export class ProgramSession implements Session {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  readonly #backend: Backend
  readonly #inputBuffers: InputBuffers
  readonly #layer: TranslatedLayer
  readonly #constants: ConstantStore
  readonly #precision: Precision
  readonly #programOptions: ProgramOptions
  readonly #prepared: RecentMap<string, PreparedComputation>
  readonly #keeper: Keeper | undefined
  readonly #kept = new WeakSet<PreparedComputation>()
  /** Inputs, by number, whose values decide shapes. */
  readonly #valued = new Set<number>()

  /** `keeper`: what keeps each choice of shapes that has run for other processes. */
  constructor(program: OperatorProgram, options: EngineOptions, keeper?: Keeper) {
    this.#keeper = keeper
    const { device = getDevice(), maxShapes = 64, precision = 'float32', threads, cache } = options
    this.inputs = program.inputs
    this.outputNames = program.outputs.map((o) => o.name)
    this.metadata = program.metadata
    this.device = device
    this.#backend = backendOf(device)
    this.#inputBuffers = new InputBuffers(this.#backend)
    checkPrecision(precision, device, this.#backend)
    if (threads !== undefined) checkThreads(threads, device)
    this.#precision = precision
    this.#programOptions = {
      flushesSubnormals: true,
      ...(precision === 'high' && this.#backend.capabilities.productParts !== 0 && { productParts: 2 }),
      ...(threads !== undefined && { threads }),
      ...(cache !== undefined && { cache }),
    }
    const constants = (this.#constants = new ConstantStore(device))
    // The layer copies the parameters to the device: what was read from the file may go.
    const parameters = new Map(program.parameters)
    this.#layer = withDevice(device, () => new TranslatedLayer({ ...program, parameters }, (a) => constants.place(a)))
    parameters.clear()
    this.#prepared = new RecentMap(maxShapes)
  }

  async run(inputs: readonly HostArray[]): Promise<HostArray[]> {
    const shapes = inputs.map((a) => [...a.shape])
    const computation = this.#computation(inputs, shapes)
    const buffers = inputs.map((array) => this.#inputBuffers.upload(bytesOf(array)))
    const done = computation.run(buffers).finally(() => this.#inputBuffers.giveBack(buffers))
    noteArrays(computation.outputs)
    const results = await done
    // Other processes are told shapes, not values.
    if (this.#keeper && this.#valued.size === 0 && !this.#kept.has(computation)) {
      this.#kept.add(computation)
      const parts = await computation.parts()
      if (parts) this.#keeper.keep(this, shapes, parts)
    }
    return Promise.all(
      results.map(async (result, i): Promise<HostArray> => {
        const { dtype, shape } = computation.outputs[i]!
        // Nobody else holds the memory of an output; other devices' is copied by reading it.
        return fromBytes(dtype, [...shape], await this.#backend.read(result))
      }),
    )
  }

  get constantBytes(): number {
    return this.#constants.bytes
  }

  async dispose(): Promise<void> {
    // What is being kept for other processes is read from the memory that goes.
    await this.#keeper?.finished()
    this.#constants.dispose()
  }

  #computation(arrays: readonly HostArray[], shapes: readonly Shape[]): PreparedComputation {
    for (;;) {
      const values = new Map([...this.#valued].map((i) => [i, arrays[i]!] as const))
      const key = [shapesKey(shapes), ...[...values].map(([i, { data }]) => `${i}: ${data.join()}`)].join('; ')
      try {
        return this.#prepared.getOrMake(key, () => this.#record(shapes, values))
      } catch (error) {
        if (!(error instanceof ValuesNeededError)) throw error
        if (error.inputs.some((i) => arrays[i]!.data.length > MOST_VALUES)) throw error
        error.inputs.forEach((i) => this.#valued.add(i))
      }
    }
  }

  #record(shapes: readonly Shape[], values: ReadonlyMap<number, HostArray>): PreparedComputation {
    const { inputs, outputs } = recordInference(this.#layer, shapes, this.device, this.#precision, values)
    return new PreparedComputation(outputs, inputs, this.device, this.#constants, this.#programOptions)
  }
}
