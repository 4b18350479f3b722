/** Operators as Paddle Lite has them. (List of operators: `paddle_lite_opt --print_all_ops` of 2.12, columns Host, ARM and X86.) */
import { FormatError } from '../../common/errors.ts'
import { VAR_TYPE, type ProgramDesc } from './paddle/program-desc.ts'
import { slotNames, type Operation, type OperatorProgram } from './program/program.ts'

type Instead = (operation: Operation) => readonly Operation[]

const renamed =
  (type: string, attributes: Operation['attributes'] = {}): Instead =>
  (o) => [{ ...o, type, attributes: { ...o.attributes, ...attributes } }]

/** Rows of the operator table that other ones, which Paddle Lite has, can say. */
const instead: Readonly<Record<string, Instead>> = {
  silu: renamed('swish'),
  bmm: renamed('matmul', { transpose_x: false, transpose_y: false }),
  mean_all: renamed('mean', { axis: [], keepdim: false }),
  amax: renamed('max'),
  amin: renamed('min'),
  // Its kernels do not look at `approximate`.
  gelu: (o) => (o.attributes['approximate'] === true ? geluByTanh(o) : [o]),
}

/** x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel, 2016). */
function geluByTanh({ inputs, outputs, ...rest }: Operation): Operation[] {
  const [[x], [out]] = [slotNames(inputs['x']), slotNames(outputs['out'])] as [string[], string[]]
  const made = (i: number): string => `${out}.tanh${i}`
  const call = (type: string, to: string, held: Operation['inputs'], attributes: Operation['attributes'] = {}) => ({
    ...rest,
    type,
    inputs: held,
    outputs: { out: to },
    attributes,
  })
  const scale = (to: string, from: string, factor: number, bias: number): Operation =>
    call('scale', to, { x: from }, { scale: factor, bias, bias_after_scale: true })
  return [
    call('multiply', made(0), { x: x!, y: x! }),
    scale(made(1), made(0), 0.044715, 1),
    call('multiply', made(2), { x: x!, y: made(1) }),
    scale(made(3), made(2), Math.sqrt(2 / Math.PI), 0),
    call('tanh', made(4), { x: made(3) }),
    scale(made(5), made(4), 0.5, 0.5),
    call('multiply', out!, { x: x!, y: made(5) }),
  ]
}

/** The program with operators that Paddle Lite has in place of those that it lacks. */
export function withLiteOperators(program: OperatorProgram): OperatorProgram {
  return { ...program, operations: program.operations.flatMap((o) => instead[o.type]?.(o) ?? [o]) }
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
  if (lacking.length === 0) return
  const counts = new Map<string, number>()
  for (const what of lacking) counts.set(what, (counts.get(what) ?? 0) + 1)
  const names = [...counts].map(([name, count]) => `${name} (${count})`)
  throw new FormatError(`Paddle Lite 2.12 has no kernels for: ${names.join(', ')}`)
}
