/**
 * Starts a worker thread whose modules may be TypeScript. From built JavaScript that needs nothing. Where the worker's own file or a dataset's
 * module ends in .ts, the thread gets the loader of `tsx` first: flags of the parent do not bring it into worker threads on Node 20.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { WorkerError } from '../common/errors.ts'
import { modulesOf } from './remote.ts'
import type { WorkerInit } from './worker-protocol.ts'

const TYPESCRIPT = /\.[cm]?tsx?$/

/** The worker's file: beside this one, or in `io/` below it when a build has joined this file with others. */
function workerEntry(): URL {
  const extension = TYPESCRIPT.test(new URL(import.meta.url).pathname) ? 'ts' : 'js'
  const places = [`./worker.${extension}`, `./io/worker.${extension}`].map((path) => new URL(path, import.meta.url))
  const found = places.find((url) => existsSync(fileURLToPath(url)))
  if (found === undefined)
    throw new WorkerError(`DataLoader: the worker's file is missing; expected ${places.join(' or ')}`)
  return found
}

/** The address of tsx's `register`, as seen from one of these modules. */
function findTsx(from: readonly string[]): string | undefined {
  for (const url of from) {
    try {
      const manifest = createRequire(url).resolve('tsx/package.json')
      const { exports } = JSON.parse(readFileSync(manifest, 'utf8')) as {
        exports: Record<string, { import?: { default?: string } }>
      }
      const api = exports['./esm/api']?.import?.default
      if (api !== undefined) return pathToFileURL(join(dirname(manifest), api)).href
    } catch {
      // Not installed beside this module: the next one may see it.
    }
  }
  return undefined
}

/** Throws WorkerError when TypeScript is needed and nothing can load it. */
export function launchWorker(init: WorkerInit): Worker {
  const entry = workerEntry()
  const functions = [init.collate, init.initFn].flatMap((source) => (typeof source === 'object' ? [source.module] : []))
  const modules = [...modulesOf(init.dataset), ...functions]
  const options = { workerData: { longzhou: init }, name: `DataLoader ${init.id}` }
  if (![entry.href, ...modules].some((url) => TYPESCRIPT.test(url))) return new Worker(entry, options)
  const tsx = findTsx([...modules.filter((url) => url.startsWith('file:')), import.meta.url])
  if (tsx !== undefined) {
    const boot = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(entry.href)})`
    return new Worker(new URL(`data:text/javascript,${encodeURIComponent(boot)}`), options)
  }
  if ((process.features as { typescript?: unknown }).typescript) return new Worker(entry, options)
  throw new WorkerError(
    `DataLoader: workers must import TypeScript (${modules.join(', ')}), which Node ${process.version} does not load; ` +
      'install tsx (npm i -D tsx), use Node 22.18 or newer, or build to JavaScript first',
  )
}
