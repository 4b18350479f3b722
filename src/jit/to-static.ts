/**
 * `toStatic`: runs a layer or function once for each kind of input, and from then on replays the recording. Parameters stay live, random
 * numbers are drawn anew, buffers are written, and gradients flow through, as if the function had run.
 */
import { ArgumentError, TraceError } from '../common/errors.ts'
import { isGradEnabled } from '../graph/node.ts'
import { isInsideLayer, keepAll } from '../nn/call.ts'
import { Layer } from '../nn/layer.ts'
import { currentOperandPolicy } from '../tensor/autocast.ts'
import { getDevice } from '../tensor/device.ts'
import { getDefaultDtype } from '../tensor/promotion.ts'
import { tensorsIn } from '../tensor/nested.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { currentTracer } from '../tensor/tracer.ts'
import type { InputSpec } from './input-spec.ts'
import { ConcreteProgram } from './program.ts'
import { recordCall } from './record.ts'
import { identityOf, structureKey } from './structure.ts'

export interface ToStaticOptions {
  /** What the tensor arguments must be, in order. Default: whatever comes. */
  readonly inputSpec?: readonly InputSpec[]
}

/** Programs that a function keeps; the least recently used goes first. */
const maxPrograms = 64

interface Entry {
  readonly program: ConcreteProgram
  readonly layers: ReadonlyMap<Layer, boolean>
  readonly holders: readonly { readonly tensor: Tensor; readonly signature: string }[]
}

/** Functions and layers that `notToStatic` marked. */
const dynamic = new WeakSet<object>()

/** Thrown where a recording meets what must stay dynamic. */
class StaysDynamic extends TraceError {}

const tensorSignature = (t: Tensor): string =>
  `${t.dtype}[${t.node.shape.join(',')}]${t.node.needsGrad ? 'g' : ''}@${t.place}`

type AnyFunction = (...args: never[]) => unknown

/** What `toStatic` makes of one function. */
export class StaticFunction {
  readonly #body: (...args: unknown[]) => unknown
  readonly #layer: Layer | null
  readonly #inputSpec: readonly InputSpec[] | undefined
  readonly #entries = new Map<string, Entry[]>()
  readonly #unfreezable = new Set<string>()
  #last: ConcreteProgram | null = null

  constructor(body: (...args: unknown[]) => unknown, layer: Layer | null, options: ToStaticOptions) {
    this.#body = body
    this.#layer = layer
    this.#inputSpec = options.inputSpec
  }

  /** The program that ran last: the traced graph, its inputs, and the parameters and buffers it reads. Null before the first call. */
  get concreteProgram(): ConcreteProgram | null {
    return this.#last
  }

  /** All programs that were recorded, the one used last at the end. */
  get programs(): readonly ConcreteProgram[] {
    return [...this.#entries.values()].flatMap((list) => list.map((e) => e.program))
  }

  call(args: readonly unknown[]): unknown {
    if (currentTracer()) return this.#body(...args)
    const inputs = tensorsIn(args)
    this.#inputSpec?.forEach((spec, i) => {
      const tensor = inputs[i]
      if (!tensor)
        throw new ArgumentError(
          `toStatic: the InputSpec has ${this.#inputSpec!.length} inputs, the call ${inputs.length}`,
        )
      spec.check(tensor, i)
    })
    const key = `${structureKey(args, tensorSignature)} ${surroundings()}`
    if (this.#unfreezable.has(key)) return this.#body(...args)
    const entry = this.#find(key) ?? this.#record(key, args)
    if (!entry) return this.#body(...args)
    this.#last = entry.program
    const result = entry.program.run(inputs)
    if (!isInsideLayer()) keepAll(result)
    return result
  }

  #find(key: string): Entry | null {
    const list = this.#entries.get(key)
    const entry = list?.find((e) => fits(e))
    if (!list || !entry) return null
    this.#entries.delete(key)
    this.#entries.set(key, list)
    return entry
  }

  #record(key: string, args: readonly unknown[]): Entry | null {
    try {
      const { recording, layers, holders } = recordCall(this.#body, args, this.#layer?.sublayers(true) ?? [])
      const entry: Entry = {
        program: new ConcreteProgram(recording),
        layers,
        holders: holders.map((tensor) => ({ tensor, signature: tensorSignature(tensor) })),
      }
      const list = this.#entries.get(key) ?? []
      list.push(entry)
      this.#entries.set(key, list)
      if (this.programs.length > maxPrograms) this.#entries.delete(this.#entries.keys().next().value!)
      return entry
    } catch (error) {
      if (!(error instanceof StaysDynamic)) throw error
      this.#unfreezable.add(key)
      return null
    }
  }
}

/** What a recording depends on besides its arguments and layers. */
function surroundings(): string {
  const policy = currentOperandPolicy()
  return `${isGradEnabled() ? 'grad' : 'no grad'} ${getDevice()} ${getDefaultDtype()} ${policy ? identityOf(policy) : 0}`
}

/** Whether layers are in the mode, and parameters of the dtype, that the recording saw. */
function fits(entry: Entry): boolean {
  for (const [layer, training] of entry.layers) if (layer.training !== training) return false
  return entry.holders.every(({ tensor, signature }) => tensorSignature(tensor) === signature)
}

const statics = new WeakMap<object, StaticFunction>()

/**
 * Freezes a layer (in place) or a function (a new one is returned), as `paddle.jit.to_static`. The first call for each combination of shapes,
 * dtypes, modes (train, eval, noGrad, autoCast) and other arguments records; later calls replay it without running its code. A new size
 * of a dynamic axis is recorded anew once (no kernel is compiled for it); the last 64 recordings are kept.
 *
 * What the code does besides computing (printing, pushing to a list, storing tensors in plain fields) happens while recording only.
 * Throws TraceError where the code reads values, steps an optimizer or is async; mark such parts with `notToStatic`.
 * @example const model = jit.toStatic(new SimpleCNN(), { inputSpec: [new jit.InputSpec([null, 3, 32, 32])] })
 */
export function toStatic<T extends Layer | AnyFunction>(target: T, options: ToStaticOptions = {}): T {
  if (typeof target !== 'function') throw new ArgumentError('toStatic: expected a Layer or a function')
  if (dynamic.has(target) || statics.has(target)) return target
  if (target instanceof Layer) {
    const layer: Layer = target
    const forward = layer.forward.bind(layer) as (...args: unknown[]) => unknown
    const frozen = new StaticFunction(forward, layer, options)
    Object.defineProperty(layer, 'forward', {
      value: (...args: unknown[]) => frozen.call(args),
      configurable: true,
      writable: true,
      enumerable: false,
    })
    statics.set(layer, frozen)
    return target
  }
  const body = target as unknown as (...args: unknown[]) => unknown
  const frozen = new StaticFunction(body, null, options)
  const wrapper = (...args: unknown[]): unknown => frozen.call(args)
  statics.set(wrapper, frozen)
  return wrapper as unknown as T
}

/** The recordings behind a layer or function that went through `toStatic`; null for others. */
export function staticFunctionOf(target: Layer | AnyFunction): StaticFunction | null {
  return statics.get(target) ?? null
}

/**
 * Keeps a layer (in place) or a function (a new one is returned) dynamic, as `paddle.jit.not_to_static`: `toStatic` leaves it alone, and a
 * frozen function that calls it runs dynamically as a whole.
 */
export function notToStatic<T extends Layer | AnyFunction>(target: T): T {
  if (typeof target !== 'function') throw new ArgumentError('notToStatic: expected a Layer or a function')
  if (dynamic.has(target)) return target
  const refuse = (): void => {
    if (currentTracer()) throw new StaysDynamic('a part that is marked notToStatic was called')
  }
  dynamic.add(target)
  if (target instanceof Layer) {
    target.registerForwardPreHook(refuse)
    return target
  }
  const body = target as unknown as (...args: unknown[]) => unknown
  const wrapper = (...args: unknown[]): unknown => {
    refuse()
    return body(...args)
  }
  dynamic.add(wrapper)
  return wrapper as unknown as T
}
