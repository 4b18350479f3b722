/** Hashes of texts for names: 64 bits in two multiplicative lanes. Names only; files that are trusted are keyed by SHA-256. */
export function hashText(text: string): string {
  let a = 0x9e3779b9 | 0
  let b = 0x85ebca6b | 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    a = Math.imul(a ^ c, 0x01000193)
    b = Math.imul(b ^ c, 0x5bd1e995)
    b ^= b >>> 15
  }
  a = Math.imul(a ^ (b >>> 16), 0x85ebca6b)
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35 | 0)
  b = Math.imul(b ^ (a >>> 16), 0x27d4eb2f)
  return word(a ^ (a >>> 16)) + word(b ^ (b >>> 15))
}

function word(n: number): string {
  return (n >>> 0).toString(16).padStart(8, '0')
}
