/** Activations, softmax and their relatives. */
import { FormatError } from '../../../../common/errors.ts'
import {
  celu,
  elu,
  gelu,
  hardshrink,
  hardsigmoid,
  hardswish,
  hardtanh,
  leakyRelu,
  logSigmoid,
  logSoftmax,
  maxout,
  mish,
  prelu,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softmax,
  softplus,
  softshrink,
  softsign,
  swiglu,
  swish,
  tanh,
  tanhshrink,
  thresholdedRelu,
} from '../../../../nn/functional/activation.ts'
import { stanh } from '../../../../tensor/elementary.ts'
import { reshape } from '../../../../tensor/shaping.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, text, type AttributeSpec, type Operator } from '../operator.ts'

/** x -> out without attributes. */
export function unary(f: (x: Tensor) => Tensor): Operator {
  return { inputs: ['x'], outputs: ['out'], attributes: {}, run: (call) => f(call.tensor('x')) }
}

/** x -> out with numbers as attributes, which are the function's arguments in this order. */
function numeric(
  attributes: Readonly<Record<string, AttributeSpec>>,
  f: (x: Tensor, ...values: number[]) => Tensor,
): Operator {
  const names = Object.keys(attributes)
  return {
    inputs: ['x'],
    outputs: ['out'],
    attributes,
    run: (call) => f(call.tensor('x'), ...names.map((name) => call.number(name))),
  }
}

export const activations = {
  relu: unary(relu),
  relu6: unary(relu6),
  logsigmoid: unary(logSigmoid),
  softsign: unary(softsign),
  tanh_shrink: unary(tanhshrink),
  // Its threshold only keeps exponentials within bounds.
  mish: { ...unary(mish), attributes: { lambda: float(20) } },
  elu: numeric({ alpha: float(1) }, elu),
  celu: numeric({ alpha: float(1) }, celu),
  selu: numeric({ scale: float(1.0507009873554805), alpha: float(1.6732632423543772) }, selu),
  hardtanh: numeric({ t_min: float(0), t_max: float(24) }, hardtanh),
  hardshrink: numeric({ threshold: float(0.5) }, hardshrink),
  softshrink: numeric({ threshold: float(0.5) }, softshrink),
  softplus: numeric({ beta: float(1), threshold: float(20) }, softplus),
  stanh: numeric({ scale_a: float(0.67), scale_b: float(1.7159) }, stanh),
  thresholded_relu: numeric({ threshold: float(1), value: float(0) }, thresholdedRelu),
  maxout: numeric({ groups: int(), axis: int(1) }, maxout),
  prelu: {
    inputs: ['x', 'alpha'],
    outputs: ['out'],
    attributes: { data_format: text('NCHW'), mode: text('all') },
    run(call) {
      if (call.text('mode') === 'element')
        throw new FormatError("operator 'prelu' with mode 'element' is not supported")
      return prelu(call.tensor('x'), reshape(call.tensor('alpha'), [-1]), call.text('data_format'))
    },
  },
  swiglu: {
    inputs: ['x', 'y?'],
    outputs: ['out'],
    attributes: {},
    run: (call) => swiglu(call.tensor('x'), call.optional('y') ?? undefined),
  },
  sigmoid: unary(sigmoid),
  tanh: unary(tanh),
  silu: unary(silu),
  swish: unary(swish),
  hardswish: unary(hardswish),
  hardsigmoid: numeric({ slope: float(0.2), offset: float(0.5) }, hardsigmoid),
  leaky_relu: numeric({ negative_slope: float(0.02) }, leakyRelu),
  gelu: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { approximate: bool(false) },
    run: (call) => gelu(call.tensor('x'), call.bool('approximate')),
  },
  softmax: numeric({ axis: int(-1) }, (x, axis) => softmax(x, axis)),
  log_softmax: numeric({ axis: int(-1) }, (x, axis) => logSoftmax(x, axis)),
} satisfies Record<string, Operator>
