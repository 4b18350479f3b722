/**
 * Functions with a gradient of their own, as paddle.autograd.PyLayer: `forward` computes outside autograd, `backward` says what the
 * gradients of its tensor arguments are.
 */
import { isFloat } from '../common/dtype.ts'
import { ArgumentError, AutogradError, DTypeError, ShapeError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { cast, constant, custom, detach, tupleOutput } from '../graph/build.ts'
import { isGradEnabled, withGrad, type CustomGradient, type Node, type NodeOf } from '../graph/node.ts'
import { mapTensors, tensorsIn } from './nested.ts'
import { Tensor } from './tensor.ts'

/**
 * What `forward` leaves for `backward`, as paddle.autograd.PyLayerContext. Tensors go through `saveForBackward`; anything else may be a
 * field, which TypeScript wants declared: `ctx: PyLayerContext & { scale?: number }`.
 */
export class PyLayerContext {
  #saved: readonly Tensor[] = []
  #nonDifferentiable: ReadonlySet<Tensor> = new Set()
  #materializes = true
  /** For each argument of `forward`: whether it is a tensor that wants a gradient. Others need none computed. */
  readonly needsInputGrad: readonly boolean[]

  /** For the library's own use: `apply` makes one. */
  constructor(needsInputGrad: readonly boolean[]) {
    this.needsInputGrad = needsInputGrad
  }

  /** Keeps tensors for `backward`: arguments, results, or what was computed between. The last call counts. */
  saveForBackward(...tensors: Tensor[]): void {
    this.#saved = tensors
  }

  /** The tensors that `saveForBackward` was given, in order. Arguments and results among them can be differentiated again. */
  savedTensor(): readonly Tensor[] {
    return this.#saved
  }

  /** Results that never want a gradient. `backward` is given a gradient for them all the same: zeros. */
  markNonDifferentiable(...tensors: Tensor[]): void {
    this.#nonDifferentiable = new Set(tensors)
  }

  /** Accepted for Paddle's sake: whether `forward` changed an argument in place is seen. */
  markNotInplace(..._tensors: Tensor[]): void {}

  /** Whether `backward` gets zeros (the default) or null for results that no gradient reaches. */
  setMaterializeGrads(value: boolean): void {
    this.#materializes = value
  }

  /** For the library's own use. */
  static settingsOf(ctx: PyLayerContext): {
    readonly saved: readonly Tensor[]
    readonly nonDifferentiable: ReadonlySet<Tensor>
    readonly materializes: boolean
  } {
    return { saved: ctx.#saved, nonDifferentiable: ctx.#nonDifferentiable, materializes: ctx.#materializes }
  }
}

/** What `backward` may return: a gradient, or null, for each tensor that `forward` takes. */
export type PyLayerGradients = Tensor | null | readonly PyLayerGradients[]

/** The static side of a class that extends PyLayer. */
export interface PyLayerClass {
  readonly name: string
  forward(ctx: PyLayerContext, ...args: never[]): unknown
  backward(ctx: PyLayerContext, ...gradients: never[]): PyLayerGradients
}

type ForwardArguments<C extends PyLayerClass> =
  Parameters<C['forward']> extends [unknown, ...infer A extends unknown[]] ? A : []

/** Where a saved tensor is found again: among the sources of the node, or as one of its results. */
type SavedPlace = { readonly source: number } | { readonly result: number }

/**
 * Base of functions with a gradient of their own. A subclass has two static methods: `forward(ctx, ...args)` computes a tensor, or arrays
 * and plain objects with tensors, outside autograd; `backward(ctx, ...gradients)` gets one gradient a tensor of the result and returns one,
 * or null, a tensor among the arguments (also of those in arrays), in order. `apply(...args)` calls it.
 *
 * Where `backward` is made of differentiable functions, gradients of gradients work. Gradients may be of another floating dtype than
 * the argument (under `amp.autoCast`), and are cast. Throws AutogradError, ShapeError or DTypeError, with the name of the class, where what
 * `backward` returns does not fit. Under `jit.toStatic`, `forward` runs while recording only; tensors must go through `saveForBackward`.
 * @example
 * class CusTanh extends autograd.PyLayer {
 *   static forward(ctx: autograd.PyLayerContext, x: Tensor) {
 *     const y = tanh(x)
 *     ctx.saveForBackward(y)
 *     return y
 *   }
 *   static backward(ctx: autograd.PyLayerContext, dy: Tensor) {
 *     const [y] = ctx.savedTensor()
 *     return dy.multiply(subtract(1, square(y!)))
 *   }
 * }
 * const z = CusTanh.apply(x)
 */
// oxlint-disable-next-line typescript/no-extraneous-class -- in Paddle it is a class of static methods
export abstract class PyLayer {
  /** Runs `forward`; what it returns has the gradient that `backward` computes. Without gradients (`noGrad`) it is just `forward`. */
  static apply<C extends PyLayerClass>(this: C, ...args: ForwardArguments<C>): ReturnType<C['forward']> {
    return applyLayer(this, args) as ReturnType<C['forward']>
  }
}

function applyLayer(layer: PyLayerClass, args: readonly unknown[]): unknown {
  const { name } = layer
  for (const method of ['forward', 'backward'] as const) {
    if (typeof layer[method] !== 'function')
      throw new AutogradError(`${name} has no static ${method}(ctx, ...); a PyLayer needs forward and backward`)
  }
  const inputs = tensorsIn(args)
  const inputNodes = inputs.map((t) => t.node)
  const variables = inputs.map((t) => t.isLeaf && !t.stopGradient)
  const ctx = new PyLayerContext(args.map((a) => tensorsIn(a).some((t) => t.node.needsGrad)))
  const result: unknown = withGrad(false, () => layer.forward(ctx, ...(args as never[])))
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new ArgumentError(`${name}.forward is async; a PyLayer computes synchronously`)
  }
  const outputs = [...new Set(tensorsIn(result))]
  if (outputs.length === 0) throw new AutogradError(`${name}.forward returned no tensor`)
  const { saved, nonDifferentiable, materializes } = PyLayerContext.settingsOf(ctx)
  inputs.forEach((t, i) => {
    if (t.node !== inputNodes[i] && variables[i])
      throw new AutogradError(`${name}.forward changed argument ${i} in place, a leaf that wants a gradient`)
  })

  const results = outputs.map((t) => t.node)
  const places: SavedPlace[] = []
  const extra: Node[] = []
  for (const tensor of saved) {
    const result = outputs.indexOf(tensor)
    const input = inputs.findIndex((t, i) => t === tensor && t.node === inputNodes[i])
    if (input >= 0) places.push({ source: results.length + input })
    else if (result >= 0) places.push({ result })
    else places.push({ source: results.length + inputs.length + extra.push(tensor.node) - 1 })
  }
  const gradient: CustomGradient = (node, given) => {
    const grads = gradientsOf(layer, ctx, { node, given, places, materializes, inputs: inputs.length })
    return [...results.map(() => null), ...grads, ...extra.map(() => null)]
  }
  const wrapped = custom(results, [...inputNodes, ...extra], gradient)
  const differentiable = isGradEnabled() && inputNodes.some((n) => n.needsGrad)
  const replaced = new Map(
    outputs.map((tensor, i): [Tensor, Tensor] => {
      const wants = differentiable && isFloat(tensor.dtype) && !nonDifferentiable.has(tensor)
      if (!wants && !tensor.node.needsGrad) return [tensor, tensor]
      const node = wants ? wrapped[i]! : detach(results[i]!)
      // An argument that was changed in place stays the caller's tensor.
      if (!inputs.some((t, k) => t === tensor && results[i] !== inputNodes[k])) return [tensor, new Tensor(node)]
      tensor.node = node
      return [tensor, tensor]
    }),
  )
  return mapTensors(result, (t) => replaced.get(t)!)
}

interface BackwardCall {
  readonly node: NodeOf<'custom'>
  readonly given: ReadonlyMap<number, Node>
  readonly places: readonly SavedPlace[]
  readonly materializes: boolean
  readonly inputs: number
}

/** Calls the user's `backward` and checks what it returns: a gradient, or null, for each input. */
function gradientsOf(layer: PyLayerClass, ctx: PyLayerContext, call: BackwardCall): (Node | null)[] {
  const { node, given, places, inputs } = call
  const results = node.sources.slice(0, node.attributes.results)
  const gradients = results.map((r, i) => {
    const g = given.get(i)
    if (g) return new Tensor(g)
    return call.materializes ? new Tensor(constant(0, r.dtype, r.shape)) : null
  })
  // A replayed recording has nodes of its own in the places of those that `forward` saw.
  const saved = places.map((place) =>
    'source' in place
      ? new Tensor(node.sources[place.source]!)
      : new Tensor(tupleOutput(node as unknown as Node, place.result)),
  )
  const before = ctx.savedTensor()
  ctx.saveForBackward(...saved)
  let returned: PyLayerGradients
  try {
    returned = layer.backward(ctx, ...(gradients as never[]))
  } finally {
    ctx.saveForBackward(...before)
  }
  const where = `${layer.name}.backward`
  const list = flatten(returned, where)
  if (list.length !== inputs)
    throw new AutogradError(
      `${where} returned ${list.length} gradient${list.length === 1 ? '' : 's'}, and forward takes ${inputs} tensor${inputs === 1 ? '' : 's'}: return one, or null, for each tensor argument, none for others`,
    )
  return list.map((g, i) => g && fitting(g.node, node.sources[results.length + i]!, `${where}: gradient ${i}`))
}

function flatten(value: unknown, where: string): (Tensor | null)[] {
  if (value instanceof Tensor || value === null) return [value]
  if (Array.isArray(value)) return value.flatMap((v) => flatten(v, where))
  throw new AutogradError(
    `${where} returned ${value instanceof Promise ? 'a promise' : `something of type ${typeof value}`}; return a tensor, null, or an array of these`,
  )
}

/** A gradient for an input, in its dtype. */
function fitting(g: Node, input: Node, what: string): Node {
  if (!sameShape(g.shape, input.shape))
    throw new ShapeError(
      `${what} has shape ${formatShape(g.shape)}, the argument of forward ${formatShape(input.shape)}`,
    )
  if (!isFloat(input.dtype)) return g
  if (!isFloat(g.dtype)) throw new DTypeError(`${what} is ${g.dtype}, the argument of forward ${input.dtype}`)
  return cast(g, input.dtype)
}
