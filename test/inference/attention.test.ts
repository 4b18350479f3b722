/** Attention of programs from files runs as one kernel, however it is written there, and what only looks like it as it is. */
import { describe, expect, it } from 'vitest'
import { createPredictor, type OperatorProgram } from '../../src/inference/index.ts'
import { recordInference } from '../../src/inference/record.ts'
import { topologicalOrder } from '../../src/graph/node.ts'
import { jit, nn, seed, setDevice, type Tensor } from '../../src/index.ts'
import { drawSamples } from '../../src/io/formats/proof.ts'
import { exportProgram } from '../../src/io/formats/program/export/export.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import * as T from '../../src/tensor/index.ts'
import { firstDifference, judged } from '../support/backends.ts'

const { softmax } = nn.functional
const [HEADS, SIZE] = [3, 5]
type Attend = (q: Tensor, k: Tensor, v: Tensor) => Tensor

/** Projections of tokens [B, S, 15], and what is made of queries, keys and values [B, S, 15] of three heads. */
class Attending extends nn.Layer {
  projections = [0, 1, 2].map(() => new nn.Linear(HEADS * SIZE, HEADS * SIZE))
  q = this.projections[0]!
  k = this.projections[1]!
  v = this.projections[2]!
  #attend: Attend

  constructor(attend: Attend) {
    super()
    this.#attend = attend
  }

  forward(x: Tensor): Tensor {
    return this.#attend(this.q(x), this.k(x), this.v(x))
  }
}

/** [B, S, 15] to [B, 3, S, 5]. */
const split = (x: Tensor): Tensor => T.transpose(T.reshape(x, [0, -1, HEADS, SIZE]), [0, 2, 1, 3])
/** [B, 3, S, 5] to [B, S, 15]. */
const join = (x: Tensor): Tensor => T.reshape(T.transpose(x, [0, 2, 1, 3]), [0, -1, HEADS * SIZE])
const half = (x: Tensor): Tensor => T.multiply(x, 0.5)

const recognized: Record<string, Attend> = {
  'of heads, the scores scaled': (q, k, v) =>
    join(T.matmul(softmax(half(T.matmul(split(q), split(k), { transposeY: true }))), split(v))),
  'of heads, the queries scaled': (q, k, v) =>
    join(T.matmul(softmax(T.matmul(split(half(q)), split(k), { transposeY: true })), split(v))),
  'of heads, the keys turned before': (q, k, v) =>
    join(T.matmul(softmax(half(T.matmul(split(q), T.transpose(split(k), [0, 1, 3, 2])))), split(v))),
  'of one head': (q, k, v) => T.matmul(softmax(half(T.matmul(q, k, { transposeY: true }))), v),
}

const left: Record<string, Attend> = {
  'along the queries': (q, k, v) => T.matmul(softmax(T.matmul(q, k, { transposeY: true }), 1), v),
  'whose weights something else reads': (q, k, v) => {
    const weights = softmax(T.matmul(q, k, { transposeY: true }))
    return T.add(T.matmul(weights, v), T.mean(weights))
  },
}

async function programOf(attend: Attend): Promise<OperatorProgram> {
  seed(0)
  return exportProgram(new Attending(attend), {
    inputSpec: [new jit.InputSpec([null, null, HEADS * SIZE], 'float32', 'x')],
  })
}

function attentions(model: OperatorProgram, shape: readonly number[]): number {
  const { outputs } = recordInference(new TranslatedLayer(model), [shape], 'cpu', 'float32')
  return topologicalOrder(outputs).filter((n) => n.op === 'attention').length
}

async function expectEqual(model: OperatorProgram, device: string, shape: readonly number[]): Promise<void> {
  const [inputs] = drawSamples(model, [[shape]])
  const wanted = await (await createPredictor({ model, device: 'reference' })).run(inputs!)
  const got = await (await createPredictor({ model, device })).run(inputs!)
  for (const [name, { data }] of Object.entries(wanted))
    expect({ shape, at: firstDifference(data, got[name]!.data, 1e-5) }).toEqual({ shape, at: -1 })
}

describe.each(Object.entries(recognized))('attention %s', (_, attend) => {
  it('is one node from four queries on, and gives the same', async () => {
    setDevice('cpu')
    const model = await programOf(attend)
    expect([7, 4, 3].map((length) => attentions(model, [2, length, HEADS * SIZE]))).toEqual([1, 1, 0])
    expect(attentions(model, [1, 7, HEADS * SIZE])).toBe(1)
    for (const device of judged)
      for (const [batch, length] of [
        [2, 7],
        [1, 40],
        [3, 4],
        [2, 1],
      ])
        await expectEqual(model, device, [batch!, length!, HEADS * SIZE])
  })
})

it.each(Object.entries(left))('a softmax %s is left as it is', async (_, attend) => {
  setDevice('cpu')
  const model = await programOf(attend)
  expect(attentions(model, [2, 7, HEADS * SIZE])).toBe(0)
  for (const device of judged) await expectEqual(model, device, [2, 7, HEADS * SIZE])
})
