/** ONNX's own checker and ONNX Runtime, for tests that ask them. scripts/setup-onnx.sh installs them; where they are missing tests are skipped. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../../src/io/formats/program/program.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { ROOT } from './scratch.ts'

/** The interpreter at $LONGZHOU_ONNX_PYTHON, by default the one that the script installs; undefined where there is none. */
export function onnxPython(): string | undefined {
  const path = process.env['LONGZHOU_ONNX_PYTHON'] || join(ROOT, '.cache/venv-onnx/bin/python')
  return existsSync(path) ? path : undefined
}

/** Runs cases.py and parses the JSON in the last line of its output. */
export function askOnnx(python: string, args: readonly string[], input: unknown = null): unknown {
  const script = join(ROOT, 'test/support/onnx/cases.py')
  const output = execFileSync(python, ['-B', '-W', 'ignore', script, ...args], {
    encoding: 'utf8',
    input: JSON.stringify(input),
    maxBuffer: 1 << 30,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '')
}

/** What a program makes of arrays. */
export async function runProgram(program: OperatorProgram, inputs: readonly HostArray[]): Promise<HostArray[]> {
  const made = new TranslatedLayer(program)(...inputs.map((x) => fromHost(x)))
  return Promise.all((Array.isArray(made) ? made : [made]).map((t) => t.hostArray()))
}

/** How two arrays differ, in words; null where they do not by more than `tolerance`, absolutely and relatively. */
export function differenceOf(got: HostArray, want: HostArray, tolerance = 1e-4): string | null {
  if (got.dtype !== want.dtype || got.shape.join() !== want.shape.join())
    return `${got.dtype} [${got.shape.join(', ')}] for ${want.dtype} [${want.shape.join(', ')}]`
  let worst = 0
  for (let i = 0; i < numel(want.shape); i++) {
    const [a, b] = [getElement(got.dtype, got.data, i), getElement(want.dtype, want.data, i)]
    if (Object.is(a, b) || a === b) continue
    const difference = Math.abs(a - b) / Math.max(1, Math.abs(b))
    worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference)
  }
  return worst > tolerance ? `differs by ${worst}` : null
}
