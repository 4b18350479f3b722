/** Which files a piece of work looked at: those that it read, and those whose absence decided what it did. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { resolve } from 'node:path'

export interface FileTrace {
  /** In the order in which they were first read. */
  readonly read: ReadonlySet<string>
  readonly absent: ReadonlySet<string>
}

const traces = new AsyncLocalStorage<{ read: Set<string>; absent: Set<string> }>()

/** Called by what reads files. */
export function noteRead(path: string): void {
  traces.getStore()?.read.add(resolve(path))
}

/** Called by what looks for a file that is not there. */
export function noteAbsent(path: string): void {
  traces.getStore()?.absent.add(resolve(path))
}

/** Runs `work`, and says what it looked at. */
export async function tracingFiles<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly files: FileTrace }> {
  const files = { read: new Set<string>(), absent: new Set<string>() }
  return { value: await traces.run(files, work), files }
}
