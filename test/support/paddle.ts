/** PaddlePaddle itself, for tests that ask the original. scripts/setup-paddle.sh installs it; where it is missing they are skipped. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './scratch.ts'

/** The interpreter at $LONGZHOU_PADDLE_PYTHON, by default the one that the script installs; undefined where there is none. */
export function paddlePython(): string | undefined {
  return interpreter('LONGZHOU_PADDLE_PYTHON', '.cache/venv-paddle')
}

/** The same of PaddlePaddle 2.6.2, whose formats are the legacy ones: $LONGZHOU_PADDLE26_PYTHON, or what scripts/setup-paddle26.sh installs. */
export function paddle26Python(): string | undefined {
  return interpreter('LONGZHOU_PADDLE26_PYTHON', '.cache/venv-paddle26')
}

function interpreter(variable: string, folder: string): string | undefined {
  const path = process.env[variable] || join(ROOT, folder, 'bin/python')
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
