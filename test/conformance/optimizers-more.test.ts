/** Optimizers and settings that the first recordings lack, compared with what scripts/fixtures/optimizers.py recorded from Paddle. */
import { describe, expect, test } from 'vitest'
import { allocateHost, setElement, type DType, type HostArray } from '../../src/common/dtype.ts'
import { sliceAxis } from '../../src/graph/build.ts'
import { ClipGradByNorm } from '../../src/nn/clip.ts'
import * as optimizer from '../../src/optimizer/index.ts'
import { add, multiply, pow, subtract } from '../../src/tensor/index.ts'
import { fromHost, Tensor } from '../../src/tensor/tensor.ts'
import { expectRecorded, readJson } from '../support/fixtures.ts'

interface Recording {
  readonly shape: number[]
  readonly start: number[]
  readonly gradients: number[][]
  readonly cases: Record<string, { values: number[][]; state: Record<string, number[]> }>
  readonly lbfgs: Record<'none' | 'strong_wolfe', { loss: number; point: [number, number] }[]>
}

const recorded = readJson<Recording>('optimizers/recorded')

const { Adadelta, Adagrad, Adam, ASGD, Lamb, LBFGS, NAdam, RAdam, Rprop } = optimizer
const lr = 0.05

const cases: Record<string, (parameters: Tensor[]) => optimizer.Optimizer> = {
  adadelta: (parameters) => new Adadelta({ learningRate: 0.5, parameters }),
  adagrad_initial: (parameters) => new Adagrad({ learningRate: lr, initialAccumulatorValue: 0.1, parameters }),
  adam_amsgrad: (parameters) => new Adam({ learningRate: lr, amsgrad: true, parameters }),
  nadam: (parameters) => new NAdam({ learningRate: lr, parameters }),
  nadam_l2: (parameters) => new NAdam({ learningRate: lr, weightDecay: 0.1, momentumDecay: 0.1, parameters }),
  radam: (parameters) => new RAdam({ learningRate: lr, parameters }),
  radam_early: (parameters) => new RAdam({ learningRate: lr, beta2: 0.9, parameters }),
  asgd: (parameters) => new ASGD({ learningRate: lr, batchNum: 3, parameters }),
  asgd_l2: (parameters) => new ASGD({ learningRate: lr, batchNum: 2, weightDecay: 0.1, parameters }),
  rprop: (parameters) => new Rprop({ learningRate: lr, learningRateRange: [0.01, 0.08], parameters }),
  lamb_excluded: (parameters) => new Lamb({ learningRate: lr, excludeFromWeightDecayFn: () => true, parameters }),
  lamb_always: (parameters) =>
    new Lamb({ learningRate: lr, excludeFromWeightDecayFn: () => true, alwaysAdapt: true, parameters }),
  group: (params) =>
    new Adam({
      learningRate: lr,
      parameters: [{ params, learningRate: 0.5, weightDecay: 0.1, beta1: 0.5, gradClip: new ClipGradByNorm(0.5) }],
    }),
}

function host(values: readonly number[], shape: readonly number[], dtype: DType = 'float32'): HostArray {
  const data = allocateHost(dtype, values.length)
  values.forEach((v, i) => setElement(dtype, data, i, v))
  return { dtype, shape, data }
}

describe('optimizers give the parameters that Paddle had', () => {
  test('every recording has its optimizer here', () => {
    expect(Object.keys(cases).toSorted()).toEqual(Object.keys(recorded.cases).toSorted())
  })

  test.each(Object.keys(cases))('%s', async (name) => {
    const { values, state } = recorded.cases[name]!
    const p = fromHost(host(recorded.start, recorded.shape), { stopGradient: false, name: 'p' })
    const opt = cases[name]!([p])
    for (const [t, gradient] of recorded.gradients.entries()) {
      p.grad = fromHost(host(gradient, recorded.shape))
      opt.step()
      opt.clearGrad()
      await expectRecorded(p, host(values[t]!, recorded.shape), `step ${t}`, 1e-5)
    }
    const shapes = Object.entries(opt.stateDict()).map(([key, t]) => [key.slice(1), (t as Tensor).shape])
    expect(Object.fromEntries(shapes)).toEqual(state)
  })
})

describe('LBFGS walks the valley of Rosenbrock as Paddle does', () => {
  test.each(['none', 'strong_wolfe'] as const)('line search: %s', async (search) => {
    const p = fromHost(host([-1.2, 1], [2], 'float64'), { stopGradient: false })
    const lineSearchFn = search === 'none' ? null : search
    const lbfgs = new LBFGS({ learningRate: lineSearchFn ? 1 : 0.5, maxIter: 6, lineSearchFn, parameters: [p] })
    const x = (i: number): Tensor => new Tensor(sliceAxis(p.node, 0, i, i + 1))
    const closure = (): Tensor => {
      lbfgs.clearGrad()
      const valley = multiply(pow(subtract(x(1), pow(x(0), 2)), 2), 100)
      const loss = add(pow(subtract(1, x(0)), 2), valley)
      loss.backward()
      return loss
    }
    for (const [i, { loss, point }] of recorded.lbfgs[search].entries()) {
      expect(await (await lbfgs.step(closure)).item(), `loss before step ${i}`).toBeCloseTo(loss, 6)
      const [a, b] = (await p.array()) as number[]
      expect(a).toBeCloseTo(point[0], 6)
      expect(b).toBeCloseTo(point[1], 6)
    }
  })
})
