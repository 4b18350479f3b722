/**
 * The cases that ONNX defines its operators by, models that its package carries, and vision models of its zoo: what is read gives the given results, and
 * what is not is refused by name. `ONNX_CASE` chooses cases by a regular expression. Models of the zoo run on the CPU backend, the other 1,750, which would
 * have a kernel or more compiled each, on the reference; `ONNX_DEVICE=cpu` asks for that.
 */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { getElement, type HostArray } from '../../src/common/dtype.ts'
import { LongzhouError } from '../../src/common/errors.ts'
import { numel } from '../../src/common/shape.ts'
import { createPredictor } from '../../src/inference/index.ts'
import { readNpy } from '../../src/io/files.ts'
import { onnxPython } from '../support/onnx.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

interface Port {
  readonly name: string
  readonly file: string
}

interface Case {
  readonly name: string
  readonly operators: readonly string[]
  readonly rtol: number
  readonly atol: number
  /** Absent where an operand is a string, a sequence, or of a type that NumPy lacks. */
  readonly inputs?: readonly Port[]
  readonly outputs?: readonly Port[]
  /** With operands as inputs; then all but the first as constants; then all. */
  readonly models?: readonly string[]
}

/** What is refused, by what the refusal says. */
const REFUSED: readonly RegExp[] = [
  // Dtypes that Paddle's tensors do not have.
  / (is|are) of (u?int16|uint32|uint64|string)/,
  // What exporters write for decoders of language models only.
  / (LinearAttention|CausalConvWithState|TensorScatter|ai\.onnx\.preview\.FlexAttention): /,
  // Audio, files of images, words.
  / (DFT|STFT|ImageDecoder|TfIdfVectorizer): /,
  // Shapes that depend on values; values that may be none.
  / (NonMaxSuppression|Unique): its results' shapes depend on values/,
  / (OptionalHasElement|OptionalGetElement): /,
  // Training and random draws inside of a model.
  / (Dropout|BatchNormalization): with training_mode/,
  / (RandomUniformLike|Bernoulli|ai\.onnx\.preview\.training\.Gradient): /,
  // Older than version 7, or of no version at all; a slope that version 7 does not take, which the converter leaves.
  /older than 7|names no version of the operator set|Scan: not in version 8/,
  /multiply: shapes \[2, 3, [\d, ]+\] and \[3\] do not broadcast/,
]

/** A float16 that was rounded twice more than another. */
const HALF_ULPS = 2 ** -9

const python = onnxPython()
if (python === undefined) console.warn('ONNX Runtime is not installed: scripts/setup-onnx.sh installs it')

/** How a result differs; null where it is as near as the case asks for. */
function differenceOf(got: HostArray | undefined, want: HostArray, { rtol, atol }: Case): string | null {
  if (!got) return 'is missing'
  if (got.dtype !== want.dtype || got.shape.join() !== want.shape.join())
    return `is ${got.dtype} [${got.shape.join(', ')}], not ${want.dtype} [${want.shape.join(', ')}]`
  const relative = Math.max(rtol, got.dtype === 'float16' ? HALF_ULPS : 0)
  let worst = 0
  for (let i = 0; i < numel(want.shape); i++) {
    const [a, b] = [getElement(got.dtype, got.data, i), getElement(want.dtype, want.data, i)]
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue
    const difference = Math.abs(a - b)
    // Results in float32 of what was computed in float64.
    if (!(difference <= atol + relative * Math.abs(b) + 1e-6))
      worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference)
  }
  return worst > 0 ? `differs by ${worst}` : null
}

/** What is wrong with a model's results; null where they are right. Throws what reading or running it throws. */
async function problemOf(model: string, c: Case): Promise<string | null> {
  const device = process.env['ONNX_DEVICE'] ?? (c.name.startsWith('zoo/') ? 'cpu' : 'reference')
  const predictor = await createPredictor({ model, device })
  try {
    const taken = new Set(predictor.inputs.map((p) => p.name))
    const given = await Promise.all(
      c.inputs!.filter((p) => taken.has(p.name)).map(async (p) => [p.name, await readNpy(p.file)] as const),
    )
    const results = await predictor.run(Object.fromEntries(given))
    for (const { name, file } of c.outputs!) {
      const difference = differenceOf(results[name], await readNpy(file), c)
      if (difference) return `${name} ${difference}`
    }
    return null
  } finally {
    await predictor.dispose()
  }
}

describe.runIf(python !== undefined)('official cases of ONNX', () => {
  const directory = makeScratch('onnx-official')
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('give their results, or are refused by name', async () => {
    const script = join(ROOT, 'test/support/onnx/official.py')
    const listed = execFileSync(python!, ['-B', '-W', 'ignore', script, directory], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const only = new RegExp(process.env['ONNX_CASE'] ?? '')
    const cases = (JSON.parse(listed) as Case[]).filter((c) => c.models && only.test(c.name))
    const problems: string[] = []
    let right = 0
    for (const c of cases) {
      let refusal = ''
      let isRight = false
      for (const model of c.models!) {
        try {
          const problem = await problemOf(model, c)
          if (problem) problems.push(`${c.name}: ${problem}`)
          else isRight = true
          break
        } catch (error) {
          const { message } = error as Error
          if (!(error instanceof LongzhouError)) problems.push(`${c.name}: threw ${String(error)}`)
          refusal = message
        }
      }
      if (isRight) right++
      else if (refusal !== '' && !REFUSED.some((r) => r.test(refusal)))
        problems.push(`${c.name}: refused: ${refusal.replaceAll('\n', ' ').replace(/^.*?ONNX: /, '')}`)
    }
    console.info(`${right} of ${cases.length} official cases of ONNX give their results`)
    expect(problems).toEqual([])
  }, 900_000)
})
