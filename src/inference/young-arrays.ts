/**
 * Arrays that callers have dropped. V8 frees them with its quick collections of young objects, which come when small objects fill the young
 * generation, or after 32 MB of arrays: a caller who keeps one answer at a time has up to 32 MB of answers that nobody has any more. Here
 * such a collection is asked for sooner; it takes a fraction of a millisecond.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sizeOf, type DType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'

/** Bytes of arrays between collections. */
const MOST_BYTES = 8 << 20

let bytesSince = 0
let collect: (() => void) | undefined

/** Called before arrays are made for a caller. */
export function expectArrays(arrays: readonly { readonly dtype: DType; readonly shape: Shape }[]): void {
  const bytes = arrays.reduce((sum, a) => sum + numel(a.shape) * sizeOf(a.dtype), 0)
  bytesSince += bytes
  if (bytesSince <= MOST_BYTES) return
  bytesSince = bytes
  collect ??= youngCollection()
  collect()
}

/** V8's function for it, which it hides from programs that do not ask; nothing where a host has none. */
function youngCollection(): () => void {
  try {
    setFlagsFromString('--expose-gc')
    const gc: unknown = runInNewContext('gc')
    setFlagsFromString('--no-expose-gc')
    if (typeof gc === 'function') return () => void (gc as (options: object) => void)({ type: 'minor' })
  } catch {
    // Another engine than V8.
  }
  return () => {}
}
