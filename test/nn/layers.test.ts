/** What layers do beside computing their function: modes, running statistics, ties, random draws, reparametrised weights, and what they refuse. */
import { beforeAll, describe, expect, test } from 'vitest'
import { nn, ones, seed, setDevice, toTensor, zeros, type Tensor } from '../../src/index.ts'
import { ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError } from '../../src/common/errors.ts'

const F = nn.functional

beforeAll(() => setDevice('reference'))

function close(got: Tensor, expected: Tensor, digits = 5): void {
  expect(got.shape).toEqual(expected.shape)
  const b = expected.dataSync()
  got.dataSync().forEach((v, i) => expect(Number(v)).toBeCloseTo(Number(b[i]), digits))
}

/** 0, 1, 2, ... divided by 7, in a shape. */
const ramp = (...shape: number[]): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return toTensor(Float32Array.from({ length: n }, (_, i) => (((i * 37) % 101) - 50) / 7)).reshape(shape)
}

describe('batch normalisation', () => {
  test('updates running statistics while training only, with the biased variance', () => {
    const norm = new nn.BatchNorm1D(1, { momentum: 0.8 })
    const x = toTensor([[1], [3]], 'float32')
    norm(x)
    expect(norm._mean.arraySync()).toEqual([expect.closeTo(0.4, 6)])
    expect(norm._variance.arraySync()).toEqual([expect.closeTo(0.8 + 0.2 * 1, 6)])
    norm.eval()
    const y = norm(x)
    expect(norm._mean.arraySync()).toEqual([expect.closeTo(0.4, 6)])
    close(y, toTensor([[0.6], [2.6]], 'float32'), 4)
  })

  test('keeps one memory for its statistics over many steps', () => {
    const norm = new nn.BatchNorm2D(2)
    const { node } = norm._mean
    expect(node.op).toBe('buffer')
    for (let i = 0; i < 5; i++) norm(ramp(2, 2, 3, 3))
    expect(norm._mean.node.op).toBe('buffer')
    expect((norm._mean.node as typeof node).attributes).toHaveProperty(
      'storage',
      (node.attributes as { storage: unknown }).storage,
    )
  })

  test('lists its state under Paddle names', () => {
    expect(Object.keys(new nn.BatchNorm2D(2).stateDict())).toEqual(['weight', 'bias', '_mean', '_variance'])
    expect(Object.keys(new nn.InstanceNorm2D(2).stateDict())).toEqual(['scale', 'bias'])
    expect(Object.keys(new nn.BatchNorm2D(2, { weightAttr: false, biasAttr: false }).stateDict())).toEqual([
      '_mean',
      '_variance',
    ])
  })

  test('refuses inputs of another rank', () => {
    expect(() => new nn.BatchNorm2D(2)(ramp(2, 2, 3))).toThrow(ShapeError)
  })

  test('becomes SyncBatchNorm with the same parameters and state', () => {
    const net = new nn.Sequential(new nn.Conv2D(1, 2, 1), new nn.BatchNorm2D(2))
    const [before, x] = [Object.keys(net.stateDict()), ramp(2, 1, 3, 3)]
    const expected = net.eval()(x)
    nn.SyncBatchNorm.convertSyncBatchNorm(net)
    expect(net.at(1)).toBeInstanceOf(nn.SyncBatchNorm)
    expect(Object.keys(net.stateDict())).toEqual(before)
    close(net(x) as Tensor, expected as Tensor)
  })
})

describe('pools', () => {
  test('send the gradient of a maximum to the first element that attains it', () => {
    const overlapping = ones([1, 1, 3, 3]).detach()
    overlapping.stopGradient = false
    F.maxPool2d(overlapping, 2, { stride: 1 }).sum().backward()
    expect(overlapping.grad!.arraySync()).toEqual([
      [
        [
          [1, 1, 0],
          [1, 1, 0],
          [0, 0, 0],
        ],
      ],
    ])
    const apart = ones([1, 1, 2, 4]).detach()
    apart.stopGradient = false
    F.maxPool2d(apart, 2).sum().backward()
    expect(apart.grad!.arraySync()).toEqual([
      [
        [
          [1, 0, 1, 0],
          [0, 0, 0, 0],
        ],
      ],
    ])
  })

  test('never let padding win', () => {
    expect(F.maxPool2d(ones([1, 1, 2, 2]).multiply(-5), 3, { padding: 1 }).arraySync()).toEqual([[[[-5]]]])
  })

  test('refuse windows that do not fit', () => {
    expect(() => F.maxPool2d(ramp(1, 1, 2, 2), 3)).toThrow(/does not fit/)
    expect(() => F.avgPool2d(ramp(1, 1, 2, 2), 0)).toThrow(ArgumentError)
    expect(() => F.maxPool2d(toTensor([[[[1]]]]), 1)).toThrow(DTypeError)
  })

  test('unpooling refuses an index outside its plane', () => {
    const x = ones([1, 1, 1, 1])
    expect(() => F.maxUnpool2d(x, toTensor([[[[9]]]], 'int32'), 2).dataSync()).toThrow(IndexOutOfRangeError)
  })
})

describe('convolutions', () => {
  test('with padding modes see the input again', () => {
    const conv = new nn.Conv2D(1, 1, 3, { padding: 1, paddingMode: 'replicate', biasAttr: false })
    conv.weight.setValue(ones([1, 1, 3, 3]))
    close(conv(ones([1, 1, 3, 3])), ones([1, 1, 3, 3]).multiply(9))
    const zeroPadded = new nn.Conv2D(1, 1, 3, { padding: 1, biasAttr: false })
    zeroPadded.weight.setValue(ones([1, 1, 3, 3]))
    expect(zeroPadded(ones([1, 1, 3, 3])).arraySync()).toEqual([
      [
        [
          [4, 6, 4],
          [6, 9, 6],
          [4, 6, 4],
        ],
      ],
    ])
  })

  test('take the kernel third or among the options, and say what is missing', () => {
    expect(new nn.Conv2D(3, 8, 3).weight.shape).toEqual([8, 3, 3, 3])
    expect(new nn.Conv2D(4, 8, { kernelSize: [3, 1], groups: 2 }).weight.shape).toEqual([8, 2, 3, 1])
    expect(new nn.Conv2DTranspose(4, 8, 3, { groups: 2 }).weight.shape).toEqual([4, 4, 3, 3])
    expect(() => new nn.Conv2D(3, 8, {} as never)).toThrow(/kernelSize is missing/)
    expect(() => new nn.Conv2D(3, 8, 3, { groups: 2 })).toThrow(/groups must divide/)
    expect(() => new nn.Conv2D(3, 8, 3)(ramp(1, 4, 5, 5))).toThrow(/4 channels, the weight \[8, 3, 3, 3\] takes 3/)
    expect(() => new nn.Conv2D(3, 8, 7)(ramp(1, 3, 5, 5))).toThrow(/does not fit/)
  })

  test('work on an empty batch', () => {
    expect(new nn.Conv2D(3, 8, 3)(zeros([0, 3, 5, 5])).shape).toEqual([0, 8, 3, 3])
  })
})

describe('dropout', () => {
  test('drops about p of the elements, keeps the mean, and passes through in evaluation', () => {
    seed(7)
    const drop = new nn.Dropout(0.25)
    const x = ones([4000])
    const y = Array.from(drop(x).dataSync(), Number)
    const dropped = y.filter((v) => v === 0).length / y.length
    expect(dropped).toBeGreaterThan(0.2)
    expect(dropped).toBeLessThan(0.3)
    expect(new Set(y.filter((v) => v !== 0))).toEqual(new Set([Math.fround(1 / 0.75)]))
    expect(drop.eval()(x)).toBe(x)
  })

  test('draws anew at each call, and the same after the same seed', () => {
    const draw = (): unknown => F.dropout(ones([64]), 0.5).arraySync()
    seed(3)
    const first = [draw(), draw()]
    expect(first[0]).not.toEqual(first[1])
    seed(3)
    expect([draw(), draw()]).toEqual(first)
  })

  test('uses one mask for value and gradient, whenever they are read', () => {
    const x = ones([50]).detach()
    x.stopGradient = false
    const y = F.dropout(x, 0.5)
    y.sum().backward()
    expect(y.arraySync()).toEqual(x.grad!.arraySync())
  })

  test('of channels drops them whole', () => {
    seed(11)
    const y = F.dropout2d(ones([4, 16, 3, 3]), 0.5)
      .reshape([64, 9])
      .arraySync() as number[][]
    for (const channel of y) expect(new Set(channel).size).toBe(1)
    expect(new Set(y.map((c) => c[0]))).toEqual(new Set([0, 2]))
  })

  test('at 1 gives zeros, and refuses what is no probability', () => {
    expect(F.dropout(ones([3]), 1).arraySync()).toEqual([0, 0, 0])
    expect(() => F.dropout(ones([3]), 1.5)).toThrow(ArgumentError)
  })

  test('for SELU keeps mean and variance', () => {
    seed(5)
    const y = Array.from(
      F.alphaDropout(
        F.selu(nn.functional.interpolate(ramp(1, 1, 100), { size: 4000, mode: 'linear' })),
        0.2,
      ).dataSync(),
      Number,
    )
    expect(y.every(Number.isFinite)).toBe(true)
    expect(F.alphaDropout(ones([2]), 0.2, false).arraySync()).toEqual([1, 1])
  })
})

describe('labels', () => {
  const logits = (): Tensor => ramp(3, 4)

  test('outside the classes are an error when the plan runs', () => {
    for (const bad of [4, -1]) {
      const loss = F.crossEntropy(logits(), toTensor([0, bad, 1]))
      expect(() => loss.dataSync()).toThrow(IndexOutOfRangeError)
    }
    expect(() => F.embedding(toTensor([5]), ramp(5, 2)).dataSync()).toThrow(IndexOutOfRangeError)
    expect(() => F.embedding(toTensor([-1]), ramp(5, 2)).dataSync()).toThrow(IndexOutOfRangeError)
  })

  test('that are ignored by a negative index still count in the mean, by another they do not', () => {
    const [one] = F.crossEntropy(logits(), toTensor([1, -100, -100]), { reduction: 'none' }).arraySync() as number[]
    expect(F.crossEntropy(logits(), toTensor([1, -100, -100])).itemSync()).toBeCloseTo(one! / 3, 5)
    expect(F.crossEntropy(logits(), toTensor([1, 3, 3]), { ignoreIndex: 3 }).itemSync()).toBeCloseTo(one!, 5)
  })

  test('all ignored give 0, and no NaN in the gradient', () => {
    const x = logits().detach()
    x.stopGradient = false
    const loss = F.crossEntropy(x, toTensor([2, 2, 2]), { ignoreIndex: 2 })
    loss.backward()
    expect([loss.itemSync(), ...(x.grad!.arraySync() as number[][]).flat()].every((v) => v === 0)).toBe(true)
  })

  test('of a wrong shape or dtype are refused with the shapes that fit', () => {
    expect(() => F.crossEntropy(logits(), toTensor([1, 2]))).toThrow(/must be \[3\] or \[3, 1\], got \[2\]/)
    expect(() => F.crossEntropy(logits(), ones([3]))).toThrow(DTypeError)
  })

  test('extreme logits follow the documentation, not the clamp of the CPU kernels', () => {
    const x = toTensor([[0, 200]], 'float32')
    expect(F.crossEntropy(x, toTensor([0])).itemSync()).toBe(200)
    expect(F.softmax(x).arraySync()).toEqual([[0, 1]])
  })
})

describe('reparametrised weights', () => {
  test('weightNorm changes nothing but the parameters, and can be taken back', () => {
    const linear = new nn.Linear(3, 2)
    const x = ramp(4, 3)
    const before = linear(x)
    nn.utils.weightNorm(linear, 'weight', 1)
    expect(linear.namedParameters().map(([n]) => n)).toEqual(['bias', 'weight_v', 'weight_g'])
    close(linear(x), before)
    nn.utils.removeWeightNorm(linear)
    expect(
      linear
        .namedParameters()
        .map(([n]) => n)
        .sort(),
    ).toEqual(['bias', 'weight'])
    close(linear(x), before)
    expect(() => nn.utils.removeWeightNorm(linear)).toThrow(ArgumentError)
  })

  test('spectralNorm brings the largest singular value to 1', () => {
    const linear = nn.utils.spectralNorm(new nn.Linear(4, 4, { biasAttr: false }), { nPowerIterations: 30 })
    const w = linear(toTensor(Float32Array.from({ length: 16 }, (_, i) => Number(i % 5 === 0))).reshape([4, 4]))
    // Power iteration on w' w from a vector of ones.
    let v = ones([4, 1])
    for (let i = 0; i < 60; i++) {
      v = w.matmul(w.matmul(v), { transposeX: true })
      v = v.divide(v.multiply(v).sum().sqrt())
    }
    expect(w.matmul(v).multiply(w.matmul(v)).sum().itemSync()).toBeCloseTo(1, 3)
  })

  test('SpectralNorm of a weight stands still between calls', () => {
    const norm = new nn.SpectralNorm([3, 4], { powerIters: 2 })
    const w = ramp(3, 4)
    close(norm(w), norm(w))
    expect(norm.parameters().every((p) => p.stopGradient)).toBe(true)
  })

  test('parameters become a vector and back', () => {
    const linear = new nn.Linear(2, 3)
    const vector = nn.utils.parametersToVector(linear.parameters())
    expect(vector.shape).toEqual([9])
    nn.utils.vectorToParameters(vector.multiply(0).add(2), linear.parameters())
    expect(linear.bias!.arraySync()).toEqual([2, 2, 2])
    expect(() => nn.utils.vectorToParameters(ones([4]), linear.parameters())).toThrow(ShapeError)
  })
})

describe('other layers', () => {
  test('Embedding starts with zeros in the padding row', () => {
    const table = new nn.Embedding(4, 3, { paddingIdx: -2 })
    expect((table.weight.arraySync() as number[][])[2]).toEqual([0, 0, 0])
    expect(table.weight.trainable).toBe(true)
    expect(String(table)).toBe('Embedding(4, 3, padding_idx=2, sparse=false)')
  })

  test('fold undoes unfold where patches do not overlap, and counts where they do', () => {
    const x = ramp(1, 2, 4, 6)
    close(F.fold(F.unfold(x, 2, { strides: 2 }), [4, 6], 2, { strides: 2 }), x)
    const counts = F.fold(F.unfold(ones([1, 1, 3, 3]), 2), [3, 3], 2)
    expect(counts.arraySync()).toEqual([
      [
        [
          [1, 2, 1],
          [2, 4, 2],
          [1, 2, 1],
        ],
      ],
    ])
  })

  test('resizing by a whole factor repeats elements', () => {
    const up = new nn.Upsample({ scaleFactor: 2 })
    expect(up(toTensor([[[[1, 2]]]], 'float32')).arraySync()).toEqual([
      [
        [
          [1, 1, 2, 2],
          [1, 1, 2, 2],
        ],
      ],
    ])
    expect(() => F.interpolate(ramp(1, 1, 2, 2), {})).toThrow(/size or scaleFactor/)
    expect(() => F.interpolate(ramp(1, 1, 2), { size: 3, mode: 'bilinear' })).toThrow(ArgumentError)
  })

  test('paddings that cannot be mirrored are refused', () => {
    expect(() => F.pad(ramp(1, 1, 2, 2), [2, 0], { mode: 'reflect' })).toThrow(ShapeError)
    expect(() => F.pad(ramp(1, 1, 2, 2), [1], { mode: 'constant' })).toThrow(ArgumentError)
  })

  test('gumbelSoftmax gives one-hot vectors with soft gradients', () => {
    seed(2)
    const x = ramp(5, 4).detach()
    x.stopGradient = false
    const y = F.gumbelSoftmax(x, { hard: true })
    for (const row of y.arraySync() as number[][])
      expect(row.map((v) => Math.round(v * 1e6) / 1e6).sort()).toEqual([0, 0, 0, 1])
    y.multiply(ramp(5, 4)).sum().backward()
    expect(x.grad!.abs().sum().itemSync()).toBeGreaterThan(0)
  })

  test('low-precision inputs keep their dtype through normalisations', () => {
    const x = ramp(2, 4).astype('bfloat16')
    const norm = new nn.LayerNorm(4)
    expect(norm(x).dtype).toBe('bfloat16')
    expect(norm.astype('bfloat16')(x).dtype).toBe('bfloat16')
  })
})
