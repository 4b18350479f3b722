/** Decompositions and losses over many classes against what PaddlePaddle recorded (scripts/fixtures/linalg.py), on every backend. */
import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import type { DType } from '../../src/common/dtype.ts'
import { grad, linalg as L, nn, setDevice, type Tensor } from '../../src/index.ts'
import { toTensor } from '../../src/index.ts'
import { firstDifference, judged } from '../support/backends.ts'

interface Plain {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

interface Case {
  readonly inputs: Readonly<Record<string, Plain>>
  readonly outputs: readonly Plain[]
  readonly cotangents?: readonly Plain[]
  readonly gradients?: Readonly<Record<string, Plain>>
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/linalg/recorded.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, Case>>

const F = nn.functional
type Inputs = Readonly<Record<string, Tensor>>

const unsigned = ([u, s, vh]: readonly [Tensor, Tensor, Tensor]): Tensor[] => [u.abs(), s, vh.abs()]

/** The expressions of scripts/fixtures/linalg.py in our words. */
const cases: Readonly<Record<string, (inputs: Inputs) => readonly Tensor[] | Promise<readonly Tensor[]>>> = {
  svd_tall: ({ x }) => unsigned(L.svd(x!)),
  svd_wide: ({ x }) => unsigned(L.svd(x!)),
  svd_full: ({ x }) => [L.svd(x!, true)[1]],
  svdvals: ({ x }) => [L.svdvals(x!)],
  qr_tall: ({ x }) => L.qr(x!),
  qr_square: ({ x }) => L.qr(x!),
  qr_complete: ({ x }) => L.qr(x!, 'complete'),
  qr_wide: ({ x }) => L.qr(x!),
  qr_r: ({ x }) => [L.qr(x!, 'r')],
  lu: ({ x }) => [L.lu(x!)[0]],
  lu_tall: ({ x }) => [L.lu(x!)[0]],
  lu_wide: ({ x }) => L.lu(x!, { getInfos: true }),
  lu_singular: ({ x }) => L.lu(x!, { getInfos: true }),
  lu_unpack: ({ x }) => L.luUnpack(...L.lu(x!)),
  lu_solve: ({ x, y }) => [L.luSolve(y!, ...L.lu(x!)), L.luSolve(y!, ...L.lu(x!), 'T')],
  eigh: ({ x }) => [L.eigh(x!)[0], L.eigh(x!)[1].abs()],
  eigh_upper: ({ x }) => [L.eigh(x!, 'U')[0]],
  eigvalsh: ({ x }) => [L.eigvalsh(x!)],
  householder_product: ({ x, y }) => [L.householderProduct(x!, y!)],
  ormqr: ({ x, y, z }) => [
    L.ormqr(x!, y!, z!),
    L.ormqr(x!, y!, z!, { transpose: true }),
    L.ormqr(x!, y!, z!.T, { left: false }),
    L.ormqr(x!, y!, z!.T, { left: false, transpose: true }),
  ],
  cholesky_inverse: ({ x }) => [L.choleskyInverse(L.cholesky(x!))],
  pinv: ({ x }) => [L.pinv(x!)],
  pinv_rank: ({ x }) => [L.pinv(x!, { rcond: 1e-6 })],
  pinv_symmetric: ({ x }) => [L.pinv(x!, { hermitian: true })],
  matrix_rank: ({ x, y }) => [
    L.matrixRank(x!),
    L.matrixRank(y!),
    L.matrixRank(x!, { tol: 1.5 }),
    L.matrixRank(y!, { hermitian: true }),
    L.matrixRank(x!, { atol: 0.1, rtol: 0.9 }),
  ],
  cond: ({ x }) => ([null, 2, -2, 'fro', 'nuc', 1, -1, Infinity, -Infinity] as const).map((p) => L.cond(x!, p)),
  matrix_norm: ({ x }) => [L.matrixNorm(x!, 2), L.matrixNorm(x!, -2), L.matrixNorm(x!, 'nuc')],
  norm_axes: ({ x }) => [L.norm(x!, 'nuc', [0, 2]), L.norm(x!, 2, [0, 2], { keepdim: true })],
  matrix_exp: ({ x }) => [L.matrixExp(x!), L.matrixExp(x!.multiply(9))],
  lstsq: ({ x, y }) => [L.lstsq(x!, y!)[0], L.lstsq(x!, y!, { driver: 'gels' })[0]],
  lstsq_more: ({ x, y }) => L.lstsq(x!, y!, { driver: 'gelsd' }),
  lstsq_wide: ({ x, y }) => L.lstsq(x!, y!, { driver: 'gelss' }),
  matrix_transpose: ({ x }) => [L.matrixTranspose(x!)],
  multi_label_margin: ({ x, y }) =>
    (['mean', 'sum', 'none'] as const).map((reduction) => F.multiLabelMarginLoss(x!, y!, { reduction })),
  hsigmoid: ({ x, y, w, b }) => [F.hsigmoidLoss(x!, y!, 6, w!, { bias: b! })],
  hsigmoid_no_bias: ({ x, y, w }) => [F.hsigmoidLoss(x!, y!, 8, w!)],
  hsigmoid_custom: ({ x, y, w, b, t, c }) => [F.hsigmoidLoss(x!, y!, 4, w!, { bias: b!, pathTable: t!, pathCode: c! })],
  adaptive: ({ x, y, h, a, b, c, d, e }) =>
    F.adaptiveLogSoftmaxWithLoss(
      x!,
      y!,
      h!,
      [
        [a!, b!],
        [c!, d!],
      ],
      [3, 6, 10],
      e!,
    ),
  sequence_mask: async ({ x }) => [await F.sequenceMask(x!)],
}

const tensorOf = (p: Plain, stopGradient = true): Tensor => {
  const tensor = toTensor(p.data, p.dtype)
    .reshape([...p.shape])
    .detach()
  return Object.assign(tensor, { stopGradient })
}

afterAll(() => setDevice('reference'))

it('every recorded case is replayed', () => expect(Object.keys(cases).sort()).toEqual(Object.keys(recorded).sort()))

describe.each(['reference', ...judged])('recorded linear algebra on %s', (device) => {
  it.each(Object.keys(cases))('%s', async (name) => {
    setDevice(device)
    const { inputs: plain, outputs: expected, cotangents = [], gradients = {} } = recorded[name]!
    const inputs = Object.fromEntries(Object.entries(plain).map(([k, p]) => [k, tensorOf(p, !(k in gradients))]))
    const outputs = await cases[name]!(inputs)
    expect(outputs.length).toBe(expected.length)
    for (const [k, output] of outputs.entries()) {
      const { dtype, shape, data } = expected[k]!
      expect([output.dtype, output.shape], `output ${k}`).toEqual([dtype, shape])
      expect(firstDifference(data, await output.data(), 1e-9), `output ${k}`).toBe(-1)
    }
    const learned = Object.keys(gradients)
    if (learned.length === 0) return
    const found = grad(
      [...outputs],
      learned.map((k) => inputs[k]!),
      { gradOutputs: cotangents.map((c) => tensorOf(c)) },
    )
    for (const [k, g] of found.entries())
      expect(firstDifference(gradients[learned[k]!]!.data, await g.data(), 1e-8), `gradient of ${learned[k]}`).toBe(-1)
  })
})
