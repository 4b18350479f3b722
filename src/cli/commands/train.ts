/** `longzhou train CONFIG`: trains what a configuration file describes, in the manner of PaddleOCR's yml files. */
import { join } from 'node:path'
import { z } from 'zod'
import { checkConfig } from '../../hapi/config/check.ts'
import { readConfig } from '../../hapi/config/source.ts'
import { interruptedExitCode } from '../../hapi/interrupt.ts'
import { runConfigured, type ConfiguredRunResult } from '../../hapi/run-configured.ts'
import { commandLine } from '../command-line.ts'
import type { CliCommand } from '../commands.ts'
import { EXIT, UsageError } from '../errors.ts'
import { TASKS } from '../train/tasks.ts'

const names = TASKS.map((t) => t.name) as [string, ...string[]]

/** What names the task, which checks the rest. */
const outline = z.object({ Architecture: z.object({ name: z.enum(names) }).loose() })

export const command: CliCommand = {
  variadic: true,
  repeatable: ['override'],
  args: {
    config: { type: 'positional', description: 'Configuration file (.yml)', required: true },
    override: {
      type: 'string',
      alias: 'o',
      description: 'A setting instead of the file’s: -o Global.steps=20; repeatable',
    },
    json: {
      type: 'boolean',
      description: 'Print the result as one line of JSON; everything else goes to standard error',
    },
  },
  async run(args) {
    const [file, ...more] = args['_'] as [string, ...string[]]
    const stray = more.find((word) => !word.includes('='))
    if (stray !== undefined) throw new UsageError(`unexpected argument '${stray}'`)
    // As in PaddleOCR, one -o may stand before several settings.
    const overrides = [...((args['override'] as string[] | undefined) ?? []), ...more]
    const say = (text: string): void => void (args['json'] ? process.stderr : process.stdout).write(`${text}\n`)
    const source = await readConfig(file, overrides)
    const { Architecture } = checkConfig(outline, source)
    const task = await TASKS.find((t) => t.name === Architecture.name)!.load()
    const again = [...overrides.filter((o) => !o.startsWith('Global.resume=')), 'Global.resume=true']
    const resumeCommand = commandLine(['train', file, ...again.flatMap((o) => ['-o', o])])
    const result = await runConfigured(task, source, { say, resumeCommand })
    if (result.step === result.steps) describeEnd(result, say)
    if (args['json']) process.stdout.write(`${JSON.stringify(summaryOf(result))}\n`)
    return result.interrupted ? interruptedExitCode : EXIT.ok
  },
}

function describeEnd(
  { steps, evaluation, best, modelFile, leftOut, next }: ConfiguredRunResult,
  say: (text: string) => void,
): void {
  const results = Object.entries(evaluation?.results ?? {}).map(([name, value]) => `, ${name} ${value.toFixed(4)}`)
  say(`done   ${steps} steps${results.join('')}`)
  if (leftOut > 0) say(`       ${leftOut} lines were left out`)
  say(`model  ${modelFile}${best ? `, the best, from step ${best.step}` : ''}`)
  say(`next   ${commandLine(next)}`)
}

function summaryOf(result: ConfiguredRunResult): Readonly<Record<string, unknown>> {
  const { step, steps, loss, evaluation, best, interrupted, modelFile, latestCheckpoint, bestCheckpoint, leftOut } =
    result
  const files = { modelFile, latestCheckpoint, bestCheckpoint, log: join(result.outputDir, 'log.jsonl') }
  return { step, steps, loss, ...evaluation?.results, best, interrupted, leftOut, ...files }
}
