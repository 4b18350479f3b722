/**
 * The results of a comparison as they grow: read where there are some of this machine, written with the page and the plot after each thing
 * that is measured, so that a run that is cut off loses nothing and the next one can go on.
 */
import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { replaceFile } from '../../../io/atomic.ts'
import { renderPage } from './markdown.ts'
import { plotRoofline } from './roofline-plot.ts'
import { budgetsOf, type Results } from './results.ts'

export class ResultsFile {
  readonly #base: string
  readonly #page: string
  #results: Results

  /** `folder` is the repository's; a quick run does not replace the results of a whole one. */
  constructor(folder: string, start: Results) {
    this.#base = start.quick ? join(folder, 'out') : folder
    this.#page = start.quick ? 'bench' : 'docs'
    this.#results = start
  }

  get results(): Results {
    return this.#results
  }

  /** Takes up the results that lie there, if there are any of this machine with these settings. Whether it did. */
  async takeUp(): Promise<boolean> {
    const known = await this.#read()
    const { machine, settings } = this.#results
    const isSame =
      known?.machine.cpu === machine.cpu &&
      known.machine.cores === machine.cores &&
      known.settings.threads === settings.threads
    if (!known || !isSame) return false
    this.#results = { ...known, machine, settings, versions: { ...known.versions, ...this.#results.versions } }
    return true
  }

  /** Takes up what lies there, whatever machine it is of. */
  async takeUpAny(): Promise<boolean> {
    const known = await this.#read()
    if (known) this.#results = known
    return known !== null
  }

  async #read(): Promise<Results | null> {
    try {
      const known = JSON.parse(await readFile(this.#path, 'utf8')) as Results
      // What was written before a part existed lacks it.
      return { ...empty, ...known }
    } catch {
      return null
    }
  }

  /** Changes the results in memory. */
  change(change: Partial<Results>): void {
    this.#results = { ...this.#results, ...change }
  }

  /** Changes the results and writes them, the page and the plot. */
  async save(change: Partial<Results> = {}): Promise<void> {
    this.change(change)
    this.change({ budgets: budgetsOf(this.#results) })
    const plot = plotRoofline(this.#results)
    await this.#write(this.#path, `${JSON.stringify(this.#results, null, 2)}\n`)
    if (plot !== null) await this.#write(this.#plotPath, plot)
    await this.#write(
      this.#pagePath,
      renderPage(this.#results, plot === null ? null : relative(join(this.#base, this.#page), this.#plotPath)),
    )
  }

  #write(path: string, text: string): Promise<void> {
    return replaceFile(path, async (sink) => void (await sink.write(Buffer.from(text))))
  }

  get #path(): string {
    return join(this.#base, 'bench/results.json')
  }

  get #pagePath(): string {
    return join(this.#base, this.#page, 'benchmarks.md')
  }

  get #plotPath(): string {
    return join(this.#base, this.#page, 'images/roofline.svg')
  }

  get files(): readonly string[] {
    const plotted = plotRoofline(this.#results) === null ? [] : [this.#plotPath]
    return [this.#path, this.#pagePath, ...plotted].map((path) => relative('.', path))
  }
}

/** Sections without results. */
export const empty = {
  roofline: null,
  workloads: [],
  variants: [],
  kernels: [],
  first_steps: [],
  walks: [],
  sweep: [],
  inference: [],
  budgets: [],
  problems: [],
} satisfies Partial<Results>
