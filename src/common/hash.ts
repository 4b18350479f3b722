/** Integer hashing of structures: two 32-bit lanes of multiplicative mixing, which tell apart what a process ever keeps side by side. */

export class Hash {
  #a = 0x9e3779b9 | 0
  #b = 0x85ebca6b | 0

  /** Mixes in one integer; its low 32 bits count. */
  add(n: number): void {
    this.#a = (Math.imul(this.#a ^ n, 0x01000193) + (this.#a >>> 15)) | 0
    this.#b = Math.imul(this.#b + n, 0xc2b2ae35 | 0) ^ (this.#b >>> 13)
  }

  addAll(numbers: readonly number[]): void {
    for (let i = 0; i < numbers.length; i++) this.add(numbers[i]!)
  }

  addText(text: string): void {
    this.add(text.length)
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i))
  }

  /** Forgets what was mixed in. */
  reset(): void {
    this.#a = 0x9e3779b9 | 0
    this.#b = 0x85ebca6b | 0
  }

  /** The lanes, as integers of 32 bits. */
  get low(): number {
    return this.#a
  }

  get high(): number {
    return this.#b
  }

  /** 53 bits, as many as a number holds. */
  toNumber(): number {
    return (this.#a >>> 0) * 0x200000 + (this.#b >>> 11)
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return (this.#a >>> 0).toString(16).padStart(8, '0') + (this.#b >>> 0).toString(16).padStart(8, '0')
  }
}
