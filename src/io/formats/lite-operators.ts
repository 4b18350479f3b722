/** Operators as Paddle Lite has them. (List of operators: `paddle_lite_opt --print_all_ops` of 2.12, columns Host, ARM and X86.) */
import { isInteger, type DType } from '../../common/dtype.ts'
import { UnsupportedError } from '../../common/errors.ts'
import { VAR_TYPE, type ProgramDesc } from './paddle/program-desc.ts'
import { completeValues } from './program/complete.ts'
import { slotNames, type Operation, type OperatorProgram } from './program/program.ts'

/** What a rule asks of the program: dtypes of values. */
type DTypeOf = (name: string) => DType | undefined
/** What to write instead, or what cannot be said, by name. */
type Instead = (operation: Operation, dtypeOf: DTypeOf) => readonly Operation[] | string

const renamed =
  (type: string, attributes: Operation['attributes'] = {}): Instead =>
  (o) => [{ ...o, type, attributes: { ...o.attributes, ...attributes } }]

/** Rows of the operator table that other ones, which Paddle Lite has and computes rightly, can say. */
const instead: Readonly<Record<string, Instead>> = {
  silu: renamed('swish'),
  bmm: renamed('matmul', { transpose_x: false, transpose_y: false }),
  mean_all: renamed('mean', { axis: [], keepdim: false }),
  amax: renamed('max'),
  amin: renamed('min'),
  // Its kernels do not look at `approximate`.
  gelu: (o) => (o.attributes['approximate'] === true ? geluByTanh(o) : [o]),
  floor_divide: flooredQuotient,
  remainder: remainderByFloats,
  pad3d: paddedByMask,
}

/** Operations in the place of one: each makes a value named after its result, the last one the result. */
class Steps {
  readonly operations: Operation[] = []
  readonly #whole: Operation
  readonly #out: string

  constructor(whole: Operation) {
    this.#whole = whole
    this.#out = slotNames(whole.outputs['out'])[0]!
  }

  add(type: string, inputs: Operation['inputs'], attributes: Operation['attributes'] = {}): string {
    const out = `${this.#out}.${this.#whole.type}${this.operations.length}`
    this.operations.push({ ...this.#whole, type, inputs, outputs: { out }, attributes })
    return out
  }

  toFloat(x: string): string {
    return this.add('cast', { x }, { dtype: 'float32' })
  }

  last(type: string, inputs: Operation['inputs'], attributes: Operation['attributes'] = {}): readonly Operation[] {
    this.add(type, inputs, attributes)
    return [...this.operations.slice(0, -1), { ...this.operations.at(-1)!, outputs: { out: this.#out } }]
  }
}

const operandOf = ({ inputs }: Operation, slot: string): string => slotNames(inputs[slot])[0]!

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel, 2016). */
function geluByTanh(o: Operation): readonly Operation[] {
  const [x, steps] = [operandOf(o, 'x'), new Steps(o)]
  const scale = (from: string, factor: number, bias: number): string =>
    steps.add('scale', { x: from }, { scale: factor, bias, bias_after_scale: true })
  const inner = scale(steps.add('multiply', { x, y: x }), 0.044715, 1)
  const tanh = steps.add('tanh', { x: scale(steps.add('multiply', { x, y: inner }), Math.sqrt(2 / Math.PI), 0) })
  return steps.last('multiply', { x, y: scale(tanh, 0.5, 0.5) })
}

/** floor(x / y), of integers exact up to 2^24: its `elementwise_floordiv` rounds towards zero. */
function flooredQuotient(o: Operation, dtypeOf: DTypeOf): readonly Operation[] {
  const dtype = dtypeOf(operandOf(o, 'x'))
  const [steps, x, y] = [new Steps(o), operandOf(o, 'x'), operandOf(o, 'y')]
  if (dtype === undefined || !isInteger(dtype)) return steps.last('floor', { x: steps.add('divide', { x, y }) })
  const quotient = steps.add('divide', { x: steps.toFloat(x), y: steps.toFloat(y) })
  return steps.last('cast', { x: steps.add('floor', { x: quotient }) }, { dtype })
}

/**
 * x - y floor(x / y) of integers, exact up to 2^24. Its `elementwise_mod` has kernels of integers for each processor under another name, and a file
 * that runs on all can name none. Of floats it has none, and takes them for integers.
 */
function remainderByFloats(o: Operation, dtypeOf: DTypeOf): readonly Operation[] | string {
  const dtype = dtypeOf(operandOf(o, 'x'))
  if (dtype === undefined || !isInteger(dtype)) return `elementwise_mod of ${dtype ?? 'floats'}`
  const steps = new Steps(o)
  const [x, y] = [steps.toFloat(operandOf(o, 'x')), steps.toFloat(operandOf(o, 'y'))]
  const quotient = steps.add('floor', { x: steps.add('divide', { x, y }) })
  const whole = steps.add('multiply', { x: quotient, y })
  return steps.last('cast', { x: steps.add('subtract', { x, y: whole }) }, { dtype })
}

/**
 * Its `pad3d` pads with bytes that are the value as an integer, which is right for 0 alone. Another value is added where padding shows: ones are padded
 * with 0 likewise, and value (1 - that) is 0 inside and the value outside, both exactly if the value is finite.
 */
function paddedByMask(o: Operation): readonly Operation[] | string {
  const { mode = 'constant', pad_value: given = 0 } = o.attributes
  const value = Number(given)
  if (mode !== 'constant' || value === 0) return [o]
  if (!Number.isFinite(value)) return `pad3d with the value ${value}`
  const [steps, attributes] = [new Steps(o), { ...o.attributes, pad_value: 0 }]
  const padded = steps.add('pad3d', o.inputs, attributes)
  const ones = steps.add('full_like', { x: operandOf(o, 'x') }, { value: 1 })
  const mask = steps.add('pad3d', { ...o.inputs, x: ones }, attributes)
  const outside = steps.add('scale', { x: mask }, { scale: -value, bias: value, bias_after_scale: true })
  return steps.last('add', { x: padded, y: outside })
}

/** Rules that look at dtypes. */
const typed = new Set(['floor_divide', 'remainder'])

/**
 * The program with operators that Paddle Lite has in place of those that it lacks, or computes otherwise. Throws FormatError with everything that it
 * computes otherwise and that cannot be said in another way.
 */
export function withLiteOperators(given: OperatorProgram): OperatorProgram {
  const program = given.operations.some((o) => typed.has(o.type)) ? completeValues(given) : given
  const dtypeOf: DTypeOf = (name) => program.values.get(name)?.dtype
  const made = program.operations.map((o) => instead[o.type]?.(o, dtypeOf) ?? [o])
  refuse(made.filter((m) => typeof m === 'string'))
  return { ...program, operations: made.flat().filter((o) => typeof o !== 'string') }
}

/** Legacy operators for which its runtime has kernels neither of the host nor of Arm or x86 processors. */
const missing = new Set(
  (
    'acos acosh addmm arg_min asin asinh atan atan2 atanh bce_loss bicubic_interp_v2 bitwise_and bitwise_not bitwise_or bitwise_xor ' +
    'broadcast_tensors ceil celu channel_shuffle conv3d_transpose cosh cumprod dot einsum elementwise_fmax elementwise_fmin erfinv ' +
    'expand_as_v2 expm1 eye fold frobenius_norm hard_shrink huber_loss index_sample isfinite_v2 isinf_v2 isnan_v2 kldiv_loss label_smooth ' +
    'lerp lgamma linear_interp_v2 log10 log1p log2 log_loss logsigmoid logsumexp max_pool3d_with_index maxout mv nll_loss pad ' +
    'pixel_unshuffle pool3d put_along_axis repeat_interleave round selu sigmoid_cross_entropy_with_logits sinh size ' +
    'softmax_with_cross_entropy softshrink stanh take_along_axis tan tanh_shrink trilinear_interp_v2 trunc warpctc'
  ).split(' '),
)

/** Throws FormatError with everything that Paddle Lite has no kernels for, and how often it is used. */
export function refuseMissing(program: ProgramDesc): void {
  const lacking = program.blocks.flatMap((b) => [
    ...b.ops.filter((o) => missing.has(o.type)).map((o) => o.type),
    ...b.vars.filter((v) => v.type.tensor?.dataType === VAR_TYPE.float64).map(() => 'values of float64'),
  ])
  refuse(lacking)
}

function refuse(lacking: readonly string[]): void {
  if (lacking.length === 0) return
  const counts = new Map<string, number>()
  for (const what of lacking) counts.set(what, (counts.get(what) ?? 0) + 1)
  const names = [...counts].map(([name, count]) => `${name} (${count})`)
  throw new UnsupportedError(`Paddle Lite 2.12 has no kernels for: ${names.join(', ')}`)
}
