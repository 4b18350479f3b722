/** Gradients of few rows of a large table, which are kept as these rows alone: as those of a dense gradient, on every backend. */
import { beforeAll, describe, expect, test } from 'vitest'
import * as lz from '../../src/index.ts'
import { nn, optimizer, setDevice, toTensor, type Tensor } from '../../src/index.ts'
import { firstDifference, judged } from '../support/backends.ts'

const [ROWS, WIDTH] = [9000, 32]
const TOKENS = [
  [7, 8999, 7, 0],
  [123, 7, 4500, 8999],
]

const ids = (rows: number[][] = TOKENS): Tensor => toTensor(rows, { dtype: 'int64' })

/** Numbers that repeat nowhere near. */
const numbers = (size: number, scale = 1): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => scale * Math.sin(i * 1.7 + 1))

function table(): Tensor {
  const weight = toTensor(numbers(ROWS * WIDTH)).reshape([ROWS, WIDTH])
  weight.stopGradient = false
  return weight
}

/** What a dense gradient is: rows of `updates` added up, in their order. */
function added(tokens: readonly number[], updates: Float32Array): Float32Array {
  const sum = new Float32Array(ROWS * WIDTH)
  tokens.forEach((t, i) => {
    for (let k = 0; k < WIDTH; k++) sum[t * WIDTH + k] = sum[t * WIDTH + k]! + updates[i * WIDTH + k]!
  })
  return sum
}

const data = async (x: Tensor): Promise<Float32Array> => (await x.data()) as Float32Array

describe.each(['reference', ...judged])('a few rows of a large table on %s', (device) => {
  beforeAll(() => setDevice(device))

  const flat = TOKENS.flat()
  const seeds = numbers(flat.length * WIDTH)
  const seedTensor = (): Tensor => toTensor(seeds).reshape([2, 4, WIDTH])

  test('the gradient is that of the rows, added in order where they repeat', async () => {
    const weight = table()
    const [gradient] = lz.grad(nn.functional.embedding(ids(), weight).multiply(seedTensor()).sum(), [weight])
    expect(firstDifference(await data(gradient!), added(flat, seeds), 0)).toBe(-1)
  })

  test('positions that count from the end name the same rows', async () => {
    const weight = table()
    const positions = toTensor([-1, 8999, -9000, 0], { dtype: 'int64' })
    const own = seeds.slice(0, 4 * WIDTH)
    const [gradient] = lz.grad(
      lz
        .gather(weight, positions)
        .multiply(toTensor(own).reshape([4, WIDTH]))
        .sum(),
      [weight],
    )
    expect(firstDifference(await data(gradient!), added([8999, 8999, 0, 0], own), 0)).toBe(-1)
  })

  test('a table that is used otherwise, too, has the sum of both', async () => {
    const weight = table()
    const dense = numbers(ROWS * WIDTH, 3)
    const tied = weight.multiply(toTensor(dense).reshape([ROWS, WIDTH])).sum()
    const looked = nn.functional.embedding(ids(), weight).multiply(seedTensor()).sum()
    const [gradient] = lz.grad(looked.add(tied), [weight])
    const wanted = added(flat, seeds).map((x, i) => x + dense[i]!)
    expect(firstDifference(await data(gradient!), wanted, 1e-6)).toBe(-1)
  })

  test('gradients of gradients', async () => {
    const weight = table()
    const [first] = lz.grad(nn.functional.embedding(ids(), weight).square().sum(), [weight], { createGraph: true })
    const [second] = lz.grad(first!.sum(), [weight])
    expect(firstDifference(await data(second!), added(flat, new Float32Array(flat.length * WIDTH).fill(2)), 0)).toBe(-1)
  })

  test('an index outside the table is an error', async () => {
    const weight = table()
    const loss = nn.functional.embedding(ids([[1, ROWS]]), weight).sum()
    const [gradient] = lz.grad(loss, [weight])
    await expect(lz.realize([loss, gradient!])).rejects.toThrow(lz.IndexOutOfRangeError)
  })

  test('AdamW with a global norm decays and moves rows without a gradient, as a dense one does', async () => {
    const layer = new nn.Embedding(ROWS, WIDTH)
    layer.weight.setValue(toTensor(numbers(ROWS * WIDTH)).reshape([ROWS, WIDTH]))
    const [lr, decay, clipNorm, beta1, beta2, epsilon] = [0.1, 0.01, 2, 0.9, 0.999, 1e-8]
    const adam = new optimizer.AdamW({
      learningRate: lr,
      weightDecay: decay,
      parameters: layer.parameters(),
      gradClip: new nn.ClipGradByGlobalNorm(clipNorm),
    })
    const p = Float64Array.from(numbers(ROWS * WIDTH))
    const [m, v] = [new Float64Array(p.length), new Float64Array(p.length)]
    for (const [t, tokens] of [TOKENS.flat(), [5, 7]].entries()) {
      const own = seeds.slice(0, tokens.length * WIDTH)
      layer(ids([tokens]))
        .multiply(toTensor(own).reshape([1, tokens.length, WIDTH]))
        .sum()
        .backward()
      adam.step()
      adam.clearGrad()
      const g = added(tokens, own)
      const norm = Math.sqrt(g.reduce((s, x) => s + x * x, 0))
      for (let i = 0; i < p.length; i++) {
        const clipped = (g[i]! * clipNorm) / Math.max(norm, clipNorm)
        m[i] = beta1 * m[i]! + (1 - beta1) * clipped
        v[i] = beta2 * v[i]! + (1 - beta2) * clipped * clipped
        const moved = m[i]! / (1 - beta1 ** (t + 1)) / (Math.sqrt(v[i]! / (1 - beta2 ** (t + 1))) + epsilon)
        p[i] = p[i]! * (1 - lr * decay) - lr * moved
      }
    }
    expect(firstDifference(await data(layer.weight), p, 2e-5)).toBe(-1)
  })
})
