/**
 * How a failure reaches the person at the terminal: one clear line with a hint for the errors this package knows, and for any other
 * its message, with the stack under LONGZHOU_DEBUG.
 */
import { processVariables } from '../common/env.ts'
import {
  CompileError,
  ConfigError,
  DeviceError,
  FormatError,
  InternalError,
  LongzhouError,
  OutOfMemoryError,
  ProofError,
  UnsupportedError,
  WorkerError,
} from '../common/errors.ts'

/** Exit codes of every command. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const

/** A command line that cannot be understood; the process ends with exit code 2. */
export class UsageError extends LongzhouError {}

type ErrorClass = abstract new (...parameters: never[]) => LongzhouError

/** What helps with a kind of error beyond what its message says. */
const HINTS: readonly (readonly [ErrorClass, string])[] = [
  [CompileError, 'longzhou doctor shows the compiler and its last messages'],
  [DeviceError, 'longzhou doctor lists the devices of this machine'],
  [OutOfMemoryError, 'a smaller batch needs less memory'],
  [ConfigError, 'docs/training.md explains every setting; -o Section.key=value replaces one for a single run'],
  [ProofError, 'what stood there before is untouched; report the operator that differs, with the model if you may'],
  [UnsupportedError, 'docs/models.md says what is read and written, in which formats'],
  [FormatError, 'nothing was overwritten; check that the file is whole and of this version'],
  [WorkerError, 'the same run without workers (numWorkers 0) shows where it failed'],
  [InternalError, 'please report this with what LONGZHOU_DEBUG=1 prints'],
]

/** The text for standard error, without a line break at its end. */
export function describeFailure(error: unknown, variables = processVariables()): string {
  // The raw variable: a bad value of it may be the very error that is being told.
  const debug = !['', '0', undefined].includes(variables['LONGZHOU_DEBUG'])
  const stack = debug && error instanceof Error ? `\n${error.stack ?? ''}` : ''
  if (error instanceof LongzhouError) {
    const hint = HINTS.find(([kind]) => error instanceof kind)?.[1]
    return `longzhou: ${error.message}${hint === undefined ? '' : `\n  hint: ${hint}`}${stack}`
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `longzhou: unexpected ${message}${debug ? stack : '\n  hint: LONGZHOU_DEBUG=1 shows where it happened'}`
}

export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? EXIT.usage : EXIT.failure
}
