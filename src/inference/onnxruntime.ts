/** The engine of onnxruntime-node, an optional package: CPU, CUDA, TensorRT. Models of other formats are converted in memory. */
import type { HostArray } from '../common/dtype.ts'
import { formatOf } from '../io/formats/model-files.ts'
import { openOnnxRuntime, type OnnxRuntimeSession } from '../io/formats/onnx/runtime.ts'
import type { EngineOptions, Model, PortInfo, Session } from './engine.ts'
import { readModel } from './read-model.ts'

/** The session of a model in onnxruntime-node. Throws what reading it throws, and DeviceError. */
export async function openForeign(model: Model, { device = 'cpu', threads }: EngineOptions): Promise<Session> {
  const isForeign = typeof model === 'string' && formatOf(model) !== 'onnx'
  const session = await openOnnxRuntime(isForeign ? await readModel(model) : model, {
    device,
    ...(threads !== undefined && { threads }),
  })
  return new ForeignSession(session, device)
}

class ForeignSession implements Session {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  readonly constantBytes = 0
  readonly #session: OnnxRuntimeSession

  constructor(session: OnnxRuntimeSession, device: string) {
    this.inputs = session.inputs
    this.outputNames = session.outputNames
    this.metadata = session.metadata
    this.device = device
    this.#session = session
  }

  run(inputs: readonly HostArray[]): Promise<HostArray[]> {
    return this.#session.run(inputs)
  }

  dispose(): Promise<void> {
    return this.#session.dispose()
  }
}
