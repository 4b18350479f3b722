import { describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { catchOutput } from '../../test/support/cli.ts'
import { FormatError } from '../common/errors.ts'
import type { CliCommand, CommandRow } from './commands.ts'
import { runCli } from './run.ts'

const printed = catchOutput()

const loaded: string[] = []
const row = (name: string, command: CliCommand): CommandRow => ({
  name,
  description: `Does ${name}`,
  load: async () => {
    loaded.push(name)
    return { command }
  },
})

let seen: Readonly<Record<string, unknown>> | undefined
const commands: readonly CommandRow[] = [
  row('train', {
    args: {
      config: { type: 'positional', description: 'Configuration', required: true },
      steps: { type: 'string', alias: 'n', description: 'Steps' },
      json: { type: 'boolean', description: 'JSON' },
    },
    run: async (args) => {
      seen = args
    },
  }),
  row('demo', {
    subCommands: [
      row('receipts', {
        args: { size: { type: 'enum', options: ['small', 'large'] } },
        run: async () => 1,
      }),
    ],
  }),
  row('pick', {
    variadic: true,
    repeatable: ['override'],
    args: { override: { type: 'string', alias: 'o' }, name: { type: 'string' } },
    run: async (args) => {
      seen = args
    },
  }),
  row('break', {
    run: async () => {
      throw new FormatError('model.bin is truncated')
    },
  }),
]
const run = (...argv: string[]) => runCli(argv, commands)

describe('help and version', () => {
  test('the list of commands loads none of them', async () => {
    loaded.length = 0
    expect(await run('--help')).toBe(0)
    expect(printed.stdout).toMatch(/train\s+Does train\n\s+demo\s+Does demo/)
    expect(loaded).toEqual([])
  })

  test('help of a command and of its sub-command', async () => {
    expect(await run('train', '--help')).toBe(0)
    expect(printed.stdout).toMatch(/USAGE longzhou train \[OPTIONS\] <CONFIG>[\s\S]*-n, --steps/)
    printed.stdout = ''
    expect(await run('demo', 'receipts', '-h')).toBe(0)
    expect(printed.stdout).toMatch(/longzhou demo receipts/)
    printed.stdout = ''
    expect(await run('demo', '--help')).toBe(0)
    expect(printed.stdout).toMatch(/receipts\s+Does receipts/)
  })

  test('the version is the manifest’s', async () => {
    expect(await run('--version')).toBe(0)
    expect(printed.stdout).toBe(`${manifest.version}\n`)
  })
})

describe('running', () => {
  test('arguments reach the command', async () => {
    expect(await run('train', 'a.yml', '--steps', '20', '--json')).toBe(0)
    expect(seen).toMatchObject({ config: 'a.yml', steps: '20', json: true })
    expect(await run('train', '-n', '5', 'b.yml', '--no-json')).toBe(0)
    expect(seen).toMatchObject({ config: 'b.yml', steps: '5', json: false })
  })

  test('an option that may be repeated is a list, in the order of the words', async () => {
    expect(await run('pick', 'x', '-o', 'a=1', '--name', 'n', '--override=b=2', '-o', 'c=3', 'd=4')).toBe(0)
    expect(seen).toMatchObject({ override: ['a=1', 'b=2', 'c=3'], name: 'n', _: ['x', 'd=4'] })
  })

  test('the exit code is what the command returns', async () => {
    expect(await run('demo', 'receipts')).toBe(1)
  })

  test('an error is told on standard error and gives 1', async () => {
    expect(await run('break')).toBe(1)
    expect(printed.stderr).toMatch(/^longzhou: model.bin is truncated\n {2}hint: nothing was overwritten/)
    expect(printed.stdout).toBe('')
  })
})

test.each([
  [[], /no command given; there are: train, demo, pick, break/],
  [['trian'], /unknown command 'trian'; there are: train, demo, pick, break/],
  [['--what'], /unknown option '--what'/],
  [['demo'], /no command given; there are: receipts/],
  [['demo', 'invoices'], /unknown command 'invoices'/],
  [['train'], /Missing required positional argument: CONFIG/],
  [['train', 'a.yml', 'b.yml'], /unexpected argument 'b.yml'/],
  [['train', 'a.yml', '--stpes', '20'], /unknown option '--stpes'/],
  [['train', 'a.yml', '--steps'], /option --steps needs a value/],
  [['train', 'a.yml', '--json=yes'], /option --json takes no value/],
  [['demo', 'receipts', '--size', 'huge'], /Invalid value for argument: --size \(huge\)/],
])('%j is a usage error', async (argv, message) => {
  expect(await run(...argv)).toBe(2)
  expect(printed.stderr).toMatch(message)
  expect(printed.stderr).toMatch(/see: longzhou.* --help\n$/)
  expect(printed.stdout).toBe('')
})
