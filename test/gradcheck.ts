/**
 * Gradients against finite differences, in float64 on the reference device. The function's outputs are weighted by fixed numbers and summed;
 * the gradient of that sum must be what central differences say, and so must the gradient of a weighted sum of the gradients.
 */
import { expect } from 'vitest'
import { grad, type HostArray, type Tensor } from '../src/index.ts'
import { fromHost } from '../src/tensor/tensor.ts'
import { numel } from '../src/common/shape.ts'

export interface Argument {
  readonly shape: readonly number[]
  /** Interval of the elements, by default [-2, 2]. */
  readonly range?: readonly [number, number]
  /** The elements themselves. */
  readonly values?: readonly number[]
}

export type Differentiable = (...xs: Tensor[]) => Tensor | readonly Tensor[]

/** Numbers in [0, 1) that depend on a seed: a linear congruential generator (Knuth's MMIX constants, upper bits). */
export function numbers(seed: number, count: number): number[] {
  let state = BigInt(seed) * 2654435761n + 12345n
  return Array.from({ length: count }, () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return Number(state >> 11n) / 2 ** 53
  })
}

function hostOf(argument: Argument, seed: number): HostArray {
  const [low, high] = argument.range ?? [-2, 2]
  const values = argument.values ?? numbers(seed, numel(argument.shape)).map((u) => low + u * (high - low))
  return { dtype: 'float64', shape: argument.shape, data: Float64Array.from(values) }
}

/** The sum of floating outputs, each element weighted by a number that is never near 0. */
function weighted(outputs: Tensor | readonly Tensor[], seed: number): Tensor {
  const list = (Array.isArray(outputs) ? outputs : [outputs]) as readonly Tensor[]
  const terms = list
    .filter((o) => o.dtype === 'float64' && o.size > 0)
    .map((o, i) => {
      const weights = Float64Array.from(numbers(seed + i, o.size), (u) => 0.5 + u)
      return o.multiply(fromHost({ dtype: 'float64', shape: o.shape, data: weights })).sum()
    })
  return terms.reduce((a, b) => a.add(b))
}

function perturbed(host: HostArray, i: number, by: number): HostArray {
  const data = (host.data as Float64Array).slice()
  data[i]! += by
  return { ...host, data }
}

async function compare(
  what: string,
  f: (...xs: Tensor[]) => Tensor,
  hosts: readonly HostArray[],
  tolerance: number,
): Promise<void> {
  const variables = hosts.map((h) => fromHost(h, { stopGradient: false }))
  const analytic = grad(f(...variables), variables, { allowUnused: true })
  const step = 1e-5
  for (const [k, host] of hosts.entries()) {
    const got = (await analytic[k]!.data()) as Float64Array
    for (let i = 0; i < host.data.length; i++) {
      const at = async (by: number): Promise<number> =>
        f(...hosts.map((h, j) => fromHost(j === k ? perturbed(h, i, by) : h, { stopGradient: false }))).item()
      const expected = ((await at(step)) - (await at(-step))) / (2 * step)
      const limit = tolerance * Math.max(1, Math.abs(expected))
      expect(
        Math.abs(got[i]! - expected),
        `${what}: argument ${k}, element ${i}: ${got[i]} instead of ${expected}`,
      ).toBeLessThan(limit)
    }
  }
}

export interface GradcheckOptions {
  /** Also gradients of gradients. Default true. */
  readonly second?: boolean
  readonly tolerance?: number
}

/** Checks first and second gradients of `f` with respect to all arguments. */
export async function gradcheck(
  f: Differentiable,
  args: readonly Argument[],
  options: GradcheckOptions = {},
): Promise<void> {
  const { second = true, tolerance = 1e-6 } = options
  const hosts = args.map((a, i) => hostOf(a, i + 1))
  const scalar = (...xs: Tensor[]): Tensor => weighted(f(...xs), 7)
  await compare('first gradient', scalar, hosts, tolerance)
  if (!second) return
  const gradient = (...xs: Tensor[]): Tensor =>
    weighted(grad(scalar(...xs), xs, { createGraph: true, allowUnused: true }), 11)
  // Constant gradients (of sums, views, ...) have no second ones to check.
  const variables = hosts.map((h) => fromHost(h, { stopGradient: false }))
  if (gradient(...variables).stopGradient) return
  await compare('second gradient', gradient, hosts, tolerance * 100)
}
