/**
 * Objects that worker threads make for themselves. A class instance or function cannot cross to a thread, but the address of its module, the
 * name under which that exports it, and the arguments of the constructor can.
 */
import { ArgumentError, WorkerError } from '../common/errors.ts'
import { isPlainObject } from './tensor-bridge.ts'

/** Where a class or function lives. */
export interface ModuleExport {
  /** The address of the module: its `import.meta.url`. */
  readonly module: string
  /** The name under which the module exports it. */
  readonly export: string
}

/** How to make a dataset. Arguments may hold whatever a thread can be sent, and other datasets that have a source. */
export interface WorkerSource extends ModuleExport {
  readonly args: readonly unknown[]
}

/** A dataset, as far as this file needs to know it. */
export interface WorkerMade {
  workerSource(): WorkerSource | Promise<WorkerSource | undefined> | undefined
}

type DatasetClass<A extends unknown[], D extends WorkerMade> = new (...args: A) => D

const functions = new WeakMap<object, ModuleExport>()

/**
 * Makes a dataset that DataLoader workers can make too. The class must be exported under its name by the module whose address is given; that
 * module is imported by every worker, so it should do nothing but define.
 *
 *     export class Lines extends Dataset { constructor(readonly folder: string) {...} ... }
 *     export const lines = (folder: string) => workerDataset(import.meta.url, Lines, folder)
 *
 * A class can also override `workerSource()` itself.
 */
export function workerDataset<A extends unknown[], D extends WorkerMade>(
  module: string,
  datasetClass: DatasetClass<A, D>,
  ...args: A
): D {
  const source: WorkerSource = { module, export: datasetClass.name, args }
  return Object.defineProperty(new datasetClass(...args), 'workerSource', { value: () => source })
}

/** Marks an exported function (a `collateFn` or `workerInitFn`) as one that workers can import. Gives the function itself. */
export function workerFunction<F extends (...args: never[]) => unknown>(
  module: string,
  fn: F,
  name: string = fn.name,
): F {
  if (name === '')
    throw new ArgumentError('workerFunction: the function has no name; give the one under which it is exported')
  functions.set(fn, { module, export: name })
  return fn
}

/** Where a marked function lives; undefined for others. */
export function functionSource(fn: object): ModuleExport | undefined {
  return functions.get(fn)
}

const NESTED = 'longzhou:dataset'

/** The source of a dataset with the datasets in its arguments replaced by theirs: what can be sent. Throws WorkerError that says what to do. */
export async function datasetSource(dataset: WorkerMade): Promise<WorkerSource> {
  const source = await dataset.workerSource()
  if (source === undefined) {
    const name = dataset.constructor.name
    throw new WorkerError(
      `DataLoader: numWorkers > 0 needs to know how a worker makes the dataset '${name}', and it does not say. Export the class ` +
        `from a module of its own and make it with workerDataset(import.meta.url, ${name}, ...args), or override ` +
        'workerSource() to give {module: import.meta.url, export, args}; or use numWorkers: 0',
    )
  }
  return { module: source.module, export: source.export, args: await Promise.all(source.args.map(packArgument)) }
}

/** Long lists of numbers need no look at each element. */
function holdsObjects(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.some((item) => typeof item === 'object')
}

async function packArgument(value: unknown): Promise<unknown> {
  if (holdsObjects(value)) return Promise.all(value.map(packArgument))
  const isDataset = typeof value === 'object' && value !== null && 'workerSource' in value
  return isDataset ? { [NESTED]: await datasetSource(value as WorkerMade) } : value
}

/** The modules that a packed source needs, with those of the datasets inside. */
export function modulesOf(source: WorkerSource): string[] {
  return [source.module, ...source.args.flatMap(modulesOfArgument)]
}

function modulesOfArgument(value: unknown): string[] {
  if (holdsObjects(value)) return value.flatMap(modulesOfArgument)
  return isPlainObject(value) && NESTED in value ? modulesOf(value[NESTED] as WorkerSource) : []
}

/** Imports what a ModuleExport names. Throws WorkerError when the module does not export it. */
export async function importExport(source: ModuleExport): Promise<unknown> {
  const exports = (await import(source.module)) as Record<string, unknown>
  const found = exports[source.export]
  if (typeof found !== 'function') {
    throw new WorkerError(
      `a DataLoader worker found no class or function '${source.export}' in '${source.module}', which exports ` +
        `[${Object.keys(exports).join(', ')}]; export it, or name the export`,
    )
  }
  return found
}

/** In the worker: makes the dataset. */
export async function makeDataset(source: WorkerSource): Promise<WorkerMade> {
  const datasetClass = (await importExport(source)) as DatasetClass<unknown[], WorkerMade>
  return new datasetClass(...(await Promise.all(source.args.map(unpackArgument))))
}

async function unpackArgument(value: unknown): Promise<unknown> {
  if (holdsObjects(value)) return Promise.all(value.map(unpackArgument))
  return isPlainObject(value) && NESTED in value ? makeDataset(value[NESTED] as WorkerSource) : value
}
