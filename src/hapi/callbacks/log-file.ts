/** Logs of a run on disk: one row an epoch, for spreadsheets (CSV) and programs (JSON lines). */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { withStorageErrors } from '../../io/storage-error.ts'
import { Callback, type Logs } from './callback.ts'

export interface LogFileOptions {
  /** Goes on after the rows that are there, as a resumed run should. Default false. */
  readonly append?: boolean
}

/** One row for each epoch, with the evaluation that belongs to it under `eval_` names. */
abstract class LogFile extends Callback {
  readonly #path: string
  readonly #append: boolean

  constructor(path: string, options: LogFileOptions = {}) {
    super()
    this.#path = path
    this.#append = options.append ?? false
  }

  protected abstract render(row: Logs): string

  override async onTrainBegin(): Promise<void> {
    await withStorageErrors('writing', this.#path, async () => {
      await mkdir(dirname(this.#path), { recursive: true })
      if (this.#append) this.goOn(await readFile(this.#path, 'utf8').catch(() => ''))
      else await writeFile(this.#path, '')
    })
  }

  /** What is in the file that rows are appended to. */
  protected goOn(_written: string): void {}

  override async onEpochEnd(epoch: number, logs: Logs): Promise<void> {
    const { batchSize: _, ...rest } = logs
    const line = this.render({ epoch: epoch + 1, step: this.model.step, ...rest })
    await withStorageErrors('writing', this.#path, () => appendFile(this.#path, line))
  }
}

/** Writes `epoch,step,loss,...` rows; the head comes with the first row. Names that come up later have no column. */
export class CSVLogger extends LogFile {
  #columns: readonly string[] | null = null

  protected override goOn(written: string): void {
    const [head] = written.split('\n', 1)
    if (head) this.#columns = head.split(',')
  }

  protected override render(row: Logs): string {
    const head = this.#columns === null ? `${Object.keys(row).join(',')}\n` : ''
    this.#columns ??= Object.keys(row)
    return `${head}${this.#columns.map((name) => [row[name] ?? ''].flat().join(' ')).join(',')}\n`
  }
}

/** Writes one JSON object a line. */
export class JSONLogger extends LogFile {
  protected override render(row: Logs): string {
    return `${JSON.stringify(row)}\n`
  }
}
