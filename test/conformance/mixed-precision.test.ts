/** Training with parameters of low precision, master weights and a scaler, on every device. */
import { expect, test } from 'vitest'
import {
  amp,
  cos,
  nn,
  optimizer,
  seed,
  setDevice,
  sin,
  square,
  mean,
  subtract,
  toTensor,
  type Tensor,
} from '../../src/index.ts'
import { judged } from '../support/backends.ts'
import { registerSpy } from '../support/spy-backend.ts'

class Net extends nn.Layer {
  fc = new nn.Linear(2, 8)
  norm = new nn.LayerNorm(8)
  batch = new nn.BatchNorm1D(8)
  head = new nn.Linear(8, 1)

  forward(x: Tensor): Tensor {
    return this.head(this.batch(this.norm(this.fc(x))))
  }
}

/** Losses of a short training at O2 on the current device, and what was trained. */
async function train(
  dtype: amp.AmpDtype,
  steps: number,
): Promise<{ losses: number[]; model: Net; adam: optimizer.Adam }> {
  seed(3)
  const model = new Net()
  const adam = new optimizer.Adam({ learningRate: 0.05, parameters: model.parameters() })
  amp.decorate({ models: model, optimizers: adam, level: 'O2', dtype, masterGrad: true })
  const scaler = new amp.GradScaler({ initLossScaling: 1024 })
  const angles = toTensor(
    Array.from({ length: 8 }, (_, i) => [i / 2, i / 3]),
    { dtype: 'float32' },
  )
  const [x, target] = [cos(angles), sin(angles.sum(1, { keepdim: true }))]
  const losses: number[] = []
  for (let i = 0; i < steps; i++) {
    const loss = amp.autoCast({ level: 'O2', dtype }, () => mean(square(subtract(model(x).astype('float32'), target))))
    const scaled = scaler.scale(loss)
    scaled.backward()
    expect(model.fc.weight.grad!.dtype).toBe('float32')
    scaler.minimize(adam, scaled)
    adam.clearGrad()
    losses.push(await loss.item())
  }
  return { losses, model, adam }
}

const places = ['reference', ...judged].flatMap((d) => [[d, 'float16'] as const, [d, 'bfloat16'] as const])

test.each(places)('on %s in %s', async (device, dtype) => {
  setDevice(device)
  const { losses, model, adam } = await train(dtype, 25)
  expect(losses.at(-1)!).toBeLessThan(0.3 * losses[0]!)
  expect(model.fc.weight.dtype).toBe(dtype)
  expect(adam.multiPrecision).toBe(true)
  // float16 leaves LayerNorm in float32.
  expect(Object.keys(adam.stateDict()['master_weights']!)).toHaveLength(dtype === 'float16' ? 4 : 6)
})

test('steps have one structure from the second on', async () => {
  const spy = registerSpy('spy')
  setDevice('spy')
  await train('float16', 5)
  const keys = spy.takeKeys()
  expect(new Set(keys.slice(-6)).size).toBe(2)
})
