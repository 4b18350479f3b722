import { beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { toTensor } from '../../tensor/creation.ts'
import { setDevice } from '../../tensor/device.ts'
import { concat } from '../../tensor/manipulation.ts'
import '../../tensor/methods.ts'
import { rand, seed } from '../../tensor/random.ts'
import { fromHost, type Tensor } from '../../tensor/tensor.ts'
import { scaledDotProductAttention } from '../functional/attention.ts'
import { Constant } from '../initializer/index.ts'
import type { ParamAttrOptions } from '../parameter.ts'
import { MultiHeadAttention, type Cache, type StaticCache } from './attention.ts'
import { TransformerDecoderLayer, TransformerEncoderLayer } from './transformer-layer.ts'
import { Transformer, TransformerDecoder, TransformerEncoder } from './transformer.ts'

beforeAll(() => setDevice('reference'))

/** -0.75, -0.5, .. 0.75 over and over. */
function ramp(...shape: number[]): Tensor {
  const n = shape.reduce((a, b) => a * b)
  return fromHost({ dtype: 'float32', shape, data: Float32Array.from({ length: n }, (_, i) => (i % 7) * 0.25 - 0.75) })
}

async function expectClose(got: Tensor, expected: Tensor | readonly number[]): Promise<void> {
  const values = (await got.data()) as Float32Array
  const wanted = 'data' in expected ? ((await expected.data()) as Float32Array) : expected
  expect(values.length).toBe(wanted.length)
  values.forEach((v, i) => expect(v).toBeCloseTo(wanted[i]!, 5))
}

/** Row i of batch entry b. */
const row = (x: Tensor, b: number, i: number): Tensor => x.slice([0, 1], [b, i], [b + 1, i + 1])
const constant = (value: number): ParamAttrOptions => ({ initializer: new Constant(value) })

describe('values recorded from Paddle after the same seed', () => {
  test('Transformer, pre-norm, with a causal target mask', async () => {
    seed(3)
    const model = new Transformer({
      dModel: 8,
      nhead: 2,
      numEncoderLayers: 1,
      numDecoderLayers: 2,
      dimFeedforward: 16,
      dropout: 0,
      activation: 'gelu',
      normalizeBefore: true,
    })
    const y = model(ramp(2, 3, 8), ramp(2, 4, 8), null, model.generateSquareSubsequentMask(4))
    await expectClose(
      row(y, 0, 0),
      [
        -1.5598998069763184, -1.2289789915084839, -0.2916068732738495, -0.4225531816482544, 1.336285948753357,
        0.964228093624115, 0.18037694692611694, 1.0221478939056396,
      ],
    )
    await expectClose(
      row(y, 1, 3),
      [
        -0.31933698058128357, -1.0463411808013916, 0.851696789264679, 1.0438531637191772, -0.5025849342346191,
        1.291778802871704, 0.38853713870048523, -1.7076029777526855,
      ],
    )
  })

  test('Transformer, post-norm, with boolean masks', async () => {
    seed(4)
    const sizes = { dModel: 8, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 16 }
    const model = new Transformer({ ...sizes, dropout: 0 })
    const mask = toTensor([[[[true, true, false]]], [[[true, false, false]]]])
    const y = model(ramp(2, 3, 8), ramp(2, 4, 8), mask, null, mask)
    await expectClose(
      row(y, 0, 0),
      [
        -0.5032004117965698, -0.8262085914611816, -1.02565336227417, -1.1007074117660522, 1.4889216423034668,
        1.1688578128814697, 1.0694643259048462, -0.2714739441871643,
      ],
    )
    await expectClose(
      row(y, 1, 3),
      [
        -0.558576762676239, -0.6988236308097839, -0.7757360339164734, 0.6073506474494934, 1.053943157196045,
        0.769343376159668, 1.2924283742904663, -1.6899290084838867,
      ],
    )
  })

  test('MultiHeadAttention with other keys and values, and weights', async () => {
    seed(5)
    const attention = new MultiHeadAttention(8, 2, { kdim: 6, vdim: 5, needWeights: true })
    const [y, weights] = attention(ramp(1, 2, 8), ramp(1, 3, 6), ramp(1, 3, 5))
    await expectClose(
      row(y, 0, 1),
      [
        -0.20140960812568665, 0.19094564020633698, -0.370067298412323, -0.056065235286951065, 0.003245655447244644,
        0.056592099368572235, 0.3556193709373474, -0.05737081170082092,
      ],
    )
    expect(weights.shape).toEqual([1, 2, 2, 3])
    await expectClose(
      weights.slice([1, 2], [1, 1], [2, 2]),
      [0.36888203024864197, 0.29422828555107117, 0.3368896543979645],
    )
  })
})

describe('scaledDotProductAttention', () => {
  let q: Tensor
  let k: Tensor
  let v: Tensor

  beforeAll(() => {
    q = rand([2, 3, 4, 2])
    k = rand([2, 5, 2, 2])
    v = rand([2, 5, 2, 3])
  })

  test('key heads serve several query heads', async () => {
    const y = scaledDotProductAttention(q, k, v)
    expect(y.shape).toEqual([2, 3, 4, 3])
    const twice = (x: Tensor): Tensor => x.unsqueeze(3).tile([1, 1, 1, 2, 1]).reshape([2, 5, 4, x.shape[3]!])
    await expectClose(y, scaledDotProductAttention(q, twice(k), twice(v)))
  })

  test('a causal query sees the keys up to its position', async () => {
    const y = scaledDotProductAttention(q, k, v, { isCausal: true })
    const seen = scaledDotProductAttention(q.slice([1], [1], [2]), k.slice([1], [0], [2]), v.slice([1], [0], [2]))
    await expectClose(y.slice([1], [1], [2]), seen)
  })

  test('masks of booleans, integers and numbers agree', async () => {
    const booleans = toTensor([true, false, true, true, false])
    const y = scaledDotProductAttention(q, k, v, { attnMask: booleans })
    await expectClose(scaledDotProductAttention(q, k, v, { attnMask: booleans.astype('int32') }), y)
    const numbers = toTensor([0, -Infinity, 0, 0, -Infinity])
    await expectClose(scaledDotProductAttention(q, k, v, { attnMask: numbers }), y)
  })

  test('refuses what does not fit', () => {
    expect(() => scaledDotProductAttention(q, k.slice([3], [0], [1]), v)).toThrow(ShapeError)
    expect(() => scaledDotProductAttention(q.slice([2], [0], [3]), k, v)).toThrow(/3 query heads cannot share 2/)
    expect(() => scaledDotProductAttention(q, k, v, { attnMask: rand([4, 3]) })).toThrow(/does not broadcast|broadcast/)
  })
})

describe('decoding step by step', () => {
  test('gives what the whole sequence gives under a causal mask', async () => {
    const decoder = new TransformerDecoder(new TransformerDecoderLayer(8, 2, 16, { dropout: 0 }), 2)
    const memory = rand([2, 3, 8])
    const x = rand([2, 4, 8])
    const mask = new Transformer({ dModel: 8, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 8 })
    const whole = decoder(x, memory, mask.generateSquareSubsequentMask(4))
    let caches = decoder.genCache(memory)
    const steps: Tensor[] = []
    for (let t = 0; t < 4; t++) {
      const [y, next] = decoder(x.slice([1], [t], [t + 1]), memory, null, null, caches)
      caches = next
      steps.push(y)
    }
    await expectClose(concat(steps, 1), whole)
    expect(caches[1]![0].k.shape).toEqual([2, 2, 4, 4])
    expect(caches[1]![1].k.shape).toEqual([2, 2, 3, 4])
    const [own, ofMemory] = decoder.genCache(memory, true)
    expect([own.length, own[0]!.v.shape, ofMemory[1]!.v.shape]).toEqual([2, [2, 2, 0, 4], [2, 2, 3, 4]])
  })

  test('an encoder grows its caches', async () => {
    const encoder = new TransformerEncoder(new TransformerEncoderLayer(8, 2, 16, { dropout: 0 }), 2)
    const x = rand([1, 3, 8])
    const [y, caches] = encoder(x, null, encoder.genCache(x))
    await expectClose(y, encoder(x))
    const [, more] = encoder(x, null, caches)
    expect(more[0]!.k.shape).toEqual([1, 2, 6, 4])
  })

  test('a static cache holds a projected memory', async () => {
    const attention = new MultiHeadAttention(8, 2)
    const [query, memory] = [rand([1, 2, 8]), rand([1, 3, 8])]
    const [y] = attention(query, null, null, null, attention.genCache(memory, memory, MultiHeadAttention.StaticCache))
    await expectClose(y, attention(query, memory))
  })
})

describe('building', () => {
  test('attributes by sublayer', async () => {
    const first = async (layer: TransformerEncoderLayer | TransformerDecoderLayer, name: string): Promise<unknown> =>
      (await layer.stateDict()[name]!.data())[0]
    const encoder = new TransformerEncoderLayer(4, 2, 8, { weightAttr: [constant(1), constant(2)], biasAttr: false })
    expect(await first(encoder, 'self_attn.out_proj.weight')).toBe(1)
    expect(await first(encoder, 'linear2.weight')).toBe(2)
    expect(Object.keys(encoder.stateDict()).filter((k) => k.endsWith('bias'))).toEqual(['norm1.bias', 'norm2.bias'])
    const weightAttr = [constant(1), constant(2), constant(3)]
    const decoder = new TransformerDecoderLayer(4, 2, 8, { weightAttr })
    expect(await first(decoder, 'cross_attn.k_proj.weight')).toBe(2)
    expect(await first(decoder, 'linear1.weight')).toBe(3)
    const sizes = { dModel: 4, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 8 }
    const state = new Transformer({ ...sizes, weightAttr }).stateDict()
    expect((await state['encoder.layers.0.linear1.weight']!.data())[0]).toBe(3)
    expect((await state['decoder.layers.0.cross_attn.q_proj.weight']!.data())[0]).toBe(2)
    expect(() => new Transformer({ ...sizes, weightAttr: [...weightAttr, constant(4)] })).toThrow(ArgumentError)
  })

  test('names and order are those of Paddle, and layers do not share parameters', async () => {
    const encoder = new TransformerEncoder(new TransformerEncoderLayer(8, 2, 16), 2)
    const names = encoder.namedParameters().map(([name]) => name)
    expect(names.slice(0, 16)).toEqual(
      [
        'self_attn.q_proj',
        'self_attn.k_proj',
        'self_attn.v_proj',
        'self_attn.out_proj',
        'linear1',
        'linear2',
        'norm1',
        'norm2',
      ].flatMap((p) => [`layers.0.${p}.weight`, `layers.0.${p}.bias`]),
    )
    expect(names.length).toBe(32)
    const state = encoder.stateDict()
    const [a, b] = [state['layers.0.linear1.weight']!, state['layers.1.linear1.weight']!]
    expect(await a.array()).not.toEqual(await b.array())
    expect([...encoder.layers][0]!.toString()).toContain('(dropout2): Dropout(p=0.1')
  })

  test('dropout acts while training only', async () => {
    const layer = new TransformerEncoderLayer(8, 2, 16, { dropout: 0, attnDropout: 0.5 })
    const x = rand([1, 4, 8])
    expect(await layer(x).array()).not.toEqual(await layer(x).array())
    layer.eval()
    expect(await layer(x).array()).toEqual(await layer(x).array())
  })

  test('types of results', () => {
    const plain = new MultiHeadAttention(4, 2)
    const x = rand([1, 2, 4])
    expectTypeOf(plain(x)).toEqualTypeOf<Tensor>()
    expectTypeOf(plain(x, x, x, null, plain.genCache(x))).toExtend<[Tensor, Cache]>()
    const weighted = new MultiHeadAttention(4, 2, { needWeights: true })
    expectTypeOf(weighted(x)).toExtend<[Tensor, Tensor]>()
    const fixed = weighted.genCache(x, x, MultiHeadAttention.StaticCache)
    expectTypeOf(weighted(x, x, x, null, fixed)).toExtend<[Tensor, Tensor, StaticCache]>()
    expectTypeOf(new TransformerEncoderLayer(4, 2, 8)(x)).toEqualTypeOf<Tensor>()
  })

  test('refuses what does not fit', () => {
    expect(() => new MultiHeadAttention(8, 3)).toThrow(/8 is not a multiple of numHeads 3/)
    expect(() => new MultiHeadAttention(0, 1)).toThrow(ArgumentError)
    expect(() => new TransformerEncoderLayer(8, 2, 16, { activation: 'foo' as never })).toThrow(/no activation 'foo'/)
    expect(() => new MultiHeadAttention(8, 2)(rand([2, 3, 7]))).toThrow(/MultiHeadAttention.q_proj/)
  })
})
