/**
 * The engine of this package: a program recorded once for each shape of its inputs. What depends on weights alone is folded, packed and
 * computed once, and shared by all shapes.
 */
import { allocateHost, sizeOf, viewHost, type HostArray } from '../common/dtype.ts'
import { RecentMap } from '../common/recent-map.ts'
import { numel, type Shape } from '../common/shape.ts'
import { foldConstants } from '../graph/fold.ts'
import type { Node } from '../graph/node.ts'
import { readModel } from '../io/formats/model-files.ts'
import { TranslatedLayer } from '../io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'
import type { Backend } from '../runtime/backend.ts'
import { noGrad } from '../tensor/autograd.ts'
import { backendOf, getDevice, withDevice } from '../tensor/device.ts'
import { ConstantStore, InputPlace, PreparedComputation } from '../tensor/prepared.ts'
import { tensorsIn } from '../tensor/nested.ts'
import type { Engine, EngineOptions, PortInfo, Session } from './engine.ts'

export const longzhou: Engine = {
  takes: ['device', 'maxShapes'],
  async load(model, options) {
    return new ProgramSession(typeof model === 'string' ? await readModel(model) : model, options)
  },
}

class ProgramSession implements Session {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  readonly #backend: Backend
  readonly #layer: TranslatedLayer
  readonly #constants = new ConstantStore()
  readonly #prepared: RecentMap<string, PreparedComputation>

  constructor(program: OperatorProgram, { device = getDevice(), maxShapes = 64 }: EngineOptions) {
    this.inputs = program.inputs
    this.outputNames = program.outputs.map((o) => o.name)
    this.metadata = program.metadata
    this.device = device
    this.#backend = backendOf(device)
    this.#layer = withDevice(device, () => new TranslatedLayer(program))
    this.#prepared = new RecentMap(maxShapes)
  }

  async run(inputs: readonly HostArray[]): Promise<HostArray[]> {
    const computation = this.#computation(inputs.map((a) => a.shape))
    const buffers = inputs.map((array) => this.#upload(array))
    const results = await computation.run(buffers)
    return Promise.all(
      results.map(async (result, i): Promise<HostArray> => {
        const { dtype, shape } = computation.outputs[i]!
        const bytes = await this.#backend.read(result)
        // Nobody else holds the memory of an output; other devices' is copied by reading it.
        const data =
          bytes.byteLength === 0
            ? allocateHost(dtype, 0)
            : viewHost(dtype, bytes.buffer, bytes.byteOffset, numel(shape))
        return { dtype, shape: [...shape], data }
      }),
    )
  }

  get constantBytes(): number {
    return this.#constants.bytes
  }

  dispose(): void {}

  #upload({ data, shape, dtype }: HostArray): ReturnType<Backend['allocate']> {
    const buffer = this.#backend.allocate(numel(shape) * sizeOf(dtype))
    this.#backend.write(buffer, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    return buffer
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
