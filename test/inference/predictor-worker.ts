/** A thread with a predictor of its own, which does what it is asked (see workers.test.ts). */
import { parentPort, workerData } from 'node:worker_threads'
import { createPredictor } from '../../src/inference/index.ts'
import type { HostArray } from '../../src/index.ts'

const { model, device, width } = workerData as { model: string; device: string; width: number }
const predictor = await createPredictor({ model, device, threads: 1 })

const question = (nonce: number): HostArray => ({
  dtype: 'float32',
  shape: [1 + (nonce % 3), width],
  data: new Float32Array(width * (1 + (nonce % 3))).fill(nonce),
})

/** Numbers of the questions whose answers are not theirs. */
async function wrongAnswers(from: number, to: number): Promise<number[]> {
  const nonces = Array.from({ length: to - from }, (_, i) => from + i)
  const answers = await Promise.all(nonces.map((nonce) => predictor.run({ x: question(nonce) })))
  return nonces.filter((nonce, i) => {
    const { shape, data } = answers[i]!['output_0']!
    return shape[0] !== 1 + (nonce % 3) || data.some((v) => v !== nonce + 1)
  })
}

parentPort!.on('message', async (message: { readonly do: string; readonly from?: number; readonly to?: number }) => {
  switch (message.do) {
    case 'answer':
      return parentPort!.postMessage(await wrongAnswers(message.from!, message.to!))
    case 'flood': {
      const runs = Array.from({ length: 2000 }, (_, i) => predictor.run({ x: question(i) }))
      parentPort!.postMessage('flooded')
      return void (await Promise.all(runs))
    }
    case 'constants':
      return parentPort!.postMessage(predictor.constantBytes)
    case 'dispose':
      await predictor.dispose()
      return parentPort!.postMessage('disposed')
    case 'end':
      return parentPort!.close()
  }
})
