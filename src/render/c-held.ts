/**
 * Which vectors gcc is to hold in registers. It takes a vector that was loaded for what lies in memory, and where registers are short, or seem so,
 * loads it again for each product: as operands of products such loads cost nothing in text, but each takes its turn at the port, and two where it
 * spans lines. On an AVX-512 core with one such load a cycle gradients of first layers took up to twice their time for it, depthwise convolutions
 * 1.1 to 1.4 times.
 */
import type { Expr, Kernel, Stmt } from '../codegen/kernel.ts'
import { blocksOf, expressionsOf, operands } from '../codegen/walk.ts'

/** Names of loaded vectors that several products of one block have for a factor. */
export function heldVectors({ body }: Kernel): ReadonlySet<string> {
  const held = new Set<string>()
  const visit = (block: readonly Stmt[]): void => {
    const products = new Map<string, number>()
    for (const name of block.flatMap(expressionsOf).flatMap(factorsOf))
      products.set(name, (products.get(name) ?? 0) + 1)
    for (const s of block) {
      if (s.kind === 'let' && s.value.kind === 'load' && s.value.type.lanes > 1 && (products.get(s.name) ?? 0) > 1)
        held.add(s.name)
      blocksOf(s).forEach(visit)
    }
  }
  visit(body)
  return held
}

/** Variables that are factors of the products in an expression. */
function factorsOf(e: Expr): string[] {
  const inside = operands(e).flatMap(factorsOf)
  if (e.kind !== 'fma') return inside
  const [a, b] = operands(e)
  return [...inside, ...[a!, b!].flatMap((x) => (x.kind === 'variable' ? [x.name] : []))]
}
