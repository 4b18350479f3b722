/** Names that no other layer or parameter has: a counter for each key, as paddle.utils.unique_name. */
let counters = new Map<string, number>()

/** `key_0`, `key_1`, ... */
export function generate(key: string): string {
  const n = counters.get(key) ?? 0
  counters.set(key, n + 1)
  return `${key}_${n}`
}

/** Runs `body` with counters of its own: what it builds gets the names that a fresh program would give. */
export function guard<T>(body: () => T): T {
  const before = counters
  counters = new Map()
  try {
    return body()
  } finally {
    counters = before
  }
}

/** Paddle's snake case of a class name: `BatchNorm2D` gives `batch_norm2d`, `PReLU` gives `p_re_lu`. */
export function snakeCase(name: string): string {
  return name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
}
