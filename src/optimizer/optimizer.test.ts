/** What all optimizers share: groups, rates, states, clocks, skipping, master weights, and plans of one structure. */
import { beforeAll, describe, expect, test } from 'vitest'
import { registerSpy, type SpyBackend } from '../../test/support/spy-backend.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { ClipGradByGlobalNorm, ClipGradByNorm, ClipGradByValue, clipGradNorm_, clipGradValue_ } from '../nn/clip.ts'
import { Parameter, ParamAttr } from '../nn/parameter.ts'
import { matmul, mean, multiply, setDevice, sum, toTensor } from '../tensor/index.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import { Adam, AdamW, Adagrad, Lamb, L2Decay, lr, Momentum, NAdam, RMSProp, SGD } from './index.ts'

let spy: SpyBackend

beforeAll(() => {
  spy = registerSpy('spy')
  setDevice('spy')
})

function variable(values: readonly number[], name?: string): Tensor {
  const host = { dtype: 'float32' as const, shape: [values.length], data: Float32Array.from(values) }
  return fromHost(host, { stopGradient: false, ...(name === undefined ? {} : { name }) })
}

/** Gives parameters gradients as a loss would. */
function backwardWith(parameters: readonly Tensor[], gradients: readonly (readonly number[])[]): void {
  parameters.forEach((p, i) => sum(multiply(p, toTensor([...gradients[i]!], { dtype: 'float32' }))).backward())
}

describe('the learning rate', () => {
  test('is a number of the run: steps at different rates have one structure', async () => {
    const p = variable([1, 2])
    const schedule = new lr.ExponentialDecay({ learningRate: 0.5, gamma: 0.5 })
    const adam = new Adam({ learningRate: schedule, parameters: [p] })
    const steps: string[][] = []
    for (let i = 0; i < 5; i++) {
      spy.takeKeys()
      backwardWith([p], [[1, -3]])
      adam.step()
      adam.clearGrad()
      schedule.step()
      steps.push(spy.takeKeys())
    }
    expect(steps[0]).toHaveLength(1)
    for (const keys of steps) expect(keys).toEqual(steps[0])
    expect(adam.getLr()).toBeCloseTo(0.5 ** 6, 12)
    expect(() => adam.setLr(0.1)).toThrow(ArgumentError)
  })

  test('is shared: one number for all parameters of a step', () => {
    const parameters = [variable([1]), variable([2, 3]), variable([4, 5, 6])]
    const momentum = new Momentum({ learningRate: 0.1, parameters })
    backwardWith(parameters, [[1], [1, 1], [1, 1, 1]])
    spy.captures.length = 0
    momentum.step()
    expect(spy.captures.at(-1)!.scalars).toEqual([0.1])
  })

  test('is scaled by group and by parameter', async () => {
    const attr = new ParamAttr({ learningRate: 0.5 })
    const slow = new Parameter({ dtype: 'float32', shape: [1], data: Float32Array.of(1) }, 'slow', attr)
    const [a, b] = [variable([1]), variable([1])]
    const sgd = new SGD({ learningRate: 0.1, parameters: [{ params: [a] }, { params: [b, slow], learningRate: 2 }] })
    backwardWith([a, b, slow], [[1], [1], [1]])
    sgd.step()
    expect(await a.item()).toBeCloseTo(0.9, 6)
    expect(await b.item()).toBeCloseTo(0.8, 6)
    expect(await slow.item()).toBeCloseTo(0.9, 6)
    sgd.setLr(0.5)
    expect(sgd.getLr()).toBe(0.5)
  })

  test('must be a number or a schedule', () => {
    expect(() => new SGD({ learningRate: -1, parameters: [variable([1])] })).toThrow(
      'learningRate must be a number >= 0',
    )
  })
})

describe('parameters', () => {
  test('without a gradient, and frozen ones, stay', async () => {
    const [a, b, c] = [variable([1]), variable([1]), variable([1])]
    const sgd = new SGD({ learningRate: 1, parameters: [a, b, c] })
    backwardWith([a, c], [[1], [1]])
    c.stopGradient = true
    sgd.step()
    expect([await a.item(), await b.item(), await c.item()]).toEqual([0, 1, 1])
  })

  test('are leaves, each given once', () => {
    const a = variable([1])
    expect(() => new SGD({ parameters: [a, a] })).toThrow('given twice')
    expect(() => new SGD({ parameters: [multiply(a, a)] })).toThrow('only leaf tensors are trained')
    expect(() => new SGD({} as never)).toThrow('give { parameters: model.parameters() }')
    expect(() => new SGD({ parameters: [a, { params: [a] }] as never })).toThrow('mixes tensors and groups')
  })

  test('of low precision have float32 master weights, from which small steps add up', async () => {
    const host = { dtype: 'bfloat16' as const, shape: [1], data: Uint16Array.of(0x3f80) }
    const steps = async (multiPrecision: boolean): Promise<{ p: Tensor; sgd: SGD }> => {
      const p = fromHost(host, { stopGradient: false, name: 'p' })
      const sgd = new SGD({ learningRate: 1e-3, multiPrecision, parameters: [p] })
      for (let i = 0; i < 20; i++) {
        sum(p).backward()
        sgd.step()
        sgd.clearGrad()
      }
      return { p, sgd }
    }
    const { p, sgd } = await steps(true)
    expect(p.dtype).toBe('bfloat16')
    expect(await p.item()).toBeCloseTo(0.98, 2)
    const masters = sgd.stateDict()['master_weights'] as Record<string, Tensor>
    expect(await masters['p']!.item()).toBeCloseTo(0.98, 5)
    // 1 - 0.001 rounds back to 1 in bfloat16.
    expect(await (await steps(false)).p.item()).toBe(1)
  })
})

describe('weight decay', () => {
  test('of a parameter replaces the one of the optimizer', async () => {
    const attr = new ParamAttr({ regularizer: new L2Decay(0.5) })
    const own = new Parameter({ dtype: 'float32', shape: [1], data: Float32Array.of(1) }, 'own', attr)
    const other = variable([1])
    const sgd = new SGD({ learningRate: 1, weightDecay: 0.1, parameters: [own, other] })
    backwardWith([own, other], [[0], [0]])
    sgd.step()
    expect(await own.item()).toBeCloseTo(0.5, 6)
    expect(await other.item()).toBeCloseTo(0.9, 6)
  })

  test('of AdamW is a matter of groups and names too', async () => {
    const [a, b, c] = [variable([1], 'a'), variable([1], 'b'), variable([1], 'c')]
    const adamw = new AdamW({
      learningRate: 0.1,
      applyDecayParamFun: (name) => name !== 'c',
      weightDecay: 0.5,
      parameters: [{ params: [a], weightDecay: 1 }, { params: [b, c] }],
    })
    backwardWith([a, b, c], [[0], [0], [0]])
    adamw.step()
    expect(await a.item()).toBeCloseTo(0.9, 6)
    expect(await b.item()).toBeCloseTo(0.95, 6)
    expect(await c.item()).toBe(1)
  })
})

describe('a step that is skipped on the device', () => {
  const makers = {
    Adam: (parameters: Tensor[]) => new Adam({ learningRate: 0.1, amsgrad: true, parameters }),
    AdamW: (parameters: Tensor[]) => new AdamW({ learningRate: 0.1, parameters }),
    Adagrad: (parameters: Tensor[]) => new Adagrad({ learningRate: 0.1, parameters }),
    Lamb: (parameters: Tensor[]) => new Lamb({ learningRate: 0.1, parameters }),
    Momentum: (parameters: Tensor[]) => new Momentum({ learningRate: 0.1, parameters }),
    NAdam: (parameters: Tensor[]) => new NAdam({ learningRate: 0.1, parameters }),
    RMSProp: (parameters: Tensor[]) => new RMSProp({ learningRate: 0.1, centered: true, parameters }),
  }

  test.each(Object.entries(makers))('leaves parameters and all accumulators of %s as they were', async (_, make) => {
    const p = variable([1, 2], 'p')
    const optimizer = make([p])
    backwardWith([p], [[1, -1]])
    optimizer.step(toTensor(false))
    optimizer.clearGrad()
    const values = async (): Promise<unknown[]> =>
      Promise.all([p, ...(Object.values(optimizer.stateDict()) as Tensor[])].map((t) => t.array()))
    const before = await values()
    expect(before[0]).not.toEqual([1, 2])
    backwardWith([p], [[NaN, Infinity]])
    optimizer.step(toTensor([true]))
    expect(await values()).toEqual(before)
  })

  test('needs one bool', () => {
    const p = variable([1])
    const sgd = new SGD({ parameters: [p] })
    backwardWith([p], [[1]])
    expect(() => sgd.step(toTensor([1, 0]))).toThrow('skip must be one bool')
  })
})

describe('states', () => {
  test('have the keys of .pdopt files', () => {
    const p = variable([1, 2], 'linear_0.w_0')
    const adam = new Adam({ learningRate: new lr.StepDecay({ learningRate: 0.1, stepSize: 3 }), parameters: [p] })
    backwardWith([p], [[1, 1]])
    adam.step()
    const state = adam.stateDict()
    expect(Object.keys(state).toSorted()).toEqual([
      'LR_Scheduler',
      'linear_0.w_0_beta1_pow_acc_0',
      'linear_0.w_0_beta2_pow_acc_0',
      'linear_0.w_0_moment1_0',
      'linear_0.w_0_moment2_0',
    ])
    expect((state['linear_0.w_0_beta1_pow_acc_0'] as Tensor).shape).toEqual([1])
    expect(state['LR_Scheduler']).toMatchObject({ last_epoch: 0, last_lr: 0.1 })
  })

  test.each(['tensors', 'host arrays'])('restored from %s go on exactly as before', async (form) => {
    const run = async (interrupted: boolean): Promise<unknown> => {
      const parameters = [variable([1, 2], 'a'), variable([3], 'b')]
      const make = (): NAdam => new NAdam({ learningRate: 0.1, weightDecay: 0.01, parameters })
      let nadam = make()
      for (let i = 0; i < 6; i++) {
        // The second parameter joins late: its counters differ.
        backwardWith(i < 2 ? [parameters[0]!] : parameters, [[i, 1], [1 - i]])
        nadam.step()
        nadam.clearGrad()
        if (!interrupted || i !== 3) continue
        const saved = Object.entries(nadam.stateDict()) as [string, Tensor][]
        nadam = make()
        const values = await Promise.all(
          saved.map(async ([key, t]) => [key, form === 'tensors' ? t : await t.hostArray()] as const),
        )
        nadam.setStateDict(Object.fromEntries(values))
      }
      return Promise.all(parameters.map((p) => p.array()))
    }
    expect(await run(true)).toEqual(await run(false))
  })

  test('of another kind are refused', () => {
    const p = variable([1], 'p')
    const momentum = new Momentum({ parameters: [p] })
    backwardWith([p], [[1]])
    momentum.step()
    const adam = new Adam({ parameters: [p] })
    adam.setStateDict({})
    expect(() => adam.setStateDict({ p_moment1_0: toTensor([1.5]) })).toThrow("'p_moment2_0' is missing")
    expect(() => new Momentum({ parameters: [p] }).setStateDict({ p_velocity_0: toTensor([1, 2]) })).toThrow(ShapeError)
  })
})

describe('counters', () => {
  test('are one tensor for all parameters that were updated in the same steps, and part when their ways do', async () => {
    const [a, b] = [variable([1], 'a'), variable([1], 'b')]
    const adam = new Adam({ parameters: [a, b] })
    const power = (name: string): Tensor => adam.stateDict()[`${name}_beta1_pow_acc_0`] as Tensor
    const step = (list: Tensor[]): void => {
      backwardWith(list, [[1], [1]])
      adam.step()
      adam.clearGrad()
    }
    step([a, b])
    expect(power('a')).toBe(power('b'))
    step([a])
    step([a, b])
    expect(await power('a').item()).toBeCloseTo(0.9 ** 4, 6)
    expect(await power('b').item()).toBeCloseTo(0.9 ** 3, 6)
  })
})

describe('gradient clipping', () => {
  test('leaves out parameters that do not want it', async () => {
    const attr = new ParamAttr({ needClip: false })
    const free = new Parameter({ dtype: 'float32', shape: [1], data: Float32Array.of(0) }, 'free', attr)
    const p = variable([0])
    for (const [gradClip, expected] of [
      [new ClipGradByGlobalNorm(1), -1],
      [new ClipGradByNorm(2), -2],
      [new ClipGradByValue(3), -3],
    ] as const) {
      const sgd = new SGD({ learningRate: 1, gradClip, parameters: [p, free] })
      backwardWith([p, free], [[5], [5]])
      const before = [await p.item(), await free.item()]
      sgd.step()
      sgd.clearGrad()
      expect((await p.item()) - before[0]!).toBeCloseTo(expected, 5)
      expect((await free.item()) - before[1]!).toBeCloseTo(-5, 5)
    }
  })

  test('in place: clipGradNorm_ returns the norm, clipGradValue_ limits elements', async () => {
    const p = variable([0, 0])
    backwardWith([p], [[3, 4]])
    expect(await clipGradNorm_([p], 1).item()).toBeCloseTo(5, 5)
    expect((await p.grad!.array()) as number[]).toEqual([expect.closeTo(0.6, 5), expect.closeTo(0.8, 5)])
    expect(await clipGradNorm_(p, 1, { normType: Infinity }).item()).toBeCloseTo(0.8, 5)
    clipGradValue_(p, 0.7)
    expect((await p.grad!.array()) as number[]).toEqual([expect.closeTo(0.6, 5), expect.closeTo(0.7, 5)])
  })

  test('limits must be positive', () => {
    expect(() => new ClipGradByNorm(0)).toThrow(ArgumentError)
    expect(() => new ClipGradByValue(1, 2)).toThrow('min 2 is above max 1')
  })
})

test('minimize applies gradients and returns the pairs; clearGrad forgets them or makes them zeros', async () => {
  const p = variable([1, 2])
  const sgd = new SGD({ learningRate: 1, parameters: [p] })
  const loss = sum(multiply(p, p))
  loss.backward()
  const pairs = sgd.minimize(loss)
  expect(pairs).toHaveLength(1)
  expect(pairs[0]![0]).toBe(p)
  expect(await loss.item()).toBe(5)
  expect(await p.array()).toEqual([-1, -2])
  sgd.clearGrad()
  expect(p.grad).toBeNull()
  mean(matmul(p, toTensor([1, 1], { dtype: 'float32' }))).backward()
  sgd.clearGrad(true)
  expect(await p.grad!.array()).toEqual([0, 0])
})
