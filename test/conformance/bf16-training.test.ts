/** Mixed precision in bfloat16 trains as float32 does: a small encoder, and convolutions with an LSTM under CTC, on every device. */
import { describe, expect, test } from 'vitest'
import {
  amp,
  full,
  nn,
  optimizer,
  randint,
  randn,
  realize,
  seed,
  setDevice,
  squeeze,
  toTensor,
  transpose,
  type Tensor,
} from '../../src/index.ts'
import { EncoderClassifier } from '../../src/cli/commands/bench/networks.ts'
import { judged } from '../support/backends.ts'

class Reader extends nn.Layer {
  cnn = new nn.Sequential<readonly nn.Layer[]>(
    new nn.Conv2D(1, 16, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2D(2, { stride: 2 }),
    new nn.Conv2D(16, 32, 3, { padding: 1 }),
    new nn.BatchNorm2D(32),
    new nn.ReLU(),
    new nn.MaxPool2D([4, 1], { stride: [4, 1] }),
  )
  rnn = new nn.LSTM(32, 16, { direction: 'bidirect', timeMajor: true })
  fc = new nn.Linear(32, 12)

  forward(x: Tensor): Tensor {
    return this.fc(this.rnn(transpose(squeeze(this.cnn(x), 2), [2, 0, 1]))[0])
  }
}

interface Training {
  readonly model: nn.Layer & ((x: Tensor) => Tensor)
  readonly input: Tensor
  readonly loss: (output: Tensor) => Tensor
}

/** Dropout included: its masks are the same for both dtypes. */
function encoder(): Training {
  const model = new EncoderClassifier({
    layers: 2,
    hidden: 48,
    heads: 3,
    feedForward: 96,
    vocabulary: 50,
    positions: 16,
  })
  const input = randint(50, null, [16, 12])
  const target = toTensor(
    Array.from({ length: 16 }, (_, i) => i % 2),
    { dtype: 'int64' },
  )
  return { model, input, loss: (output) => nn.functional.crossEntropy(output, target) }
}

function reader(): Training {
  const labels = randint(1, 12, [8, 4]).astype('int32')
  const lengths = (length: number): Tensor => full([8], length, 'int64')
  const loss = (output: Tensor): Tensor => nn.functional.ctcLoss(output, labels, lengths(output.shape[0]!), lengths(4))
  return { model: new Reader(), input: randn([8, 1, 8, 40]), loss }
}

async function losses(make: () => Training, steps: number, bfloat16: boolean): Promise<number[]> {
  seed(11)
  const { model, input, loss: criterion } = make()
  model.train()
  const adam = new optimizer.Adam({ learningRate: 2e-3, parameters: model.parameters() })
  await realize([input, ...model.parameters()])
  const found: number[] = []
  for (let i = 0; i < steps; i++) {
    const loss = amp.autoCast({ enable: bfloat16, dtype: 'bfloat16' }, () => criterion(model(input).astype('float32')))
    loss.backward()
    adam.step()
    adam.clearGrad()
    found.push(await loss.item())
  }
  return found
}

describe.each(judged)('on %s', (device) => {
  test.each([
    ['an encoder', encoder, 30],
    ['a text reader', reader, 40],
  ] as const)('%s follows the losses of float32', async (_, make, steps) => {
    setDevice(device)
    const wide = await losses(make, steps, false)
    const low = await losses(make, steps, true)
    // It learns, and no loss is further away than 3 % of the first one: bfloat16 has 8 bits, of which sums of products use none.
    expect(wide.at(-1)!).toBeLessThan(0.6 * wide[0]!)
    const distance = Math.max(...wide.map((x, i) => Math.abs(x - low[i]!)))
    expect(distance).toBeLessThan(0.03 * wide[0]!)
  })
})
