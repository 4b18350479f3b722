/** Structural keys of kernels: two 32-bit hashes over everything but the title. */
import type { CompiledKernel, Kernel } from './kernel.ts'

const doubles = new Float64Array(1)
const words = new Int32Array(doubles.buffer)
const known = new WeakMap<Kernel, string>()

let a = 0
let b = 0

function mix(n: number): void {
  a = Math.imul(a ^ n, 0x01000193) + (a >>> 15)
  b = Math.imul(b + n, 0xc2b2ae35 | 0) ^ (b >>> 13)
}

function walk(value: unknown): void {
  switch (typeof value) {
    case 'number':
      doubles[0] = value
      mix(words[0]!)
      mix(words[1]!)
      return
    case 'string':
      for (let i = 0; i < value.length; i++) mix(value.charCodeAt(i))
      mix(value.length)
      return
    case 'bigint':
      mix(Number(BigInt.asIntN(32, value)))
      mix(Number(BigInt.asIntN(32, value >> 32n)))
      return
    case 'object':
      if (Array.isArray(value)) {
        mix(value.length)
        for (const v of value) walk(v)
        return
      }
      for (const k in value) {
        mix(k.charCodeAt(0))
        walk((value as Record<string, unknown>)[k])
      }
      mix(7)
      return
    default:
      mix(3)
  }
}

/** Equal for kernels that differ in their titles only. */
export function structureOf(kernel: Kernel | CompiledKernel): string {
  if ('structure' in kernel) return kernel.structure
  const found = known.get(kernel)
  if (found) return found
  a = 0x9e3779b9 | 0
  b = 0x85ebca6b | 0
  walk(kernel.parameters)
  walk(kernel.body)
  const key = `${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}`
  known.set(kernel, key)
  return key
}
