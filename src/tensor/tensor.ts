/**
 * Tensor: a handle on a graph node. Operations record; values exist once a door is passed (`await t.data()`, `item()`, `array()`),
 * and a tensor keeps its shape and dtype from the moment it is recorded. The methods beyond this core (arithmetic, manipulation, ...) are
 * the functions of this folder, attached by methods.ts.
 */
import { getElement, isFloat, viewHost, type DType, type HostArray, type HostData } from '../common/dtype.ts'
import { ArgumentError, AutogradError, DTypeError, ShapeError } from '../common/errors.ts'
import { formatShape, numel, sameShape, type Shape } from '../common/shape.ts'
import { alias, binary, cast, detach } from '../graph/build.ts'
import { asVariable, isGradEnabled, makeLeaf, withGrad, type GradientOwner, type Node } from '../graph/node.ts'
import { Storage } from '../graph/storage.ts'
import { backendOf, getDevice } from './device.ts'
import { readNode, readNodeSync, storageOf, submit } from './realize.ts'
import { keepForNextWrite, noteTensor, recordGradient, recordWrite } from './session.ts'
import { currentTracer } from './tracer.ts'

/** A nested JS array of a tensor's elements; a single element for rank 0. */
export type NestedArray = number | boolean | NestedArray[]
export type GradientHook = (gradient: Tensor) => Tensor | void

/** Whether gradients that reach variables are added to `.grad` (backward) or only returned (grad). */
let accumulating = true

export function withAccumulation<T>(enabled: boolean, body: () => T): T {
  const before = accumulating
  accumulating = enabled
  try {
    return body()
  } finally {
    accumulating = before
  }
}

let nextTensorName = 0

export class Tensor<D extends DType = DType> implements GradientOwner {
  #node!: Node
  /** The accumulated gradient of a variable after `backward`, or null. */
  grad: Tensor | null = null
  /** The name, or the number in the name of a tensor that nobody named. */
  #name: string | number
  #hooks: Set<GradientHook> | null = null
  #retain = false

  /** For the library's own use; users call `toTensor`, `zeros`, `randn`, ... */
  constructor(node: Node, name?: string) {
    this.#node = this.#own(node)
    this.#name = name ?? nextTensorName++
    const ends = noteTensor(node)
    if (ends.length > 0) submit([], ends)
  }

  /** The node that computes the current value. */
  get node(): Node {
    currentTracer()?.read(this, this.#node)
    return this.#node
  }

  set node(node: Node) {
    this.#node = this.#own(node)
  }

  /** A node to write to, to hang hooks on: one that belongs to another tensor is seen through a node of its own. */
  #own(node: Node): Node {
    if (node.owner !== null && node.owner !== this) return alias(node)
    if (node.op === 'buffer') node.owner = this
    return node
  }

  get name(): string {
    return typeof this.#name === 'string' ? this.#name : `generated_tensor_${this.#name}`
  }

  set name(name: string) {
    this.#name = name
  }

  get dtype(): D {
    return this.node.dtype as D
  }

  /** Sizes of the axes; [] for rank 0. */
  get shape(): number[] {
    return [...this.node.shape]
  }

  /** Number of axes. */
  get ndim(): number {
    return this.node.shape.length
  }

  /** Number of elements. */
  get size(): number {
    return numel(this.node.shape)
  }

  /** Name of the device that holds, or will hold, the value. */
  get place(): string {
    return (
      storageOf(this.node)?.device ?? (this.node.op === 'buffer' ? this.node.attributes.storage.device : getDevice())
    )
  }

  /** True for what the program made itself, false for results of operations. */
  get isLeaf(): boolean {
    return this.node.op === 'buffer' || this.node.op === 'detach' || !this.node.needsGrad
  }

  /** Whether autograd ignores this tensor (Paddle's `stop_gradient`): true for data, false for parameters and what depends on them. */
  get stopGradient(): boolean {
    return !this.node.needsGrad
  }

  set stopGradient(stop: boolean) {
    if (stop === this.stopGradient) return
    if (!stop && !isFloat(this.dtype))
      throw new DTypeError(`only floating tensors can have gradients, this one is ${this.dtype}`)
    this.node = asVariable(this.node.op === 'buffer' ? this.node : detach(this.node), stop ? null : this)
  }

  // ---- doors ------------------------------------------------------------------------------------------------------------

  /**
   * The elements, row-major, in a typed array of the dtype (BigInt64Array for int64; the bits in a Uint16Array for float16 and bfloat16).
   * The array is a copy: writing to it does not change the tensor.
   */
  async data(): Promise<HostData> {
    return this.#typed(await readNode(this.node))
  }

  /** As `data`, without leaving the JS thread; for devices that can block (not WebGPU). */
  dataSync(): HostData {
    return this.#typed(readNodeSync(this.node))
  }

  /** The only element, as a JS number (boolean for bool). Throws ShapeError when there are more. */
  async item(): Promise<number> {
    this.#checkSingle()
    return getElement(this.dtype, await this.data(), 0)
  }

  itemSync(): number {
    this.#checkSingle()
    return getElement(this.dtype, this.dataSync(), 0)
  }

  /** The elements as nested JS arrays: numbers, booleans for bool. */
  async array(): Promise<NestedArray> {
    return nest(this.dtype, this.node.shape, await this.data())
  }

  arraySync(): NestedArray {
    return nest(this.dtype, this.node.shape, this.dataSync())
  }

  /** dtype, shape and elements together: what files and workers exchange. */
  async hostArray(): Promise<HostArray> {
    const { dtype, shape } = this
    return { dtype, shape, data: await this.data() }
  }

  hostArraySync(): HostArray {
    return { dtype: this.dtype, shape: this.shape, data: this.dataSync() }
  }

  #typed(bytes: Uint8Array): HostData {
    return viewHost(this.dtype, bytes.buffer, bytes.byteOffset, this.size)
  }

  #checkSingle(): void {
    if (this.size !== 1)
      throw new ShapeError(
        `item() needs a tensor of one element, this one has shape ${formatShape(this.node.shape)}; use data() or array()`,
      )
  }

  // ---- autograd ---------------------------------------------------------------------------------------------------------

  /** Calls `hook` with the gradient of this tensor during `backward`; what it returns replaces it. Returns a function that removes the hook. */
  registerHook(hook: GradientHook): () => void {
    if (this.stopGradient)
      throw new AutogradError('registerHook: this tensor has stopGradient = true, so no gradient ever reaches it')
    this.#hooks ??= new Set()
    this.#hooks.add(hook)
    this.node.owner = this
    return () => void this.#hooks!.delete(hook)
  }

  /** Keeps the gradient of a tensor that is not a leaf in `.grad`, as Paddle's `retain_grads`. */
  retainGrads(): void {
    this.#retain = true
    if (this.node.needsGrad) this.node.owner = this
  }

  receiveGradient(gradient: Node): Node {
    let g = gradient
    for (const hook of this.#hooks ?? []) g = hook(new Tensor(g))?.node ?? g
    if (accumulating && (this.isLeaf || this.#retain)) {
      if (!this.grad) recordGradient(this)
      this.grad = new Tensor(
        this.grad ? binary('add', this.grad.node, cast(g, this.grad.dtype)) : g,
        `${this.name}@GRAD`,
      )
    }
    return g
  }

  /** Forgets the gradient, as `clear_gradient`. */
  clearGrad(): void {
    this.grad = null
  }

  /** The same value outside autograd. */
  detach(): Tensor<D> {
    return new Tensor<D>(detach(this.node))
  }

  /** Computes this tensor with the next step, so that it can still be read when the step has overwritten what it needs. */
  keep(): this {
    keepForNextWrite(this)
    return this
  }

  // ---- in place ---------------------------------------------------------------------------------------------------------

  /**
   * Replaces the value (same shape; dtype is converted by the caller). What was recorded before keeps the old one.
   * For parameters and buffers the write goes into the same memory with the next plan.
   */
  assign(value: Tensor): void {
    if (!sameShape(value.node.shape, this.node.shape) || value.dtype !== this.dtype) {
      throw new ShapeError(
        `assign: ${this.name} is ${this.dtype}${formatShape(this.node.shape)}, the value is ${value.dtype}${formatShape(value.node.shape)}`,
      )
    }
    const tracer = currentTracer()
    if (tracer) {
      tracer.assign(this, value.node)
      return
    }
    const variable = this.node.needsGrad
    if (this.node.op !== 'buffer') {
      if (variable && isGradEnabled())
        throw new AutogradError('assign: this tensor is the result of a recorded operation; detach() it first')
      this.node = value.node
      return
    }
    const { storage } = this.node.attributes
    const { shape } = this.node
    const written = value.node
    recordWrite(storage, written.needsGrad ? withGrad(false, () => detach(written)) : written)
    this.node = makeLeaf(storage, shape, variable, variable ? this : null)
  }

  /** Replaces the value by host data of the same shape and dtype, or a tensor, as Paddle's `set_value`. Results recorded before keep the old value. */
  setValue(value: HostArray | Tensor): void {
    if (value instanceof Tensor) return this.assign(value)
    if (!sameShape(value.shape, this.node.shape) || value.dtype !== this.dtype) {
      throw new ShapeError(
        `setValue: ${this.name} is ${this.dtype}${formatShape(this.node.shape)}, got ${value.dtype}${formatShape(value.shape)}`,
      )
    }
    const variable = this.node.needsGrad
    this.node = makeLeaf(storageFrom(value, this.place), this.shape, variable, variable ? this : null)
  }

  /** Drops the value and the memory now, instead of when the garbage collector comes by. Nobody needs this. */
  dispose(): void {
    this.grad = null
    this.#hooks = null
    this.node = makeLeaf(new Storage(this.place, this.dtype, 0, { bytes: 0 }), [0], false)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** What it is, without its values: they may not be computed yet. */
  toString(): string {
    return `Tensor(shape=${formatShape(this.node.shape)}, dtype=${this.dtype}, place=${this.place}, stopGradient=${this.stopGradient})`
  }
}

/** A storage on `device` with a copy of host data. */
export function storageFrom(value: HostArray, device: string): Storage {
  if (value.data.length !== numel(value.shape)) {
    throw new ArgumentError(
      `a ${formatShape(value.shape)} array needs ${numel(value.shape)} elements, got ${value.data.length}`,
    )
  }
  const backend = backendOf(device)
  const buffer = backend.allocate(value.data.byteLength)
  backend.write(buffer, new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength))
  return new Storage(device, value.dtype, value.data.length, buffer)
}

/** A tensor with a copy of host data, on the current device. */
export function fromHost<D extends DType = DType>(
  value: HostArray,
  options: { stopGradient?: boolean; name?: string; place?: string } = {},
): Tensor<D> {
  const storage = storageFrom(value, options.place ?? getDevice())
  const tensor = new Tensor<D>(makeLeaf(storage, [...value.shape], false), options.name)
  if (options.stopGradient === false) tensor.stopGradient = false
  return tensor
}

function nest(dtype: DType, shape: Shape, data: HostData): NestedArray {
  let i = 0
  const build = (axis: number): NestedArray => {
    if (axis === shape.length) {
      const v = getElement(dtype, data, i++)
      return dtype === 'bool' ? v !== 0 : v
    }
    return Array.from({ length: shape[axis]! }, () => build(axis + 1))
  }
  return build(0)
}
