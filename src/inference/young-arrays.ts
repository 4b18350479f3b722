/**
 * Arrays that callers have dropped. V8 frees them with its quick collections of young objects, which come when small objects fill the young
 * generation, or after 32 MB of arrays: a caller who keeps one answer at a time has up to 32 MB of answers that nobody has any more. Here
 * such a collection is asked for sooner; it takes a fraction of a millisecond.
 */
import { sizeOf, type DType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'
import { collectYoung } from '../runtime/young-collection.ts'

/** Bytes of arrays between collections. */
const MOST_BYTES = 8 << 20

let bytesSince = 0

/** Called before arrays are made for a caller. */
export function expectArrays(arrays: readonly { readonly dtype: DType; readonly shape: Shape }[]): void {
  const bytes = arrays.reduce((sum, a) => sum + numel(a.shape) * sizeOf(a.dtype), 0)
  bytesSince += bytes
  if (bytesSince <= MOST_BYTES) return
  bytesSince = bytes
  collectYoung()
}
