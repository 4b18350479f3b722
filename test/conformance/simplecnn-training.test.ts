/** The recorded training runs: losses of twelve steps and final weights of each optimizer, with GradScaler and injected infinities. */
import { describe, expect, test } from 'vitest'
import { amp, nn, optimizer, setDevice, type Tensor } from '../../src/index.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'
import { expectRecorded, readArrays, readJson } from '../support/fixtures.ts'
import { SimpleCNN } from '../support/simple-cnn.ts'

interface Run {
  readonly losses: (number | 'NaN')[]
  readonly lr?: number[]
  readonly api?: 'minimize' | 'step_update'
  readonly 'inf_at_x[0,0,0,0]_of_steps'?: number[]
  readonly scale_after_step?: number[]
}

const { Adagrad, Adam, AdamW, Lamb, Momentum, RMSProp, SGD, L2Decay, lr } = optimizer
type Make = (parameters: Tensor[]) => optimizer.Optimizer

/** The optimizer of each run; its Python stands in the recording. */
const optimizers: Record<string, Make> = {
  sgd: (parameters) => new SGD({ learningRate: 0.01, parameters }),
  momentum: (parameters) => new Momentum({ learningRate: 0.002, momentum: 0.9, parameters }),
  momentum_nesterov_l2: (parameters) =>
    new Momentum({ learningRate: 0.002, useNesterov: true, weightDecay: new L2Decay(1e-3), parameters }),
  adam: (parameters) => new Adam({ parameters }),
  adam_l2: (parameters) => new Adam({ learningRate: 1e-3, weightDecay: 5e-4, parameters }),
  adam_clipgnorm: (parameters) =>
    new Adam({ learningRate: 1e-3, gradClip: new nn.ClipGradByGlobalNorm(0.5), parameters }),
  adamw: (parameters) => new AdamW({ learningRate: 1e-3, weightDecay: 0.01, parameters }),
  adam_cosine_warmup: (parameters) => {
    const cosine = new lr.CosineAnnealingDecay({ learningRate: 1e-3, tMax: 10 })
    const learningRate = new lr.LinearWarmup({ learningRate: cosine, warmupSteps: 3, startLr: 0, endLr: 1e-3 })
    return new Adam({ learningRate, parameters })
  },
  rmsprop: (parameters) => new RMSProp({ learningRate: 2e-4, parameters }),
  adagrad: (parameters) => new Adagrad({ learningRate: 1e-3, parameters }),
  lamb: (parameters) => new Lamb({ learningRate: 1e-3, lambWeightDecay: 0.01, parameters }),
  gradscaler_adam: (parameters) => new Adam({ parameters }),
  gradscaler_adam_decr2: (parameters) => new Adam({ parameters }),
  gradscaler_momentum: (parameters) => new Momentum({ learningRate: 0.002, parameters }),
  gradscaler_static_scale: (parameters) => new Adam({ parameters }),
}

const scalers: Record<string, amp.GradScalerOptions> = {
  gradscaler_adam: { initLossScaling: 1024, incrEveryNSteps: 3 },
  gradscaler_adam_decr2: { initLossScaling: 1024, incrEveryNSteps: 1000, decrEveryNNanOrInf: 2 },
  gradscaler_momentum: { initLossScaling: 65536, incrEveryNSteps: 2 },
  gradscaler_static_scale: { initLossScaling: 1024, incrEveryNSteps: 2, useDynamicLossScaling: false },
}

const { runs } = readJson<{ runs: Record<string, Run> }>('simplecnn/runs')
const init = readArrays('simplecnn/init')
const data = readArrays('simplecnn/data')

test('every run has its optimizer here', () => {
  const recorded = Object.keys(runs).filter((name) => !name.startsWith('autocast'))
  expect(recorded.toSorted()).toEqual(Object.keys(optimizers).toSorted())
})

describe.each(judged)('training SimpleCNN on %s', (device) => {
  test.each(Object.keys(optimizers))('%s', async (name) => {
    setDevice(device)
    const run = runs[name]!
    const model = new SimpleCNN()
    model.setStateDict(init)
    const opt = optimizers[name]!(model.parameters())
    const scaler = scalers[name] ? new amp.GradScaler(scalers[name]) : null
    const criterion = new nn.CrossEntropyLoss()
    const infinite = run['inf_at_x[0,0,0,0]_of_steps'] ?? []
    const [losses, rates, scales]: number[][] = [[], [], []]
    for (let t = 0; t < run.losses.length; t++) {
      const loss = criterion(model(batch(t, infinite.includes(t))), labels(t))
      const scaled = scaler ? scaler.scale(loss) : loss
      scaled.backward()
      rates!.push(opt.getLr())
      if (!scaler) opt.step()
      else if (run.api === 'minimize') scaler.minimize(opt, scaled)
      else {
        scaler.step(opt)
        scaler.update()
      }
      opt.clearGrad()
      opt.lrScheduler?.step()
      losses!.push(await loss.item())
      if (scaler) scales!.push(await scaler.lossScaling.item())
    }
    expect(losses).toEqual(run.losses.map((l) => (l === 'NaN' ? NaN : about(l))))
    const recordedRates = run.lr ?? rates!
    expect(rates).toEqual(recordedRates.map(near))
    expect(scales).toEqual(run.scale_after_step ?? [])
    const final = readArrays(`simplecnn/final_${name}`)
    for (const [path, tensor] of Object.entries(model.stateDict()))
      await expectRecorded(tensor, final[path]!, path, 1e-3)
  })
})

/** Within 1e-4 of the value. */
const about = (value: number): unknown => expect.closeTo(value, 4 - Math.log10(2 * value)) as unknown

const near = (value: number): unknown => expect.closeTo(value, 12) as unknown

const size = 8 * 3 * 32 * 32

function batch(t: number, infinite: boolean): Tensor {
  const values = (data['x']!.data as Float32Array).slice(t * size, (t + 1) * size)
  if (infinite) values[0] = Infinity
  return fromHost({ dtype: 'float32', shape: [8, 3, 32, 32], data: values })
}

function labels(t: number): Tensor {
  const { dtype, data: all } = data['y']!
  return fromHost({ dtype, shape: [8], data: all.slice(t * 8, (t + 1) * 8) })
}
