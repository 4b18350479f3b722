/** Saves checkpoint after checkpoint into the directory given, and prints the number of each that is done, until it is killed. */
import { saveCheckpoint } from '../../src/io/checkpoint.ts'

const [directory, first] = process.argv.slice(2)
process.stdout.write('ready\n')
for (let round = Number(first); ; round++) {
  const weights = { dtype: 'float32', shape: [50000], data: new Float32Array(50000).fill(round) } as const
  const moments = { dtype: 'float64', shape: [1000], data: new Float64Array(1000).fill(round) } as const
  await saveCheckpoint(directory!, { tensors: { model: { weights }, optimizer: { moments } }, state: { round } })
  process.stdout.write(`${round}\n`)
}
