/** `longzhou train CONFIG`: trains what a configuration file describes, in the manner of PaddleOCR's yml files. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { z } from 'zod'
import { interruptedExitCode } from '../../hapi/interrupt.ts'
import { checkConfig } from '../../hapi/config/check.ts'
import { globalSchema } from '../../hapi/config/global.ts'
import { readConfig } from '../../hapi/config/source.ts'
import { runTraining } from '../../hapi/training-run.ts'
import { setDevice } from '../../tensor/device.ts'
import { seed } from '../../tensor/index.ts'
import { commandLine } from '../command-line.ts'
import type { CliCommand } from '../commands.ts'
import { EXIT, UsageError } from '../errors.ts'
import { TASKS } from '../train/tasks.ts'

const names = TASKS.map((t) => t.name) as [string, ...string[]]

/** What must be known before the task, which checks the rest. */
const outline = z.object({
  Global: globalSchema.pick({ device: true, seed: true }).loose(),
  Architecture: z.object({ name: z.enum(names) }).loose(),
})

export const command: CliCommand = {
  variadic: true,
  repeatable: ['override'],
  args: {
    config: { type: 'positional', description: 'Configuration file (.yml)', required: true },
    override: { type: 'string', alias: 'o', description: 'A setting instead of the file’s: -o Global.steps=20; repeatable' },
    json: { type: 'boolean', description: 'Print the result as one line of JSON; everything else goes to standard error' },
  },
  async run(args) {
    const [file, ...more] = args['_'] as [string, ...string[]]
    // As in PaddleOCR, one -o may stand before several settings.
    const overrides = [...((args['override'] as string[] | undefined) ?? []), ...more]
    const stray = more.find((word) => !word.includes('='))
    if (stray !== undefined) throw new UsageError(`unexpected argument '${stray}'`)
    const say = (text: string): void => void (args['json'] ? process.stderr : process.stdout).write(`${text}\n`)

    const source = await readConfig(file, overrides)
    const { Global: first, Architecture } = checkConfig(outline, source)
    if (first.device !== undefined) setDevice(first.device)
    seed(first.seed)
    const task = await TASKS.find((t) => t.name === Architecture.name)!.load()
    const { job, global, config, modelFile, next } = await task(source, say)
    const { outputDir, saveEvery, evalEvery = saveEvery } = global
    const kept = overrides.filter((o) => !o.startsWith('Global.resume=')).flatMap((o) => ['-o', o])
    const result = await runTraining(job, {
      ...global,
      evalEvery,
      modelFile,
      resumeCommand: commandLine(['train', file, ...kept, '-o', 'Global.resume=true']),
      say,
      begun: () => writeFile(join(outputDir, 'config.yml'), stringify(config)),
    })
    const results = Object.entries(result.evaluation?.results ?? {})
    if (!result.interrupted && result.step === result.steps) {
      say(`done   ${result.steps} steps${results.map(([name, value]) => `, ${name} ${value.toFixed(4)}`).join('')}`)
      if (result.best) say(`model  ${modelFile}, from step ${result.best.step}, the best`)
      else say(`model  ${modelFile}`)
      say(`next   ${commandLine(next)}`)
    }
    if (args['json']) {
      const { evaluation, ...rest } = result
      const summary = { ...rest, ...evaluation?.results, log: join(outputDir, 'log.jsonl') }
      process.stdout.write(`${JSON.stringify(summary)}\n`)
    }
    return result.interrupted ? interruptedExitCode : EXIT.ok
  },
}
