/**
 * Runs a program to its end with a time limit, without a shell, in a blocking and an asynchronous form. The program leads its own
 * process group, so that when it hangs its children (a compiler driver's real compiler) end with it.
 */
import { spawn, spawnSync, type SpawnSyncOptionsWithStringEncoding } from 'node:child_process'

export interface SubprocessOptions {
  /** Written to the program's standard input, which is then closed. */
  readonly input?: string
  /** After this many milliseconds the program and its children are killed. */
  readonly timeoutMs: number
}

export interface SubprocessResult {
  /** Exit status; null when a signal ended the program or it could not be started. */
  readonly status: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
  /** Why the program could not be started. */
  readonly startError?: Error
}

/** Output beyond this is cut: nobody reads it, and a program gone wild must not fill the memory. */
const MAX_OUTPUT = 16 << 20

/** Runs a program and blocks until it has ended. Never throws: what went wrong is in the result. */
export function runSubprocessSync(
  command: string,
  parameters: readonly string[],
  options: SubprocessOptions,
): SubprocessResult {
  // `detached` is honoured by spawnSync but missing from its published types.
  const spawnOptions: SpawnSyncOptionsWithStringEncoding & { detached: boolean } = {
    encoding: 'utf8',
    input: options.input ?? '',
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_OUTPUT,
    detached: true,
    windowsHide: true,
  }
  const ended = spawnSync(command, parameters, spawnOptions)
  const code = (ended.error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ETIMEDOUT' || code === 'ENOBUFS') killGroup(ended.pid)
  const started = ended.pid > 0
  return {
    status: ended.status,
    signal: ended.signal,
    stdout: ended.stdout ?? '',
    stderr: ended.stderr ?? '',
    timedOut: code === 'ETIMEDOUT',
    ...(started || ended.error === undefined ? {} : { startError: ended.error }),
  }
}

/** Runs a program without blocking. Never rejects: what went wrong is in the result. */
export function runSubprocess(
  command: string,
  parameters: readonly string[],
  options: SubprocessOptions,
): Promise<SubprocessResult> {
  return new Promise((resolve) => {
    const child = spawn(command, parameters, { stdio: 'pipe', detached: true, windowsHide: true })
    const output = { stdout: '', stderr: '' }
    let timedOut = false
    const collect = (name: keyof typeof output) => (text: string) => {
      if (output[name].length < MAX_OUTPUT) output[name] += text
    }
    child.stdout.setEncoding('utf8').on('data', collect('stdout'))
    child.stderr.setEncoding('utf8').on('data', collect('stderr'))
    const timer = setTimeout(() => {
      timedOut = true
      killGroup(child.pid)
      // A grandchild that left the group could hold the pipes open for ever.
      child.stdout.destroy()
      child.stderr.destroy()
    }, options.timeoutMs)
    const finish = (status: number | null, signal: string | null, startError?: Error): void => {
      clearTimeout(timer)
      resolve({ status, signal, ...output, timedOut, ...(startError === undefined ? {} : { startError }) })
    }
    child.on('error', (error) => finish(null, null, error))
    child.on('close', (status, signal) => finish(status, signal))
    // A program that ends without reading its input breaks the pipe; its exit status tells the story.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined || pid <= 0) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}
