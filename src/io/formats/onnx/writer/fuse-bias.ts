/**
 * Convolutions take their bias as an operand in ONNX, where Paddle adds it by operations of its own: `reshape(bias, [1, -1, 1, 1])` and
 * `add`. Both are folded into the convolution.
 */
import type { HostArray } from '../../../../common/dtype.ts'
import { slotNames, type Operation, type OperatorProgram } from '../../program/program.ts'
import { FUSED_BIAS } from './rules/spatial.ts'

export interface Fused {
  readonly operations: readonly Operation[]
  /** Biases that got a shape of their own, by the name under which operations use them. */
  readonly arrays: ReadonlyMap<string, HostArray>
}

const isConvolution = (type: string): boolean => /^(depthwise_)?conv[23]d(_transpose)?$/.test(type)

const single = (slot: string | readonly string[] | null | undefined): string | undefined => {
  const names = slotNames(slot)
  return names.length === 1 ? names[0] : undefined
}

/** A program's operations with biases as operands of convolutions. */
export function fuseBias(program: OperatorProgram): Fused {
  const uses = new Map<string, number>()
  const count = (name: string): void => void uses.set(name, (uses.get(name) ?? 0) + 1)
  for (const operation of program.operations)
    for (const slot of Object.values(operation.inputs)) slotNames(slot).forEach(count)
  program.outputs.forEach((o) => count(o.value))
  const makers = new Map<string, Operation>()
  for (const operation of program.operations)
    for (const slot of Object.values(operation.outputs)) for (const name of slotNames(slot)) makers.set(name, operation)

  const replaced = new Map<Operation, Operation | null>()
  const arrays = new Map<string, HostArray>()
  for (const add of program.operations) {
    if (add.type !== 'add') continue
    const [x, y] = [single(add.inputs['x']), single(add.inputs['y'])]
    const out = single(add.outputs['out'])
    const conv = x === undefined ? undefined : makers.get(x)
    if (!conv || !isConvolution(conv.type) || y === undefined || out === undefined || uses.get(x!) !== 1) continue
    if (replaced.has(conv) || slotNames(conv.inputs[FUSED_BIAS]).length > 0) continue
    const bias = biasOf(program, makers, conv, y, arrays)
    if (bias === null) continue
    // It runs where the sum stood, when everything that it needs is there.
    replaced.set(conv, null)
    replaced.set(add, { ...conv, inputs: { ...conv.inputs, [FUSED_BIAS]: bias }, outputs: { out } })
  }
  const operations = program.operations.flatMap((o) => {
    const other = replaced.get(o)
    return other === undefined ? [o] : other === null ? [] : [other]
  })
  return { operations, arrays }
}

/** The name of a bias vector that `y` is, as many numbers as the convolution has filters, or null. */
function biasOf(
  program: OperatorProgram,
  makers: ReadonlyMap<string, Operation>,
  conv: Operation,
  y: string,
  arrays: Map<string, HostArray>,
): string | null {
  const filter = program.parameters.get(single(conv.inputs['filter']) ?? '')?.array
  if (!filter || conv.attributes['data_format'] === 'NHWC' || conv.attributes['data_format'] === 'NDHWC') return null
  const groups = Number(conv.attributes['groups'] ?? 1)
  const channels = conv.type.endsWith('transpose') ? filter.shape[1]! * groups : filter.shape[0]!
  const fits = (shape: readonly (number | bigint)[]): boolean =>
    shape.length === filter.shape.length &&
    shape.every((d, i) => Number(d) === (i === 1 ? channels : 1) || (i === 1 && Number(d) === -1))
  const own = program.parameters.get(y)?.array
  if (own && fits(own.shape)) {
    const name = `${y}.bias`
    arrays.set(name, { ...own, shape: [channels] })
    return name
  }
  const reshape = makers.get(y)
  if (reshape?.type !== 'reshape') return null
  const source = single(reshape.inputs['x'])
  const shape = reshape.attributes['shape']
  const vector = program.parameters.get(source ?? '')?.array
  if (source === undefined || !vector || !Array.isArray(shape) || !fits(shape as readonly number[])) return null
  return vector.shape.length === 1 && vector.shape[0] === channels ? source : null
}
