/** The end of a step: all in-place writes at once, and the plan on its way. */
import type { Node } from '../graph/node.ts'
import { submit } from '../tensor/realize.ts'
import { withdrawWrite } from '../tensor/session.ts'
import { Tensor } from '../tensor/tensor.ts'

export interface Write {
  readonly tensor: Tensor
  readonly value: Node
}

/** Records the writes and submits everything recorded. When that throws, the tensors are as before. */
export function commit(writes: readonly Write[]): void {
  const done: { tensor: Tensor; before: Node }[] = []
  try {
    for (const { tensor, value } of writes) {
      const before = tensor.node
      tensor.assign(new Tensor(value))
      done.push({ tensor, before })
    }
    submit([])
  } catch (error) {
    for (const { tensor, before } of done.reverse()) {
      if (before.op === 'buffer') withdrawWrite(before.attributes.storage)
      tensor.node = before
    }
    throw error
  }
}
