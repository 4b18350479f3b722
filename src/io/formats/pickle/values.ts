/**
 * What a pickle holds, as far as data goes: Python's plain values and NumPy's arrays. Tuples and dictionaries are kept apart from lists
 * and objects, because those who read such files (Paddle) tell them apart.
 */
import type { HostArray } from '../../../common/dtype.ts'

export type PickleValue =
  null | boolean | number | bigint | string | Uint8Array | HostArray | PickleTuple | PickleDict | readonly PickleValue[]

/** What can be the key of a dictionary here. */
export type PickleKey = string | number | bigint | boolean | null

/** A `dict`, or a `collections.OrderedDict`: both keep the order in which they were filled. */
export type PickleDict = ReadonlyMap<PickleKey, PickleValue>

/** A `tuple`. */
export class PickleTuple {
  readonly items: readonly PickleValue[]

  constructor(items: readonly PickleValue[]) {
    this.items = items
  }
}
