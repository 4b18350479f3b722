/** Rough cost of ops, in simple operations an element: what fusion weighs against a store and a load. */
import { isFloat } from '../common/dtype.ts'
import type { Node } from '../graph/node.ts'
import { opInfo } from '../graph/ops.ts'

export function operationWeight(node: Node): number {
  const { group, takes } = opInfo(node.op)
  switch (group) {
    case 'leaf':
      return node.op === 'random' ? 30 : 0
    case 'view':
      return 0
    case 'unary':
      return takes === 'float' && node.op !== 'sqrt' && node.op !== 'reciprocal' && node.op !== 'rsqrt' ? 10 : 1
    case 'index':
      return 3
    default:
      if (node.op === 'pow' || node.op === 'atan2' || node.op === 'mod' || node.op === 'floordiv')
        return isFloat(node.dtype) ? 12 : 6
      return 1
  }
}
