/**
 * A training step overwrites parameters while recordings may still want the old ones: what a loop reads afterwards must be the value from
 * before, or a typed error. Never a silently different number.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import {
  abs,
  add,
  amp,
  AutogradError,
  getDevice,
  matmul,
  mean,
  metric,
  multiply,
  nn,
  noGrad,
  optimizer,
  registerDevice,
  setDevice,
  square,
  StaleTensorError,
  subtract,
  sum,
  toTensor,
  type Tensor,
} from '../../src/index.ts'
import { ReferenceBackend } from '../../src/runtime/reference/backend.ts'
import { judged } from '../support/backends.ts'
import { registerSpy } from '../support/spy-backend.ts'

const { Adam, Momentum, SGD } = optimizer

/** On the device of the test. */
const makeInput = (): Tensor =>
  toTensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { dtype: 'float32' },
  )
const makeTarget = (): Tensor => toTensor([[1], [0]], { dtype: 'float32' })

class Net extends nn.Layer {
  fc = new nn.Linear(3, 1)

  forward(input: Tensor): Tensor {
    return this.fc(input)
  }
}

/** A layer with known weights. */
function makeNet(): Net {
  const net = new Net()
  net.fc.weight.setValue({ dtype: 'float32', shape: [3, 1], data: Float32Array.of(0.1, -0.2, 0.3) })
  return net
}

const lossOf = (prediction: Tensor, target = makeTarget()): Tensor => mean(square(subtract(prediction, target)))

// Prediction [0.6, 1.2], loss ((0.6 - 1)^2 + 1.2^2) / 2 = 0.8.
const close = (value: number): unknown => expect.closeTo(value, 5) as unknown

describe.each(['reference', ...judged])('on %s', (device) => {
  beforeEach(() => setDevice(device))

  test('loss and prediction are read after the step as they were before it', async () => {
    const net = makeNet()
    const sgd = new SGD({ learningRate: 0.1, parameters: net.parameters() })
    const prediction = net(makeInput())
    const loss = lossOf(prediction)
    loss.backward()
    sgd.step()
    sgd.clearGrad()
    expect(await loss.item()).toBeCloseTo(0.8, 5)
    expect(await prediction.array()).toEqual([[close(0.6)], [close(1.2)]])
    // The next forward sees the new weights.
    const next = lossOf(net(makeInput()))
    expect(await next.item()).not.toBeCloseTo(0.8, 3)
  })

  test('a metric fed before the step counts what it was fed', async () => {
    const net = makeNet()
    const sgd = new SGD({ learningRate: 10, parameters: net.parameters() })
    const precision = new metric.Precision()
    for (let i = 0; i < 2; i++) {
      const prediction = net(makeInput())
      const loss = lossOf(prediction)
      precision.update(prediction, makeTarget())
      loss.backward()
      sgd.step()
      sgd.clearGrad()
    }
    // [0.6, 1.2] are both called positive, one is; the second predictions are far below zero.
    expect(await precision.accumulate()).toBe(0.5)
  })

  test('something else that needs the old weights is a StaleTensorError, unless it was kept', async () => {
    const net = makeNet()
    const sgd = new SGD({ learningRate: 0.1, parameters: net.parameters() })
    const size = sum(abs(net.fc.weight))
    const kept = sum(square(net.fc.weight)).keep()
    lossOf(net(makeInput())).backward()
    sgd.step()
    await expect(size.item()).rejects.toThrow(StaleTensorError)
    await expect(size.item()).rejects.toThrow(/keep\(\)/)
    expect(await kept.item()).toBeCloseTo(0.14, 5)
  })

  test('two optimizers share one loss: the second one finds its gradients after the first one stepped', async () => {
    const net = makeNet()
    const [weight, bias] = [net.fc.weight, net.fc.bias!]
    const first = new SGD({ learningRate: 0.1, parameters: [weight] })
    const second = new SGD({ learningRate: 0.1, parameters: [bias] })
    lossOf(net(makeInput())).backward()
    first.step()
    second.step()
    // d loss / d bias = (0.6 - 1) + 1.2
    expect(await bias.array()).toEqual([close(-0.08)])
    expect(await weight.array()).toEqual([[close(0.1 - 0.44)], [close(-0.2 - 0.52)], [close(0.3 - 0.6)]])
  })

  test('gradients accumulate over backwards, and a graph that was released cannot go back', async () => {
    const net = makeNet()
    const loss = lossOf(net(makeInput()))
    loss.backward(null, { retainGraph: true })
    loss.backward()
    expect(await net.fc.bias!.grad!.array()).toEqual([close(1.6)])
    expect(() => loss.backward()).toThrow(AutogradError)
  })

  test('the scaled loss and the loss are read after GradScaler.minimize', async () => {
    const net = makeNet()
    const adam = new Adam({ learningRate: 0.1, parameters: net.parameters() })
    const scaler = new amp.GradScaler({ initLossScaling: 1024 })
    const loss = lossOf(net(makeInput()))
    const scaled = scaler.scale(loss)
    scaled.backward()
    scaler.minimize(adam, scaled)
    adam.clearGrad()
    expect(await loss.item()).toBeCloseTo(0.8, 5)
    expect(await scaled.item()).toBeCloseTo(0.8 * 1024, 2)
    expect((await net.fc.bias!.array()) as number[]).toEqual([close(-0.1)])
  })
})

test('recordings on two devices do not disturb each other', async () => {
  setDevice('reference')
  const [one, two] = [makeNet(), makeNet()]
  const first = new SGD({ learningRate: 0.1, parameters: one.parameters() })
  const input = makeInput()
  const target = makeTarget()
  const size = sum(abs(two.fc.weight)).keep()
  setDevice(judged[0] ?? 'reference')
  const other = makeNet()
  noGrad(() => other.fc.weight.assign(multiply(other.fc.weight, 2)))
  lossOf(one(input), target).backward()
  first.step()
  expect(await one.fc.bias!.array()).toEqual([close(-0.08)])
  expect(await other.fc.weight.array()).toEqual([[close(0.2)], [close(-0.4)], [close(0.6)]])
  expect(await size.item()).toBeCloseTo(0.6, 5)
})

describe('a step that fails leaves everything as it was', () => {
  test('when a user function throws half-way', async () => {
    setDevice('reference')
    const net = makeNet()
    const before = await net.fc.weight.array()
    const adamw = new optimizer.AdamW({
      learningRate: 0.1,
      applyDecayParamFun: (name) => {
        if (name.endsWith('b_0')) throw new Error('no decay for biases, please')
        return true
      },
      parameters: net.parameters(),
    })
    const loss = lossOf(net(makeInput()))
    loss.backward()
    expect(() => adamw.step()).toThrow('no decay for biases, please')
    expect(await net.fc.weight.array()).toEqual(before)
    expect(await loss.item()).toBeCloseTo(0.8, 5)
    const sgd = new SGD({ learningRate: 0.1, parameters: net.parameters() })
    sgd.step()
    expect((await net.fc.bias!.array()) as number[]).toEqual([close(-0.08)])
  })

  test('when a gradient needs weights that an earlier step overwrote', async () => {
    setDevice('reference')
    const net = makeNet()
    const sgd = new SGD({ learningRate: 0.1, parameters: net.parameters() })
    const stale = matmul(makeInput(), net.fc.weight)
    lossOf(net(makeInput())).backward()
    sgd.step()
    sgd.clearGrad()
    const after = await net.fc.weight.array()
    mean(square(stale)).backward()
    expect(() => sgd.step()).toThrow(StaleTensorError)
    expect(await net.fc.weight.array()).toEqual(after)
    sgd.clearGrad()
    lossOf(net(makeInput())).backward()
    sgd.step()
    expect(await net.fc.weight.array()).not.toEqual(after)
  })

  test('when the device fails', async () => {
    class Failing extends ReferenceBackend {
      fails = false

      override interpret(...args: Parameters<ReferenceBackend['interpret']>): void {
        if (this.fails) throw new Error('the device is gone')
        super.interpret(...args)
      }
    }
    const backend = new Failing()
    registerDevice('failing', () => backend)
    setDevice('failing')
    const net = makeNet()
    const momentum = new Momentum({ learningRate: 0.1, parameters: net.parameters() })
    const before = await net.fc.weight.array()
    lossOf(net(makeInput())).backward()
    backend.fails = true
    momentum.step()
    await expect(net.fc.weight.array()).rejects.toThrow('the device is gone')
    backend.fails = false
    expect(await net.fc.weight.array()).toEqual(before)
    momentum.clearGrad()
    lossOf(net(makeInput())).backward()
    momentum.step()
    expect((await net.fc.bias!.array()) as number[]).toEqual([close(-0.08)])
  })
})

test('steps have one structure, whatever the loop reads and feeds', async () => {
  const spy = registerSpy('spy')
  setDevice('spy')
  expect(getDevice()).toBe('spy')
  const net = makeNet()
  const schedule = new optimizer.lr.CosineAnnealingDecay({ learningRate: 0.1, tMax: 10 })
  const adam = new Adam({
    learningRate: schedule,
    gradClip: new nn.ClipGradByGlobalNorm(1),
    weightDecay: 0.01,
    parameters: net.parameters(),
  })
  const scaler = new amp.GradScaler({ initLossScaling: 1024, incrEveryNSteps: 2 })
  const recall = new metric.Recall()
  const [input, labels] = [makeInput(), makeTarget()]
  const keys: string[][] = []
  for (let i = 0; i < 6; i++) {
    spy.takeKeys()
    const prediction = net(input)
    const loss = lossOf(prediction, labels)
    recall.update(prediction, labels)
    const scaled = scaler.scale(loss)
    scaled.backward()
    scaler.step(adam)
    scaler.update()
    adam.clearGrad()
    schedule.step()
    keys.push(spy.takeKeys())
    if (i % 2 === 0) await loss.item()
  }
  expect(keys[0]).toHaveLength(2)
  for (const k of keys.slice(1)) expect(k).toEqual(keys[1])
  expect(await add(multiply(1, scaler.lossScaling), 0).item()).toBe(8192)
})
