/** Takes one batch of many and goes no further: the process must end by itself. */
import { DataLoader } from '../../src/io/dataloader.ts'
import { workerDataset } from '../../src/io/remote.ts'
import { Squares } from './datasets.ts'

const datasets = new URL(`./datasets.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url).href
const loader = new DataLoader(workerDataset(datasets, Squares, 1000), {
  numWorkers: 2,
  batchSize: 2,
  persistentWorkers: true,
})
const iterator = loader[Symbol.asyncIterator]()
const { value } = await iterator.next()
console.log(JSON.stringify((value as [{ shape: number[] }])[0].shape))
