/** The JS thread is free while a plan runs: timers keep ticking during `fit`. */
import { expect, test } from 'vitest'
import { callbacks, Model, io, nn, optimizer, setDevice } from '../../src/index.ts'
import { compilerCandidates } from '../../src/runtime/compiler.ts'

const rows = 1024
const steps = 12

class Rows extends io.Dataset<[Float32Array, Float32Array]> {
  readonly length = steps * rows

  getItem(i: number): [Float32Array, Float32Array] {
    return [new Float32Array(1024).fill(i % 7), Float32Array.of(i % 3)]
  }
}

test.runIf(compilerCandidates().length > 0)('a 10 ms timer ticks during the steps of fit', async () => {
  setDevice('cpu')
  // 13 GFLOP a step: much longer than 10 ms on two cores, and about as long on sixteen.
  const network = new nn.Sequential(new nn.Linear(1024, 2048), new nn.ReLU(), new nn.Linear(2048, 1))
  const model = new Model(network)
  model.prepare({
    optimizer: new optimizer.SGD({ learningRate: 1e-6, parameters: network.parameters() }),
    loss: new nn.MSELoss(),
  })
  let ticks = 0
  const timer = setInterval(() => ticks++, 10)
  /** Ticks from the beginning of each step to its end. */
  const inside: number[] = []
  class Count extends callbacks.Callback {
    #before = 0

    override onTrainBatchBegin(): void {
      this.#before = ticks
    }

    override onTrainBatchEnd(): void {
      inside.push(ticks - this.#before)
    }
  }
  try {
    await model.fit({ trainData: new Rows(), batchSize: rows, epochs: 1, verbose: 0, callbacks: [new Count()] })
  } finally {
    clearInterval(timer)
  }

  expect(inside).toHaveLength(steps)
  // The first step plans. A thread that waits for its plans sees no tick inside any step.
  const later = inside.slice(1)
  expect(
    later.reduce((a, b) => a + b, 0),
    later.join(' '),
  ).toBeGreaterThanOrEqual(later.length / 4)
})
