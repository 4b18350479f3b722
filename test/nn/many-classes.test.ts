/** Losses over many classes as layers, and those that PaddlePaddle has on GPUs only or with random choices. */
import { afterAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { ArgumentError, IndexOutOfRangeError, nn, ShapeError, toTensor } from '../../src/index.ts'
import { gradcheck } from '../gradcheck.ts'

const F = nn.functional

afterAll(() => lz.setDevice('reference'))

describe('marginCrossEntropy', () => {
  it('is the cross entropy with a larger angle for the label', async () => {
    const cosines = [
      [0.3, -0.2, 0.8],
      [0.1, 0.9, -0.5],
    ]
    const labels = [2, 0]
    const [margin1, margin2, margin3, scale] = [1.1, 0.3, 0.05, 8]
    const expected = cosines.map((row, i) => {
      const own = Math.cos(margin1 * Math.acos(row[labels[i]!]!) + margin2) - margin3
      const scores = row.map((c, j) => scale * (j === labels[i] ? own : c))
      const total = scores.reduce((s, v) => s + Math.exp(v), 0)
      return { loss: Math.log(total) - scores[labels[i]!]!, shares: scores.map((v) => Math.exp(v) / total) }
    })
    const options = { margin1, margin2, margin3, scale, returnSoftmax: true, reduction: 'none' } as const
    const [loss, softmax] = F.marginCrossEntropy(toTensor(cosines, 'float64'), toTensor(labels), options)

    expect(loss.shape).toEqual([2, 1])
    ;((await loss.array()) as number[][]).forEach(([v], i) => expect(v).toBeCloseTo(expected[i]!.loss, 12))
    const shares = (await softmax.array()) as number[][]
    shares.flat().forEach((v, i) => expect(v).toBeCloseTo(expected.flatMap((e) => e.shares)[i]!, 12))
    const mean = await F.marginCrossEntropy(toTensor(cosines, 'float64'), toTensor(labels), { scale: 2 }).item()
    expect(mean).toBeGreaterThan(0)
  })

  it('has gradients of both orders', async () => {
    const labels = toTensor([1, 0, 2])
    const loss = (x: lz.Tensor): lz.Tensor => F.marginCrossEntropy(x, labels, { scale: 4 })
    await gradcheck(loss, [{ shape: [3, 3], range: [-0.8, 0.8] }], { tolerance: 1e-5 })
  })
})

describe('classCenterSample', () => {
  it('keeps the classes that occur and fills up with others', async () => {
    const [remapped, sampled] = await F.classCenterSample(toTensor([11, 5, 1, 5]), 20, 6)
    const classes = (await sampled.array()) as number[]

    expect(classes.slice(0, 3)).toEqual([1, 5, 11])
    expect(new Set(classes).size).toBe(6)
    expect(classes.every((c) => c >= 0 && c < 20)).toBe(true)
    expect(await remapped.array()).toEqual([2, 1, 0, 1])
  })

  it('keeps more than asked for where more occur, and refuses what is no class', async () => {
    const [, sampled] = await F.classCenterSample(toTensor([3, 1, 2]), 4, 2)
    expect(await sampled.array()).toEqual([1, 2, 3])
    await expect(F.classCenterSample(toTensor([4]), 4, 2)).rejects.toThrow(IndexOutOfRangeError)
    await expect(F.classCenterSample(toTensor([1]), 4, 5)).rejects.toThrow(ArgumentError)
  })
})

describe('layers', () => {
  it('HSigmoidLoss has a row for each inner node and trains', async () => {
    const loss = new nn.HSigmoidLoss(3, 5)
    expect(loss.weight.shape).toEqual([4, 3])
    expect(loss.bias!.shape).toEqual([4, 1])
    const out = loss(lz.randn([6, 3]), lz.randint(0, 5, [6]))
    expect(out.shape).toEqual([6, 1])
    out.mean().backward()
    expect(await loss.weight.grad!.abs().sum().item()).toBeGreaterThan(0)
    expect(new nn.HSigmoidLoss(3, 5, { isCustom: true, biasAttr: false }).bias).toBeNull()
    expect(() => new nn.HSigmoidLoss(3, 1)).toThrow(ArgumentError)
    await expect(loss(lz.randn([1, 3]), toTensor([5])).data()).rejects.toThrow(IndexOutOfRangeError)
  })

  it('AdaptiveLogSoftmaxWithLoss gives the log-probabilities that its loss is made of', async () => {
    lz.seed(5)
    const layer = new nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 7], { headBias: true, divValue: 2 })
    expect(layer.namedParameters().map(([name, p]) => [name, p.shape])).toEqual([
      ['head_weight', [8, 6]],
      ['head_bias', [6]],
      ['tail_weights_0_0', [8, 4]],
      ['tail_weights_0_1', [4, 3]],
      ['tail_weights_1_0', [8, 2]],
      ['tail_weights_1_1', [2, 5]],
    ])
    const [x, labels] = [lz.randn([5, 8]), [0, 11, 5, 3, 8]]
    const [output, loss] = layer(x, toTensor(labels))
    const all = (await layer.logProb(x).array()) as number[][]
    const own = (await output.array()) as number[]
    all.forEach((row, i) => {
      expect(row.reduce((s, v) => s + Math.exp(v), 0)).toBeCloseTo(1, 5)
      expect(own[i]).toBeCloseTo(row[labels[i]!]!, 5)
    })
    expect(await loss.item()).toBeCloseTo(-own.reduce((a, b) => a + b) / 5, 5)
    expect(await layer.predict(x).array()).toEqual(all.map((row) => row.indexOf(Math.max(...row))))
    loss.backward()
    expect(layer.tailWeights[1]![0].grad?.shape).toEqual([8, 2])
    expect(() => new nn.AdaptiveLogSoftmaxWithLoss(8, 12, [7, 4])).toThrow(ArgumentError)
    expect(() => layer(lz.randn([2, 8]), lz.zeros([2, 1], 'int64'))).toThrow(ShapeError)
  })
})

describe('paddings by name', () => {
  const row = toTensor([[[1, 2, 3]]])
  it.each([
    [new nn.ConstantPad1D(1, 7), [7, 1, 2, 3, 7]],
    [new nn.ZeroPad1D([0, 2]), [1, 2, 3, 0, 0]],
    [new nn.CircularPad1D(1), [3, 1, 2, 3, 1]],
    [new nn.ReflectionPad1D(2), [3, 2, 1, 2, 3, 2, 1]],
    [new nn.ReplicationPad1D([2, 0]), [1, 1, 1, 2, 3]],
  ])('%s', async (layer, expected) => {
    expect(await layer(row.astype('float32')).array()).toEqual([[expected]])
  })

  it('covers as many axes as the name says', () => {
    expect(new nn.CircularPad2D(1)(lz.zeros([1, 1, 2, 2])).shape).toEqual([1, 1, 4, 4])
    expect(new nn.ReplicationPad3D(1)(lz.zeros([1, 1, 2, 2, 2])).shape).toEqual([1, 1, 4, 4, 4])
    expect(new nn.ReflectionPad2D([1, 0, 0, 0])(lz.zeros([1, 1, 2, 2])).shape).toEqual([1, 1, 2, 3])
  })
})

describe('ParameterDict', () => {
  it('holds parameters of the model by name', () => {
    const one = new nn.Linear(2, 3).weight
    const model = new nn.ParameterDict({ first: one })
    expect(model.get('first')).toBe(one)
    expect(Object.keys(model.stateDict())).toEqual(['first'])
    expect(() => model.get('second')).toThrow(/first/)
    expect(() => model.set('bad', lz.zeros([1]) as nn.Parameter)).toThrow(ArgumentError)
  })
})

it('dropout1d drops whole channels of [N, C, L]', async () => {
  lz.seed(2)
  const rows = (await F.dropout1d(lz.ones([4, 5, 3]), 0.5).array()) as number[][][]
  for (const channel of rows.flat()) expect(new Set(channel).size).toBe(1)
  expect(new Set(rows.flat(2))).toEqual(new Set([0, 2]))
})
