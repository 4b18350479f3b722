/** Graphs as text, one node a line: what LONGZHOU_DEBUG prints and the documentation shows. */
import { formatShape } from '../common/shape.ts'
import type { ContractAxis, Node } from './node.ts'

const letter = (n: number): string => (n < 0 ? 't' : n < 26 ? String.fromCharCode(97 + n) : `x${n}`)

function axis(a: ContractAxis): string {
  if (typeof a === 'number') return letter(a)
  const dilated = a.dilation === 1 ? letter(a.tap) : `${a.dilation}${letter(a.tap)}`
  const strided = a.stride === 1 ? letter(a.position) : `${a.stride}${letter(a.position)}`
  return `(${strided}+${dilated}${a.padding ? `-${a.padding}` : ''})`
}

function attributes(node: Node): string {
  switch (node.op) {
    case 'constant':
    case 'scalar':
      return ` ${node.attributes.value}`
    case 'contract': {
      const { lhs, rhs, out } = node.attributes
      return ` ${lhs.map(axis).join('')},${rhs.map(axis).join('')}->${out.map(axis).join('')}`
    }
    case 'buffer':
    case 'scan':
    case 'random':
      return ''
    case 'attention':
    case 'attentionGradient': {
      const { scale, isCausal, isMasked, dropout } = node.attributes
      return ` scale=${scale} causal=${isCausal} masked=${isMasked} dropout=${dropout}`
    }
    default: {
      const entries = Object.entries(node.attributes).map(
        ([k, v]) => `${k}=${Array.isArray(v) ? formatShape(v as number[]) : String(v)}`,
      )
      return entries.length > 0 ? ` ${entries.join(' ')}` : ''
    }
  }
}

/** The nodes in order; `%3 = add float32[4, 8] %1 %2`. */
export function printGraph(nodes: readonly Node[]): string {
  const names = new Map(nodes.map((n, i) => [n, `%${i}`]))
  return nodes
    .map((n) => {
      const sources = n.sources.map((s) => ` ${names.get(s) ?? '?'}`).join('')
      return `${names.get(n)} = ${n.op} ${n.dtype}${formatShape(n.shape)}${sources}${attributes(n)}`
    })
    .join('\n')
}
