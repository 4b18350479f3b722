/**
 * Runs one command line: finds the command in the table, shows help or the version, refuses what it does not know, and turns the
 * outcome into an exit code. Everything a command prints for programs goes to standard output, complaints to standard error.
 */
import { parseArgs as parseTokens, stripVTControlCharacters } from 'node:util'
import { type ArgsDef, parseArgs, renderUsage } from 'citty'
import manifest from '../../package.json' with { type: 'json' }
import { type CliCommand, type CommandRow, COMMANDS, usageEntry } from './commands.ts'
import { describeFailure, EXIT, exitCodeOf, UsageError } from './errors.ts'
import { useColor } from './ui.ts'

const PROGRAM = 'longzhou'
const HELP = new Set(['--help', '-h'])
const VERSION = new Set(['--version', '-v'])

interface Resolved {
  readonly path: readonly string[]
  readonly description: string
  readonly command: CliCommand
  readonly rest: readonly string[]
}

/** Runs `longzhou ...argv` and resolves to its exit code; never rejects. */
export async function runCli(argv: readonly string[], commands: readonly CommandRow[] = COMMANDS): Promise<number> {
  let path: readonly string[] = [PROGRAM]
  try {
    if (VERSION.has(argv[0] ?? '')) {
      process.stdout.write(`${manifest.version}\n`)
      return EXIT.ok
    }
    const root = { path, description: manifest.description, command: { subCommands: commands }, rest: argv }
    const resolved = await resolveCommand(root)
    path = resolved.path
    if (wantsHelp(resolved.rest)) {
      process.stdout.write(await usage(resolved))
      return EXIT.ok
    }
    const { command, rest } = resolved
    if (command.run === undefined) {
      const names = (command.subCommands ?? []).map((row) => row.name).join(', ')
      throw new UsageError(rest[0] === undefined ? `no command given; there are: ${names}` : unknownOption(rest[0]))
    }
    return (await command.run(readArguments(rest, command))) ?? EXIT.ok
  } catch (error) {
    process.stderr.write(`${describeFailure(error)}\n`)
    if (error instanceof UsageError) process.stderr.write(`  see: ${path.join(' ')} --help\n`)
    return exitCodeOf(error)
  }
}

/** Follows sub-commands as far as the words of the command line go. */
async function resolveCommand(at: Resolved): Promise<Resolved> {
  const rows = at.command.subCommands ?? []
  const [name, ...rest] = at.rest
  if (rows.length === 0 || name === undefined || name.startsWith('-')) return at
  const row = rows.find((candidate) => candidate.name === name)
  if (row === undefined) {
    throw new UsageError(`unknown command '${name}'; there are: ${rows.map((known) => known.name).join(', ')}`)
  }
  const { command } = await row.load()
  return resolveCommand({ path: [...at.path, name], description: row.description, command, rest })
}

function wantsHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return words.slice(0, end < 0 ? undefined : end).some((word) => HELP.has(word))
}

async function usage({ path, description, command }: Resolved): Promise<string> {
  const text = await renderUsage({
    meta: { name: path.join(' '), description, version: manifest.version },
    args: {
      ...command.args,
      help: { type: 'boolean', alias: 'h', description: 'Show this help' },
      ...(path.length === 1 && { version: { type: 'boolean', alias: 'v', description: 'Show the version' } }),
    },
    ...(command.subCommands && {
      subCommands: Object.fromEntries(command.subCommands.map((row) => [row.name, usageEntry(row)])),
    }),
  })
  return `${(useColor(process.stdout) ? text : stripVTControlCharacters(text)).replaceAll(/ +$/gm, '')}\n`
}

/** Parses the arguments of one command; what it does not know is an error, never ignored. */
function readArguments(words: readonly string[], command: CliCommand): Readonly<Record<string, unknown>> {
  const definitions = command.args ?? {}
  const lists = checkArguments(words, definitions, command)
  try {
    return { ...parseArgs([...words], definitions), ...lists }
  } catch (cause) {
    throw new UsageError(stripVTControlCharacters((cause as Error).message), { cause })
  }
}

/** Throws UsageError for what the command does not know; gives the values of options that may be repeated. */
function checkArguments(words: readonly string[], definitions: ArgsDef, command: CliCommand): Record<string, string[]> {
  const { variadic = false, repeatable = [] } = command
  const lists: Record<string, string[]> = {}
  const longNames: Record<string, string> = {}
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {}
  let positionals = 0
  for (const [name, definition] of Object.entries(definitions)) {
    if (definition.type === 'positional') {
      positionals++
      continue
    }
    const type = definition.type === 'boolean' ? 'boolean' : 'string'
    const aliases = [(definition as { alias?: string | string[] }).alias ?? []].flat()
    const short = aliases.find((alias) => alias.length === 1)
    options[name] = { type, ...(short !== undefined && { short }) }
    if (type === 'boolean') options[`no-${name}`] = { type }
    for (const alias of aliases) {
      if (alias.length > 1) options[alias] = { type }
      longNames[alias] = name
    }
  }
  const { tokens } = parseTokens({ args: [...words], options, strict: false, allowPositionals: true, tokens: true })
  for (const token of tokens) {
    if (token.kind === 'positional' && --positionals < 0 && !variadic)
      throw new UsageError(`unexpected argument '${token.value}'`)
    if (token.kind !== 'option') continue
    const type = options[token.name]?.type
    if (type === undefined) throw new UsageError(unknownOption(token.rawName))
    if (type === 'string' && (token.value === undefined || token.value === '')) {
      throw new UsageError(`option ${token.rawName} needs a value`)
    }
    if (type === 'boolean' && token.value !== undefined) throw new UsageError(`option ${token.rawName} takes no value`)
    const name = longNames[token.name] ?? token.name
    if (repeatable.includes(name) && token.value !== undefined) (lists[name] ??= []).push(token.value)
  }
  return lists
}

function unknownOption(name: string): string {
  return `unknown option '${name}'`
}
