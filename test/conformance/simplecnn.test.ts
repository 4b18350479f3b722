/** The network of the recorded training run: its names, its first logits, loss and gradients. */
import { describe, expect, test } from 'vitest'
import { nn, ones, setDevice } from '../../src/index.ts'
import { guard } from '../../src/nn/unique-name.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'
import { expectRecorded, readArrays, readJson, withPrefix } from '../support/fixtures.ts'
import { SimpleCNN } from '../support/simple-cnn.ts'

describe.each(['reference', ...judged])('SimpleCNN on %s', (device) => {
  test('gives the recorded logits, loss and gradients', async () => {
    setDevice(device)
    const model = new SimpleCNN()
    expect(model.setStateDict(readArrays('simplecnn/init'))).toEqual({ missing: [], unexpected: [], mismatched: [] })
    const data = readArrays('simplecnn/data')
    const batches = fromHost(data['x']!)
    const x = batches.slice([0], [0], [1]).squeeze(0).detach()
    const label = fromHost(data['y']!).slice([0], [0], [1]).squeeze(0)
    x.stopGradient = false
    const logits = model(x)
    const loss = new nn.CrossEntropyLoss()(logits, label)
    loss.backward()
    const recorded = readArrays('simplecnn/step0_grads')
    await expectRecorded(logits, recorded['logits']!, 'logits', 1e-5)
    await expectRecorded(loss, { ...recorded['loss']!, shape: [] }, 'loss', 1e-5)
    await expectRecorded(x.grad!, recorded['d_x']!, 'gradient of x', 1e-5)
    const state = model.stateDict()
    for (const [name, expected] of withPrefix(recorded, 'd_'))
      if (name !== 'x') await expectRecorded(state[name]!.grad!, expected, `gradient of ${name}`, 1e-5)
  })
})

test('parameters are named as in Paddle', () => {
  const model = guard(() => new SimpleCNN())
  const recorded = readJson<Record<string, string>>('simplecnn/init_names')
  const names = Object.fromEntries(model.namedParameters().map(([path, p]) => [path, p.name]))
  expect(Object.keys(names)).toEqual(Object.keys(recorded))
  expect(Object.values(names)).toEqual(Object.values(recorded).map((n) => n.replace(/_\d+\./, '_0.')))
})

test('a Linear of the wrong size is named by its path, with the size that fits', () => {
  const model = new SimpleCNN(32 * 14 * 14)
  expect(() => model(ones([4, 3, 32, 32]))).toThrow(
    'SimpleCNN.fc: linear: [4, 7200] x [6272, 10]: the input has 7200 features, the weight takes 6272; a weight of shape [7200, 10] fits (inFeatures = 7200)',
  )
})
