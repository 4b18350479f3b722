/** V8's quick collections of young objects, which otherwise come when the young generation is full: at moments that nobody chose. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/** Collects young objects that nobody has any more. Takes a fraction of a millisecond, and more by what is alive among them. */
export function collectYoung(): void {
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
