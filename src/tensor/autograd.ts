/** Autograd for Tensors: `backward`, `grad`, `noGrad`, as in paddle.autograd. */
import { isFloat } from '../common/dtype.ts'
import { AutogradError, ShapeError } from '../common/errors.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { constant } from '../graph/build.ts'
import { differentiate, ones } from '../graph/gradient.ts'
import { isGradEnabled, withGrad, type Node } from '../graph/node.ts'
import { keepForNextWrite } from './session.ts'
import { Tensor, withAccumulation } from './tensor.ts'
import { checkNotTracing } from './tracer.ts'

export interface BackwardOptions {
  /** Allows another `backward` through the same graph. Default false. */
  readonly retainGraph?: boolean
}

function seedOf(output: Tensor, gradient: Tensor | null | undefined): Node {
  if (!gradient) return ones(output.node)
  if (!sameShape(gradient.node.shape, output.node.shape) || gradient.dtype !== output.dtype) {
    throw new ShapeError(
      `backward: the gradient is ${gradient.dtype}${formatShape(gradient.node.shape)}, the tensor ${output.dtype}${formatShape(output.node.shape)}`,
    )
  }
  return gradient.node
}

function checkOutput(output: Tensor): void {
  if (!isFloat(output.dtype) || output.stopGradient) {
    throw new AutogradError(
      `backward: this ${output.dtype} tensor has stopGradient = true; nothing that it was computed from wants a gradient`,
    )
  }
}

function walk(
  outputs: readonly Tensor[],
  gradients: readonly (Tensor | null)[] | undefined,
  targets: readonly Node[],
  createGraph: boolean,
  retainGraph: boolean,
): (Node | null)[] {
  outputs.forEach(checkOutput)
  const seeds = outputs.map((o, i) => seedOf(o, gradients?.[i]))
  const visited: Node[] = []
  const visit = (node: Node): void => {
    if (node.released)
      throw new AutogradError(
        'backward: this graph was released by an earlier backward(); pass retainGraph: true there',
      )
    visited.push(node)
  }
  const results = withGrad(createGraph, () =>
    differentiate(
      outputs.map((o) => o.node),
      seeds,
      targets,
      { visit },
    ),
  )
  if (retainGraph) return results
  for (const node of visited) {
    node.released = true
    // Its gradient names what it needs: a loss that is kept does not keep the memory of its forward pass.
    if (node.storage) node.sources = []
  }
  return results
}

/** Adds d(output)/d(variable) to the `grad` of every variable that the outputs depend on, as `paddle.autograd.backward`. */
export function backward(
  outputs: Tensor | readonly Tensor[],
  gradients?: readonly (Tensor | null)[],
  options: BackwardOptions = {},
): void {
  checkNotTracing('backward() is called')
  const list = outputs instanceof Tensor ? [outputs] : outputs
  for (const o of list) keepForNextWrite(o)
  // Also from inside a hook or a PyLayer's backward that `grad` called.
  withAccumulation(true, () => walk(list, gradients, [], false, options.retainGraph ?? false))
}

export interface GradOptions extends BackwardOptions {
  /** Gradients of the outputs; ones by default. */
  readonly gradOutputs?: readonly (Tensor | null)[]
  /** Records the gradients themselves, so that they can be differentiated again. Default false. */
  readonly createGraph?: boolean
  /** Gives null for inputs that the outputs do not depend on, instead of an error. Default false. */
  readonly allowUnused?: boolean
}

/**
 * Gradients of the (sum of the) outputs with respect to the inputs, without touching any `.grad`, as `paddle.grad`.
 * @example const [dx] = grad([y], [x], { createGraph: true })
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions = {},
): Tensor[] {
  const outs = outputs instanceof Tensor ? [outputs] : outputs
  const ins = inputs instanceof Tensor ? [inputs] : inputs
  const createGraph = options.createGraph ?? false
  const results = withAccumulation(false, () =>
    walk(
      outs,
      options.gradOutputs,
      ins.map((t) => t.node),
      createGraph,
      options.retainGraph ?? createGraph,
    ),
  )
  return results.map((g, i) => {
    if (g) return new Tensor(g)
    if (!options.allowUnused)
      throw new AutogradError(
        `grad: the outputs do not depend on input ${i}; pass allowUnused: true to get zeros for it`,
      )
    return new Tensor(constant(0, ins[i]!.dtype, ins[i]!.shape))
  })
}

/** Runs `body` without recording gradients. @example const y = noGrad(() => model(x)) */
export function noGrad<T>(body: () => T): T {
  return withGrad(false, body)
}

/** Runs `body` with gradients recorded, also inside noGrad. */
export function enableGrad<T>(body: () => T): T {
  return withGrad(true, body)
}

export { isGradEnabled }
