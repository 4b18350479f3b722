/** Dtypes and shapes of a program's intermediate values, which files must name. */
import { allocateHost } from '../../../common/dtype.ts'
import { FormatError, LongzhouError } from '../../../common/errors.ts'
import { numel } from '../../../common/shape.ts'
import { noGrad } from '../../../tensor/autograd.ts'
import { fromHost, Tensor } from '../../../tensor/tensor.ts'
import { slotNames, type OperatorProgram, type ValueInfo } from './program.ts'
import { TranslatedLayer } from './translated-layer.ts'

/** Sizes that stand for axes of any size, the batch's first: what differs between two runs is such an axis. */
const SAMPLES: readonly (readonly [batch: number, other: number])[] = [
  [2, 64],
  [3, 96],
]

/**
 * The program with dtype and shape of every value. Where they are not known it is recorded, not run, for inputs of two sizes. Throws FormatError
 * where it does not take these.
 */
export function completeValues(program: OperatorProgram): OperatorProgram {
  const values = new Map(program.values)
  for (const input of program.inputs) values.set(input.name, input)
  for (const [name, { array }] of program.parameters) values.set(name, { name, dtype: array.dtype, shape: array.shape })
  const made = program.operations.flatMap((o) => Object.values(o.outputs).flatMap(slotNames))
  const unknown = made.filter((name) => !values.has(name))
  if (unknown.length > 0) for (const info of observe(program, unknown)) values.set(info.name, info)
  return { ...program, values }
}

function observe(program: OperatorProgram, names: readonly string[]): ValueInfo[] {
  const layer = new TranslatedLayer({ ...program, outputs: names.map((name) => ({ name, value: name })) })
  const isDynamic = program.inputs.some((i) => i.shape.includes(-1))
  const runs = SAMPLES.slice(0, isDynamic ? 2 : 1).map((sizes) => shapesFor(layer, program, sizes))
  return names.map((name, i) => {
    const [first, ...more] = runs.map((run) => run[i]!)
    const shape = first!.shape.map((d, a) => (more.every((m) => m.shape[a] === d) ? d : -1))
    return { name, dtype: first!.dtype, shape }
  })
}

function shapesFor(
  layer: TranslatedLayer,
  program: OperatorProgram,
  [batch, other]: readonly [number, number],
): Tensor[] {
  const inputs = program.inputs.map(({ dtype, shape }) => {
    const concrete = shape.map((d, axis) => (d >= 0 ? d : axis === 0 ? batch : other))
    return fromHost({ dtype, shape: concrete, data: allocateHost(dtype, numel(concrete)) })
  })
  try {
    const out = noGrad(() => layer(...inputs))
    return out instanceof Tensor ? [out] : out
  } catch (cause) {
    if (!(cause instanceof LongzhouError)) throw cause
    const sizes = inputs.map((t) => `[${t.shape.join(', ')}]`).join(', ')
    throw new FormatError(
      `the shapes of values are not known, and the program does not take inputs of ${sizes}: ${cause.message}. Give its inputs fixed sizes`,
      { cause },
    )
  }
}
