/** One operation of constants, computed on the host: how readers fold what only shapes depend on. */
import type { HostArray } from '../../../common/dtype.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { withTracer } from '../../../tensor/tracer.ts'
import { BoundCall } from './call.ts'
import { atHand } from './host-values.ts'
import { resultsBySlot } from './operator.ts'
import { findOperator } from './operators/table.ts'
import { slotNames, type Operation } from './program.ts'

/** Results of an operation by name; null where the table lacks the operator. Throws what the operator throws. */
export function evaluate(
  operation: Operation,
  constantOf: (name: string) => HostArray,
): ReadonlyMap<string, HostArray> | null {
  const row = findOperator(operation.type)
  if (!row) return null
  return withTracer(null, () => {
    const operand = (name: string): Tensor => atHand(constantOf(name))
    const bySlot = resultsBySlot(row, row.run(new BoundCall(operation, row, false, operand)))
    const results = new Map<string, HostArray>()
    for (const [slot, given] of Object.entries(operation.outputs)) {
      const tensors = bySlot[slot]
      const list = tensors === undefined ? [] : tensors instanceof Tensor ? [tensors] : tensors
      slotNames(given).forEach((name, i) => {
        if (list[i]) results.set(name, list[i].hostArraySync())
      })
    }
    return results
  })
}
