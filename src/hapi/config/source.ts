/**
 * A configuration file as plain values that remember where they stand: `train.yml:12` for what the file says, `-o` for what the command
 * line replaced. Files are YAML 1.2 with anchors and merge keys.
 */
import { isMap, isNode, isPair, LineCounter, parseDocument, type Document } from 'yaml'
import { ConfigError } from '../../common/errors.ts'
import { readBytes } from '../../io/files.ts'

/** The way to a value: keys and, in lists, positions. */
export type ConfigPath = readonly (string | number)[]

export interface ConfigSource {
  /** Plain objects, lists, strings, numbers, booleans and null. */
  readonly value: unknown
  /** Where a value stands, or the nearest thing around it: `train.yml:12`, or `-o Global.steps=20`. */
  where(path: ConfigPath): string
}

/** `Optimizer.lr.learningRate`; positions count as keys: `Train.datasets.0`. */
export function formatPath(path: ConfigPath): string {
  return path.length === 0 ? 'the file' : path.join('.')
}

/**
 * Reads a file and lays overrides (`Global.steps=20`, values in YAML) over it, as PaddleOCR's `-o`. Throws StorageError where the file
 * cannot be read, ConfigError with the line where it is no YAML.
 */
export async function readConfig(file: string, overrides: readonly string[] = []): Promise<ConfigSource> {
  return parseConfig(new TextDecoder('utf-8').decode(await readBytes(file)), file, overrides)
}

/** As `readConfig`, of a text. */
export function parseConfig(text: string, file: string, overrides: readonly string[] = []): ConfigSource {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, merge: true })
  const [error] = document.errors
  if (error) {
    const [message] = error.message.split(' at line ')
    throw new ConfigError(`${file}:${lines.linePos(error.pos[0]).line}: this is no YAML: ${message}`)
  }
  if (!isMap(document.contents)) throw new ConfigError(`${file}: expected sections such as 'Global:' and 'Train:'`)
  const replaced = overrides.map((text) => override(document, text))
  return {
    value: withoutNulls(document.toJS()),
    where(path) {
      const own = replaced.findLast((o) => o.path.every((key, i) => String(key) === String(path[i])))
      return own ? `-o ${own.text}` : `${file}:${lineOf(document, path, lines)}`
    },
  }
}

/** Settings that a program makes instead of a file; `name` stands for the file in errors. */
export function configOf(value: unknown, name: string): ConfigSource {
  return { value, where: () => name }
}

/** A key without a value, such as `device:`, is as if it were not there. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(members.map(([key, member]) => [key, withoutNulls(member)]))
}

function override(document: Document, text: string): { path: ConfigPath; text: string } {
  const equals = text.indexOf('=')
  const keys = text.slice(0, Math.max(equals, 0)).split('.')
  if (equals < 0 || keys.includes(''))
    throw new ConfigError(`-o ${text}: expected key=value, for example -o Global.steps=20`)
  const value = parseDocument(text.slice(equals + 1))
  if (value.errors.length > 0) throw new ConfigError(`-o ${text}: the value is no YAML: put text in quotes`)
  const path = keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key))
  try {
    document.setIn(path, document.createNode(value.toJS()))
  } catch (cause) {
    throw new ConfigError(`-o ${text}: something on the way to ${formatPath(path)} is no section`, { cause })
  }
  return { path, text }
}

/** The line of a value's key; of the nearest section around it where the file does not have it. */
function lineOf(document: Document, path: ConfigPath, lines: LineCounter): number {
  for (let length = path.length; length > 0; length--) {
    const parent: unknown = document.getIn(path.slice(0, length - 1), true)
    const key = path[length - 1]
    const pair = isMap(parent) ? parent.items.find((p) => isPair(p) && String(p.key) === String(key)) : undefined
    const node: unknown = pair?.key ?? document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}
