/**
 * `npm run fuzz -- [--target NAME] [--runs N] [--seed S] [--only I] [--save FILE]`: damaged files for every parser, or one of them. Default: a
 * million files each, seed 1. `--only I` parses input I of the seed alone, in this thread, and `--save` writes it to a file.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { FormatError } from '../../src/common/errors.ts'
import { fuzz, inputOf } from './harness.ts'
import { targets, type FuzzTarget } from './targets.ts'

const { values } = parseArgs({
  options: {
    target: { type: 'string' },
    runs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    save: { type: 'string' },
  },
})

function natural(option: 'runs' | 'seed' | 'only'): number {
  const value = Number(values[option])
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`fuzz: --${option} must be a whole number, got '${values[option]}'`)
  process.exit(2)
}

const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target)
if (chosen.length === 0) {
  console.error(`fuzz: there is no target '${values.target}'; there are ${targets.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}

function parseOne(target: FuzzTarget, index: number): void {
  const input = inputOf(target.seeds(), natural('seed'), index)
  if (values.save !== undefined) writeFileSync(values.save, input)
  console.log(`${target.name}: input ${index}, ${input.byteLength} bytes`)
  try {
    console.log(target.parse(input))
  } catch (error) {
    console.log(error instanceof FormatError ? `refused: ${error.message}` : error)
  }
}

async function runOne({ name }: FuzzTarget): Promise<boolean> {
  const [runs, seed, started] = [natural('runs'), natural('seed'), Date.now()]
  const say = (done: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${name}: ${done} of ${runs}`)
  }
  try {
    const report = await fuzz({ target: name, runs, seed }, say)
    const seconds = Math.round((Date.now() - started) / 1000)
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
    console.log(
      `${name}: ${report.runs} files in ${seconds} s, ${report.refused} refused, ${report.runs - report.refused} read; ` +
        `longest call ${report.slowestMs.toFixed(1)} ms, most memory ${(report.mostBytes / 2 ** 20).toFixed(1)} MiB`,
    )
    return true
  } catch (error) {
    console.error((error as Error).message)
    return false
  }
}

if (values.only !== undefined) for (const target of chosen) parseOne(target, natural('only'))
else for (const target of chosen) if (!(await runOne(target))) process.exitCode = 1
