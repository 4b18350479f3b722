/** Taking out of a program what its outputs do not need. */
import { slotNames, type Operation, type OperatorProgram } from './program.ts'

/** The program without operations, results and parameters that no output depends on. */
export function prune(program: OperatorProgram): OperatorProgram {
  const needed = new Set(program.outputs.map((o) => o.value))
  const kept: Operation[] = []
  for (const operation of program.operations.toReversed()) {
    const outputs = Object.entries(operation.outputs).filter(([, held]) => slotNames(held).some((n) => needed.has(n)))
    if (outputs.length === 0) continue
    kept.push({ ...operation, outputs: Object.fromEntries(outputs) })
    for (const name of Object.values(operation.inputs).flatMap(slotNames)) needed.add(name)
  }
  // Of a list that is needed in part, all are named.
  const named = new Set([...needed, ...kept.flatMap((o) => Object.values(o.outputs).flatMap(slotNames))])
  return {
    ...program,
    operations: kept.reverse(),
    parameters: new Map([...program.parameters].filter(([name]) => named.has(name))),
    values: new Map([...program.values].filter(([name]) => named.has(name))),
  }
}
