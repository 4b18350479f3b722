/**
 * V8's young objects: where new ones are made, and quick collections, which otherwise come when the young generation is full, at moments that nobody
 * chose.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/** Collects young objects that nobody has any more. Takes a fraction of a millisecond, and more by what is alive among them. */
export function collectYoung(): void {
  collect ??= youngCollection()
  collect()
}

/**
 * Whether threads help: they take longer to wake than so small a collection takes, and would give the memory of array buffers back only after it, when
 * the next one has been made of other memory.
 */
const HELPERS = ['parallel-scavenge', 'concurrent-array-buffer-sweeping'] as const

/**
 * From here on V8 makes what array and object literals stand for among its young objects. It learns from whether objects of a literal outlive
 * quick collections, and then makes all later ones old. Recordings teach it the wrong thing: the first one outlives the planning of its step, each
 * later one lasts a step; but if one literal that refers to tensors is taken for long-lived, what it refers to, and memory of results with it, waits for
 * a thorough collection (in one process out of sixty 9 KB of each step of a small network: 10 % of resident memory over 2,000 steps).
 */
export function makeLiteralsYoung(): void {
  try {
    setFlagsFromString('--no-allocation-site-pretenuring')
  } catch {
    // Another engine than V8.
  }
}

/** V8's function for it, which it hides from programs that do not ask; nothing where a host has none. */
function youngCollection(): () => void {
  try {
    setFlagsFromString('--expose-gc')
    const gc: unknown = runInNewContext('gc')
    setFlagsFromString('--no-expose-gc')
    if (typeof gc === 'function') {
      const minor = gc as (options: object) => void
      return () => {
        for (const name of HELPERS) setFlagsFromString(`--no-${name}`)
        minor({ type: 'minor' })
        for (const name of HELPERS) setFlagsFromString(`--${name}`)
      }
    }
  } catch {
    // Another engine than V8.
  }
  return () => {}
}
