/** Decompositions of matrices by what defines them, their gradients by finite differences, and matrices that are hard on them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as lz from '../../src/index.ts'
import { ArgumentError, DTypeError, linalg as L, ShapeError, toTensor, type Tensor } from '../../src/index.ts'
import { gradcheck, numbers, type Argument, type Differentiable } from '../gradcheck.ts'
import { judged } from '../support/backends.ts'

const random = (shape: number[], dtype: 'float32' | 'float64' = 'float64', seed = 1): Tensor =>
  toTensor(
    numbers(
      seed,
      shape.reduce((a, b) => a * b, 1),
    ).map((u) => 4 * u - 2),
    dtype,
  ).reshape(shape)

async function expectClose(a: Tensor, b: Tensor, tolerance: number): Promise<void> {
  expect(a.shape).toEqual(b.shape)
  expect(await a.subtract(b).abs().max().item()).toBeLessThan(tolerance)
}

const unit = (x: Tensor, n: number): Tensor => lz.eye(n, n, x.dtype).expand([...x.shape.slice(0, -2), n, n])
const isOrthogonal = (q: Tensor, tolerance: number): Promise<void> =>
  expectClose(q.mT.matmul(q), unit(q, q.shape.at(-1)!), tolerance)
const scaled = (u: Tensor, s: Tensor): Tensor => u.multiply(s.unsqueeze(-2))

afterAll(() => lz.setDevice('reference'))

describe.each(['reference', ...judged])('what defines a decomposition, on %s', (device) => {
  beforeAll(() => lz.setDevice(device))

  it.each([
    [[6, 4], 'float64'],
    [[2, 3, 5], 'float32'],
    [[1, 1], 'float32'],
  ] as const)('%s of %s', async (shape, dtype) => {
    const x = random([...shape], dtype)
    const tolerance = dtype === 'float64' ? 1e-13 : 1e-5
    const [u, s, vh] = L.svd(x)
    await expectClose(scaled(u, s).matmul(vh), x, tolerance)
    await isOrthogonal(u, tolerance)
    await isOrthogonal(vh.mT, tolerance)
    const [q, r] = L.qr(x)
    await expectClose(q.matmul(r), x, tolerance)
    await isOrthogonal(q, tolerance)
    await expectClose(
      L.luUnpack(...L.lu(x)).reduce((a, b) => a.matmul(b)),
      x,
      tolerance,
    )
    const symmetric = x.matmul(x.mT)
    const [w, v] = L.eigh(symmetric)
    await expectClose(scaled(v, w).matmul(v.mT), symmetric, tolerance * 20)
    await isOrthogonal(v, tolerance)
  })
})

describe('on the CPU', () => {
  beforeAll(() => lz.setDevice(judged.includes('cpu') ? 'cpu' : 'reference'))

  it('sixty rows and columns are as good as four', async () => {
    const x = random([60, 60])
    const [u, s, vh] = L.svd(x)
    await expectClose(scaled(u, s).matmul(vh), x, 1e-12)
    const symmetric = x.add(x.mT)
    const [w, v] = L.eigh(symmetric)
    await expectClose(scaled(v, w).matmul(v.mT), symmetric, 1e-11)
    await expectClose(L.eigvalsh(symmetric), w, 1e-11)
  })

  it('values far apart keep their digits', async () => {
    const [q] = L.qr(random([5, 5]))
    const sizes = toTensor([1e8, 1, 1e-3, 1e-6, 0], 'float64')
    const x = scaled(q, sizes).matmul(q.mT)
    const values = (await L.svdvals(x).data()) as Float64Array
    expect(values[0]! / 1e8).toBeCloseTo(1, 12)
    expect(values[1]).toBeCloseTo(1, 6)
    expect(await L.matrixRank(scaled(q, toTensor([3, 2, 1, 0, 0], 'float64'))).item()).toBe(3)
  })
})

describe('hard matrices', () => {
  beforeAll(() => lz.setDevice('reference'))

  it('equal values, zeros and empty matrices', async () => {
    const [u, s, vh] = L.svd(lz.zeros([3, 2], 'float64'), true)
    await isOrthogonal(u, 1e-15)
    await isOrthogonal(vh, 1e-15)
    expect(await s.array()).toEqual([0, 0])
    expect(await L.eigh(lz.eye(3, 3, 'float64'))[0].array()).toEqual([1, 1, 1])
    const empty = L.svd(lz.zeros([2, 0, 3]), true)
    expect(empty.map((t) => t.shape)).toEqual([
      [2, 0, 0],
      [2, 0],
      [2, 3, 3],
    ])
    expect(L.qr(lz.zeros([3, 0]), 'complete').map((t) => t.shape)).toEqual([
      [3, 3],
      [3, 0],
    ])
    expect(L.lu(lz.zeros([0, 3, 2])).map((t) => t.shape)).toEqual([
      [0, 3, 2],
      [0, 2],
    ])
    expect(L.eigh(lz.zeros([0, 0])).map((t) => t.shape)).toEqual([[0], [0, 0]])
    expect(await L.pinv(lz.zeros([2, 3])).array()).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ])
    expect(L.matrixExp(lz.zeros([2, 0, 0])).shape).toEqual([2, 0, 0])
  })

  it('a gradient that does not exist leaves the value alone', async () => {
    const singular = Object.assign(
      toTensor(
        [
          [1, 2],
          [2, 4],
        ],
        'float64',
      ),
      { stopGradient: false },
    )
    const [q, r] = L.qr(singular)
    await expectClose(q.matmul(r), singular, 1e-14)
    const same = Object.assign(lz.eye(3, 3, 'float64'), { stopGradient: false })
    const [gradient] = lz.grad(L.eigh(same)[0].sum(), [same])
    await expectClose(gradient!, lz.eye(3, 3, 'float64'), 1e-14)
  })

  it('inverses of a batch, and right sides that are broadcast', async () => {
    const x = random([2, 3, 3])
    await expectClose(x.matmul(lz.inverse(x)), unit(x, 3), 1e-12)
    const cube = random([3, 3, 3])
    await expectClose(cube.matmul(lz.inverse(cube)), unit(cube, 3), 1e-11)
    const single = random([3, 3])
    const y = random([4, 3, 2], 'float64', 5)
    await expectClose(single.matmul(lz.solve(single, y)), y, 1e-12)
    await expectClose(
      lz.solve(x, toTensor([1, 2, 3], 'float64')).unsqueeze(-1),
      lz.solve(x, toTensor([[1], [2], [3]], 'float64')),
      1e-12,
    )
  })

  it('the exponential of large matrices', async () => {
    const rotation = toTensor(
      [
        [0, -1000],
        [1000, 0],
      ],
      'float64',
    )
    const [c, s] = [Math.cos(1000), Math.sin(1000)]
    await expectClose(
      L.matrixExp(rotation),
      toTensor(
        [
          [c, -s],
          [s, c],
        ],
        'float64',
      ),
      1e-11,
    )
    const negative = toTensor(
      [
        [-2000, 0],
        [0, -1],
      ],
      'float64',
    )
    await expectClose(
      L.matrixExp(negative),
      toTensor(
        [
          [0, 0],
          [0, Math.exp(-1)],
        ],
        'float64',
      ),
      1e-12,
    )
  })

  it('approximates matrices of low rank', async () => {
    lz.seed(1)
    const x = random([8, 2]).matmul(random([2, 6], 'float64', 3))
    const [u, s, v] = L.svdLowrank(x, { q: 2 })
    await expectClose(scaled(u, s).matmul(v.mT), x, 1e-10)
    const [, values] = L.pcaLowrank(x, { q: 2 })
    await expectClose(values, L.svdvals(x.subtract(x.mean(-2, { keepdim: true }))).get(':2'), 1e-10)
  })

  it('says what is wrong', () => {
    expect(() => L.svd(lz.zeros([3]))).toThrow(ShapeError)
    expect(() => L.qr(toTensor([[1, 2]]))).toThrow(DTypeError)
    expect(() => L.qr(lz.zeros([2, 2]), 'full' as 'reduced')).toThrow(ArgumentError)
    expect(() => L.eigh(lz.zeros([2, 3]))).toThrow(ShapeError)
    expect(() => L.lstsq(lz.zeros([2, 3]), lz.zeros([3, 1]))).toThrow(ShapeError)
    expect(() => L.lstsq(lz.zeros([2, 3]), lz.zeros([2, 1]), { driver: 'svd' as 'gels' })).toThrow(ArgumentError)
    expect(() => L.luUnpack(lz.zeros([2, 3]), toTensor([1]))).toThrow(ShapeError)
    expect(() => L.householderProduct(lz.zeros([2, 3]), lz.zeros([3]))).toThrow(ShapeError)
    expect(() => lz.norm(lz.zeros([2, 3]), 'nuc', 0)).toThrow(ArgumentError)
    expect(() => lz.matrixNorm(lz.zeros([2, 3]), 3)).toThrow(ArgumentError)
  })
})

describe('first and second gradients', () => {
  beforeAll(() => lz.setDevice('reference'))

  const tall: Argument = { shape: [4, 3] }
  const wide: Argument = { shape: [2, 3] }
  const square: Argument = { shape: [3, 3] }
  const dominant = (a: Tensor): Tensor => a.add(lz.eye(3, 3, 'float64').multiply(4))
  const rows: readonly (readonly [string, Differentiable, readonly Argument[]])[] = [
    ['svd of tall ones', (a) => L.svd(a).map((t) => t.square()), [tall]],
    ['svd of wide ones', (a) => L.svd(a).map((t) => t.square()), [wide]],
    ['qr of tall ones', (a) => L.qr(a), [tall]],
    ['qr of wide ones', (a) => L.qr(a), [wide]],
    ['eigh', (a) => L.eigh(a.add(a.T)).map((t) => t.square()), [square]],
    ['lu', (a) => L.lu(dominant(a))[0], [square]],
    ['luSolve', (a, b) => L.luSolve(b, ...L.lu(dominant(a))), [square, { shape: [3, 2] }]],
    ['pinv', (a) => L.pinv(a), [tall]],
    ['lstsq', (a, b) => L.lstsq(a, b)[0], [tall, { shape: [4, 2] }]],
    ['cond', (a) => L.cond(dominant(a)), [square]],
    ['matrixExp', (a) => L.matrixExp(a), [square]],
    ['householderProduct', (a, t) => L.householderProduct(a, t), [tall, { shape: [2] }]],
    ['ormqr', (a, t, y) => L.ormqr(a, t, y, { transpose: true }), [tall, { shape: [3] }, { shape: [4, 1] }]],
  ]

  it.each(rows)('%s', async (_, f, args) => {
    await gradcheck(f, args, { tolerance: 1e-5 })
  })

  it('pinv of a matrix without full rank, whose rank stays', async () => {
    const product = (a: Tensor, b: Tensor): Tensor => L.pinv(a.matmul(b), { rcond: 1e-8 })
    await gradcheck(product, [{ shape: [4, 2] }, { shape: [2, 3] }], { tolerance: 1e-5 })
  })
})
