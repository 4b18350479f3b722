/** What autoCast casts, what decorate casts, and GradScaler's algorithm. */
import { beforeEach, describe, expect, test } from 'vitest'
import { ArgumentError, AutogradError } from '../common/errors.ts'
import { topologicalOrder } from '../graph/node.ts'
import * as nn from '../nn/index.ts'
import { SGD } from '../optimizer/index.ts'
import {
  add,
  exp,
  grad,
  matmul,
  mean,
  multiply,
  ones,
  setDevice,
  square,
  sum,
  tanh,
  toTensor,
} from '../tensor/index.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { autoCast, autoCastState, type AutoCastOptions, blackList, decorate, GradScaler, whiteList } from './index.ts'
import { paddleName } from './lists.ts'

const F = nn.functional

beforeEach(() => setDevice('reference'))

describe('autoCast', () => {
  let x: Tensor

  beforeEach(() => {
    x = ones([2, 2])
  })

  test('computes products low, exponentials wide, and the rest in the widest dtype (O1)', () => {
    autoCast(() => {
      const product = matmul(x, x)
      expect(product.dtype).toBe('float16')
      expect(exp(product).dtype).toBe('float32')
      expect(F.softmax(product).dtype).toBe('float32')
      expect(tanh(product).dtype).toBe('float16')
      expect(F.linear(x, x, ones([2])).dtype).toBe('float16')
      expect(add(product, product).dtype).toBe('float16')
      expect(add(product, x).dtype).toBe('float32')
      expect(sum(product).dtype).toBe('float32')
    })
    expect(matmul(x, x).dtype).toBe('float32')
  })

  test('leaves float64 and integers alone', () => {
    autoCast(() => {
      expect(matmul(x.astype('float64'), x.astype('float64')).dtype).toBe('float64')
      expect(add(toTensor([1]), toTensor([2])).dtype).toBe('int64')
    })
  })

  test('takes bfloat16, and lists of one scope', () => {
    autoCast({ dtype: 'bfloat16', customWhiteList: ['tanh'], customBlackList: ['matmul'] }, () => {
      expect(tanh(x).dtype).toBe('bfloat16')
      expect(matmul(x, x).dtype).toBe('float32')
      expect(F.linear(x, x).dtype).toBe('bfloat16')
    })
    expect(() => autoCast({ customWhiteList: ['sum'], customBlackList: ['reduce_sum'] }, () => 0)).toThrow(
      ArgumentError,
    )
  })

  test('computes the products of recurrences low and their states wide, unless a list names them', async () => {
    const rnn = new nn.LSTM(2, 3, { direction: 'bidirect' })
    const inputs = ones([2, 5, 2])
    const run = async (options: AutoCastOptions): Promise<number[]> => {
      const [output, [h, c]] = autoCast({ dtype: 'bfloat16', ...options }, () => rnn(inputs))
      expect([output, h, c].map((t) => t.dtype)).toEqual(['float32', 'float32', 'float32'])
      return (await output.flatten().array()) as number[]
    }
    const wide = await run({ enable: false })
    const low = await run({})
    expect(low).not.toEqual(wide)
    for (const [i, v] of low.entries()) expect(Math.abs(v - wide[i]!)).toBeLessThan(0.01)
    expect(await run({ customBlackList: ['rnn'] })).toEqual(wide)
    expect(await run({ customBlackList: ['matmul'] })).toEqual(wide)
    const [output] = autoCast({ dtype: 'bfloat16', customWhiteList: ['rnn'] }, () => rnn(inputs))
    expect(output.dtype).toBe('bfloat16')
  })

  test.each([false, true])('stacks each value of a recurrence once on the way back: %s', (enable) => {
    const lstm = new nn.LSTM(3, 2)
    const [y] = autoCast({ enable, dtype: 'bfloat16' }, () => lstm(ones([2, 4, 3])))
    const gradients = grad(sum(y), lstm.parameters())
    const loops = topologicalOrder(gradients.map((g) => g.node)).filter((n) => n.op === 'scan')
    expect(loops.length).toBe(2)
    for (const { attributes } of loops) {
      // Equal casts of one value are one value.
      const stacks = attributes.body.outputs.slice(attributes.carries).map((o) => (o.op === 'cast' ? o.sources[0]! : o))
      expect(new Set(stacks).size).toBe(stacks.length)
    }
  })

  test('at O2 keeps only the shortest list wide', () => {
    const run = (usePromote: boolean): string[] =>
      autoCast({ level: 'O2', usePromote }, () => [exp(matmul(x, x)), tanh(x), F.linear(x, x)].map((t) => t.dtype))
    expect(run(true)).toEqual(['float16', 'float32', 'float16'])
    expect(run(false)).toEqual(['float16', 'float16', 'float16'])
  })

  test('nests, can be switched off inside, and ends when the function throws', () => {
    autoCast(() => {
      expect(autoCastState()).toEqual({ level: 'O1', dtype: 'float16' })
      autoCast({ enable: false }, () => expect(matmul(x, x).dtype).toBe('float32'))
      autoCast({ level: 'O0' }, () => expect(autoCastState()).toBeNull())
      expect(matmul(x, x).dtype).toBe('float16')
    })
    expect(() =>
      autoCast(() => {
        throw new Error('in the middle')
      }),
    ).toThrow('in the middle')
    expect(autoCastState()).toBeNull()
    expect(matmul(x, x).dtype).toBe('float32')
  })

  test('refuses asynchronous functions and unknown settings', () => {
    expect(() => autoCast(() => Promise.resolve(1))).toThrow('the function is asynchronous')
    expect(() => autoCast({ level: 'O3' as never }, () => 1)).toThrow("level must be 'O0', 'O1' or 'O2'")
    expect(() => autoCast({ dtype: 'float32' as never }, () => 1)).toThrow("dtype must be 'float16' or 'bfloat16'")
    expect(() => autoCast(undefined as never)).toThrow('give a function to run')
  })

  test('gives gradients in the dtype of each parameter', async () => {
    const linear = new nn.Linear(2, 1)
    const loss = autoCast(() => mean(square(linear(x))))
    loss.backward()
    expect(loss.dtype).toBe('float32')
    expect(linear.weight.grad!.dtype).toBe('float32')
    const full = new nn.Linear(2, 1)
    full.setStateDict(linear.stateDict())
    mean(square(full(x))).backward()
    const [low, wide] = await Promise.all([linear, full].map((l) => l.weight.grad!.array()))
    expect((low as number[][])[0]![0]).toBeCloseTo((wide as number[][])[0]![0]!, 2)
  })

  test('knows functions here by their names in Paddle', () => {
    expect(paddleName('logSoftmax')).toBe('log_softmax')
    expect(paddleName('sum')).toBe('reduce_sum')
    expect(paddleName('conv1d')).toBe('conv2d')
    expect(whiteList()).toContain('matmul')
    expect(blackList('O1')).toContain('softmax')
    expect(blackList('O2')).not.toContain('softmax')
    expect(blackList('O0')).toEqual([])
  })
})

describe('decorate', () => {
  class Net extends nn.Layer {
    fc = new nn.Linear(4, 4)
    norm = new nn.LayerNorm(4)
    batch = new nn.BatchNorm1D(4)
    head = new nn.Linear(4, 1)

    forward(x: Tensor): Tensor {
      return this.head(this.batch(this.norm(this.fc(x))))
    }
  }

  const dtypesOf = (net: Net): string[] => [net.fc, net.norm, net.batch, net.head].map((l) => l.weight!.dtype)

  test('casts parameters at O2, but for normalisations', () => {
    expect(dtypesOf(decorate({ models: new Net(), level: 'O2' }).models)).toEqual([
      'float16',
      'float32',
      'float32',
      'float16',
    ])
    const half = decorate({ models: [new Net()], level: 'O2', dtype: 'bfloat16', excludedLayers: nn.LayerNorm }).models
    expect(dtypesOf(half[0]!)).toEqual(['bfloat16', 'float32', 'float32', 'bfloat16'])
    const net = new Net()
    expect(
      dtypesOf(decorate({ models: net, level: 'O2', dtype: 'bfloat16', excludedLayers: [net.head] }).models),
    ).toEqual(['bfloat16', 'bfloat16', 'float32', 'float32'])
    expect(dtypesOf(decorate({ models: new Net() }).models)).toEqual(['float32', 'float32', 'float32', 'float32'])
    expect(() => decorate({ models: 1 as never })).toThrow('models must be layers')
  })
})

describe('GradScaler', () => {
  function setup(options: ConstructorParameters<typeof GradScaler>[0] = {}): {
    linear: nn.Linear
    sgd: SGD
    scaler: GradScaler
    loss: () => Tensor
  } {
    const linear = new nn.Linear(2, 1, { biasAttr: false })
    const x = ones([1, 2])
    return {
      linear,
      sgd: new SGD({ learningRate: 0.1, parameters: linear.parameters() }),
      scaler: new GradScaler({ initLossScaling: 8, ...options }),
      loss: () => sum(linear(x)),
    }
  }

  test('unscale_ shows the true gradients, float32 for low parameters, and step does not unscale again', async () => {
    const { linear, sgd, scaler, loss } = setup()
    linear.astype('float16')
    const before = (await linear.weight.array()) as number[][]
    scaler.scale(autoCast(() => loss())).backward()
    expect(linear.weight.grad!.dtype).toBe('float16')
    scaler.unscale_(sgd)
    expect(linear.weight.grad!.dtype).toBe('float32')
    expect(await linear.weight.grad!.array()).toEqual([[1], [1]])
    expect(() => scaler.unscale_(sgd)).toThrow(AutogradError)
    scaler.step(sgd)
    expect(() => scaler.step(sgd)).toThrow('called twice')
    scaler.update()
    const after = (await linear.weight.array()) as number[][]
    expect(after[0]![0]! - before[0]![0]!).toBeCloseTo(-0.1, 3)
  })

  test('grows and shrinks the scale', async () => {
    const { sgd, scaler, loss } = setup({ incrEveryNSteps: 2, decrEveryNNanOrInf: 2, incrRatio: 4, decrRatio: 0.25 })
    const scales: number[] = []
    for (const finite of [true, true, false, true, false, false, true]) {
      const scaled = scaler.scale(finite ? loss() : multiply(loss(), Infinity))
      scaled.backward()
      scaler.minimize(sgd, scaled)
      sgd.clearGrad()
      scales.push(await scaler.lossScaling.item())
    }
    expect(scales).toEqual([8, 32, 32, 32, 32, 8, 8])
  })

  test('judges two optimizers together, and each steps by its own gradients', async () => {
    const [a, b] = [setup(), setup()]
    const { scaler } = a
    const [before, other] = [await a.linear.weight.array(), await b.linear.weight.array()]
    add(scaler.scale(a.loss()), scaler.scale(multiply(b.loss(), NaN))).backward()
    scaler.step(a.sgd)
    scaler.step(b.sgd)
    scaler.update()
    expect(await a.linear.weight.array()).not.toEqual(before)
    expect(await b.linear.weight.array()).toEqual(other)
    expect(await scaler.lossScaling.item()).toBe(4)
  })

  test('switched off does nothing', async () => {
    const { linear, sgd, scaler, loss } = setup({ enable: false })
    const first = loss()
    expect(scaler.scale(first)).toBe(first)
    first.backward()
    const before = (await linear.weight.array()) as number[][]
    scaler.minimize(sgd, first)
    expect(((await linear.weight.array()) as number[][])[0]![0]! - before[0]![0]!).toBeCloseTo(-0.1, 5)
    expect(scaler.isEnable()).toBe(false)
    expect(scaler.isUseDynamicLossScaling()).toBe(false)
    expect(scaler.stateDict()).toEqual({})
  })

  test('has settings and a state under the keys of Paddle', async () => {
    const { sgd, scaler, loss } = setup({ incrEveryNSteps: 5 })
    const scaled = scaler.scale(loss())
    scaled.backward()
    scaler.minimize(sgd, scaled)
    const state = scaler.stateDict()
    expect(Object.keys(state)).toEqual([
      'scale',
      'incr_ratio',
      'decr_ratio',
      'incr_every_n_steps',
      'decr_every_n_nan_or_inf',
      'incr_count',
      'decr_count',
      'use_dynamic_loss_scaling',
    ])
    const other = new GradScaler()
    other.setStateDict(state)
    expect(await other.lossScaling.array()).toEqual([8])
    expect(await (other.stateDict()['incr_count'] as Tensor).item()).toBe(1)
    expect(other.getIncrEveryNSteps()).toBe(5)
    other.loadStateDict({ ...state, scale: toTensor(4).astype('float32'), incr_count: 3 })
    expect(await other.lossScaling.array()).toEqual([4])
    expect(() => other.setStateDict({})).toThrow("'scale' is missing")
    other.setInitLossScaling(2)
    expect(await other.lossScaling.item()).toBe(2)
    other.setIncrRatio(3)
    other.setDecrRatio(0.1)
    other.setIncrEveryNSteps(7)
    other.setDecrEveryNNanOrInf(2)
    expect([
      other.getInitLossScaling(),
      other.getIncrRatio(),
      other.getDecrRatio(),
      other.getIncrEveryNSteps(),
      other.getDecrEveryNNanOrInf(),
    ]).toEqual([2, 3, 0.1, 7, 2])
    expect(() => other.setIncrRatio(1)).toThrow(ArgumentError)
  })
})
