/**
 * Layer, the base of every network (paddle.nn.Layer). A layer is callable: `model(x)` runs its hooks and `forward`. Its parameters,
 * buffers and sublayers are what its own properties hold, so class fields need no registration.
 */
import { isFloat, type DType, type HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { sameShape, type Shape } from '../common/shape.ts'
import { getDefaultDtype } from '../tensor/promotion.ts'
import { defaultGenerator } from '../tensor/generator.ts'
import { Tensor } from '../tensor/tensor.ts'
import { callLayer } from './call.ts'
import { Constant, getGlobalInitializer, XavierUniform, type Initializer } from './initializer/index.ts'
import { converted, holdInPlace, moveTensor } from './move.ts'
import { Parameter, toParamAttr, type ParamAttrLike } from './parameter.ts'
import { generate, snakeCase } from './unique-name.ts'

/** Runs before `forward`; what it returns (an array) replaces the arguments. */
export type ForwardPreHook = (layer: Layer, inputs: readonly unknown[]) => readonly unknown[] | void
/** Runs after `forward`; what it returns replaces the output. */
export type ForwardPostHook = (layer: Layer, inputs: readonly unknown[], output: unknown) => unknown

export interface CreateParameterOptions<A extends ParamAttrLike | false = ParamAttrLike> {
  readonly shape: Shape
  /** `false`: no parameter. */
  readonly attr?: A
  /** Default: the layer's dtype. */
  readonly dtype?: DType
  /** Biases start at 0 and are named `.b_0`; weights start by XavierUniform and are named `.w_0`. Default false. */
  readonly isBias?: boolean
  readonly defaultInitializer?: Initializer
}

/** What `setStateDict` could not do. */
export interface StateDictReport {
  /** Names of this layer that the dictionary lacks, or has with another shape. */
  readonly missing: string[]
  /** Names of the dictionary that this layer lacks, or has with another shape. */
  readonly unexpected: string[]
  /** Names that both have, with different shapes: they are in the two other lists too, as in Paddle. */
  readonly mismatched: { readonly name: string; readonly expected: number[]; readonly got: number[] }[]
}

/** How Node's console prints a value. */
const inspect: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** Makes `new SomeLayer()` a function: fields of subclasses then land on it. */
// oxlint-disable-next-line typescript/no-extraneous-class
class Callable {
  constructor() {
    const self = (...args: unknown[]): unknown => callLayer(self as unknown as Layer, args)
    // A function's own name and length would shadow, or refuse, the fields of a layer.
    Reflect.deleteProperty(self, 'name')
    Reflect.deleteProperty(self, 'length')
    return Object.setPrototypeOf(self, new.target.prototype) as Callable
  }
}

// The call signature of `model(x)`, typed by the subclass's `forward`.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Layer {
  (...args: Parameters<this['forward']>): ReturnType<this['forward']>
}

/**
 * Base of all layers.
 * @example
 *   class Block extends nn.Layer {
 *     linear = new nn.Linear(8, 8)
 *     forward(x: Tensor) { return F.relu(this.linear(x)) }
 *   }
 *   const y = new Block()(x)
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export abstract class Layer extends Callable {
  /** True while training: dropout drops, batch norm uses the batch. Set by `train()` and `eval()`. */
  training = true
  readonly #fullName: string
  readonly #dtype: DType
  readonly #buffers = new Map<string, { persistable: boolean }>()
  readonly #preHooks = new Set<ForwardPreHook>()
  readonly #postHooks = new Set<ForwardPostHook>()

  /** `nameScope` replaces the class's snake-case name in names of parameters; `dtype` is that of parameters (default float32). */
  constructor(nameScope?: string, dtype?: DType) {
    super()
    this.#fullName = generate(nameScope ?? snakeCase(new.target.name))
    this.#dtype = dtype ?? getDefaultDtype()
  }

  /** What the layer computes. */
  abstract forward(...args: never[]): unknown

  // ---- what the layer holds -----------------------------------------------------------------------------------------------

  /** Names and values among which parameters, buffers and sublayers are looked for. */
  protected *ownEntries(): Iterable<[string, unknown]> {
    for (const name of Object.keys(this)) yield [name, (this as unknown as Record<string, unknown>)[name]]
  }

  /** The layer's unique name, such as `linear_0`: parameters are named after it. */
  fullName(): string {
    return this.#fullName
  }

  /** Immediate sublayers with their names, each once. */
  namedChildren(): [string, Layer][] {
    const seen = new Set<Layer>()
    const children: [string, Layer][] = []
    for (const [name, value] of this.ownEntries()) {
      if (!(value instanceof Layer) || seen.has(value)) continue
      seen.add(value)
      children.push([name, value])
    }
    return children
  }

  /** Immediate sublayers. */
  children(): Layer[] {
    return this.namedChildren().map(([, layer]) => layer)
  }

  /** All layers below this one with their dotted paths, parents first; this one too, under the prefix, where `includeSelf`. */
  namedSublayers(options: { readonly prefix?: string; readonly includeSelf?: boolean } = {}): [string, Layer][] {
    const { prefix = '', includeSelf = false } = options
    const seen = new Set<Layer>([this])
    const found: [string, Layer][] = includeSelf ? [[prefix, this]] : []
    const walk = (layer: Layer, path: string): void => {
      for (const [name, child] of layer.namedChildren()) {
        if (seen.has(child)) continue
        seen.add(child)
        const own = path ? `${path}.${name}` : name
        found.push([own, child])
        walk(child, own)
      }
    }
    walk(this, prefix)
    return found
  }

  /** All layers below this one, parents first. */
  sublayers(includeSelf = false): Layer[] {
    return this.namedSublayers({ includeSelf }).map(([, layer]) => layer)
  }

  /** Tensors that `pick` takes from each layer's own entries, with their dotted paths, each tensor once. */
  #namedTensors<T extends Tensor>(
    pick: (layer: Layer, name: string, value: unknown) => value is T,
    prefix: string,
    includeSublayers: boolean,
  ): [string, T][] {
    const layers = includeSublayers
      ? this.namedSublayers({ prefix, includeSelf: true })
      : ([[prefix, this]] as [string, Layer][])
    const seen = new Set<T>()
    const found: [string, T][] = []
    for (const [path, layer] of layers) {
      for (const [name, value] of layer.ownEntries()) {
        if (!pick(layer, name, value) || seen.has(value)) continue
        seen.add(value)
        found.push([path ? `${path}.${name}` : name, value])
      }
    }
    return found
  }

  /** Parameters with their dotted paths, in the order of construction, each once. */
  namedParameters(
    options: { readonly prefix?: string; readonly includeSublayers?: boolean } = {},
  ): [string, Parameter][] {
    const isParameter = (_: Layer, __: string, v: unknown): v is Parameter => v instanceof Parameter
    return this.#namedTensors(isParameter, options.prefix ?? '', options.includeSublayers ?? true)
  }

  /** All parameters of this layer and those below: what an optimizer takes. */
  parameters(includeSublayers = true): Parameter[] {
    return this.namedParameters({ includeSublayers }).map(([, p]) => p)
  }

  /** Buffers (tensors that belong to the state but are not trained, such as running means) with their dotted paths. */
  namedBuffers(options: { readonly prefix?: string; readonly includeSublayers?: boolean } = {}): [string, Tensor][] {
    const isBuffer = (layer: Layer, name: string, v: unknown): v is Tensor =>
      v instanceof Tensor && layer.#buffers.has(name)
    return this.#namedTensors(isBuffer, options.prefix ?? '', options.includeSublayers ?? true)
  }

  buffers(includeSublayers = true): Tensor[] {
    return this.namedBuffers({ includeSublayers }).map(([, b]) => b)
  }

  // ---- building -----------------------------------------------------------------------------------------------------------

  /**
   * A new parameter; the layer holds it once it is assigned to a property. Draws from the default generator. Returns null where
   * `attr` is false. The initialiser is the attribute's, else the global one (`setGlobalInitializer`), else `defaultInitializer`.
   */
  createParameter(options: CreateParameterOptions): Parameter
  createParameter(options: CreateParameterOptions<ParamAttrLike | false>): Parameter | null
  createParameter(options: CreateParameterOptions<ParamAttrLike | false>): Parameter | null {
    if (options.attr === false) return null
    const attr = toParamAttr(options.attr)
    const isBias = options.isBias ?? false
    const globals = getGlobalInitializer()
    const initializer =
      attr.initializer ??
      (isBias ? globals.bias : globals.weight) ??
      options.defaultInitializer ??
      (isBias ? new Constant(0) : new XavierUniform())
    const name = attr.name ?? generate(`${this.#fullName}.${isBias ? 'b' : 'w'}`)
    const value = initializer.initialize(options.shape, options.dtype ?? this.#dtype, defaultGenerator())
    return new Parameter(value, name, attr)
  }

  /** Gives a parameter a name in this layer, and returns it. */
  addParameter<P extends Parameter | null>(name: string, parameter: P): P {
    this.#checkName(name)
    if (parameter !== null && !(parameter instanceof Parameter))
      throw new ArgumentError(`addParameter: '${name}' must be a Parameter; make one with createParameter`)
    Object.defineProperty(this, name, { value: parameter, writable: true, enumerable: true, configurable: true })
    return parameter
  }

  /** Gives a sublayer a name in this layer, and returns it. */
  addSublayer<L extends Layer>(name: string, sublayer: L): L {
    this.#checkName(name)
    if (!(sublayer instanceof Layer)) throw new ArgumentError(`addSublayer: '${name}' must be a Layer`)
    Object.defineProperty(this, name, { value: sublayer, writable: true, enumerable: true, configurable: true })
    return sublayer
  }

  /** Puts another layer in the place of a sublayer. */
  replaceSublayer(name: string, sublayer: Layer): void {
    ;(this as unknown as Record<string, unknown>)[name] = sublayer
  }

  /** Makes a tensor part of the state without being trained, and returns it. Non-persistable buffers stay out of `stateDict`. */
  registerBuffer<T extends Tensor | null>(
    name: string,
    tensor: T,
    options: { readonly persistable?: boolean } = {},
  ): T {
    this.#checkName(name)
    if (tensor !== null && !(tensor instanceof Tensor))
      throw new ArgumentError(`registerBuffer: '${name}' must be a Tensor`)
    Object.defineProperty(this, name, { value: tensor, writable: true, enumerable: true, configurable: true })
    if (tensor) holdInPlace(tensor)
    this.#buffers.set(name, { persistable: options.persistable ?? true })
    return tensor
  }

  #checkName(name: string): void {
    if (name === '' || name.includes('.'))
      throw new ArgumentError(`'${name}' cannot name a part of a layer: names are not empty and have no dots`)
    if (name in this && !Object.hasOwn(this, name))
      throw new ArgumentError(`'${name}' is already a method of ${this.constructor.name}; choose another name`)
  }

  // ---- modes, devices, dtypes -------------------------------------------------------------------------------------------------

  /** Training mode, for this layer and all below. */
  train(): this {
    for (const layer of this.sublayers(true)) layer.training = true
    return this
  }

  /** Evaluation mode: dropout passes its input through, batch norm uses the running statistics. */
  eval(): this {
    for (const layer of this.sublayers(true)) layer.training = false
    return this
  }

  /** Calls `fn` with every layer below, then with this one. */
  apply(fn: (layer: Layer) => void): this {
    for (const child of this.children()) child.apply(fn)
    fn(this)
    return this
  }

  /** Moves parameters and buffers to a device, and floating ones to a dtype. */
  to(options: { readonly device?: string; readonly dtype?: DType }): this {
    if (options.dtype !== undefined && !isFloat(options.dtype))
      throw new ArgumentError(`to: parameters are floating, got dtype ${options.dtype}`)
    for (const tensor of [...this.parameters(), ...this.buffers()])
      moveTensor(tensor, options.device, isFloat(tensor.dtype) ? options.dtype : undefined)
    return this
  }

  /** Floating parameters and buffers in another dtype. */
  astype(dtype: DType): this {
    return this.to({ dtype })
  }

  /** Forgets the gradients of all parameters. */
  clearGradients(): void {
    for (const p of this.parameters()) p.clearGrad()
  }

  // ---- state ------------------------------------------------------------------------------------------------------------------

  /**
   * Parameters and persistable buffers under Paddle's names. The tensors are the layer's own, not copies. A tensor that stands
   * under two names (the weights of recurrent layers do) is listed under both.
   */
  stateDict(options: { readonly prefix?: string; readonly includeSublayers?: boolean } = {}): Record<string, Tensor> {
    const state: Record<string, Tensor> = {}
    const visit = (layer: Layer, path: string): void => {
      const entries = [...layer.ownEntries()]
      for (const [name, v] of entries) if (v instanceof Parameter) state[path + name] = v
      for (const [name, v] of entries)
        if (v instanceof Tensor && layer.#buffers.get(name)?.persistable) state[path + name] = v
      if (!(options.includeSublayers ?? true)) return
      for (const [name, v] of entries) if (v instanceof Layer) visit(v, `${path}${name}.`)
    }
    visit(this, options.prefix ?? '')
    return state
  }

  /**
   * Copies values into parameters and buffers by name; floating values are converted to the parameter's dtype. Names that do not
   * match and shapes that differ are reported, not thrown.
   */
  setStateDict(
    state: Readonly<Record<string, Tensor | HostArray>>,
    options: { readonly useStructuredName?: boolean } = {},
  ): StateDictReport {
    const report: StateDictReport = { missing: [], unexpected: [], mismatched: [] }
    const structured = options.useStructuredName ?? true
    const own = new Map(Object.entries(this.stateDict()).map(([name, t]) => [structured ? name : t.name, t]))
    for (const [name, tensor] of own) {
      const value = state[name]
      if (value === undefined) {
        report.missing.push(name)
        continue
      }
      if (!sameShape(value.shape, tensor.shape)) {
        report.missing.push(name)
        report.mismatched.push({ name, expected: tensor.shape, got: [...value.shape] })
        continue
      }
      tensor.setValue(converted(value, tensor.dtype))
    }
    const taken = new Set(report.missing)
    for (const name of Object.keys(state)) if (!own.has(name) || taken.has(name)) report.unexpected.push(name)
    return report
  }

  /** As `setStateDict`, `paddle.nn.Layer.load_dict`. */
  loadDict(state: Readonly<Record<string, Tensor | HostArray>>): StateDictReport {
    return this.setStateDict(state)
  }

  // ---- hooks and calls --------------------------------------------------------------------------------------------------------

  /** Runs `hook` before every `forward`; returns a function that removes it. */
  registerForwardPreHook(hook: ForwardPreHook): () => void {
    this.#preHooks.add(hook)
    return () => void this.#preHooks.delete(hook)
  }

  /** Runs `hook` after every `forward`; returns a function that removes it. */
  registerForwardPostHook(hook: ForwardPostHook): () => void {
    this.#postHooks.add(hook)
    return () => void this.#postHooks.delete(hook)
  }

  /** `forward` between its hooks: what a call of the layer does. */
  runForward(args: readonly unknown[]): unknown {
    let inputs = args
    for (const hook of this.#preHooks) inputs = hook(this, inputs) ?? inputs
    let output = (this.forward as (...a: unknown[]) => unknown)(...inputs)
    for (const hook of this.#postHooks) output = hook(this, inputs, output) ?? output
    return output
  }

  // ---- printing ---------------------------------------------------------------------------------------------------------------

  /** What stands in the parentheses when the layer is printed. */
  extraRepr(): string {
    return ''
  }

  /** The tree of sublayers, in Paddle's layout. */
  override toString(): string {
    const extra = this.extraRepr()
    const lines = this.namedChildren().map(([name, child]) => `(${name}): ${child.toString().replaceAll('\n', '\n  ')}`)
    const name = this.constructor.name
    if (lines.length === 0) return `${name}(${extra})`
    return `${name}(\n  ${[...(extra ? [extra] : []), ...lines].join('\n  ')}\n)`
  }

  [inspect](): string {
    return this.toString()
  }
}
