/**
 * Small files of the cache: JSON below a line with its SHA-256. The directory is private, so that what the digest fits was written by this package;
 * the digest tells files that were cut off or damaged. What is in them is looked at all the same.
 */
import { readFileSync } from 'node:fs'
import { FormatError } from '../../common/errors.ts'
import { sha256 } from '../../runtime/cpu/kernel-files.ts'

export function sealed(value: unknown): string {
  const content = JSON.stringify(value)
  return `${sha256(content)}\n${content}`
}

/** What a file holds; null where there is none, or it is damaged. */
export function unsealed(path: string): unknown {
  try {
    const file = readFileSync(path, 'utf8')
    const end = file.indexOf('\n')
    const content = file.slice(end + 1)
    return end === 64 && sha256(content) === file.slice(0, end) ? (JSON.parse(content) as unknown) : null
  } catch {
    return null
  }
}

function check(holds: boolean): asserts holds {
  if (!holds) throw new FormatError('a file of the cache is not what it should be')
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  check(typeof value === 'object' && value !== null && !Array.isArray(value))
  return value as Readonly<Record<string, unknown>>
}

export function array(value: unknown): readonly unknown[] {
  check(Array.isArray(value))
  return value as readonly unknown[]
}

export function text(value: unknown): string {
  check(typeof value === 'string')
  return value
}

export function integer(value: unknown, low = 0): number {
  check(Number.isSafeInteger(value) && (value as number) >= low)
  return value as number
}

export function oneOf<T extends string>(names: readonly T[], value: unknown): T {
  const found = names.find((n) => n === value)
  check(found !== undefined)
  return found
}
