/** Containers, as in paddle.nn.layer.container: sequences and dictionaries of layers, lists of parameters. */
import { ArgumentError, IndexOutOfRangeError } from '../common/errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { Layer } from './layer.ts'
import { Parameter } from './parameter.ts'

/** The position counted from the front. */
function position(index: number, length: number, what: string): number {
  const i = index < 0 ? index + length : index
  if (!Number.isInteger(index) || i < 0 || i >= length)
    throw new IndexOutOfRangeError(`${what}: index ${index} is out of range for ${length} entries`)
  return i
}

/** A container whose entries have names, in the order of insertion. Names never clash with methods of the layer. */
export abstract class NamedEntries<T> extends Layer {
  protected readonly entriesByName = new Map<string, T>()

  protected override *ownEntries(): Iterable<[string, unknown]> {
    yield* this.entriesByName
    yield* super.ownEntries()
  }

  /** Number of entries. */
  override get length(): number {
    return this.entriesByName.size
  }

  protected list(): T[] {
    return [...this.entriesByName.values()]
  }

  *[Symbol.iterator](): Iterator<T> {
    yield* this.entriesByName.values()
  }

  /** The entry at a position; negative ones count from the end. Throws IndexOutOfRangeError. */
  at(index: number): T {
    return this.list()[position(index, this.length, this.constructor.name)]!
  }

  override replaceSublayer(name: string, sublayer: Layer): void {
    if (this.entriesByName.has(name)) this.entriesByName.set(name, sublayer as T)
    else super.replaceSublayer(name, sublayer)
  }

  /** All entries anew, numbered from 0. */
  protected renumber(entries: readonly T[]): void {
    this.entriesByName.clear()
    entries.forEach((e, i) => this.entriesByName.set(String(i), e))
  }
}

function checkLayer(value: unknown, where: string): asserts value is Layer {
  if (!(value instanceof Layer)) throw new ArgumentError(`${where}: expected a Layer, got ${typeof value}`)
}

/** A layer that takes and gives one tensor. */
export type TensorLayer = Layer & ((x: Tensor) => Tensor)

/** What the first of some layers takes. */
type Inputs<L extends readonly unknown[]> = L extends readonly [infer F extends Layer, ...unknown[]]
  ? Parameters<F['forward']>
  : [x: Tensor]
/** What the last of some layers gives. */
type Output<L extends readonly unknown[]> = L extends readonly [...unknown[], infer E extends Layer]
  ? ReturnType<E['forward']>
  : Tensor

/**
 * Layers one after the other, `paddle.nn.Sequential`. Entries are numbered, or named where given as [name, layer].
 * @example new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 2))
 */
export class Sequential<
  L extends readonly (Layer | readonly [string, Layer])[] = readonly Layer[],
> extends NamedEntries<Layer> {
  constructor(...layers: L) {
    super()
    layers.forEach((entry, i) => {
      const [name, layer] = entry instanceof Layer ? [String(i), entry] : entry
      checkLayer(layer, `Sequential (entry ${i})`)
      this.entriesByName.set(name, layer)
    })
  }

  /** Adds a layer at the end. */
  append(layer: Layer): this {
    checkLayer(layer, 'Sequential.append')
    this.entriesByName.set(String(this.length), layer)
    return this
  }

  forward(...inputs: Inputs<L>): Output<L> {
    let value: unknown
    let args: readonly unknown[] = inputs
    for (const layer of this) {
      value = (layer as unknown as (...a: readonly unknown[]) => unknown)(...args)
      args = [value]
    }
    return (this.length === 0 ? inputs[0] : value) as Output<L>
  }
}

/**
 * A list of layers, `paddle.nn.LayerList`: its layers belong to the model, and are called by it.
 * @example blocks = new nn.LayerList([...Array(3)].map(() => new nn.Linear(8, 8)))
 */
export class LayerList<T extends Layer = Layer> extends NamedEntries<T> {
  constructor(layers: Iterable<T> = []) {
    super()
    this.extend(layers)
  }

  /** Adds a layer at the end. */
  append(layer: T): this {
    checkLayer(layer, 'LayerList.append')
    this.entriesByName.set(String(this.length), layer)
    return this
  }

  /** Adds layers at the end. */
  extend(layers: Iterable<T>): this {
    for (const layer of layers) this.append(layer)
    return this
  }

  /** Puts a layer before a position. */
  insert(index: number, layer: T): this {
    checkLayer(layer, 'LayerList.insert')
    const layers = this.list()
    layers.splice(index === layers.length ? index : position(index, layers.length, 'LayerList.insert'), 0, layer)
    this.renumber(layers)
    return this
  }

  /** Replaces the layer at a position. */
  set(index: number, layer: T): this {
    checkLayer(layer, 'LayerList.set')
    this.entriesByName.set(String(position(index, this.length, 'LayerList.set')), layer)
    return this
  }

  map<R>(fn: (layer: T, index: number) => R): R[] {
    return this.list().map(fn)
  }

  forward(): never {
    throw new ArgumentError('LayerList: a list is not called itself; call its layers')
  }
}

type Named<T> = Readonly<Record<string, T>> | Iterable<readonly [string, T]>

/** Entries under names of one's own: what LayerDict and ParameterDict share. */
abstract class NamedDict<T> extends NamedEntries<T> {
  constructor(entries: Named<T> = {}) {
    super()
    this.update(entries)
  }

  /** Throws ArgumentError unless a value may stand here. */
  protected abstract checkEntry(name: string, value: T): void

  /** The entry of a name. Throws ArgumentError that lists the names. */
  get(name: string): T {
    const entry = this.entriesByName.get(name)
    if (!entry)
      throw new ArgumentError(
        `${this.constructor.name}: there is no '${name}'; there are ${this.keys().join(', ') || 'none'}`,
      )
    return entry
  }

  set(name: string, value: T): this {
    this.checkEntry(name, value)
    if (name === '' || name.includes('.'))
      throw new ArgumentError(`${this.constructor.name}: '${name}' is no name: names are not empty and have no dots`)
    this.entriesByName.set(name, value)
    return this
  }

  has(name: string): boolean {
    return this.entriesByName.has(name)
  }

  /** Removes and returns the entry of a name. */
  pop(name: string): T {
    const entry = this.get(name)
    this.entriesByName.delete(name)
    return entry
  }

  clear(): void {
    this.entriesByName.clear()
  }

  update(entries: Named<T>): this {
    const pairs = Symbol.iterator in entries ? (entries as Iterable<readonly [string, T]>) : Object.entries(entries)
    for (const [name, entry] of pairs) this.set(name, entry)
    return this
  }

  keys(): string[] {
    return [...this.entriesByName.keys()]
  }

  values(): T[] {
    return this.list()
  }

  items(): [string, T][] {
    return [...this.entriesByName]
  }

  forward(): never {
    throw new ArgumentError(`${this.constructor.name}: a dictionary is not called itself; use its entries`)
  }
}

/** Layers by name, `paddle.nn.LayerDict`. @example heads = new nn.LayerDict({ text: new nn.Linear(8, 4) }) */
export class LayerDict<T extends Layer = Layer> extends NamedDict<T> {
  protected checkEntry(name: string, layer: T): void {
    checkLayer(layer, `LayerDict.set('${name}')`)
  }
}

function checkParameter(value: unknown, where: string): void {
  if (!(value instanceof Parameter))
    throw new ArgumentError(`${where}: expected a Parameter; make one with createParameter`)
}

/** Parameters by name that belong to the model, `paddle.nn.ParameterDict`. */
export class ParameterDict extends NamedDict<Parameter> {
  protected checkEntry(name: string, parameter: Parameter): void {
    checkParameter(parameter, `ParameterDict.set('${name}')`)
  }
}

/** A list of parameters that belong to the model, `paddle.nn.ParameterList`. */
export class ParameterList extends NamedEntries<Parameter> {
  constructor(parameters: Iterable<Parameter> = []) {
    super()
    for (const p of parameters) this.append(p)
  }

  /** Adds a parameter at the end. */
  append(parameter: Parameter): this {
    checkParameter(parameter, 'ParameterList')
    this.entriesByName.set(String(this.length), parameter)
    return this
  }

  forward(): never {
    throw new ArgumentError('ParameterList: a list is not called itself; use its parameters')
  }
}
