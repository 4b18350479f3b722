/** A mistake that the loader must explain: the module of the dataset iterates over a loader with workers when it is imported. */
import { DataLoader } from '../../src/io/dataloader.ts'
import { workerDataset } from '../../src/io/remote.ts'
import { Squares } from './datasets.ts'

export class Self extends Squares {}

export async function runLoader(): Promise<void> {
  for await (const _ of new DataLoader(workerDataset(import.meta.url, Self, 4), { numWorkers: 1 }));
}

await runLoader()
