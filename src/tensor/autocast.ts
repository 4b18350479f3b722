/**
 * Where automatic mixed precision looks in: functions pass the nodes of their floating operands through `underPolicy` with Paddle's
 * name of the op, and a policy (installed by `amp.autoCast`) may cast them. Without one this costs a null check.
 */
import type { Node } from '../graph/node.ts'

/** Returns the operands of `op`, cast as the policy wants them. */
export type OperandPolicy = (op: string, operands: readonly Node[]) => readonly Node[]

let policy: OperandPolicy | null = null

/** Installs a policy (null removes it) and returns the one before. */
export function setOperandPolicy(next: OperandPolicy | null): OperandPolicy | null {
  const before = policy
  policy = next
  return before
}

/** The policy that is installed, or null. */
export function currentOperandPolicy(): OperandPolicy | null {
  return policy
}

/** The operands as the current policy wants them. */
export function underPolicy<T extends readonly Node[]>(op: string, operands: T): T {
  return policy ? (policy(op, operands) as T) : operands
}
