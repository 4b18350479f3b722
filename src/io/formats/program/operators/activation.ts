/** Activations, softmax and their relatives. */
import {
  gelu,
  hardsigmoid,
  hardswish,
  leakyRelu,
  logSoftmax,
  relu,
  sigmoid,
  silu,
  softmax,
  swish,
  tanh,
} from '../../../../nn/functional/activation.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { bool, float, int, type Operator } from '../operator.ts'

/** x -> out without attributes. */
export function unary(f: (x: Tensor) => Tensor): Operator {
  return { inputs: ['x'], outputs: ['out'], attributes: {}, run: (call) => f(call.tensor('x')) }
}

export const activations = {
  relu: unary(relu),
  sigmoid: unary(sigmoid),
  tanh: unary(tanh),
  silu: unary(silu),
  swish: unary(swish),
  hardswish: unary(hardswish),
  hardsigmoid: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { slope: float(0.2), offset: float(0.5) },
    run: (call) => hardsigmoid(call.tensor('x'), call.number('slope'), call.number('offset')),
  },
  leaky_relu: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { negative_slope: float(0.02) },
    run: (call) => leakyRelu(call.tensor('x'), call.number('negative_slope')),
  },
  gelu: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { approximate: bool(false) },
    run: (call) => gelu(call.tensor('x'), call.bool('approximate')),
  },
  softmax: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: int(-1) },
    run: (call) => softmax(call.tensor('x'), call.number('axis')),
  },
  log_softmax: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: int(-1) },
    run: (call) => logSoftmax(call.tensor('x'), call.number('axis')),
  },
} satisfies Record<string, Operator>
