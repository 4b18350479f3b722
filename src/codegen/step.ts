/** What templates hand to the generator: a kernel, what stands for each of its parameters, and how it is shared out to threads. */
import type { Kernel } from './kernel.ts'

export type StepArgument<Role> =
  | { readonly kind: 'memory'; readonly role: Role }
  | { readonly kind: 'index'; readonly value: number }
  | { readonly kind: 'number'; readonly value: number | bigint }
  | { readonly kind: 'scalar'; readonly slot: number }
  | { readonly kind: 'scratch' }

export interface Step<Role> {
  readonly kernel: Kernel
  readonly arguments: readonly StepArgument<Role>[]
  readonly extent: number
  readonly grain: number
  readonly scratchBytes: number
  readonly flops: number
  readonly bytes: number
}
