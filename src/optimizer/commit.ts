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
  /** What the tensors of the first writes were. */
  const before: Node[] = []
  try {
    for (const { tensor, value } of writes) {
      const old = tensor.node
      tensor.assign(new Tensor(value))
      before.push(old)
    }
    submit([])
  } catch (error) {
    for (let i = before.length - 1; i >= 0; i--) {
      const old = before[i]!
      if (old.op === 'buffer') withdrawWrite(old.attributes.storage)
      writes[i]!.tensor.node = old
    }
    throw error
  }
}
