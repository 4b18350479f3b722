/**
 * Datasets, as in `paddle.io`: something with a length and a sample at each index, or a stream of samples; and the ways to combine them.
 * A sample is an array (HostArray, typed array, tensor), a number, a string, or a list or plain object of these.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, IndexOutOfRangeError, ShapeError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import { defaultPermutationGenerator } from './generator.ts'
import type { PermutationGenerator } from './generator.ts'
import { rowOf, shareArray } from './host-array.ts'
import type { WorkerSource } from './remote.ts'
import { hostArrayOf } from './tensor-bridge.ts'

/**
 * `paddle.io.Dataset`: samples by index.
 *
 *     class Lines extends Dataset<[Float32Array, number]> {
 *       get length() { return 100 }
 *       getItem(index: number) { return [new Float32Array(784), index % 10] as [Float32Array, number] }
 *     }
 *
 * For DataLoader workers a dataset must say where its class lives: see `workerDataset` and `workerSource`.
 */
export abstract class Dataset<T = unknown> {
  /** Number of samples. */
  abstract get length(): number

  /** The sample at `index`, which lies in [0, length). May be asynchronous. */
  abstract getItem(index: number): T | Promise<T>

  /** How a worker thread makes its own copy; undefined where it cannot. */
  workerSource(): WorkerSource | Promise<WorkerSource | undefined> | undefined {
    return undefined
  }
}

/**
 * `paddle.io.IterableDataset`: samples one after the other, of a length that need not be known. With workers, each worker runs through a copy
 * of its own: `getWorkerInfo()` tells `iterate` which part is its.
 */
export abstract class IterableDataset<T = unknown> {
  /** Starts one pass. */
  abstract iterate(): Iterable<T> | AsyncIterable<T>

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    yield* this.iterate()
  }

  /** How a worker thread makes its own copy; undefined where it cannot. */
  workerSource(): WorkerSource | Promise<WorkerSource | undefined> | undefined {
    return undefined
  }
}

export function isIterableDataset(dataset: Dataset | IterableDataset): dataset is IterableDataset {
  return 'iterate' in dataset
}

function requireDatasets<T extends Dataset | IterableDataset>(
  name: string,
  datasets: Iterable<T>,
  iterable: boolean,
): T[] {
  const list = [...datasets]
  if (list.length === 0) throw new ArgumentError(`${name}: there is no dataset; give at least one`)
  if (list.some((dataset) => isIterableDataset(dataset) !== iterable)) {
    throw new ArgumentError(`${name}: takes datasets that are ${iterable ? 'iterable' : 'indexed'} only`)
  }
  return list
}

function checkIndex(name: string, index: number, length: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= length) {
    throw new IndexOutOfRangeError(`${name}: index ${index} is outside a dataset of ${length} samples`)
  }
}

/** The part of a tensor that TensorDataset needs before it reads it. */
export interface TensorLike {
  readonly shape: readonly number[]
}

/** `paddle.io.TensorDataset`: sample i is the list of the i-th rows of some tensors (or HostArrays) with equal first dimensions. */
export class TensorDataset extends Dataset<HostArray[]> {
  readonly tensors: readonly TensorLike[]
  readonly length: number
  private arrays: Promise<HostArray[]> | undefined

  constructor(tensors: readonly TensorLike[]) {
    super()
    const first = tensors[0]?.shape[0]
    if (first === undefined) throw new ShapeError('TensorDataset: give at least one tensor, each of rank 1 or more')
    for (const { shape } of tensors) {
      if (shape[0] !== first) {
        throw new ShapeError(
          `TensorDataset: first dimensions differ: ${tensors.map((t) => formatShape(t.shape)).join(', ')}`,
        )
      }
    }
    this.tensors = tensors
    this.length = first
  }

  private read(): Promise<HostArray[]> {
    this.arrays ??= Promise.all(this.tensors.map(hostArrayOf))
    return this.arrays
  }

  async getItem(index: number): Promise<HostArray[]> {
    checkIndex('TensorDataset', index, this.length)
    return (await this.read()).map((array) => rowOf(array, index))
  }

  /** The arrays move to shared memory once; all workers read them there. */
  override async workerSource(): Promise<WorkerSource> {
    return { module: import.meta.url, export: 'TensorDataset', args: [(await this.read()).map(shareArray)] }
  }
}

/** `paddle.io.ComposeDataset`: sample i is the fields of sample i of each dataset, one after the other. */
export class ComposeDataset extends Dataset<unknown[]> {
  readonly datasets: readonly Dataset[]

  constructor(datasets: Iterable<Dataset>) {
    super()
    this.datasets = requireDatasets('ComposeDataset', datasets, false)
    const lengths = this.datasets.map((dataset) => dataset.length)
    if (new Set(lengths).size > 1) throw new ArgumentError(`ComposeDataset: lengths differ: ${lengths.join(', ')}`)
  }

  get length(): number {
    return this.datasets[0]!.length
  }

  async getItem(index: number): Promise<unknown[]> {
    const fields: unknown[] = []
    for (const dataset of this.datasets) {
      const sample = await dataset.getItem(index)
      fields.push(...(Array.isArray(sample) ? (sample as unknown[]) : [sample]))
    }
    return fields
  }

  override workerSource(): WorkerSource {
    return { module: import.meta.url, export: 'ComposeDataset', args: [this.datasets] }
  }
}

/** `paddle.io.ConcatDataset`: the samples of several datasets, one dataset after the other. Negative indices count from the end. */
export class ConcatDataset<T = unknown> extends Dataset<T> {
  readonly datasets: readonly Dataset<T>[]
  private readonly ends: readonly number[]

  constructor(datasets: Iterable<Dataset<T>>) {
    super()
    this.datasets = requireDatasets('ConcatDataset', datasets, false)
    let end = 0
    this.ends = this.datasets.map((dataset) => (end += dataset.length))
  }

  get length(): number {
    return this.ends.at(-1)!
  }

  getItem(index: number): T | Promise<T> {
    const i = index < 0 ? index + this.length : index
    checkIndex('ConcatDataset', i, this.length)
    const which = this.ends.findIndex((end) => i < end)
    return this.datasets[which]!.getItem(i - (this.ends[which - 1] ?? 0))
  }

  override workerSource(): WorkerSource {
    return { module: import.meta.url, export: 'ConcatDataset', args: [this.datasets] }
  }
}

/** `paddle.io.ChainDataset`: several streams, one after the other. */
export class ChainDataset<T = unknown> extends IterableDataset<T> {
  readonly datasets: readonly IterableDataset<T>[]

  constructor(datasets: Iterable<IterableDataset<T>>) {
    super()
    this.datasets = requireDatasets('ChainDataset', datasets, true)
  }

  async *iterate(): AsyncGenerator<T> {
    for (const dataset of this.datasets) yield* dataset.iterate()
  }

  override workerSource(): WorkerSource {
    return { module: import.meta.url, export: 'ChainDataset', args: [this.datasets] }
  }
}

/** `paddle.io.Subset`: the samples of a dataset at chosen indices, in their order. */
export class Subset<T = unknown> extends Dataset<T> {
  readonly dataset: Dataset<T>
  readonly indices: ArrayLike<number>

  constructor(dataset: Dataset<T>, indices: ArrayLike<number>) {
    super()
    this.dataset = dataset
    this.indices = indices
  }

  get length(): number {
    return this.indices.length
  }

  getItem(index: number): T | Promise<T> {
    checkIndex('Subset', index, this.length)
    return this.dataset.getItem(this.indices[index]!)
  }

  override workerSource(): WorkerSource {
    return { module: import.meta.url, export: 'Subset', args: [this.dataset, this.indices] }
  }
}

/**
 * `paddle.io.random_split`: parts of a dataset, drawn at random without overlap.
 * @param lengths sizes that sum to the dataset's length, or fractions that sum to 1 (what rounding leaves goes to the first parts, one each)
 * @param generator what the permutation is drawn from. Default: the generator of `randperm`
 */
export function randomSplit<T>(
  dataset: Dataset<T>,
  lengths: readonly number[],
  generator: Pick<PermutationGenerator, 'permutation'> = defaultPermutationGenerator(),
): Subset<T>[] {
  const sizes = splitSizes(dataset.length, lengths)
  const order = Array.from(generator.permutation(dataset.length))
  let end = 0
  return sizes.map((size) => new Subset(dataset, order.slice(end, (end += size))))
}

function splitSizes(total: number, lengths: readonly number[]): readonly number[] {
  const sum = lengths.reduce((a, b) => a + b, 0)
  const negative = lengths.find((length) => !(length >= 0))
  if (negative !== undefined) throw new ArgumentError(`randomSplit: ${negative} is not the size of a part`)
  if (Math.abs(sum - 1) < 1e-9) {
    const sizes = lengths.map((fraction) => Math.floor(total * fraction))
    const rest = total - sizes.reduce((a, b) => a + b, 0)
    for (let i = 0; i < rest; i++) sizes[i % sizes.length]!++
    return sizes
  }
  if (sum !== total || !lengths.every(Number.isInteger)) {
    throw new ArgumentError(
      `randomSplit: parts [${lengths.join(', ')}] sum to ${sum}; give sizes that sum to ${total}, or fractions that sum to 1`,
    )
  }
  return lengths
}
