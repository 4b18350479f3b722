/** Every operator that was recorded from Paddle runs in a predictor of precision bfloat16, and stays near. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createPredictor } from '../../src/inference/index.ts'
import { backendOf } from '../../src/tensor/device.ts'
import { largestDifference, operatorPrograms, operatorSample, PROGRAMS } from '../support/program-cases.ts'

const isThere = backendOf('cpu').capabilities.bfloat16 !== undefined

it(`operators in bfloat16 on device cpu are ${isThere ? 'within 0.05 of float32' : 'refused without its instructions'}`, async () => {
  const far: string[] = []
  for (const name of operatorPrograms) {
    const sample = operatorSample(name)
    const making = createPredictor({ model: join(PROGRAMS, name), device: 'cpu', precision: 'bfloat16' })
    if (!isThere) {
      await expect(making).rejects.toThrow('does not multiply bfloat16')
      continue
    }
    const predictor = await making
    const inputs = predictor.inputs.map((i) => sample.inputs[i.name]!)
    const outputs = Object.values(await predictor.run(inputs))
    expect(outputs.map((o) => o.dtype)).toEqual(sample.outputs.map((o) => o.dtype))
    const distance = Math.max(...outputs.map((o, i) => largestDifference(o, sample.outputs[i]!)))
    if (!(distance < 0.05)) far.push(`${name}: ${distance}`)
  }
  expect(far).toEqual([])
})
