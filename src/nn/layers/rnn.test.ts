import { beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { grad } from '../../tensor/autograd.ts'
import { toTensor } from '../../tensor/creation.ts'
import { setDevice } from '../../tensor/device.ts'
import { concat, flip } from '../../tensor/manipulation.ts'
import { tanh } from '../../tensor/elementary.ts'
import { add, multiply } from '../../tensor/math.ts'
import '../../tensor/methods.ts'
import { rand, seed } from '../../tensor/random.ts'
import type { NestedArray, Tensor } from '../../tensor/tensor.ts'
import { guard } from '../unique-name.ts'
import { Linear } from './common.ts'
import { GRUCell, LSTMCell, RNNCellBase, SimpleRNNCell } from './rnn-cell.ts'
import { BiRNN, GRU, LSTM, RNN, SimpleRNN } from './rnn.ts'

beforeAll(() => setDevice('reference'))

function expectClose(got: NestedArray, expected: NestedArray): void {
  const flat = (x: NestedArray): number[] => [x].flat(9) as number[]
  expect(flat(got).length).toBe(flat(expected).length)
  flat(got).forEach((v, i) => expect(v).toBeCloseTo(flat(expected)[i]!, 5))
}

async function expectEqual(got: Tensor, expected: Tensor): Promise<void> {
  expect(got.shape).toEqual(expected.shape)
  expectClose(await got.array(), await expected.array())
}

/** Step t of [B, T, ..]. */
const at = (x: Tensor, t: number): Tensor => x.slice([1], [t], [t + 1]).squeeze(1)

describe('parameters', () => {
  test('have Paddle names, in its order, flat and by cell', () => {
    const lstm = guard(() => new LSTM(3, 2, { numLayers: 2, direction: 'bidirect' }))
    const parts = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh']
    const flat = ['l0', 'l0_reverse', 'l1', 'l1_reverse'].flatMap((s) => parts.map((p) => `${p}_${s}`))
    expect(lstm.namedParameters().map(([name]) => name)).toEqual(flat)
    const cells = ['0.cell_fw', '0.cell_bw', '1.cell_fw', '1.cell_bw'].flatMap((c) => parts.map((p) => `${c}.${p}`))
    const state = lstm.stateDict()
    expect(Object.keys(state)).toEqual([...flat, ...cells])
    expect(state['1.cell_bw.weight_hh']).toBe(state['weight_hh_l1_reverse'])
    expect(lstm.parameters().map((p) => p.name)).toEqual(
      [0, 1, 2, 3].flatMap((c) => ['w_0', 'w_1', 'b_0', 'b_1'].map((p) => `lstm_cell_${c}.${p}`)),
    )
  })

  test('start as in Paddle after the same seed', async () => {
    seed(7)
    const state = new LSTM(3, 2, { numLayers: 2, direction: 'bidirectional' }).stateDict()
    // Recorded: the first two elements after paddle.seed(7).
    const recorded: Record<string, [number, number]> = {
      weight_ih_l0: [-0.6860459446907043, 0.22328060865402222],
      bias_hh_l0: [0.19493025541305542, -0.3772768974304199],
      weight_hh_l0_reverse: [-0.4284595251083374, 0.2759559750556946],
      weight_ih_l1: [-0.6768923401832581, 0.15614831447601318],
      bias_hh_l1_reverse: [-0.47855186462402344, 0.34806329011917114],
    }
    for (const [name, values] of Object.entries(recorded))
      expect([...(await state[name]!.data())].slice(0, 2)).toEqual(values)
  })

  test('false freezes a bias at 0', async () => {
    const cell = new GRUCell(3, 2, { biasIhAttr: false })
    expect(cell.bias_ih.stopGradient).toBe(true)
    expect(await cell.bias_ih.array()).toEqual([0, 0, 0, 0, 0, 0])
    expect(cell.bias_hh.stopGradient).toBe(false)
  })

  test('printing', () => {
    expect(String(new GRU(3, 2, { numLayers: 2, dropout: 0.5 }))).toBe(
      'GRU(\n  3, 2, num_layers=2, dropout=0.5\n  (0): RNN(\n    (cell): GRUCell(3, 2)\n  )\n  (1): RNN(\n    (cell): GRUCell(2, 2)\n  )\n)',
    )
    expect(String(new SimpleRNNCell(3, 2, { activation: 'relu' }))).toBe('SimpleRNNCell(3, 2, activation=relu)')
  })
})

describe('sequences', () => {
  test('an LSTM is its cell step after step, also with a projection', async () => {
    for (const projSize of [0, 2]) {
      const lstm = new LSTM(3, 4, { projSize })
      const cell = (lstm.namedSublayers().find(([name]) => name === '0.cell')?.[1] ?? null) as LSTMCell
      const x = rand([2, 3, 3])
      const [y, [h, c]] = lstm(x)
      expect([y.shape, h.shape, c.shape]).toEqual([
        [2, 3, projSize || 4],
        [1, 2, projSize || 4],
        [1, 2, 4],
      ])
      let states: [Tensor, Tensor] | null = null
      for (let t = 0; t < 3; t++) {
        const [output, next]: [Tensor, [Tensor, Tensor]] = cell(at(x, t), states)
        states = next
        await expectEqual(at(y, t), output)
      }
      await expectEqual(h.squeeze(0), states![0])
      await expectEqual(c.squeeze(0), states![1])
    }
  })

  test('the second direction runs from the end', async () => {
    const gru = new GRU(3, 2, { direction: 'bidirect' })
    const backward = new GRU(3, 2)
    const state = gru.stateDict()
    backward.setStateDict(
      Object.fromEntries(
        Object.entries(backward.stateDict()).map(([name]) => [
          name,
          state[name.replace('0.cell', '0.cell_bw').replace('_l0', '_l0_reverse')]!,
        ]),
      ),
    )
    const x = rand([2, 4, 3])
    const [y, h] = gru(x)
    const [yb, hb] = backward(flip(x, 1))
    await expectEqual(y.slice([2], [2], [4]), flip(yb, 1))
    await expectEqual(h.slice([0], [1], [2]), hb)
  })

  test('time-major inputs give the same', async () => {
    const rnn = new SimpleRNN(3, 2, { numLayers: 2, activation: 'relu' })
    const other = new SimpleRNN(3, 2, { numLayers: 2, activation: 'relu', timeMajor: true })
    other.setStateDict(rnn.stateDict())
    const x = rand([2, 4, 3])
    const [y, h] = rnn(x)
    const [yt, ht] = other(x.transpose([1, 0, 2]))
    await expectEqual(yt.transpose([1, 0, 2]), y)
    await expectEqual(ht, h)
  })

  test.each([GRU, SimpleRNN])('padding neither counts nor comes out (%o)', async (Kind) => {
    const layer = new Kind(3, 2, { numLayers: 2, direction: 'bidirect' })
    const x = rand([2, 4, 3])
    const [y, h] = layer(x, null, toTensor([4, 2], { dtype: 'int32' }))
    const [short, hShort] = layer(x.slice([0, 1], [1, 0], [2, 2]))
    await expectEqual(y.slice([0, 1], [1, 0], [2, 2]), short)
    await expectEqual(h.slice([1], [1], [2]), hShort)
    expect([await y.slice([0, 1], [1, 2], [2, 4]).array()].flat(9).every((v) => v === 0)).toBe(true)
  })

  test('dropout acts between layers and while training only', async () => {
    const lstm = new LSTM(3, 8, { numLayers: 2, dropout: 0.5 })
    const x = rand([1, 3, 3])
    const first = await lstm(x)[0].array()
    expect(await lstm(x)[0].array()).not.toEqual(first)
    lstm.eval()
    expect(await lstm(x)[0].array()).toEqual(await lstm(x)[0].array())
  })

  test('no step at all returns the initial states', async () => {
    const gru = new GRU(3, 2)
    const initial = rand([1, 2, 2])
    const [y, h] = gru(rand([2, 0, 3]), initial)
    expect(y.shape).toEqual([2, 0, 2])
    await expectEqual(h, initial)
  })

  test('gradients reach the initial states', async () => {
    const gru = new GRU(3, 2, { numLayers: 2 })
    const initial = rand([2, 1, 2])
    initial.stopGradient = false
    const [g] = grad(gru(rand([1, 3, 3]), initial)[0].sum(), initial)
    expect(([await g!.array()].flat(9) as number[]).every((v) => v !== 0)).toBe(true)
  })
})

/** A cell of a user's own: an Elman cell with a gate on the input, and states in a nest. */
class GatedElman extends RNNCellBase {
  input = new Linear(3, 2)
  hidden = new Linear(2, 2)

  get stateShape(): [[number], [number]] {
    return [[2], [2]]
  }

  override forward(x: Tensor, states: readonly [Tensor, Tensor]): [Tensor, [Tensor, Tensor]] {
    const h = tanh(add(this.input(x), this.hidden(states[0])))
    return [multiply(h, 2), [h, add(states[1], h)]]
  }
}

describe('wrappers', () => {
  test('RNN runs any cell as one loop', async () => {
    const cell = new GatedElman()
    const rnn = new RNN(cell)
    const x = rand([2, 3, 3])
    const [y, states] = rnn(x)
    let before = cell.getInitialStates(x) as [Tensor, Tensor]
    const outputs: Tensor[] = []
    for (let t = 0; t < 3; t++) {
      const [output, after] = cell(at(x, t), before)
      outputs.push(output.unsqueeze(1))
      before = after
    }
    const expected = concat(outputs, 1)
    await expectEqual(y, expected)
    await expectEqual((states as Tensor[])[1]!, before[1])
    const parameters = cell.parameters()
    const loop = grad(y.square().sum(), parameters)
    const steps = grad(expected.square().sum(), parameters)
    for (const [i, g] of loop.entries()) await expectEqual(g, steps[i]!)
  })

  test('RNN keeps states past the length, forwards and backwards', async () => {
    const cell = new GatedElman()
    const x = rand([2, 3, 3])
    const lengths = toTensor([3, 2])
    for (const isReverse of [false, true]) {
      const rnn = new RNN(cell, { isReverse })
      const [, states] = rnn(x, null, lengths)
      const [, short] = rnn(x.slice([0, 1], [1, 0], [2, 2]))
      await expectEqual((states as Tensor[])[0]!.slice([0], [1], [2]), (short as Tensor[])[0]!)
    }
  })

  test('BiRNN joins two cells', async () => {
    const both = new BiRNN(new LSTMCell(3, 2), new GatedElman(), { timeMajor: true })
    const x = rand([4, 2, 3])
    const [y, [forward, backward]] = both(x)
    expect(y.shape).toEqual([4, 2, 4])
    await expectEqual(y.slice([2], [0], [2]), new RNN(both.cell_fw, { timeMajor: true })(x)[0])
    await expectEqual(y.slice([2], [2], [4]), new RNN(both.cell_bw, { timeMajor: true, isReverse: true })(x)[0])
    expect((forward as Tensor[]).length + (backward as Tensor[]).length).toBe(4)
  })

  test('types of results', () => {
    const lstm = new LSTM(3, 2)
    expectTypeOf(lstm(rand([1, 1, 3]))).toEqualTypeOf<[Tensor, [Tensor, Tensor]]>()
    expectTypeOf(new GRUCell(3, 2)(rand([1, 3]))).toEqualTypeOf<[Tensor, Tensor]>()
  })
})

describe('what does not fit', () => {
  test('is refused with sizes', () => {
    expect(() => new LSTM(3, 0)).toThrow(ArgumentError)
    expect(() => new LSTM(3, 2, { direction: 'backward' as never })).toThrow(/direction must be/)
    expect(() => new LSTM(3, 2, { numLayers: 0 })).toThrow(/numLayers/)
    expect(() => new LSTM(3, 2, { projSize: 2 })).toThrow(/projSize/)
    expect(() => new GRU(3, 2, { dropout: 2 })).toThrow(/dropout/)
    expect(() => new SimpleRNNCell(3, 2, { activation: 'gelu' as never })).toThrow(/'tanh' or 'relu'/)
    const lstm = new LSTM(3, 2)
    expect(() => lstm(rand([2, 4, 5]))).toThrow(/have 5 features, the layer takes 3/)
    expect(() => lstm(rand([4, 3]))).toThrow(ShapeError)
    const two = rand([2, 2, 2])
    expect(() => lstm(rand([2, 4, 3]), [two, two])).toThrow(/initial states must be \[1, 2, 2\]/)
    expect(() => lstm(rand([2, 4, 3]), null, toTensor([1]))).toThrow(/sequenceLength must be \[2\]/)
    expect(() => new GRUCell(3, 2)(rand([2, 3]), rand([3, 2]))).toThrow(/states must be \[2, 2\]/)
  })
})
