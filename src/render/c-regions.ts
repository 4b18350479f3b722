/**
 * How gcc is to allocate registers of a kernel. By itself it gives loops that need many a region of their own, a sixth of its time for the kernels of
 * a training step. Where loops that count read from a few addresses that is for nothing: vectors fill the registers there, as many as the template
 * has chosen. Loops of products that hold an address for each row of an operand, or tap of a window, gain from regions (docs/performance.md).
 */
import type { Expr, Kernel, Stmt } from '../codegen/kernel.ts'
import { blocksOf, expressionsOf, flatten, operands } from '../codegen/walk.ts'

/** Addresses that an innermost loop of products reads from, at most, so that it needs no region. */
const FEW = 3

/** Whether a kernel has loops of products that read from many addresses. */
export function needsRegions({ body }: Kernel): boolean {
  return flatten(body).some((s) => s.kind === 'for' && isProduct(s.body) && addressesIn(s.body) > FEW)
}

/** An innermost loop that adds products of vectors to what it keeps. */
function isProduct(loop: readonly Stmt[]): boolean {
  const isSum = (s: Stmt): boolean => s.kind === 'assign' && s.value.kind === 'fma' && s.value.type.lanes > 1
  return loop.some(isSum) && !loop.some((s) => blocksOf(s).length > 0)
}

/** Loads that differ in more than a constant. */
function addressesIn(loop: readonly Stmt[]): number {
  const addresses = new Set<string>()
  const visit = (e: Expr): void => {
    if (e.kind === 'load' || e.kind === 'gather') addresses.add(`${e.buffer} ${namesIn(e.at).join(' ')}`)
    for (const o of operands(e)) visit(o)
  }
  for (const e of loop.flatMap(expressionsOf)) visit(e)
  return addresses.size
}

function namesIn(e: Expr): string[] {
  if (e.kind === 'variable') return [e.name]
  if (e.kind === 'parameter') return [`p${e.index}`]
  return operands(e).flatMap(namesIn)
}
