/** Matrix products and sums over letters. */
import { einsum } from '../../../../tensor/einsum.ts'
import { addmm, bmm, dot, matmul, mv } from '../../../../tensor/linalg.ts'
import { det } from '../../../../tensor/solve.ts'
import { bool, float, text, type Operator } from '../operator.ts'
import { binary } from './arithmetic.ts'

export const contractions = {
  matmul: {
    inputs: ['x', 'y'],
    outputs: ['out'],
    attributes: { transpose_x: bool(false), transpose_y: bool(false) },
    run: (call) =>
      matmul(call.tensor('x'), call.tensor('y'), {
        transposeX: call.bool('transpose_x'),
        transposeY: call.bool('transpose_y'),
      }),
  },
  bmm: binary(bmm),
  det: { inputs: ['x'], outputs: ['out'], attributes: {}, run: (call) => det(call.tensor('x')) },
  dot: binary(dot),
  mv: {
    inputs: ['x', 'vec'],
    outputs: ['out'],
    attributes: {},
    run: (call) => mv(call.tensor('x'), call.tensor('vec')),
  },
  addmm: {
    inputs: ['input', 'x', 'y'],
    outputs: ['out'],
    attributes: { beta: float(1), alpha: float(1) },
    run: (call) =>
      addmm(call.tensor('input'), call.tensor('x'), call.tensor('y'), {
        beta: call.number('beta'),
        alpha: call.number('alpha'),
      }),
  },
  einsum: {
    inputs: ['x*'],
    outputs: ['out', 'inner_cache*', 'xshape*'],
    attributes: { equation: text() },
    run: (call) => einsum(call.text('equation'), ...call.list('x')),
  },
} satisfies Record<string, Operator>
