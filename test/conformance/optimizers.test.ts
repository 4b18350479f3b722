/** Six steps of each optimizer from recorded gradients, compared with the parameters that Paddle had after each. */
import { describe, expect, test } from 'vitest'
import { nn, optimizer, type Tensor } from '../../src/index.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { expectRecorded, readArrays, readJson } from '../support/fixtures.ts'

const { Adagrad, Adam, AdamW, Adamax, L1Decay, Lamb, Momentum, RMSProp, SGD } = optimizer

/** The optimizer of each recording; its Python stands in the recording. */
const cases: Record<string, (parameters: Tensor[]) => optimizer.Optimizer> = {
  opt_adagrad: (parameters) => new Adagrad({ learningRate: 0.1, parameters }),
  opt_adam_bigeps: (parameters) => new Adam({ learningRate: 0.01, epsilon: 0.1, parameters }),
  opt_adam_l2: (parameters) => new Adam({ learningRate: 0.01, weightDecay: 0.01, parameters }),
  opt_adamax: (parameters) => new Adamax({ learningRate: 0.01, parameters }),
  opt_adamw: (parameters) => new AdamW({ learningRate: 0.01, weightDecay: 0.1, parameters }),
  opt_adamw_decayfun: (parameters) =>
    new AdamW({
      learningRate: 0.01,
      weightDecay: 0.1,
      applyDecayParamFun: (name) => name === parameters[0]!.name,
      parameters,
    }),
  opt_clip_global_norm: (parameters) =>
    new SGD({ learningRate: 0.1, gradClip: new nn.ClipGradByGlobalNorm(1), parameters }),
  opt_clip_norm: (parameters) => new SGD({ learningRate: 0.1, gradClip: new nn.ClipGradByNorm(1), parameters }),
  opt_clip_value: (parameters) => new SGD({ learningRate: 0.1, gradClip: new nn.ClipGradByValue(0.5), parameters }),
  opt_lamb: (parameters) => new Lamb({ learningRate: 0.01, lambWeightDecay: 0.01, parameters }),
  opt_momentum: (parameters) => new Momentum({ learningRate: 0.1, momentum: 0.9, parameters }),
  opt_momentum_l2: (parameters) => new Momentum({ learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, parameters }),
  opt_momentum_nesterov: (parameters) => new Momentum({ learningRate: 0.1, useNesterov: true, parameters }),
  opt_rmsprop: (parameters) => new RMSProp({ learningRate: 0.01, parameters }),
  opt_rmsprop_centered_mom: (parameters) =>
    new RMSProp({ learningRate: 0.01, centered: true, momentum: 0.9, parameters }),
  opt_sgd_l1: (parameters) => new SGD({ learningRate: 0.1, weightDecay: new L1Decay(0.01), parameters }),
  opt_sgd_l2: (parameters) => new SGD({ learningRate: 0.1, weightDecay: 0.01, parameters }),
}

describe('optimizers give the parameters that Paddle had', () => {
  const { cases: recorded } = readJson<{ cases: string[] }>('ops/index')

  test('every recording has its optimizer here', () => {
    expect(recorded.filter((name) => name.startsWith('opt_')).toSorted()).toEqual(Object.keys(cases).toSorted())
  })

  test.each(Object.keys(cases))('%s', async (name) => {
    expect.hasAssertions()
    const { steps } = readJson<{ steps: number }>(`ops/${name}`)
    const arrays = readArrays(`ops/${name}`)
    const names = ['w', 'b']
    const parameters = names.map((n) => fromHost(arrays[`p0_${n}`]!, { stopGradient: false, name: n }))
    const opt = cases[name]!(parameters)
    for (let t = 0; t < steps; t++) {
      parameters.forEach((p, i) => (p.grad = fromHost(arrays[`g${t}_${names[i]}`]!)))
      opt.step()
      opt.clearGrad()
      for (const p of parameters) await expectRecorded(p, arrays[`p${t + 1}_${p.name}`]!, `${p.name}, step ${t}`, 1e-5)
    }
  })
})
