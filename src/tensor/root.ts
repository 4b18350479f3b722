/** The square root of what may be 0. */
import { binary, unary, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { constantLike } from './promotion.ts'

/** The square root whose gradient at 0 is 0 instead of infinite: what norms have there in Paddle. */
export function rootOrZero(x: Node): Node {
  const isZero = binary('eq', x, constantLike(x, 0))
  return where(isZero, constantLike(x, 0), unary('sqrt', where(isZero, constantLike(x, 1), x)))
}
