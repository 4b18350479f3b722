/**
 * Checks a configuration against a schema. What is wrong becomes one ConfigError that names file and line, the path of the key, what was
 * expected, and for a misspelt name the nearest known one.
 */
import { z } from 'zod'
import { ConfigError } from '../../common/errors.ts'
import { nearestName } from '../../common/nearest-name.ts'
import { formatPath, type ConfigPath, type ConfigSource } from './source.ts'

/** How many complaints one error lists. */
const MAX_LISTED = 8

/** The checked value, with defaults filled in. Throws ConfigError. */
export function checkConfig<T>(schema: z.ZodType<T>, source: ConfigSource): T {
  const result = schema.safeParse(source.value, { error: explain, reportInput: true })
  if (result.success) return result.data
  const complaints = result.error.issues.flatMap((issue) => complaintsOf(issue as Issue, source))
  const more = complaints.length - MAX_LISTED
  throw new ConfigError(
    [...complaints.slice(0, MAX_LISTED), ...(more > 0 ? [`and ${more} more`] : [])].join('\n  ').trim(),
  )
}

/** A complaint about one key, for what a schema cannot see: a file that is missing, settings that contradict each other. */
export function configError(source: ConfigSource, path: ConfigPath, what: string): ConfigError {
  return new ConfigError(`${source.where(path)}: ${formatPath(path)}: ${what}`)
}

type Issue = z.core.$ZodIssue & { readonly path: ConfigPath }

function complaintsOf(issue: Issue, source: ConfigSource): string[] {
  if (issue.code !== 'unrecognized_keys') return [`${at(source, issue.path)}: ${issue.message}`]
  // The message holds the known keys: the schema is out of sight here.
  const known = JSON.parse(issue.message) as string[]
  return issue.keys.map((key) => `${at(source, [...issue.path, key])}: unknown key${suggestion(key, known)}`)
}

const at = (source: ConfigSource, path: ConfigPath): string => `${source.where(path)}: ${formatPath(path)}`

function suggestion(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return `${nearest === undefined ? '' : `; did you mean '${nearest}'?`} (known: ${known.join(', ')})`
}

/** For fields that say themselves what they expect: `z.int({ error: expecting('a whole number') })`. */
export function expecting(what: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) => `expected ${what}${got(input)}`
}

/** Zod's error map: what was expected, and what came. */
function explain(issue: z.core.$ZodRawIssue): string {
  const { input } = issue
  switch (issue.code) {
    case 'unrecognized_keys':
      return JSON.stringify(keysOf(issue.inst))
    case 'invalid_union':
      return chosen(issue)
    case 'invalid_value':
      return `expected ${issue.values.map((v) => JSON.stringify(v)).join(', ')}${got(input)}${near(input, issue.values)}`
    case 'invalid_type':
      return `expected ${KINDS[issue.expected] ?? issue.expected}${got(input)}`
    case 'too_small':
      return `expected ${sizeOf(issue.origin, issue.inclusive === false ? 'above' : 'at least', issue.minimum)}${got(input)}`
    case 'too_big':
      return `expected ${sizeOf(issue.origin, issue.inclusive === false ? 'below' : 'at most', issue.maximum)}${got(input)}`
    default:
      return `${issue.message ?? 'not usable'}${got(input)}`
  }
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'a section (key: value)',
  array: 'a list',
  tuple: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}

function sizeOf(origin: string, relation: string, limit: number | bigint): string {
  const unit = { array: ' entries', string: ' characters' }[origin] ?? ''
  return `${origin === 'int' ? 'a whole number' : origin === 'number' ? 'a number' : ''} ${relation} ${limit}${unit}`.trim()
}

/** Short enough for a line of a message. */
function got(input: unknown): string {
  if (input === undefined) return ', but it is missing'
  const text = JSON.stringify(input) ?? String(input)
  return `, got ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`
}

function near(input: unknown, values: readonly unknown[]): string {
  const nearest = typeof input === 'string' ? nearestName(input, values.map(String)) : undefined
  return nearest === undefined ? '' : `; did you mean '${nearest}'?`
}

/** A choice whose name is not among the known ones, which this version of Zod lists. */
function chosen(issue: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidUnion>): string {
  const { options, discriminator, input } = issue as { options?: string[]; discriminator?: string; input?: unknown }
  if (options === undefined || discriminator === undefined) return `not usable${got(input)}`
  const name = (input as Readonly<Record<string, unknown>> | undefined)?.[discriminator]
  return `expected ${options.join(', ')}${got(name)}${near(name, options)}`
}

function keysOf(schema: unknown): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
}
