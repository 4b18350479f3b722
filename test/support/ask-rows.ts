/**
 * Rows of functions in Paddle's words and in ours, compared with PaddlePaddle itself over random shapes and values: results and gradients.
 * The seed is fixed; LONGZHOU_PADDLE_CASES asks for more shapes of each function, LONGZHOU_PADDLE_SEED for others.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { DType } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'
import * as lz from '../../src/index.ts'
import { grad, Tensor, toTensor } from '../../src/index.ts'
import { numbers } from '../gradcheck.ts'
import { askPaddle, paddlePython } from './paddle.ts'
import type { Row, Shape } from '../conformance/paddle-functions.ts'

const python = paddlePython()
const casesPerRow = Number(process.env['LONGZHOU_PADDLE_CASES'] ?? 10)
const firstSeed = Number(process.env['LONGZHOU_PADDLE_SEED'] ?? 1)

interface HostValue {
  readonly dtype: DType
  readonly shape: Shape
  readonly data: readonly (number | string)[]
}

interface Question {
  readonly python: string
  readonly shape: Shape
  readonly inputs: readonly HostValue[]
  readonly gradient: boolean
}

type Answer =
  | { readonly outputs: readonly HostValue[]; readonly gradients: readonly (HostValue | null)[] }
  | { readonly error: string }

/** One random case of a row. */
function questionOf(row: Row, seed: number): Question {
  const [first = 0, ...rest] = numbers(seed, 5)
  const rank = row.rank ?? 2 + Math.floor(first * 2)
  const shape = rest.slice(0, rank).map((u) => 2 + Math.floor(u * 3))
  const inputs = row.draws.map((draw, k): HostValue => {
    const dtype = draw.dtype ?? 'float32'
    const own = draw.shape ? draw.shape(shape) : shape
    const [low, high] = draw.range ?? [-2, 2]
    const data = numbers(seed * 7 + k + 1, numel(own)).map((u) => {
      const value = low + u * (high - low)
      return dtype === 'int64'
        ? Math.min(Math.floor(low + u * (high - low + 1)), high)
        : dtype === 'float32'
          ? Math.fround(value)
          : value
    })
    return { dtype, shape: own, data }
  })
  return { python: row.python, shape, inputs, gradient: row.gradient ?? true }
}

const program = `
import json, sys, math, numpy as np, paddle
def out(t):
    a = t.numpy()
    return {'dtype': str(t.dtype).replace('paddle.', ''), 'shape': list(t.shape),
            'data': [v if not isinstance(v, float) or math.isfinite(v) else repr(v) for v in a.astype('float64').reshape(-1).tolist()]}
answers = []
for q in json.load(sys.stdin):
    try:
        ts = [paddle.to_tensor(np.array(i['data'], i['dtype']).reshape(i['shape'])) for i in q['inputs']]
        floats = [t for t in ts if 'float' in str(t.dtype)]
        for t in floats: t.stop_gradient = not q['gradient']
        x, y, z = (ts + [None] * 3)[:3]
        r = eval(q['python'], {'paddle': paddle, 'nn': paddle.nn, 'F': paddle.nn.functional, 'x': x, 'y': y, 'z': z, 'n': q['shape']})
        r = list(r) if isinstance(r, (list, tuple)) else [r]
        answer = {'outputs': [out(t) for t in r], 'gradients': []}
        roots = [t for t in r if 'float' in str(t.dtype) and not t.stop_gradient]
        if q['gradient'] and roots:
            g = paddle.grad(roots, floats, allow_unused=True)
            answer['gradients'] = [None if t is None else out(t) for t in g]
        answers.append(answer)
    except Exception as e:
        answers.append({'error': type(e).__name__ + ': ' + str(e)[-300:]})
print(json.dumps(answers))
`

const revived = (data: readonly (number | string)[]): number[] =>
  data.map((v) =>
    typeof v === 'number' ? v : v === 'nan' ? NaN : v === 'inf' ? Infinity : v === '-inf' ? -Infinity : Number(v),
  )

/** Throws where two values differ by more than the tolerance, relative to the largest element. */
async function same(what: string, got: Tensor, expected: HostValue, tolerance: number): Promise<void> {
  expect({ what, dtype: got.dtype, shape: got.shape }).toEqual({ what, dtype: expected.dtype, shape: expected.shape })
  const a = await got.astype('float64').data()
  const b = revived(expected.data)
  const scale = Math.max(1, ...b.filter(Number.isFinite).map(Math.abs))
  for (let k = 0; k < b.length; k++) {
    const equal = Object.is(Number(a[k]), b[k]!) || Math.abs(Number(a[k]) - b[k]!) <= tolerance * scale
    expect(equal, `${what}, element ${k}: ${a[k]}, Paddle has ${b[k]}`).toBe(true)
  }
}

/** Asks PaddlePaddle for every row of a table, over random shapes, and compares. Skipped where it is not installed. */
export function askAboutRows(title: string, rows: readonly Row[]): void {
  describe.skipIf(!python)(title, () => {
    const asked = rows.flatMap((row, r) =>
      Array.from({ length: casesPerRow }, (_, k) => questionOf(row, firstSeed * 100003 + r * 101 + k)),
    )
    let answers: readonly Answer[] = []

    beforeAll(() => {
      lz.setDevice('reference')
      answers = askPaddle(python!, program, asked) as Answer[]
    }, 300_000)

    it.each(rows.map((row, r) => [row.name, r] as const))('%s', async (_, r) => {
      const row = rows[r]!
      for (let k = 0; k < casesPerRow; k++) {
        const question = asked[r * casesPerRow + k]!
        const answer = answers[r * casesPerRow + k]!
        const what = `${question.python} of ${question.inputs.map((v) => `[${v.shape.join(', ')}]`).join(' and ')}`
        if ('error' in answer) throw new Error(`${what}: Paddle says ${answer.error}`)
        const inputs = question.inputs.map((v) => toTensor(v.data as number[], v.dtype).reshape(v.shape))
        const floats = inputs.filter((t) => t.dtype !== 'int64')
        for (const t of floats) t.stopGradient = false
        const result = row.ours(inputs[0]!, inputs[1]!, inputs[2]!)
        const outputs: readonly Tensor[] = result instanceof Tensor ? [result] : result
        expect(outputs.length).toBe(answer.outputs.length)
        const tolerance = row.tolerance ?? 1e-5
        for (const [j, o] of outputs.entries()) await same(`${what}: output ${j}`, o, answer.outputs[j]!, tolerance)
        if (answer.gradients.length === 0) continue
        const roots = outputs.filter((o) => !o.stopGradient)
        const ours = roots.length > 0 ? grad(roots, floats, { allowUnused: true }) : floats.map((t) => lz.zerosLike(t))
        for (const [j, g] of answer.gradients.entries())
          if (g) await same(`${what}: gradient ${j}`, ours[j]!, g, tolerance)
      }
    })
  })
}
