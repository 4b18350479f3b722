/**
 * ONNX Runtime, where the package onnxruntime-node is installed: a foreign judge of what is written here, and an engine for predictors. It is
 * loaded when it is asked for first, and nothing else depends on it.
 *
 * It computes on the thread that calls it: JavaScript waits for a run.
 */
import { isDType, viewHost, type HostArray } from '../../../common/dtype.ts'
import { ArgumentError, DependencyError, DeviceError, FormatError } from '../../../common/errors.ts'
import { numel } from '../../../common/shape.ts'
import { isThreadCount } from '../../../common/thread-count.ts'
import { readBytes } from '../../files.ts'
import type { OperatorProgram, ValueInfo } from '../program/program.ts'
import { parseOnnx } from './decode.ts'
import { serializeOnnx } from './encode.ts'
import { externalPath, tensorsOf } from './external-data.ts'
import { axisNamesOf, DATA_TYPES, dtypeOfDataType, type OnnxModel, type OnnxValueInfo } from './model.ts'
import { onnxOfProgram } from './writer/write.ts'

const PACKAGE = 'onnxruntime-node'

/** What is used of the package; it is no dependency, so that its own types are not there. */
interface Ort {
  readonly InferenceSession: { create(model: string | Uint8Array, options: object): Promise<OrtSession> }
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown
}

interface OrtSession {
  run(feeds: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, OrtTensor>>>
  release(): Promise<void>
}

interface OrtTensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: { readonly buffer: ArrayBufferLike; readonly byteOffset: number; readonly byteLength: number }
}

function isOrt(value: unknown): value is Ort {
  return typeof value === 'object' && value !== null && 'InferenceSession' in value && 'Tensor' in value
}

let loading: Promise<Ort | Error> | undefined

function load(): Promise<Ort | Error> {
  return (loading ??= import(PACKAGE).then(
    (module: unknown) => (isOrt(module) ? module : new Error(`${PACKAGE} lacks InferenceSession`)),
    (error: unknown) => error as Error,
  ))
}

/** Whether ONNX Runtime is installed and can be loaded here. */
export async function hasOnnxRuntime(): Promise<boolean> {
  return !((await load()) instanceof Error)
}

async function onnxRuntime(): Promise<Ort> {
  const found = await load()
  if (found instanceof Error)
    throw new DependencyError(
      `ONNX Runtime is not installed here (${found.message.split('\n')[0]}); run: npm install ${PACKAGE} (with ONNXRUNTIME_NODE_INSTALL=skip in the environment where no GPU is used: its install script downloads CUDA's part)`,
      { cause: found },
    )
  return found
}

/** Devices, and the execution providers that they are; `N` of `gpu:N` is the number of the card. */
const PROVIDERS: Readonly<Record<string, string>> = { cpu: 'cpu', gpu: 'cuda', tensorrt: 'tensorrt', webgpu: 'webgpu' }

export interface OnnxRuntimeOptions {
  /** `cpu` (default), `gpu` or `gpu:N` (CUDA), `tensorrt` or `tensorrt:N`, `webgpu`. */
  readonly device?: string
  /** Threads of one run. Default: ONNX Runtime's, the physical cores. */
  readonly threads?: number
}

function sessionOptions({ device = 'cpu', threads }: OnnxRuntimeOptions): object {
  const [, kind = '', number] = /^([a-z]+)(?::(\d{1,3}))?$/.exec(device) ?? []
  const name = Object.hasOwn(PROVIDERS, kind) ? PROVIDERS[kind] : undefined
  if (name === undefined)
    throw new ArgumentError(
      `ONNX Runtime: there is no device '${device}'; use ${Object.keys(PROVIDERS).join(', ')}, or gpu:N for one of several cards`,
    )
  if (threads !== undefined && !isThreadCount(threads))
    throw new ArgumentError(`ONNX Runtime: threads must be an integer from 1 to 1024, got ${String(threads)}`)
  return {
    executionProviders: [number === undefined ? name : { name, deviceId: Number(number) }],
    ...(threads !== undefined && { intraOpNumThreads: threads, interOpNumThreads: 1 }),
  }
}

/** A model in ONNX Runtime. */
export class OnnxRuntimeSession {
  readonly inputs: readonly ValueInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly #ort: Ort
  readonly #session: OrtSession

  constructor(ort: Ort, session: OrtSession, { graph, metadata }: OnnxModel) {
    const weights = new Set(graph.initializers.map((t) => t.name))
    // Files of the first IR versions list weights among the inputs.
    this.inputs = graph.inputs.filter((i) => !weights.has(i.name)).map(portOf)
    this.outputNames = graph.outputs.map((o) => o.name)
    this.metadata = metadata
    this.#ort = ort
    this.#session = session
  }

  /** Outputs in order, for inputs in order that fit `inputs` and are copied at the call. Rejects with what ONNX Runtime met. */
  async run(inputs: readonly HostArray[]): Promise<HostArray[]> {
    const feeds = this.inputs.map(({ name }, i) => {
      const { dtype, shape, data } = inputs[i]!
      return [name, new this.#ort.Tensor(dtype, data.slice(), shape)] as const
    })
    const results = await this.#session.run(Object.fromEntries(feeds))
    return this.outputNames.map((name): HostArray => {
      const { type, dims, data } = results[name]!
      if (!isDType(type))
        throw new FormatError(`ONNX Runtime: the output '${name}' is ${type}, which tensors here cannot be`)
      const shape = [...dims]
      return { dtype: type, shape, data: viewHost(type, data.buffer, data.byteOffset, numel(shape)) }
    })
  }

  /** Gives its memory back. */
  dispose(): Promise<void> {
    return this.#session.release()
  }
}

/** Types that tensors here and there have in common; ONNX Runtime's JavaScript has no bfloat16. */
function portOf(info: OnnxValueInfo): ValueInfo {
  const { name, dataType, shape } = info
  const dtype = dtypeOfDataType(dataType)
  if (!dtype || dtype === 'bfloat16')
    throw new FormatError(
      `ONNX Runtime: the input '${name}' is ${DATA_TYPES[dataType] ?? `type ${dataType}`}, which it does not take from JavaScript`,
    )
  if (!shape) throw new FormatError(`ONNX Runtime: the model does not tell how many axes the input '${name}' has`)
  return { name, dtype, shape: shape.map((d) => (typeof d === 'number' ? d : -1)), ...axisNamesOf(info) }
}

/**
 * Opens a `.onnx` file, or a program by way of an ONNX model in memory. Throws DependencyError where ONNX Runtime is not installed, DeviceError
 * for a device that it lacks here, ArgumentError, StorageError, and FormatError for what ONNX cannot express or ONNX Runtime refuses.
 * @example const [y] = await (await openOnnxRuntime('model.onnx')).run([x])
 */
export async function openOnnxRuntime(
  model: string | OperatorProgram,
  options: OnnxRuntimeOptions = {},
): Promise<OnnxRuntimeSession> {
  const settings = sessionOptions(options)
  const ort = await onnxRuntime()
  const parsed = typeof model === 'string' ? await readChecked(model) : onnxOfProgram(model)
  const source = typeof model === 'string' ? model : serializeOnnx(parsed)
  const session = await ort.InferenceSession.create(source, settings).catch((cause: unknown): never => {
    const message = (cause as Error).message.split('\n')[0]!
    const { device = 'cpu' } = options
    if (/ExecutionProvider|shared library|backend not found/i.test(message))
      throw new DeviceError(
        `ONNX Runtime has no device '${device}' here (${message}); its CUDA part comes with: npm rebuild --ignore-scripts=false ${PACKAGE}`,
        { cause },
      )
    throw new FormatError(`ONNX Runtime does not take the model: ${message}`, { cause })
  })
  try {
    return new OnnxRuntimeSession(ort, session, parsed)
  } catch (error) {
    await session.release()
    throw error
  }
}

/** The model of a file, whose external data lies beside it and nowhere else. */
async function readChecked(path: string): Promise<OnnxModel> {
  const model = parseOnnx(await readBytes(path))
  const locations = new Set<string>()
  for (const { content } of tensorsOf(model)) if (content.kind === 'external') locations.add(content.at.location)
  for (const location of locations) await externalPath(path, location)
  return model
}
