/** Which integers a node can hold, as far as its ops tell. */
import { constantValue } from './build.ts'
import type { Node } from './node.ts'

/** Both are included. */
export interface Range {
  readonly low: number
  readonly high: number
}

/** Ops between a node and what its range follows from, at most. */
const MOST_OPS = 12

/** The range of a node's values, or null where nothing is known: of what is read from memory, nothing is. */
export function rangeOf(node: Node, most = MOST_OPS): Range | null {
  const value = constantValue(node)
  if (value !== null) return { low: Number(value), high: Number(value) }
  // A realised node may have forgotten its sources.
  if (most === 0 || node.sources.length === 0)
    return node.op === 'iota' ? numbersOf(node.shape[node.attributes.axis]!) : null
  const ofSource = (i: number): Range | null => rangeOf(node.sources[i]!, most - 1)
  switch (node.op) {
    case 'reshape':
    case 'permute':
    case 'expand':
    case 'slice':
    case 'gather':
      return ofSource(0)
    case 'add': {
      const [a, b] = [ofSource(0), ofSource(1)]
      const sum = a && b && { low: a.low + b.low, high: a.high + b.high }
      // Beyond, integers wrap around.
      return sum && Math.max(-sum.low, sum.high) < 2 ** 31 ? sum : null
    }
    case 'scatter': {
      if (node.attributes.mode !== 'set') return null
      const [base, updates] = [ofSource(0), ofSource(2)]
      return base && updates && { low: Math.min(base.low, updates.low), high: Math.max(base.high, updates.high) }
    }
    default:
      return null
  }
}

const numbersOf = (count: number): Range => ({ low: 0, high: Math.max(0, count - 1) })
