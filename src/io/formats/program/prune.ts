/** Taking out of a program what its outputs do not need. */
import { slotNames, type Operation, type OperatorProgram } from './program.ts'

/** The operations that the named values need, in order, each whole. */
export function neededOperations(operations: readonly Operation[], values: Iterable<string>): Operation[] {
  const needed = new Set(values)
  const kept: Operation[] = []
  for (const operation of operations.toReversed()) {
    if (!namesIn(operation.outputs).some((n) => needed.has(n))) continue
    kept.push(operation)
    for (const name of namesIn(operation.inputs)) needed.add(name)
  }
  return kept.reverse()
}

const namesIn = (slots: Operation['inputs']): string[] => Object.values(slots).flatMap(slotNames)

/** The program without operations, results and parameters that no output depends on. */
export function prune(program: OperatorProgram): OperatorProgram {
  const outputs = program.outputs.map((o) => o.value)
  const whole = neededOperations(program.operations, outputs)
  const needed = new Set([...outputs, ...whole.flatMap((o) => namesIn(o.inputs))])
  const operations = whole.map((operation) => {
    const used = Object.entries(operation.outputs).filter(([, held]) => slotNames(held).some((n) => needed.has(n)))
    return { ...operation, outputs: Object.fromEntries(used) }
  })
  // Of a list that is needed in part, all are named.
  const named = new Set([...needed, ...operations.flatMap((o) => namesIn(o.outputs))])
  return {
    ...program,
    operations,
    parameters: new Map([...program.parameters].filter(([name]) => named.has(name))),
    values: new Map([...program.values].filter(([name]) => named.has(name))),
  }
}
