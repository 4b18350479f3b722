import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { ArgumentError } from '../../common/errors.ts'
import * as lr from './index.ts'

interface Plateau {
  readonly metrics: number[]
  readonly lr_before: number[]
}
const fixture = new URL('../../../test/fixtures/ops/lr_schedulers.json', import.meta.url)
const { sequences } = JSON.parse(readFileSync(fixture, 'utf8')) as { sequences: Record<string, number[] | Plateau> }

const noam = { dModel: 64, warmupSteps: 5, learningRate: 1 }
const plateau = { learningRate: 0.5, factor: 0.5, patience: 2 }
const onLinear = {
  maxLearningRate: 1,
  totalSteps: 14,
  annealStrategy: 'linear',
  phasePct: 0.3,
  threePhase: true,
} as const

/** The schedules whose values were recorded from Paddle, under the record's names. */
const recorded: Record<string, () => lr.LRScheduler> = {
  NoamDecay: () => new lr.NoamDecay(noam),
  PiecewiseDecay: () => new lr.PiecewiseDecay({ boundaries: [3, 6, 9], values: [0.1, 0.05, 0.02, 0.01] }),
  NaturalExpDecay: () => new lr.NaturalExpDecay({ learningRate: 0.5, gamma: 0.1 }),
  InverseTimeDecay: () => new lr.InverseTimeDecay({ learningRate: 0.5, gamma: 0.1 }),
  PolynomialDecay: () => new lr.PolynomialDecay({ learningRate: 0.5, decaySteps: 8, endLr: 0.01, power: 0.9 }),
  PolynomialDecay_cycle: () =>
    new lr.PolynomialDecay({ learningRate: 0.5, decaySteps: 5, endLr: 0.01, power: 2, cycle: true }),
  LinearWarmup: () => new lr.LinearWarmup({ learningRate: 0.5, warmupSteps: 4, startLr: 0, endLr: 0.5 }),
  LinearWarmup_cosine: () =>
    new lr.LinearWarmup({
      learningRate: new lr.CosineAnnealingDecay({ learningRate: 0.5, tMax: 10 }),
      warmupSteps: 4,
      startLr: 0,
      endLr: 0.5,
    }),
  ExponentialDecay: () => new lr.ExponentialDecay({ learningRate: 0.5, gamma: 0.9 }),
  MultiStepDecay: () => new lr.MultiStepDecay({ learningRate: 0.5, milestones: [2, 5, 8], gamma: 0.3 }),
  StepDecay: () => new lr.StepDecay({ learningRate: 0.5, stepSize: 3, gamma: 0.1 }),
  LambdaDecay: () => new lr.LambdaDecay({ learningRate: 0.5, lrLambda: (epoch) => 0.95 ** epoch }),
  CosineAnnealingDecay: () => new lr.CosineAnnealingDecay({ learningRate: 0.5, tMax: 6, etaMin: 0.01 }),
  MultiplicativeDecay: () => new lr.MultiplicativeDecay({ learningRate: 0.5, lrLambda: () => 0.95 }),
  OneCycleLR: () => new lr.OneCycleLR({ maxLearningRate: 1, totalSteps: 14 }),
  OneCycleLR_linear3: () => new lr.OneCycleLR(onLinear),
  CyclicLR: () => new lr.CyclicLR({ baseLearningRate: 0.1, maxLearningRate: 1, stepSizeUp: 3, stepSizeDown: 4 }),
  CyclicLR_tri2: () =>
    new lr.CyclicLR({ baseLearningRate: 0.1, maxLearningRate: 1, stepSizeUp: 3, mode: 'triangular2' }),
  LinearLR: () => new lr.LinearLR({ learningRate: 0.5, totalSteps: 5 }),
  CosineAnnealingWarmRestarts: () => new lr.CosineAnnealingWarmRestarts({ learningRate: 0.5, t0: 3, tMult: 2 }),
  'ReduceOnPlateau(0.5,factor=0.5,patience=2)': () => new lr.ReduceOnPlateau(plateau),
}

interface Run {
  readonly arguments: (number | undefined)[]
  readonly expected: number[]
}

function runOf(name: string): Run {
  const sequence = sequences[name]!
  return Array.isArray(sequence)
    ? { arguments: sequence.map(() => undefined), expected: sequence }
    : { arguments: sequence.metrics, expected: sequence.lr_before }
}

function expectClose(got: number, expected: number): void {
  expect(Math.abs(got - expected)).toBeLessThanOrEqual(1e-13 * Math.max(1, Math.abs(expected)))
}

test('every recorded sequence has its schedule here', () => {
  expect(Object.keys(recorded).sort()).toEqual(Object.keys(sequences).sort())
})

describe.each(Object.keys(recorded))('%s', (name) => {
  const run = runOf(name)

  test('gives the recorded values of Paddle', () => {
    const schedule = recorded[name]!()
    run.expected.forEach((expected, i) => {
      expect(schedule.lastEpoch).toBe(i)
      expectClose(schedule.lastLr, expected)
      if (i + 1 < run.expected.length) schedule.step(run.arguments[i])
    })
  })

  test.each([0, 1, 4, 7, 11])('a state saved at step %i and restored through JSON goes on exactly', (at) => {
    const original = recorded[name]!()
    for (let i = 0; i < at; i++) original.step(run.arguments[i])
    const restored = recorded[name]!()
    restored.setStateDict(JSON.parse(JSON.stringify(original.stateDict())) as lr.LRState)
    expect(restored.lastLr).toBe(original.lastLr)
    for (let i = at; i < 14; i++) {
      original.step(run.arguments[i])
      restored.step(run.arguments[i])
      expect(restored.lastLr).toBe(original.lastLr)
    }
    expect(restored.stateDict()).toEqual(original.stateDict())
  })
})

describe('LRScheduler', () => {
  test("states carry Paddle's keys, the inner schedule's too", () => {
    const schedule = recorded['LinearWarmup_cosine']!()
    for (let i = 0; i < 6; i++) schedule.step()
    expect(schedule.stateDict()).toEqual({
      last_epoch: 6,
      last_lr: schedule.lastLr,
      LinearWarmup_LR: { last_epoch: 2, last_lr: schedule.lastLr },
    })
    expect(Object.keys(new lr.ReduceOnPlateau(plateau).stateDict()).sort()).toEqual([
      'best',
      'cooldown_counter',
      'last_epoch',
      'last_lr',
      'num_bad_epochs',
    ])
  })

  test('a state of another schedule is refused, naming the key', () => {
    const bare = { last_epoch: 3, last_lr: 0.1 }
    expect(() => new lr.ReduceOnPlateau(plateau).setStateDict(bare)).toThrow(/'best'/)
    expect(() => recorded['LinearWarmup_cosine']!().setStateDict(bare)).toThrow(/LinearWarmup_LR/)
    expect(() => recorded['StepDecay']!().setStateDict({ last_lr: 1 })).toThrow(/StepDecay.*last_epoch/)
  })

  test('a subclass needs only getLr, fields and all', () => {
    class Halving extends lr.LRScheduler {
      readonly factor = 0.5
      getLr(): number {
        return this.baseLr * this.factor ** this.lastEpoch
      }
    }
    const schedule = new Halving({ learningRate: 8 })
    expect([schedule.lastEpoch, schedule.lastLr]).toEqual([0, 8])
    schedule.step()
    schedule.step()
    expect(schedule.lastLr).toBe(2)
    const late = new Halving({ learningRate: 8, lastEpoch: 1 })
    late.step()
    expect([late.lastEpoch, late.lastLr]).toEqual([3, 1])
    expect(() => new Halving({ learningRate: -1 })).toThrow(/Halving: learningRate/)
  })

  test('step before the first look has passed epoch 0', () => {
    const schedule = new lr.StepDecay({ learningRate: 1, stepSize: 1 })
    schedule.step()
    expect([schedule.lastEpoch, schedule.lastLr]).toEqual([1, 0.1])
  })

  test.each(['StepDecay', 'CosineAnnealingDecay', 'CosineAnnealingWarmRestarts', 'LinearLR', 'MultiplicativeDecay'])(
    '%s: step(epoch) jumps to where single steps lead, forwards and back',
    (name) => {
      const { expected } = runOf(name)
      const schedule = recorded[name]!()
      for (const epoch of [9, 2, 13, 0, 6]) {
        schedule.step(epoch)
        expect(schedule.lastEpoch).toBe(epoch)
        expectClose(schedule.lastLr, expected[epoch]!)
      }
    },
  )

  test('warm restarts take fractions of an epoch and restart at exact powers', () => {
    const schedule = new lr.CosineAnnealingWarmRestarts({ learningRate: 1, t0: 2, tMult: 3 })
    schedule.step(0.5)
    expect(schedule.lastEpoch).toBe(0)
    expectClose(schedule.lastLr, (1 + Math.cos(Math.PI / 4)) / 2)
    // Restarts at 2, 2 + 6, 2 + 6 + 18, ...: the logarithm of 243 to the base 3 rounds below 5.
    for (const restart of [2, 8, 26, 80, 242]) {
      schedule.step(restart)
      expect(schedule.lastLr).toBe(1)
    }
    expect(() => schedule.step(-1)).toThrow(ArgumentError)
  })

  test('verbose prints each change', () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const schedule = new lr.StepDecay({ learningRate: 1, stepSize: 2, gamma: 0.5, verbose: true })
    schedule.step()
    schedule.step()
    const lines = log.mock.calls.map((call) => String(call[0]))
    log.mockRestore()
    expect(lines).toEqual([
      'Epoch 0: StepDecay set learning rate to 1.',
      'Epoch 1: StepDecay set learning rate to 1.',
      'Epoch 2: StepDecay set learning rate to 0.5.',
    ])
  })

  test('MultiplicativeDecay asks for each factor once', () => {
    const lrLambda = vi.fn((epoch: number) => 1 / (epoch + 1))
    const schedule = new lr.MultiplicativeDecay({ learningRate: 1, lrLambda })
    for (let i = 0; i < 5; i++) schedule.step()
    expectClose(schedule.lastLr, 1 / 720)
    expect(lrLambda.mock.calls.map(([epoch]) => epoch)).toEqual([1, 2, 3, 4, 5])
  })
})

describe('ReduceOnPlateau', () => {
  const after = (options: lr.ReduceOnPlateauOptions, metrics: number[]): number => {
    const schedule = new lr.ReduceOnPlateau(options)
    for (const metric of metrics) schedule.step(metric)
    return schedule.lastLr
  }

  test('mode max, absolute threshold, cooldown, lowest rate and epsilon', () => {
    const quick = { learningRate: 1, patience: 0, factor: 0.5 } as const
    expect(after({ ...quick, mode: 'max' }, [1, 2, 3])).toBe(1)
    expect(after({ ...quick, mode: 'max' }, [3, 2, 1])).toBe(0.25)
    expect(after({ ...quick, threshold: 1, thresholdMode: 'abs' }, [5, 4.5])).toBe(0.5)
    expect(after({ ...quick, threshold: 1, thresholdMode: 'abs' }, [5, 3.5])).toBe(1)
    expect(after({ ...quick, cooldown: 2 }, [1, 1, 1, 1])).toBe(0.5)
    expect(after({ ...quick, minLr: 0.4 }, [1, 1, 1, 1])).toBe(0.4)
    expect(after({ ...quick, epsilon: 0.5 }, [1, 1, 1])).toBe(1)
  })

  test('a missing metric and a factor that raises are refused', () => {
    const schedule: lr.LRScheduler = new lr.ReduceOnPlateau(plateau)
    expect(() => schedule.step()).toThrow(/metric/)
    expect(() => new lr.ReduceOnPlateau({ learningRate: 1, factor: 1 })).toThrow(ArgumentError)
  })
})

describe('cycles', () => {
  test('CyclicLR scales by steps, by powers and by a function', () => {
    const base = { baseLearningRate: 0, maxLearningRate: 1, stepSizeUp: 1 } as const
    const peaks = (options: Partial<lr.CyclicLROptions>): number[] => {
      const schedule = new lr.CyclicLR({ ...base, ...options })
      return [1, 3, 5].map((epoch) => {
        schedule.step(epoch)
        return schedule.lastLr
      })
    }
    expect(peaks({ mode: 'exp_range', expGamma: 0.5 })).toEqual([0.5, 0.125, 0.03125])
    expect(peaks({ scaleFn: (cycle) => 1 / cycle })).toEqual([1, 0.5, 1 / 3])
    expect(peaks({ scaleFn: (step) => step, scaleMode: 'iterations' })).toEqual([1, 3, 5])
  })

  test('OneCycleLR refuses steps beyond its total and starts at the top without a rise', () => {
    const schedule = new lr.OneCycleLR({ maxLearningRate: 1, totalSteps: 3 })
    schedule.step(3)
    expect(() => schedule.step()).toThrow(/step 4 is beyond totalSteps 3/)
    expect(new lr.OneCycleLR({ maxLearningRate: 1, totalSteps: 10, phasePct: 0.1 }).lastLr).toBe(1)
  })
})

test('options out of their domain are refused, naming option and value', () => {
  const bad: [() => unknown, RegExp][] = [
    [() => new lr.NoamDecay({ dModel: 0, warmupSteps: 1 }), /dModel.*0/],
    [() => new lr.PiecewiseDecay({ boundaries: [1], values: [1] }), /1 values and 1 boundaries/],
    [() => new lr.ExponentialDecay({ learningRate: 1, gamma: 1 }), /gamma/],
    [() => new lr.NaturalExpDecay({ learningRate: 1, gamma: 0 }), /gamma/],
    [() => new lr.PolynomialDecay({ learningRate: 1, decaySteps: 0 }), /decaySteps/],
    [() => new lr.MultiStepDecay({ learningRate: 1, milestones: [2, 2] }), /rise/],
    [() => new lr.StepDecay({ learningRate: 1, stepSize: 1.5 }), /stepSize/],
    [() => new lr.LinearWarmup({ learningRate: 1, warmupSteps: 2, startLr: 1, endLr: 1 }), /endLr/],
    [() => new lr.LinearLR({ learningRate: 1, totalSteps: 2, startFactor: 0 }), /startFactor/],
    [() => new lr.CosineAnnealingDecay({ learningRate: 1, tMax: -1 }), /tMax/],
    [() => new lr.OneCycleLR({ ...onLinear, phasePct: 0.5 }), /phasePct/],
    [() => new lr.OneCycleLR({ ...onLinear, annealStrategy: 'step' as 'cos' }), /annealStrategy.*step/],
    [
      () => new lr.CyclicLR({ baseLearningRate: 0, maxLearningRate: 1, stepSizeUp: 1, mode: 'saw' as 'exp_range' }),
      /saw/,
    ],
  ]
  for (const [build, message] of bad) {
    expect(build).toThrow(ArgumentError)
    expect(build).toThrow(message)
  }
})
