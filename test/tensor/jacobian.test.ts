/** Matrices of derivatives against what calculus says. */
import { beforeAll, describe, expect, test } from 'vitest'
import {
  add,
  ArgumentError,
  autograd,
  matmul,
  multiply,
  setDevice,
  ShapeError,
  sin,
  square,
  toTensor,
  type Tensor,
} from '../../src/index.ts'

const { hessian, jacobian } = autograd
const variable = (values: number[] | number[][]): Tensor => toTensor(values, { dtype: 'float64', stopGradient: false })

beforeAll(() => setDevice('reference'))

describe('jacobian', () => {
  test('of a product with a matrix is the matrix', async () => {
    const w = variable([
      [1, 2, 3],
      [4, 5, 6],
    ])
    const x = variable([1, -1, 2])
    const y = matmul(w, x)
    expect(await jacobian(y, x).array()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(jacobian(y, w).shape).toEqual([2, 2, 3])
  })

  test('of several by several is nested, with zeros where nothing depends', async () => {
    const [a, b] = [variable([1, 2]), variable([3, 4])]
    const [byA, byB] = jacobian([square(a), multiply(a, b)], [a, b])
    expect(await byA![0]!.array()).toEqual([
      [2, 0],
      [0, 4],
    ])
    expect(await byA![1]!.array()).toEqual([
      [0, 0],
      [0, 0],
    ])
    expect(await byB![1]!.array()).toEqual([
      [1, 0],
      [0, 2],
    ])
    expect(await jacobian(a.sum(), a).array()).toEqual([1, 1])
  })

  test('of a batch holds each case by itself', async () => {
    const x = variable([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    const J = jacobian(square(x), x, 0)
    expect(await J.array()).toEqual(
      [1, 3, 5].map((v) => [
        [2 * v, 0],
        [0, 2 * (v + 1)],
      ]),
    )
  })

  test('refuses other batches', () => {
    const x = variable([1, 2])
    expect(() => jacobian(x.sum(), x, 0)).toThrow(ShapeError)
    expect(() => jacobian(square(x), x, 1 as never)).toThrow(ArgumentError)
  })
})

describe('hessian', () => {
  test('of a quadratic form, and of sines', async () => {
    const A = toTensor(
      [
        [2, 1],
        [0, 3],
      ],
      { dtype: 'float64' },
    )
    const x = variable([1, 2])
    expect(await hessian(matmul(x, matmul(A, x)), x).array()).toEqual([
      [4, 1],
      [1, 6],
    ])
    const H = (await hessian(sin(x).sum(), x).array()) as number[][]
    expect(H[0]![0]).toBeCloseTo(-Math.sin(1), 12)
    expect(H[0]![1]).toBe(0)
  })

  test('of several variables by pairs, zeros for what is linear', async () => {
    const [a, b] = [variable([1, 2]), variable([3])]
    const H = hessian(add(multiply(a, b).sum(), square(a).sum()), [a, b])
    expect(await Promise.all(H.flat().map((h) => h.array()))).toEqual([
      [
        [2, 0],
        [0, 2],
      ],
      [[1], [1]],
      [[1, 1]],
      [[0]],
    ])
    expect(await hessian(a.sum(), a).array()).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test('of a batch', async () => {
    const x = variable([
      [1, 2],
      [3, 4],
    ])
    const H = hessian(multiply(square(x), x).sum(1), x, 0)
    expect(await H.array()).toEqual([
      [
        [6, 0],
        [0, 12],
      ],
      [
        [18, 0],
        [0, 24],
      ],
    ])
    expect(() => hessian(square(x), x)).toThrow(/must be one number/)
  })
})
