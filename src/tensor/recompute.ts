/** `recompute`: activations that the backward pass computes again instead of keeping them, as paddle.distributed.fleet.utils.recompute. */
import { ArgumentError } from '../common/errors.ts'
import { isGradEnabled, recordingMark } from '../graph/node.ts'
import { recomputed } from '../graph/recompute.ts'
import { isPlain, mapTensors, tensorsIn } from './nested.ts'
import { keepOutput, withoutKeptOutputs } from './session.ts'
import { Tensor } from './tensor.ts'

export interface RecomputeOptions {
  /** Accepted for Paddle's sake: both passes always draw the same numbers, and the second one leaves the generator alone. */
  readonly preserveRngState?: boolean
  /** Accepted for Paddle's sake: there is one way here, which has the limits of neither. */
  readonly useReentrant?: boolean
}

const optionNames = new Set(['preserveRngState', 'useReentrant'])

function isOptions(value: unknown): boolean {
  if (!isPlain(value)) return false
  const names = Object.keys(value)
  return names.length > 0 && names.every((name) => optionNames.has(name))
}

/**
 * Runs `fn(...args)` and returns what it returns (a tensor, or arrays and plain objects of tensors). The backward pass keeps the inputs
 * only, and computes what it needs in between again, right before it uses it: less memory for about a third more work.
 *
 * Gradients flow to the arguments and to whatever else `fn` uses (parameters, tensors from around it). Nothing but numbers is computed
 * again: `fn` runs once, random draws (dropout) are the same in both passes, running statistics are updated once. Calls may be nested.
 * Without gradients (`noGrad`, or nothing that wants one) it is `fn(...args)`. Throws ArgumentError where `fn` is no function or is async.
 * @example const hidden = recompute(block, x)
 * @example const hidden = recompute((x, mask) => block(x, mask), x, mask, { preserveRngState: true })
 */
export function recompute<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): R
export function recompute<A extends unknown[], R>(fn: (...args: A) => R, ...args: [...A, RecomputeOptions]): R
export function recompute(fn: (...args: unknown[]) => unknown, ...given: unknown[]): unknown {
  if (typeof fn !== 'function') throw new ArgumentError('recompute: the first argument must be a function or a layer')
  const args = isOptions(given.at(-1)) ? given.slice(0, -1) : given
  const mark = recordingMark()
  // Layers inside are no outermost ones: what they return need not outlive the pass.
  const { result, asked } = withoutKeptOutputs(() => fn(...args))
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new ArgumentError('recompute: the function is async; give it a synchronous part, and await outside')
  }
  const outcome = isGradEnabled() ? withRecomputedGradient(result, mark) : result
  if (asked) tensorsIn(outcome).forEach(keepOutput)
  return outcome
}

/** A result whose tensors have the values that were recorded since `mark` computed again for their gradients. */
function withRecomputedGradient(result: unknown, mark: number): unknown {
  const isNew = ({ node }: Tensor): boolean => node.needsGrad && node.id >= mark && node.op !== 'buffer'
  const tensors = [...new Set(tensorsIn(result).filter(isNew))]
  if (tensors.length === 0) return result
  const nodes = recomputed(
    tensors.map((t) => t.node),
    mark,
  )
  const replaced = new Map(tensors.map((t, i) => [t, new Tensor(nodes[i]!, t.name)]))
  return mapTensors(result, (t) => replaced.get(t) ?? t)
}

/**
 * Runs functions or layers one after the other, each on the result of the one before, in `segments` parts that are recomputed one by one,
 * as paddle.incubate.distributed.fleet.recompute_sequential. Default: one segment.
 * @example const y = recomputeSequential({ segments: 4 }, model.blocks, x)
 */
export function recomputeSequential(
  options: RecomputeOptions & { readonly segments?: number },
  functions: Iterable<(x: never) => unknown>,
  ...args: unknown[]
): unknown {
  const list = [...functions] as ((...args: unknown[]) => unknown)[]
  const segments = options.segments ?? 1
  if (!Number.isInteger(segments) || segments < 1 || segments > list.length)
    throw new ArgumentError(
      `recomputeSequential: segments must be a whole number from 1 to ${list.length}, the number of functions; got ${segments}`,
    )
  const perSegment = Math.ceil(list.length / segments)
  const part = (from: number): ((...inputs: unknown[]) => unknown) => {
    const [first, ...rest] = list.slice(from, from + perSegment)
    return (...inputs) => rest.reduce((value, f) => f(value), first!(...inputs))
  }
  let value = recompute(part(0), ...args)
  for (let from = perSegment; from < list.length; from += perSegment) value = recompute(part(from), value)
  return value
}
