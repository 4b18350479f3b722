/**
 * Small files of the cache: a line with the SHA-256 of what follows. The directory is private, so that what the digest fits was written by this package;
 * the digest tells files that were cut off or damaged. What is in them is looked at all the same, by the checks below.
 */
import { readFileSync } from 'node:fs'
import { FormatError } from '../../common/errors.ts'
import { sha256 } from './kernel-files.ts'

/** The text of a file with this content, as JSON. */
export function seal(content: unknown): string {
  const text = JSON.stringify(content)
  return `${sha256(text)}\n${text}`
}

/** The content of a file by its text; null where it is damaged. */
export function unseal(file: string): unknown {
  const end = file.indexOf('\n')
  const content = file.slice(end + 1)
  if (end !== 64 || sha256(content) !== file.slice(0, end)) return null
  try {
    return JSON.parse(content) as unknown
  } catch {
    return null
  }
}

/** What a file holds; null where there is none, or it is damaged. */
export function readSealed(path: string): unknown {
  try {
    return unseal(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}

/** Throws FormatError where a file of the cache is not what it should be, as all of these do. */
export function check(holds: boolean): asserts holds {
  if (!holds) throw new FormatError('a file of the cache is not what it should be')
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  check(typeof value === 'object' && value !== null && !Array.isArray(value))
  return value as Readonly<Record<string, unknown>>
}

export function list(value: unknown, length?: number): readonly unknown[] {
  check(Array.isArray(value) && (length === undefined || value.length === length))
  return value as readonly unknown[]
}

export function text(value: unknown): string {
  check(typeof value === 'string')
  return value
}

export function integer(value: unknown, low = 0, high = Number.MAX_SAFE_INTEGER): number {
  check(Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high)
  return value as number
}

export function oneOf<T extends string>(names: readonly T[], value: unknown): T {
  const found = names.find((n) => n === value)
  check(found !== undefined)
  return found
}
