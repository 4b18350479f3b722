/** Attention by tiles is attention as it is composed, on every backend: the same draws, masks, gradients of gradients, recomputation. */
import { expect, test } from 'vitest'
import * as lz from '../../src/index.ts'
import { attention, type AttentionOptions } from '../../src/nn/functional/attention.ts'
import { grad } from '../../src/tensor/autograd.ts'
import { recompute } from '../../src/tensor/recompute.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'

interface Run {
  readonly shape: readonly [
    batch: number,
    queries: number,
    keys: number,
    heads: number,
    groups: number,
    features: number,
  ]
  readonly options?: (keys: number, queries: number) => AttentionOptions
}

const runs: Readonly<Record<string, Run>> = {
  'as in ERNIE-nano': { shape: [2, 40, 40, 3, 3, 26], options: () => ({ dropoutP: 0.1 }) },
  'a padding mask of booleans': {
    shape: [2, 20, 31, 2, 2, 8],
    options: (keys) => ({ attnMask: lz.toTensor(Array.from({ length: keys }, (_, j) => j < keys - 4)), dropoutP: 0.2 }),
  },
  'a causal decoder with shared key heads': { shape: [1, 50, 50, 4, 2, 16], options: () => ({ isCausal: true }) },
  'fewer queries than lanes, and fewer keys': { shape: [3, 4, 5, 2, 2, 12], options: () => ({ dropoutP: 0.3 }) },
  'a bias for each score': {
    shape: [2, 17, 19, 2, 2, 5],
    options: (keys, queries) => ({
      attnMask: lz
        .arange(queries * keys)
        .astype('float32')
        .reshape([queries, keys])
        .sin(),
    }),
  },
}

const wave = (shape: readonly number[], phase: number, size = 1): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  const data = Float32Array.from({ length: n }, (_, i) => size * Math.sin(0.37 * i + phase))
  return lz.toTensor(data).reshape([...shape])
}

const variable = (shape: readonly number[], phase: number): Tensor => {
  const x = wave(shape, phase)
  x.stopGradient = false
  return x
}

const listOf = async (t: Tensor): Promise<number[]> => Array.from(await t.data(), Number)

async function numbers({ shape, options }: Run, tiled: boolean): Promise<number[][]> {
  const [batch, queries, keys, heads, groups, features] = shape
  lz.seed(21)
  const q = variable([batch, queries, heads, features], 0)
  const k = variable([batch, keys, groups, features], 1)
  const v = variable([batch, keys, groups, features], 2)
  const given = options?.(keys, queries) ?? {}
  const { output, weights } = attention(q, k, v, { ...given, needWeights: !tiled })
  expect(weights === null).toBe(tiled)
  const loss = lz.sum(lz.multiply(output, wave(output.shape, 3)))
  const first = grad(loss, [q, k, v], { createGraph: true })
  const slope = first.map((g, i) => lz.sum(lz.multiply(g, wave(g.shape, 4 + i)))).reduce(lz.add)
  const second = grad(slope, [q, k, v])
  return Promise.all([output, ...first, ...second].map(listOf))
}

for (const device of judged) {
  for (const [name, run] of Object.entries(runs)) {
    test(`${name}, on ${device}: results and two orders of gradients`, async () => {
      lz.setDevice(device)
      const [tiled, composed] = [await numbers(run, true), await numbers(run, false)]
      tiled.forEach((values, i) => {
        const largest = composed[i]!.reduce((m, x) => Math.max(m, Math.abs(x)), 0)
        const worst = values.reduce((m, x, j) => Math.max(m, Math.abs(x - composed[i]![j]!)), 0)
        expect(worst / largest).toBeLessThan(1e-5)
      })
    })
  }

  test(`recomputed, on ${device}: the gradients of what is kept, with the same draws`, async () => {
    lz.setDevice(device)
    const gradients = async (again: boolean): Promise<number[]> => {
      lz.seed(5)
      const layer = new lz.nn.TransformerEncoderLayer(24, 3, 48, { dropout: 0.2 })
      for (const p of layer.parameters()) p.setValue(wave(p.shape, 0.5, 0.2))
      const x = variable([2, 21, 24], 0)
      const y = again ? recompute((h: Tensor) => layer(h), x) : layer(x)
      lz.sum(lz.multiply(y, wave(y.shape, 2))).backward()
      return listOf(x.grad!)
    }
    const [kept, again] = [await gradients(false), await gradients(true)]
    expect(again.every((g, i) => Math.abs(g - kept[i]!) < 1e-5)).toBe(true)
    expect(kept.some((g) => Math.abs(g) > 0.01)).toBe(true)
  })

  test(`fewer queries than a tile pays for are composed, on ${device}: values as by tiles`, async () => {
    lz.setDevice(device)
    const [k, v] = [wave([1, 30, 2, 8], 1), wave([1, 30, 2, 8], 2)]
    const q = wave([1, 20, 2, 8], 0)
    const whole = await listOf(attention(q, k, v).output)
    const head = lz.slice(q, [1], [0], [3])
    const few = await listOf(attention(head, k, v).output)
    expect(few.every((x, i) => Math.abs(x - whole[i]!) < 1e-6)).toBe(true)
  })
}
