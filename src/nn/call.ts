/**
 * What happens around `model(x)`: the outputs of the outermost call are kept for reading after the optimizer's step, and errors
 * thrown inside say in which layer, by the path of class fields that leads there (`SimpleCNN.fc`).
 */
import { LongzhouError } from '../common/errors.ts'
import { submit } from '../tensor/realize.ts'
import { keepOutput, pendingWrites } from '../tensor/session.ts'
import { Tensor } from '../tensor/tensor.ts'
import { currentTracer } from '../tensor/tracer.ts'
import type { Layer } from './layer.ts'

/** Layers whose calls are running, outermost first. */
const running: Layer[] = []
const located = new WeakSet<Error>()

/** Calls a layer: hooks, `forward`, and what is said above. */
export function callLayer(layer: Layer, args: readonly unknown[]): unknown {
  currentTracer()?.enter(layer)
  if (running.length === 0 && !currentTracer()) settleParameters(layer)
  running.push(layer)
  try {
    const output = layer.runForward(args)
    if (running.length === 1) keepAll(output)
    return output
  } catch (error) {
    if (error instanceof LongzhouError && !located.has(error)) locate(error)
    throw error
  } finally {
    running.pop()
  }
}

/** Computes the values that parameters were given since the last step: a forward that fails must not take them along. */
function settleParameters(layer: Layer): void {
  const written = new Set(pendingWrites())
  if (written.size === 0) return
  const isWritten = ({ node }: Tensor): boolean => node.op === 'buffer' && written.has(node.attributes.storage)
  if (layer.parameters().some(isWritten)) submit([])
}

/** Path of the innermost layer that is running, `SimpleCNN.block.conv`; empty outside of layers. */
export function runningPath(): string {
  return running.length === 0 ? '' : pathOf(running)
}

/** Whether a layer is being called. */
export function isInsideLayer(): boolean {
  return running.length > 0
}

/** Keeps every tensor in an output: a tensor, or arrays and plain objects of them. */
export function keepAll(output: unknown): void {
  if (output instanceof Tensor) {
    keepOutput(output)
    return
  }
  if (typeof output !== 'object' || output === null || output instanceof Promise) return
  for (const part of Array.isArray(output) ? output : Object.values(output)) keepAll(part)
}

/** Puts the path of the innermost running layer before the error's message. */
function locate(error: LongzhouError): void {
  located.add(error)
  const message = `${pathOf(running)}: ${error.message}`
  if (error.stack) error.stack = error.stack.replace(error.message, () => message)
  error.message = message
}

/** `Model.block.conv`: the class of the outermost layer, then the names under which each holds the next. */
function pathOf(layers: readonly Layer[]): string {
  let path = layers[0]!.constructor.name
  for (let i = 1; i < layers.length; i++) {
    const inner = layers[i]!
    const name = layers[i - 1]!.namedSublayers().find(([, l]) => l === inner)?.[0]
    path += name === undefined ? `>${inner.constructor.name}` : `.${name}`
  }
  return path
}
