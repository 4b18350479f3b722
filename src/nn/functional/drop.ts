/** Dropout as the recurrent and attention functions use it: kept values are scaled up while training, nothing happens in evaluation. */
import { ArgumentError } from '../../common/errors.ts'
import { numel } from '../../common/shape.ts'
import { binary, cast, constant, random, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { drawKey } from '../../tensor/random.ts'

/** Throws ArgumentError unless p is a probability. */
export function checkProbability(p: number, op: string): void {
  if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${op}: a dropout probability lies in [0, 1], got ${p}`)
}

/** Elements become 0 with probability p, the others are divided by 1 - p. */
export function droppedNode(x: Node, p: number, training: boolean): Node {
  if (p === 0 || !training) return x
  const zero = constant(0, x.dtype, x.shape)
  if (p === 1) return binary('mul', x, zero)
  const { key, offset } = drawKey(numel(x.shape))
  const kept = binary('ge', random(key, offset, x.shape), constant(p, 'float32', x.shape))
  return where(kept, binary('mul', x, cast(constant(1 / (1 - p), 'float32', x.shape), x.dtype)), zero)
}
