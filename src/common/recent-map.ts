/** A map of bounded size that forgets what was used longest ago. */
export class RecentMap<K, V> {
  readonly #entries = new Map<K, V>()
  readonly #size: number
  /** The key used last: most uses ask for it again, and need not move it. */
  #latest: K | undefined

  /** `size`: entries that are kept, at least 1. */
  constructor(size: number) {
    this.#size = size
  }

  /** The value of a key, which from now on is the one used last; made and kept where there is none. What `make` throws leaves the map as it was. */
  getOrMake(key: K, make: () => V): V {
    if (key === this.#latest && this.#entries.has(key)) return this.#entries.get(key)!
    const value = this.#entries.has(key) ? this.#entries.get(key)! : make()
    this.#latest = key
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size > this.#size) this.#entries.delete(this.#entries.keys().next().value!)
    return value
  }
}
