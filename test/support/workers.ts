/** Worker threads whose modules are TypeScript, for tests. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/** Starts a worker that runs a module, with tsx's loader, which flags of the parent do not bring into workers on Node 20. */
export function startWorker(module: URL, workerData: unknown): Worker {
  const tsx = import.meta.resolve('tsx/esm/api')
  const boot = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(module.href)})`
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(boot)}`), { workerData })
}

/** Sends a message and resolves to the next one that comes back; rejects with what ends the worker. */
export async function ask<T>(worker: Worker, message: unknown): Promise<T> {
  const ended = new AbortController()
  const failure = once(worker, 'error', { signal: ended.signal }).then(([error]) => {
    throw error
  })
  const answer = once(worker, 'message', { signal: ended.signal })
  worker.postMessage(message)
  try {
    const [value] = (await Promise.race([answer, failure])) as [T]
    return value
  } finally {
    failure.catch(() => {})
    answer.catch(() => {})
    ended.abort()
  }
}
