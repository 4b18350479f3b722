/** PaddlePaddle itself, for tests that ask the original. scripts/setup-paddle.sh installs it; where it is missing they are skipped. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './scratch.ts'

/** The interpreter at $LONGZHOU_PADDLE_PYTHON, by default the one that the script installs; undefined where there is none. */
export function paddlePython(): string | undefined {
  const path = process.env['LONGZHOU_PADDLE_PYTHON'] || join(ROOT, '.cache/venv-paddle/bin/python')
  return existsSync(path) ? path : undefined
}

/** Runs a Python program and parses the JSON in the last line of its output. */
export function askPaddle(python: string, program: string, input: unknown = null): unknown {
  const output = execFileSync(python, ['-W', 'ignore', '-c', program], {
    encoding: 'utf8',
    input: JSON.stringify(input),
    maxBuffer: 1 << 30,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '')
}
