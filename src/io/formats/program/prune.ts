/** Taking out of a program what its outputs do not need. */
import { slotNames, type Operation, type OperatorProgram } from './program.ts'

/** The program without operations and parameters that no output depends on. */
export function prune(program: OperatorProgram): OperatorProgram {
  const needed = new Set(program.outputs.map((o) => o.value))
  const kept: Operation[] = []
  for (const operation of program.operations.toReversed()) {
    if (
      !Object.values(operation.outputs)
        .flatMap(slotNames)
        .some((n) => needed.has(n))
    )
      continue
    kept.push(operation)
    for (const name of Object.values(operation.inputs).flatMap(slotNames)) needed.add(name)
  }
  return {
    ...program,
    operations: kept.reverse(),
    parameters: new Map([...program.parameters].filter(([name]) => needed.has(name))),
    values: new Map([...program.values].filter(([name]) => needed.has(name))),
  }
}
