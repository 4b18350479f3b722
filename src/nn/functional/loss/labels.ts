/** Class numbers in losses: checked where they are used, since their values are known only when a plan runs. */
import { ArgumentError } from '../../../common/errors.ts'
import { binary, cast, gather, iota, where } from '../../../graph/build.ts'
import type { Node } from '../../../graph/node.ts'
import { constantLike } from '../../../tensor/promotion.ts'

/**
 * The same numbers, int64, from a look-up in 0, 1, 2, ...: a number outside [0, classes) is an IndexOutOfRangeError when it runs. Negative
 * ones, which a look-up would count from the end, are sent out of range.
 */
export function checkedClasses(label: Node, classes: number): Node {
  const wide = cast(label, 'int64')
  const negative = binary('lt', wide, constantLike(wide, 0))
  return gather(iota([classes], 0, 'int64'), where(negative, constantLike(wide, classes), wide), 0)
}

/** Class numbers with some left out: 0 stands for those, and `kept` is false there. */
export interface HardLabels {
  readonly classes: Node
  readonly kept: Node
}

export function hardLabels(label: Node, classes: number, ignoreIndex: number): HardLabels {
  if (!Number.isSafeInteger(ignoreIndex)) throw new ArgumentError(`ignoreIndex must be an integer, got ${ignoreIndex}`)
  const wide = cast(label, 'int64')
  const kept = binary('ne', wide, constantLike(wide, ignoreIndex))
  return { classes: checkedClasses(where(kept, wide, constantLike(wide, 0)), classes), kept }
}
