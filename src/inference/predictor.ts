/**
 * A model that is ready to run: inputs by name are checked, run by the engine's session, and handed out by name. Runs are asynchronous, may
 * be called at the same time, and each gets its own results.
 */
import { allocateHost, hostArrayName, isHostDataOf, type DType, type HostArray } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import { formatShape, numel, type Shape } from '../common/shape.ts'
import { isHostArray } from '../io/host-array.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { PortInfo, Session } from './engine.ts'
import { InputHandle, OutputHandle } from './handles.ts'

export type PredictorInputs = Readonly<Record<string, HostArray | Tensor>> | readonly (HostArray | Tensor)[]

/** A session, and who still needs it. */
class SharedSession {
  readonly session: Session
  predictors = 0
  running = 0
  #disposed: (() => void) | null = null

  constructor(session: Session) {
    this.session = session
  }

  async run(inputs: readonly HostArray[]): Promise<readonly HostArray[]> {
    this.running++
    try {
      return await this.session.run(inputs)
    } finally {
      if (--this.running === 0) this.#disposed?.()
    }
  }

  /** Called when the last predictor goes: the session goes with it, once what runs has run. */
  async dispose(): Promise<void> {
    if (this.running > 0) await new Promise<void>((resolve) => (this.#disposed = resolve))
    await this.session.dispose()
  }
}

export class Predictor {
  /** Null once disposed. */
  #shared: SharedSession | null
  /** What the model takes, in order. */
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  /** What travels with the model. */
  readonly metadata: Readonly<Record<string, string>>
  readonly device: string
  readonly #inputs: ReadonlyMap<string, InputHandle>
  readonly #outputs: ReadonlyMap<string, OutputHandle>

  /** For engines; users call `createPredictor`. */
  constructor(session: Session | SharedSession) {
    this.#shared = session instanceof SharedSession ? session : new SharedSession(session)
    this.#shared.predictors++
    const { inputs, outputNames, metadata, device } = this.#shared.session
    this.inputs = inputs
    this.outputNames = outputNames
    this.metadata = metadata
    this.device = device
    this.#inputs = new Map(inputs.map((port) => [port.name, new InputHandle(port)]))
    this.#outputs = new Map(outputNames.map((name) => [name, new OutputHandle(name)]))
  }

  /** Another predictor over the same weights and plans, as `Predictor.clone` of Paddle Inference; one serves any number of calls as well. */
  clone(): Predictor {
    return new Predictor(this.#live('clone'))
  }

  /**
   * Runs the model on inputs by name, or in order, or on what was copied to the input handles, whose results the output handles then have. May be called again before it resolves; arrays may be changed as soon as it has returned.
   * Resolves to the outputs by name. Rejects with ArgumentError, ShapeError, DTypeError for inputs that do not fit, and with what the run met.
   * @example const { output_0 } = await predictor.run({ x: { dtype: 'float32', shape: [1, 3, 48, 320], data } })
   */
  async run(inputs?: PredictorInputs): Promise<Record<string, HostArray>> {
    const shared = this.#live('run')
    if (inputs === null || (inputs !== undefined && typeof inputs !== 'object'))
      throw new ArgumentError(`run: inputs come by name or in order, got ${String(inputs)}; ${this.#takes()}`)
    const given = inputs === undefined ? [...this.#inputs.values()].map((i) => i.value()) : this.#inOrder(inputs)
    // Without tensors nothing is waited for before the session has taken what it needs of the arrays.
    const arrays = given.every(isNoTensor) ? given : await Promise.all(given.map(hostArrayOf))
    arrays.forEach((array, i) => checkInput(this.inputs[i]!, array))
    const results = await shared.run(arrays)
    if (inputs === undefined) results.forEach((result, i) => this.getOutputHandle(this.outputNames[i]!).set(result))
    return Object.fromEntries(results.map((result, i) => [this.outputNames[i]!, result]))
  }

  /** Names of the inputs, in order, as `Predictor.get_input_names`. */
  getInputNames(): string[] {
    return [...this.#inputs.keys()]
  }

  /** Names of the outputs, in order, as `Predictor.get_output_names`. */
  getOutputNames(): string[] {
    return [...this.outputNames]
  }

  /** The place of an input, which `run()` takes; each predictor has its own, clones too. Throws ArgumentError. */
  getInputHandle(name: string): InputHandle {
    return this.#inputs.get(name) ?? noPort('input', name, this.getInputNames())
  }

  /** The place of an output, which `run()` fills. Throws ArgumentError. */
  getOutputHandle(name: string): OutputHandle {
    return this.#outputs.get(name) ?? noPort('output', name, this.getOutputNames())
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
    return this.#live('constantBytes').session.constantBytes
  }

  /**
   * Gives the memory back that no clone uses, as soon as the runs under way have ended and what they have prepared is in the cache; resolves then.
   * Predictors that nobody holds any longer do so by themselves, later.
   */
  async dispose(): Promise<void> {
    const shared = this.#shared
    this.#shared = null
    if (shared && --shared.predictors === 0) await shared.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose()
  }

  #live(what: string): SharedSession {
    if (!this.#shared)
      throw new ArgumentError(`${what}: this predictor was disposed; make another one with createPredictor`)
    return this.#shared
  }

  #takes(): string {
    return `the model takes ${this.inputs.map(describePort).join(', ')}`
  }

  #inOrder(inputs: PredictorInputs): readonly (HostArray | Tensor)[] {
    const names = this.inputs.map((i) => i.name)
    if (isList(inputs)) {
      if (inputs.length !== names.length) throw new ArgumentError(`run: got ${inputs.length} inputs; ${this.#takes()}`)
      return inputs
    }
    const unknown = Object.keys(inputs).filter((n) => !names.includes(n))
    if (unknown.length > 0)
      throw new ArgumentError(`run: there is no input '${unknown.join("', '")}'; ${this.#takes()}`)
    return names.map((name) => {
      const value = inputs[name]
      if (!value) throw new ArgumentError(`run: the input '${name}' is missing; ${this.#takes()}`)
      return value
    })
  }
}

/** Told by what it has, so that predictors need not load what makes tensors. */
const isNoTensor = (value: HostArray | Tensor): value is HostArray =>
  typeof value !== 'object' || !('hostArray' in value)

const hostArrayOf = (value: HostArray | Tensor): HostArray | Promise<HostArray> =>
  isNoTensor(value) ? value : value.hostArray()

function noPort(kind: string, name: string, names: readonly string[]): never {
  throw new ArgumentError(`there is no ${kind} '${name}'; the model has ${names.join(', ')}`)
}

function isList(inputs: PredictorInputs): inputs is readonly (HostArray | Tensor)[] {
  return Array.isArray(inputs)
}

/** As messages show it: `x (float32[any, 3, 48, 320])`; axes with names by these. */
export function describePort({ name, dtype, shape, axisNames }: PortInfo): string {
  return `${name} (${dtype}[${shape.map((d, axis) => (d < 0 ? (axisNames?.[axis] ?? 'any') : d)).join(', ')}])`
}

/** Whether an input may have a shape: its number of axes, and the size of each that the model fixes. */
export function fitsPort(port: PortInfo, shape: Shape): boolean {
  return shape.length === port.shape.length && shape.every((d, i) => port.shape[i]! < 0 || port.shape[i] === d)
}

/** As messages name what is no array of the right class; callers of JavaScript may pass anything. */
const kindOf = (value: unknown): string =>
  typeof value === 'object' && value !== null ? value.constructor.name : String(value)

function checkInput(port: PortInfo, array: HostArray): void {
  if (!isHostArray(array))
    throw new ArgumentError(
      `run: input '${port.name}' must be a tensor or { dtype, shape, data }, got ${kindOf(array)}; the model takes ${describePort(port)}`,
    )
  const { dtype, shape, data } = array
  if (dtype !== port.dtype)
    throw new DTypeError(`run: input '${port.name}' is ${dtype}; the model takes ${describePort(port)}`)
  if (!fitsPort(port, shape))
    throw new ShapeError(
      `run: input '${port.name}' has shape ${formatShape(shape)}; the model takes ${describePort(port)}`,
    )
  // Bytes of another class would be read as if they were of this one.
  if (!isHostDataOf(dtype, data))
    throw new DTypeError(
      `run: the data of input '${port.name}' must be a ${hostArrayName(dtype)} (${dtype}), got ${kindOf(data)}`,
    )
  if (data.length !== numel(shape))
    throw new ShapeError(`run: input '${port.name}' of shape ${formatShape(shape)} has ${data.length} elements`)
}
