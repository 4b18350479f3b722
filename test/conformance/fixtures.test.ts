/** Values and gradients recorded from Paddle, replayed on every backend. */
import { describe, expect, test } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { backward, setDevice, type Tensor } from '../../src/index.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'
import { expectRecorded, readArrays, readJson, withPrefix } from '../support/fixtures.ts'
import { layerCases } from './layer-cases.ts'
import { operatorCases, type Inputs } from './operator-cases.ts'

const usual = 1e-5

/** Cases whose recorded values are themselves further from the truth (ours in float64) than the usual tolerance. */
const recordedErrors: Readonly<Record<string, number>> = {
  // Paddle's gradient is off by up to 6e-7 where elements are near 0.01.
  ctc_loss_none: 1e-4,
}
/** Gradients of queries and keys are differences within a softmax: next to nothing is left of their terms but rounding. */
const cancelling = /[qk]_proj\.(weight|bias)$/

function tensors(arrays: Readonly<Record<string, HostArray>>, wantGradient: (name: string) => boolean): Inputs {
  return Object.fromEntries(
    withPrefix(arrays, 'in_').map(([name, a]) => [name, fromHost(a, { stopGradient: !wantGradient(name) })]),
  )
}

/** Compares outputs, sends the recorded cotangents back, and compares the gradients of the inputs. */
async function check(
  name: string,
  arrays: Readonly<Record<string, HostArray>>,
  inputs: Inputs,
  outputs: readonly Tensor[],
): Promise<void> {
  const seeded = outputs.flatMap((o, i) => {
    const seed = arrays[`gout${i}`]
    return seed ? [{ output: o, seed: fromHost(seed) }] : []
  })
  if (seeded.length > 0)
    backward(
      seeded.map((s) => s.output),
      seeded.map((s) => s.seed),
    )
  const tolerance = recordedErrors[name] ?? usual
  const recorded = withPrefix(arrays, 'out')
  expect(outputs.length, 'number of outputs').toBe(recorded.length)
  for (const [i, expected] of recorded) await expectRecorded(outputs[Number(i)]!, expected, `output ${i}`, tolerance)
  for (const [input, expected] of withPrefix(arrays, 'd_'))
    await expectRecorded(inputs[input]!.grad!, expected, `gradient of ${input}`, tolerance)
}

describe.each(['reference', ...judged])('recorded by Paddle, on %s', (device) => {
  test.each(Object.keys(operatorCases))('%s', async (name) => {
    setDevice(device)
    const { grads } = readJson<{ grads: string[] }>(`ops/${name}`)
    const arrays = readArrays(`ops/${name}`)
    const inputs = tensors(arrays, (n) => grads.includes(n))
    const result = operatorCases[name]!(inputs)
    await check(name, arrays, inputs, Array.isArray(result) ? result : [result as Tensor])
  })

  test.each(Object.keys(layerCases))('%s', async (name) => {
    setDevice(device)
    const arrays = readArrays(`ops/${name}`)
    const { layer, call } = layerCases[name]!()
    const state = Object.fromEntries(withPrefix(arrays, 'p_'))
    expect(Object.keys(layer.stateDict()).sort(), 'names of the state').toEqual(Object.keys(state).sort())
    expect(layer.setStateDict(state)).toEqual({ missing: [], unexpected: [], mismatched: [] })
    const inputs = tensors(arrays, (n) => `d_${n}` in arrays)
    await check(name, arrays, inputs, call(inputs))
    const now = layer.stateDict()
    for (const [key, expected] of withPrefix(arrays, 'dp_')) {
      const least = cancelling.test(key) ? 5e-8 : 0
      await expectRecorded(now[key]!.grad!, expected, `gradient of ${key}`, usual, least)
    }
    for (const [key, expected] of withPrefix(arrays, 'after_'))
      await expectRecorded(now[key]!, expected, `${key} after the step`, usual)
  })
})
