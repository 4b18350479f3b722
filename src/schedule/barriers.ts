/**
 * What only recording and sharing needs to see, taken out of a program: barriers (they kept what is computed again apart from what was
 * computed before) and gradients given by hand. What is left are ops with values.
 */
import {
  handedOn,
  topologicalOrder,
  withBody,
  withSources,
  type Node,
  type NodeOf,
  type ScanBody,
} from '../graph/node.ts'

/** The nodes that `roots` need, in the same order, each over the values behind barriers and custom nodes; and what became of each. */
export function withoutBarriers(
  nodes: readonly Node[],
  roots: readonly Node[],
): { readonly nodes: Node[]; readonly of: ReadonlyMap<Node, Node> } {
  const of = new Map<Node, Node>()
  for (const node of nodes) {
    const behind = node.op === 'barrier' ? node.sources[0]! : node.op === 'output' ? handedOn(node) : null
    if (behind) {
      of.set(node, of.get(behind) ?? behind)
      continue
    }
    const sources = node.sources.map((s) => of.get(s) ?? s)
    of.set(node, sources.every((s, i) => s === node.sources[i]) ? node : withSources(node, sources))
  }
  const wanted = new Set(
    topologicalOrder(
      roots.map((r) => of.get(r)!),
      () => false,
    ),
  )
  const kept = new Set<Node>()
  for (const node of nodes) if (wanted.has(of.get(node)!)) kept.add(of.get(node)!)
  return { nodes: [...kept], of }
}

const bodies = new WeakMap<ScanBody, ScanBody>()

/** A loop without barriers and custom nodes in its body. */
export function plainLoop(loop: NodeOf<'scan'>): NodeOf<'scan'> {
  const { body } = loop.attributes
  let plain = bodies.get(body)
  if (!plain) bodies.set(body, (plain = plainBody(body)))
  return plain === body ? loop : withBody(loop, plain)
}

function plainBody(body: ScanBody): ScanBody {
  const order = topologicalOrder(body.outputs)
  if (!order.some((n) => n.op === 'barrier' || n.op === 'custom')) return body
  const { of } = withoutBarriers(order, body.outputs)
  return { params: body.params, outputs: body.outputs.map((o) => of.get(o)!) }
}
