/** Checks the invariants of a graph: sources before users, the arity and dtypes of the op table, shapes that agree. */
import { isFloat, isInteger } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { formatShape, numel, sameShape } from '../common/shape.ts'
import type { Node } from './node.ts'
import { opInfo } from './ops.ts'

function fail(node: Node, what: string): never {
  throw new InternalError(`graph: ${node.op} ${node.dtype}${formatShape(node.shape)} ${what}`)
}

/** Throws InternalError at the first node that breaks an invariant. */
export function verifyGraph(nodes: readonly Node[]): void {
  const seen = new Set<Node>()
  for (const node of nodes) {
    const info = opInfo(node.op)
    for (const s of node.sources) if (!seen.has(s)) fail(node, `stands before its source ${s.op}`)
    seen.add(node)
    if (info.arity >= 0 && node.op !== 'buffer' && node.sources.length !== info.arity)
      fail(node, `has ${node.sources.length} sources, the op table says ${info.arity}`)
    if (node.shape.some((d) => !Number.isSafeInteger(d) || d < 0))
      fail(node, 'has a dimension that is no non-negative integer')
    const first = node.sources[0]
    if (info.group === 'unary' || info.group === 'binary' || info.group === 'ternary' || info.group === 'cast') {
      for (const s of node.sources)
        if (!sameShape(s.shape, node.shape)) fail(node, `has a source of shape ${formatShape(s.shape)}`)
    }
    if (info.group === 'binary' && first && node.sources[1]!.dtype !== first.dtype)
      fail(node, `mixes ${first.dtype} and ${node.sources[1]!.dtype}`)
    if (first && info.takes === 'float' && !isFloat(first.dtype)) fail(node, `got ${first.dtype}`)
    if (first && info.takes === 'integer' && !isInteger(first.dtype)) fail(node, `got ${first.dtype}`)
    if (info.gives === 'same' && first && node.op !== 'where' && node.dtype !== first.dtype)
      fail(node, `has a source of ${first.dtype}`)
    if (node.op === 'reshape' && numel(node.shape) !== numel(first!.shape))
      fail(node, `has a source of shape ${formatShape(first!.shape)}`)
  }
}
