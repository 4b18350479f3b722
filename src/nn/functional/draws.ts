/** Random numbers inside a recorded graph: counter-based, so that replaying a plan or reading late changes nothing. */
import { ArgumentError } from '../../common/errors.ts'
import { numel, type Shape } from '../../common/shape.ts'
import { random } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { drawKey } from '../../tensor/random.ts'

/** Uniform draws in [0, 1) over a shape, float32. */
export function uniformDraws(shape: Shape): Node {
  const { key, offset } = drawKey(numel(shape))
  return random(key, offset, shape)
}

/** Uniform draws in the shape of a node. */
export function uniformLike(x: Node): Node {
  return uniformDraws(x.shape)
}

/** Throws ArgumentError for p outside [0, 1]. */
export function checkProbability(p: number, op: string): void {
  if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${op}: p must lie in [0, 1], got ${p}`)
}
