/**
 * Arrays that callers have dropped. V8 frees them with its quick collections of young objects, which come when small objects fill the young
 * generation, or after 32 MB of arrays: a caller who keeps one answer at a time has up to 32 MB of answers that nobody has any more. Here
 * such a collection is asked for sooner; it takes a fraction of a millisecond, in which the device computes.
 */
import { sizeOf, type DType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'
import { collectYoung } from '../runtime/young-collection.ts'

/** Bytes of arrays between collections. */
const MOST_BYTES = 2 << 20

let bytesSince = 0

/** Called when a run that fills arrays for a caller is under way. */
export function noteArrays(arrays: readonly { readonly dtype: DType; readonly shape: Shape }[]): void {
  bytesSince += arrays.reduce((sum, a) => sum + numel(a.shape) * sizeOf(a.dtype), 0)
  if (bytesSince <= MOST_BYTES) return
  bytesSince = 0
  collectYoung()
}
