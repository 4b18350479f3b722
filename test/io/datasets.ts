/** Datasets for the tests of DataLoader, in a module that worker threads import. */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HostArray } from '../../src/common/dtype.ts'
import { FormatError } from '../../src/common/errors.ts'
import { globalRandomState } from '../../src/common/numpy-random.ts'
import { Dataset, IterableDataset } from '../../src/io/dataset.ts'
import { workerFunction } from '../../src/io/remote.ts'
import { currentRandom, getWorkerInfo } from '../../src/io/worker-info.ts'

export type Sample = [Float32Array, number]

/** Sample i: ([i, i * i], i). */
export class Squares extends Dataset<Sample> {
  readonly length: number
  constructor(length: number) {
    super()
    this.length = length
  }
  getItem(index: number): Sample | Promise<Sample> {
    return [Float32Array.of(index, index * index), index]
  }
}

/** Even samples take long. */
export class Uneven extends Squares {
  override async getItem(index: number): Promise<Sample> {
    await sleep(index % 2 === 0 ? 25 : 0)
    return super.getItem(index)
  }
}

/** What the generators give, and where the sample was made. */
export class Noise extends Dataset {
  readonly length: number
  constructor(length: number) {
    super()
    this.length = length
  }
  async getItem(index: number): Promise<unknown> {
    const random = currentRandom()
    await sleep(index % 3)
    return { index, noise: random.normal(), more: Float64Array.from(random.randomSample(3)) }
  }
}

/** What a worker knows of itself. */
export class Whereabouts extends Dataset {
  readonly length = 4
  getItem(): unknown {
    const info = getWorkerInfo()
    return [
      `${info?.id} of ${info?.numWorkers}, seed ${info?.seed}, same: ${info?.dataset === this}, ${globalRandomState.clone().uint32()}`,
    ]
  }
}

export type Trouble = 'exit' | 'throw later' | 'exit always' | 'hang' | 'throw'

/** Trouble at one index; every sample that is begun is written to a file. */
export class Troubled extends Squares {
  readonly trouble: Trouble
  readonly at: number
  readonly log: string
  constructor(length: number, trouble: Trouble, at: number, log: string) {
    super(length)
    this.trouble = trouble
    this.at = at
    this.log = log
  }
  override async getItem(index: number): Promise<Sample> {
    appendFileSync(this.log, `${index}\n`)
    if (index === this.at) await this.make(this.trouble)
    return super.getItem(index)
  }
  private async make(trouble: Trouble): Promise<void> {
    const again = existsSync(`${this.log}.once`)
    writeFileSync(`${this.log}.once`, '')
    if (trouble === 'throw') throw new TypeError('no such glyph')
    if (trouble === 'hang') await sleep(60_000)
    if (trouble === 'exit always' || (trouble === 'exit' && !again)) process.exit(3)
    if (trouble === 'throw later' && !again) {
      setImmediate(() => {
        throw new RangeError('thrown outside')
      })
      await sleep(10_000)
    }
  }
}

/** Every third file is broken. */
export class Broken extends Squares {
  override getItem(index: number): Sample | Promise<Sample> {
    if (index % 3 === 0) throw new FormatError(`'line-${index}.png': not an image`)
    return super.getItem(index)
  }
}

/** Images as a recogniser reads them: `[3, 48, width]`, of which the first value is the index. */
export class Large extends Dataset<HostArray> {
  readonly length: number
  readonly width: number
  constructor(length: number, width: number) {
    super()
    this.length = length
    this.width = width
  }
  getItem(index: number): HostArray {
    const data = new Float32Array(3 * 48 * this.width)
    data[0] = index
    return { dtype: 'float32', shape: [3, 48, this.width], data }
  }
}

/** What only some of can be sent to another thread. */
export class Mixed extends Dataset {
  readonly length = 2
  getItem(index: number): unknown {
    if (index === 1) return { f: () => index }
    return {
      bytes: Buffer.from('ab'),
      typed: [new Uint16Array([1, 2]), new BigInt64Array([5n])],
      half: { dtype: 'float16', shape: [], data: Uint16Array.of(0x3c00) },
      empty: { dtype: 'int8', shape: [0, 2], data: new Int8Array(0) },
      when: new Date(0),
      nothing: null,
      text: '字',
      big: 2n ** 65n,
    }
  }
}

/** The numbers below `length`, split between the workers; dies once at `dieAt`. */
export class Counting extends IterableDataset<[number, number]> {
  readonly length: number
  readonly marker: string
  readonly dieAt: number
  constructor(length: number, marker = '', dieAt = -1) {
    super()
    this.length = length
    this.marker = marker
    this.dieAt = dieAt
  }
  async *iterate(): AsyncGenerator<[number, number]> {
    const { id, numWorkers } = getWorkerInfo() ?? { id: 0, numWorkers: 1 }
    for (let i = id; i < this.length; i += numWorkers) {
      if (i === this.dieAt && !existsSync(this.marker)) {
        writeFileSync(this.marker, '')
        process.exit(0)
      }
      yield [i, currentRandom().randomSample()]
    }
  }
}

export const joinNames = workerFunction(import.meta.url, joinLabels, 'joinLabels')
export function joinLabels(samples: Sample[]): unknown {
  return `${samples.map(([, label]) => label).join('+')} ${getWorkerInfo() === null ? 'here' : 'in a worker'}`
}

export function throwAtStart(id: number): void {
  throw new Error(`worker ${id} has no camera`)
}
workerFunction(import.meta.url, throwAtStart)
