/**
 * What `precision` of predictors costs in exactness: `npx tsx bench/precision.ts`. Of the recorded networks the largest difference from Paddle's outputs, of those of the
 * inference benchmark that from our float32, behind it the largest output. `high` differs from float32 on processors with AMX only, bfloat16 needs AVX-512 BF16 or AMX.
 */
import type { HostArray } from '../src/common/dtype.ts'
import { INFERENCE_CASES, inputsOf, programOf } from '../src/cli/commands/bench/inference-cases.ts'
import { createPredictor, precisions, type Model, type Precision } from '../src/inference/index.ts'
import { modelSamples, networks } from '../test/support/program-cases.ts'
import { ROOT } from '../test/support/scratch.ts'

type Inputs = Readonly<Record<string, HostArray>>

async function outputsOf(model: Model, precision: Precision, inputs: Inputs): Promise<Float32Array[]> {
  await using predictor = await createPredictor({ model, precision })
  return Object.values(await predictor.run(inputs)).map(({ data }) => Float32Array.from(data as Float32Array))
}

/** As `9.4e-5 of 1.0`, over all outputs. */
function difference(found: readonly Float32Array[], expected: readonly ArrayLike<number>[]): string {
  let [most, largest] = [0, 0]
  expected.forEach((values, o) => {
    for (let i = 0; i < values.length; i++) {
      most = Math.max(most, Math.abs(found[o]![i]! - values[i]!))
      largest = Math.max(largest, Math.abs(values[i]!))
    }
  })
  return `${most.toExponential(1)} of ${largest.toPrecision(2)}`
}

async function print(
  name: string,
  model: Model,
  inputs: Inputs,
  recorded?: readonly ArrayLike<number>[],
): Promise<void> {
  const expected = recorded ?? (await outputsOf(model, 'float32', inputs))
  const shape = Object.values(inputs)[0]!.shape.join('x')
  for (const precision of recorded ? precisions : precisions.filter((p) => p !== 'float32')) {
    const found = await outputsOf(model, precision, inputs).catch((error: Error) => error)
    const said = found instanceof Error ? found.message : difference(found, expected)
    console.log(`${name}, ${shape}, ${precision} from ${recorded ? 'Paddle' : 'float32'}: ${said}`)
  }
}

for (const { name, folder, files } of networks)
  for (const { inputs, outputs } of modelSamples(folder))
    await print(
      name,
      files['pir'] ?? files['legacy']!,
      inputs,
      outputs.map((o) => o.data as Float32Array),
    )
for (const test of INFERENCE_CASES) {
  const program = await programOf(test, ROOT)
  await print(test.name, program, inputsOf(test, program))
}
