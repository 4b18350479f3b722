/** Cycles of a directed graph, by Tarjan's algorithm for strongly connected components (SIAM J. Comput. 1, 1972). */

/** Every component of at least two nodes, and every node with an edge to itself; sorted, so that reports do not change by chance. */
export function cyclesOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>()
  const stack: string[] = []
  const onStack = new Set<string>()
  const cycles: string[][] = []

  const visit = (node: string): number => {
    let low = order.size
    order.set(node, low)
    stack.push(node)
    onStack.add(node)
    for (const next of edges.get(node) ?? []) {
      const seen = order.get(next)
      if (seen === undefined) low = Math.min(low, visit(next))
      else if (onStack.has(next)) low = Math.min(low, seen)
    }
    if (low === order.get(node)) {
      const component = stack.splice(stack.indexOf(node))
      for (const member of component) onStack.delete(member)
      if (component.length > 1 || edges.get(node)?.includes(node)) cycles.push(pathThrough(component, edges))
    }
    return low
  }
  for (const node of edges.keys()) if (!order.has(node)) visit(node)
  return cycles.toSorted((a, b) => (a[0] ?? '').localeCompare(b[0] ?? ''))
}

/** A shortest cycle through the component's first node by name: what a reader has to break. */
function pathThrough(component: readonly string[], edges: ReadonlyMap<string, readonly string[]>): string[] {
  const members = new Set(component)
  const start = component.toSorted()[0] ?? ''
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const node of queue) {
    for (const next of edges.get(node) ?? []) {
      if (next === start) {
        const path = [node]
        while (path[0] !== start) path.unshift(cameFrom.get(path[0] ?? '') ?? start)
        return path
      }
      if (!members.has(next) || cameFrom.has(next)) continue
      cameFrom.set(next, node)
      queue.push(next)
    }
  }
  return [...component]
}
