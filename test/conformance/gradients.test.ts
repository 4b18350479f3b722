/**
 * First and second gradients of every differentiable op: the reference against finite differences in float64, the backends against
 * the reference.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { isFloat, type HostArray } from '../../src/common/dtype.ts'
import { constant } from '../../src/graph/build.ts'
import type { Node } from '../../src/graph/node.ts'
import { opInfo, opTable, type OpName } from '../../src/graph/ops.ts'
import { grad } from '../../src/tensor/autograd.ts'
import { setDevice } from '../../src/tensor/device.ts'
import { add, multiply, sum } from '../../src/tensor/index.ts'
import { submit } from '../../src/tensor/realize.ts'
import { fromHost, Tensor } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'
import { gradientCases, type GradientCase } from '../support/ops/differentiable.ts'
import { sampled } from '../support/ops/values.ts'

const step = 2 ** -14

/** Sum of the elements times numbers that are never near 0. */
function weighted(x: Tensor, seed: number): Tensor {
  return sum(multiply(x, fromHost(sampled('float64', x.shape, seed, [0.5, 1.5]))))
}

interface Evaluation {
  readonly variables: readonly Tensor[]
  readonly value: Tensor
  readonly first: readonly Tensor[]
  /** Weighted sum of the first gradients, and its gradients. */
  readonly slope: Tensor
  readonly second: readonly Tensor[]
}

function evaluate(c: GradientCase, hosts: readonly HostArray[]): Evaluation {
  const inputs = hosts.map((h) => (isFloat(h.dtype) ? fromHost(h, { stopGradient: false }) : fromHost(h)))
  const variables = inputs.filter((t) => !t.stopGradient)
  const out = new Tensor(c.build(inputs.map((t): Node => t.node)))
  const value = weighted(out, 1)
  const first = grad(value, variables, { createGraph: true, allowUnused: true })
  const slope = first.map((g, k) => weighted(g, 2 + k)).reduce(add)
  const second = slope.stopGradient
    ? variables.map((v) => new Tensor(constant(0, 'float64', v.shape)))
    : grad(slope, variables, { allowUnused: true })
  return { variables, value, first, slope, second }
}

function moved(hosts: readonly HostArray[], k: number, i: number, by: number): HostArray[] {
  return hosts.map((h, j) => {
    if (j !== k) return h
    const data = Float64Array.from(h.data as Float64Array)
    data[i]! += by
    return { dtype: h.dtype, shape: h.shape, data }
  })
}

const numbersOf = async (tensors: readonly Tensor[]): Promise<number[]> =>
  (await Promise.all(tensors.map((t) => t.data()))).flatMap((d) => Array.from(d as Float64Array))

const close = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a))

/** The first gradients, then the second ones, of all variables in a row. */
const gradientsOf = (e: Evaluation): Promise<number[]> => numbersOf([...e.first, ...e.second])

async function differences(c: GradientCase): Promise<number[]> {
  const points = c.inputs.flatMap((h, k) =>
    isFloat(h.dtype)
      ? Array.from({ length: h.data.length }, (_, i) =>
          [step, -step].map((by) => evaluate(c, moved(c.inputs, k, i, by))),
        )
      : [],
  )
  const ratios = async (of: (e: Evaluation) => Tensor): Promise<number[]> => {
    const values = await numbersOf(points.flat().map(of))
    return points.map((_, i) => (values[2 * i]! - values[2 * i + 1]!) / (2 * step))
  }
  return [...(await ratios((e) => e.value)), ...(await ratios((e) => e.slope))]
}

beforeAll(() => setDevice('reference'))

describe('by finite differences', () => {
  it.each(gradientCases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    const [got, expected] = [await gradientsOf(evaluate(c, c.inputs)), await differences(c)]
    const wrong = got.flatMap((x, i) => (close(expected[i]!, x, 2e-6) ? [] : [`${i}: ${x}, not ${expected[i]}`]))

    expect(wrong).toEqual([])
  })

  it('covers every differentiable op', () => {
    const covered = new Set(gradientCases.map((c) => c.op))
    const missing = (Object.keys(opTable) as OpName[]).filter((op) => opInfo(op).differentiable && !covered.has(op))

    expect(missing).toEqual([])
  })
})

/** Kernels of attention compute in float32: attention.test.ts judges them. */
const inFloat64 = gradientCases.filter((c) => c.op !== 'attention' && c.op !== 'attentionGradient')

describe.each(judged)('on %s', (device) => {
  it("gradients are the reference's", async () => {
    const compute = async (on: string): Promise<number[][]> => {
      setDevice(on)
      const all = inFloat64.map((c) => evaluate(c, c.inputs))
      submit(all.flatMap((e) => [...e.first, ...e.second].map((t) => t.node)))
      return Promise.all(all.map(gradientsOf))
    }
    const [expected, got] = [await compute('reference'), await compute(device)]
    const wrong = inFloat64.flatMap((c, k) =>
      expected[k]!.flatMap((x, i) => (close(x, got[k]![i]!, 1e-7) ? [] : [`${c.name} ${i}: ${got[k]![i]}, not ${x}`])),
    )

    expect(wrong).toEqual([])
  })
})
