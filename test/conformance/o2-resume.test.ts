/** O2 from end to end: an encoder whose parameters are bfloat16 is trained, saved, loaded by another program and trained on, as if nothing had been between. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EncoderClassifier } from '../../src/cli/commands/bench/networks.ts'
import { amp, load, nn, optimizer, randint, save, seed, setDevice, type Tensor } from '../../src/index.ts'
import { guard } from '../../src/nn/unique-name.ts'
import { judged } from '../support/backends.ts'

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'longzhou-o2-'))))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Trained {
  readonly model: EncoderClassifier
  readonly adam: optimizer.AdamW
}

/** As a fresh program makes them: with names from the beginning. */
function make(): Trained {
  return guard(() => {
    const sizes = { layers: 2, hidden: 32, heads: 2, feedForward: 64, vocabulary: 40, positions: 16 }
    const model = new EncoderClassifier(sizes)
    const adam = new optimizer.AdamW({ learningRate: 1e-3, parameters: model.parameters() })
    amp.decorate({ models: model, optimizers: adam, level: 'O2', dtype: 'bfloat16' })
    return { model, adam }
  })
}

/** Losses of steps, with draws from `from` on. */
async function train(
  { model, adam }: Trained,
  data: readonly [Tensor, Tensor],
  steps: number,
  from: number,
): Promise<number[]> {
  const [ids, labels] = data
  const losses: number[] = []
  model.train()
  seed(from)
  for (let i = 0; i < steps; i++) {
    const loss = amp.autoCast({ level: 'O2', dtype: 'bfloat16' }, () =>
      nn.functional.crossEntropy(model(ids).astype('float32'), labels),
    )
    loss.backward()
    adam.step()
    adam.clearGrad()
    losses.push(await loss.item())
  }
  return losses
}

test.each(judged)('on %s', async (device) => {
  setDevice(device)
  seed(5)
  const data = [randint(40, null, [8, 16]), randint(2, null, [8])] as const
  const first = make()
  const before = await train(first, data, 6, 1)
  const [weights, state] = [join(folder, `${device}.pdparams`), join(folder, `${device}.pdopt`)]
  await save(first.model.stateDict(), weights)
  await save(first.adam.stateDict(), state)
  const expected = await train(first, data, 6, 2)

  const second = make()
  const loaded = await load(weights)
  expect(second.model.setStateDict(loaded)).toMatchObject({ missing: [], unexpected: [], mismatched: [] })
  second.adam.setStateDict(await load(state))
  const masters = Object.values(second.adam.stateDict()['master_weights'] as Record<string, Tensor>)
  const found = await train(second, data, 6, 2)

  expect(second.model.word.weight.dtype).toBe('bfloat16')
  expect(masters).toHaveLength(first.model.parameters().length)
  expect(new Set(masters.map((m) => m.dtype))).toEqual(new Set(['float32']))
  expect(found).toEqual(expected)
  expect(expected.at(-1)!).toBeLessThan(before[0]!)
})
