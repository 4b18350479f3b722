/** `summary` and `flops` against numbers counted by hand. */
import { beforeAll, describe, expect, test } from 'vitest'
import * as nn from '../nn/index.ts'
import { flatten, setDevice, zeros, type Tensor } from '../tensor/index.ts'
import { flops, Model, summary } from './index.ts'

beforeAll(() => setDevice('reference'))

class SimpleCNN extends nn.Layer {
  conv1 = new nn.Conv2D(3, 32, { kernelSize: 3 })
  relu = new nn.ReLU()
  pool = new nn.MaxPool2D({ kernelSize: 2, stride: 2 })
  fc = new nn.Linear(32 * 15 * 15, 10)

  forward(x: Tensor): Tensor {
    return this.fc(flatten(this.pool(this.relu(this.conv1(x))), 1))
  }
}

function summarized(network: nn.Layer, size: readonly number[]): { table: string; totals: unknown } {
  let table = ''
  const totals = summary(network, size, { print: (text) => (table += text) })
  return { table, totals }
}

const rows = (table: string): string[][] =>
  table
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
    .filter((cells) => cells.length === 4)
    .slice(1)

describe('summary', () => {
  test('a row for each layer in the order of the calls, with shapes and parameters', () => {
    const { table, totals } = summarized(new SimpleCNN(), [2, 3, 32, 32])
    expect(rows(table)).toEqual([
      ['Conv2D-1', '[2, 3, 32, 32]', '[2, 32, 30, 30]', '896'],
      ['ReLU-2', '[2, 32, 30, 30]', '[2, 32, 30, 30]', '0'],
      ['MaxPool2D-3', '[2, 32, 30, 30]', '[2, 32, 15, 15]', '0'],
      ['Linear-4', '[2, 7200]', '[2, 10]', '72,010'],
    ])
    expect(totals).toEqual({ totalParams: 72_906, trainableParams: 72_906 })
    expect(table).toMatch(/Total params: 72,906\nTrainable params: 72,906\nNon-trainable params: 0/)
    // 2 x 3 x 32 x 32 x 4 bytes; values and gradients of the four outputs; 72,906 x 4 bytes.
    expect(table).toMatch(
      /Input size \(MB\): 0\.02\nForward\/backward pass size \(MB\): 0\.99\nParams size \(MB\): 0\.28/,
    )
  })

  test('running statistics and frozen parameters are not trainable; shared layers count once', () => {
    const shared = new nn.Linear(4, 4)
    const network = new nn.Sequential(shared, new nn.BatchNorm1D(4), shared)
    expect(summarized(network, [3, 4]).totals).toEqual({ totalParams: 20 + 8 + 8, trainableParams: 28 })
    shared.bias!.stopGradient = true
    expect(summarized(network, [3, 4]).totals).toEqual({ totalParams: 36, trainableParams: 24 })
    expect(rows(summarized(network, [3, 4]).table).map((r) => r[3])).toEqual(['20', '16', '0'])
  })

  test('given tensors instead of sizes, and as a method of Model; the mode of the network stays', () => {
    const network = new nn.Sequential(new nn.Linear(4, 2), new nn.Dropout(0.5)).train()
    let table = ''
    const print = (text: string): void => void (table += text)
    expect(summary(network, undefined, { input: zeros([5, 4]), print })).toEqual({
      totalParams: 10,
      trainableParams: 10,
    })
    expect(new Model(network).summary([5, 4], { print })).toEqual({ totalParams: 10, trainableParams: 10 })
    expect(network.training).toBe(true)
    expect(table.match(/Linear-1 +\[5, 4\] +\[5, 2\] +10/g)).toHaveLength(2)
  })
})

describe('flops', () => {
  test.each([
    ['SimpleCNN', () => new SimpleCNN(), [1, 3, 32, 32], 30 * 30 * 32 * 27 + 7200 * 10],
    ['a batch counts', () => new SimpleCNN(), [4, 3, 32, 32], 4 * (30 * 30 * 32 * 27 + 7200 * 10)],
    ['groups', () => new nn.Conv2D(4, 8, { kernelSize: 3, padding: 1, groups: 2 }), [1, 4, 6, 6], 36 * 8 * 2 * 9],
    ['strides', () => new nn.Conv2D(2, 5, { kernelSize: 3, stride: 2 }), [1, 2, 9, 9], 16 * 5 * 2 * 9],
    ['a loop over time', () => new nn.LSTM(4, 3), [2, 5, 4], 5 * 2 * 4 * 3 * (4 + 3)],
    [
      'norms, activations and pools are free',
      () => new nn.Sequential(new nn.BatchNorm2D(3), new nn.ReLU()),
      [1, 3, 8, 8],
      0,
    ],
  ])('%s', (_, make, size, expected) => expect(flops(make(), size)).toBe(expected))

  test('by layer', () => {
    let text = ''
    flops(new SimpleCNN(), [1, 3, 32, 32], { printDetail: true, print: (s) => (text += s) })
    expect(text).toBe('conv1 (Conv2D): 777,600\nfc (Linear): 72,000\nTotal multiply-accumulates: 849,600\n')
  })
})
