import { beforeAll, expect, test } from 'vitest'
import { grad } from '../../../../tensor/autograd.ts'
import { setDevice } from '../../../../tensor/device.ts'
import { sigmoid, tanh } from '../../../../tensor/elementary.ts'
import { matmul } from '../../../../tensor/linalg.ts'
import { split, stack, unbind } from '../../../../tensor/manipulation.ts'
import { add, multiply, subtract } from '../../../../tensor/math.ts'
import { rand, seed } from '../../../../tensor/random.ts'
import { sum } from '../../../../tensor/reduction.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { BoundCall } from '../call.ts'
import { recurrences } from './recurrent.ts'

beforeAll(() => setDevice('reference'))

const [time, batch, width, hidden] = [4, 2, 3, 2]

/** Operands that take gradients: x, the weights of one cell, its states. */
function operands(gates: number, states: number, hasPeepholes: boolean): Tensor[] {
  seed(3)
  const rows = gates * hidden
  const shapes = [[time, batch, width], [rows, width], [rows, hidden], [rows], [rows]]
  if (hasPeepholes) shapes.push([3 * hidden])
  for (let i = 0; i < states; i++) shapes.push([1, batch, hidden])
  return shapes.map((shape) => {
    const x = subtract(rand(shape), 0.5)
    x.stopGradient = false
    return x
  })
}

function recurrent(mode: string, given: readonly Tensor[], weights: number): Tensor {
  const names = given.map((_, i) => `v${i}`)
  const inputs = { x: 'v0', weight_list: names.slice(1, 1 + weights), pre_state: names.slice(1 + weights) }
  const operation = { type: 'onnx.rnn', inputs, outputs: { out: 'out' }, attributes: { mode, hidden_size: hidden } }
  const row = recurrences['onnx.rnn']
  const results = row.run(new BoundCall(operation, row, true, (name) => given[names.indexOf(name)]!))
  return (results as { readonly out: Tensor }).out
}

const linear = (x: Tensor, w: Tensor, b: Tensor): Tensor => add(matmul(x, w, { transposeY: true }), b)

async function expectSame(got: Tensor, expected: Tensor, given: readonly Tensor[]): Promise<void> {
  const loss = (out: Tensor): Tensor => sum(multiply(out, out))
  const gradients = [grad(loss(got), [...given]), grad(loss(expected), [...given])] as const
  const pairs = [[got, expected] as const, ...gradients[0].map((g, i) => [g!, gradients[1][i]!] as const)]
  for (const [a, b] of pairs) {
    expect(a.shape).toEqual(b.shape)
    const [x, y] = [await a.data(), await b.data()]
    Array.from(x, Number).forEach((v, i) => expect(v).toBeCloseTo(Number(y[i]), 5))
  }
}

test('a reset gate before the product of the state, and its gradients', async () => {
  const given = operands(3, 1, false)
  const [x, wi, wh, bi, bh, h0] = given as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
  const [whrz, whc] = split(wh, [2 * hidden, hidden], 0) as [Tensor, Tensor]
  const [bhrz, bhc] = split(bh, [2 * hidden, hidden], 0) as [Tensor, Tensor]
  let [h] = unbind(h0, 0) as [Tensor]
  const outputs = unbind(x, 0).map((step) => {
    const [xr, xz, xc] = split(linear(step, wi, bi), 3, 1) as [Tensor, Tensor, Tensor]
    const [hr, hz] = split(linear(h, whrz, bhrz), 2, 1) as [Tensor, Tensor]
    const [r, z] = [sigmoid(add(xr, hr)), sigmoid(add(xz, hz))]
    const candidate = tanh(add(xc, linear(multiply(r, h), whc, bhc)))
    h = add(multiply(subtract(1, z), candidate), multiply(z, h))
    return h
  })
  await expectSame(recurrent('GRU_RESET_BEFORE', given, 4), stack(outputs, 0), given)
})

test('peepholes, and their gradients', async () => {
  const given = operands(4, 2, true)
  const [x, wi, wh, bi, bh, p, h0, c0] = given as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
  const [pi, pf, po] = split(p, 3, 0) as [Tensor, Tensor, Tensor]
  let [[h], [c]] = [unbind(h0, 0) as [Tensor], unbind(c0, 0) as [Tensor]]
  const outputs = unbind(x, 0).map((step) => {
    const gates = add(linear(step, wi, bi), linear(h, wh, bh))
    const [i, f, g, o] = split(gates, 4, 1) as [Tensor, Tensor, Tensor, Tensor]
    const kept = multiply(sigmoid(add(f, multiply(pf, c))), c)
    c = add(kept, multiply(sigmoid(add(i, multiply(pi, c))), tanh(g)))
    h = multiply(sigmoid(add(o, multiply(po, c))), tanh(c))
    return h
  })
  await expectSame(recurrent('LSTM_PEEPHOLE', given, 5), stack(outputs, 0), given)
})
