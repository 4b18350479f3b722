/** CTC and transducer losses against sums over all alignments, on every backend. */
import { beforeAll, describe, expect, test } from 'vitest'
import {
  ArgumentError,
  grad,
  IndexOutOfRangeError,
  nn,
  rand,
  setDevice,
  ShapeError,
  toTensor,
  type Tensor,
} from '../../src/index.ts'
import { judged } from '../support/backends.ts'

const { ctcLoss, rnntLoss } = nn.functional

type Rows = number[][]

function logSoftmax(row: readonly number[]): number[] {
  const most = Math.max(...row)
  const total = Math.log(row.reduce((s, v) => s + Math.exp(v - most), 0))
  return row.map((v) => v - most - total)
}

/** Minus the logarithm of the summed probability of all paths of classes that collapse to `label`. */
function ctcByPaths(logits: Rows, label: readonly number[], blank: number): number {
  const logp = logits.map(logSoftmax)
  let total = 0
  const walk = (t: number, logProbability: number, last: number, read: readonly number[]): void => {
    if (t === logp.length) {
      if (read.join() === label.join()) total += Math.exp(logProbability)
      return
    }
    logp[t]!.forEach((p, c) => walk(t + 1, logProbability + p, c, c === blank || c === last ? read : [...read, c]))
  }
  walk(0, 0, blank, [])
  return -Math.log(total)
}

/** The same for a transducer: each path moves on in time or emits the next label. */
function rnntByPaths(logp: readonly Rows[], label: readonly number[], blank: number): number {
  let total = 0
  const walk = (t: number, u: number, logProbability: number): void => {
    if (t === logp.length) {
      if (u === label.length) total += Math.exp(logProbability)
      return
    }
    const here = logp[t]![u]!
    walk(t + 1, u, logProbability + here[blank]!)
    if (u < label.length) walk(t, u + 1, logProbability + here[label[u]!]!)
  }
  walk(0, 0, 0)
  return -Math.log(total)
}

async function rows(x: Tensor): Promise<never> {
  return (await x.array()) as never
}

const int = (values: number[] | number[][]): Tensor => toTensor(values, { dtype: 'int32' })

const devices = ['reference', ...judged]

describe.each(devices)('ctcLoss on %s', (device) => {
  beforeAll(() => setDevice(device))

  const labels = [
    [1, 2],
    [1, 1],
    [2, 0],
    [0, 0],
  ]
  const lengths = [2, 2, 1, 0]
  const times = [4, 3, 2, 3]

  test.each([0, 3])('is the sum over all alignments, blank %i', async (blank) => {
    const x = rand([4, 4, 4], 'float64').multiply(4)
    const own = blank === 0 ? labels : labels.map((l) => l.map((c) => (c + 3) % 4))
    const loss = ctcLoss(x, int(own), int(times), int(lengths), { blank, reduction: 'none' })
    const values: number[][][] = await rows(x)
    const expected = own.map((label, b) =>
      ctcByPaths(
        values.slice(0, times[b]).map((step) => step[b]!),
        label.slice(0, lengths[b]),
        blank,
      ),
    )
    for (const [b, got] of ((await loss.array()) as number[]).entries()) expect(got).toBeCloseTo(expected[b]!, 10)
  })

  test('mean divides by the label lengths, empty ones by 1', async () => {
    const x = rand([4, 4, 4])
    const run = (reduction: 'none' | 'mean' | 'sum'): Tensor =>
      ctcLoss(x, int(labels), int(times), int(lengths), { reduction })
    const each = (await run('none').array()) as number[]
    const mean = each.reduce((s, l, b) => s + l / Math.max(lengths[b]!, 1), 0) / 4
    expect(await run('mean').item()).toBeCloseTo(mean, 5)
    expect(await run('sum').item()).toBeCloseTo(
      each.reduce((a, b) => a + b),
      4,
    )
  })

  test.each(['bfloat16', 'float16'] as const)(
    'gives logits in %s the gradient of float32, rounded once',
    async (dtype) => {
      const low = rand([4, 4, 4]).multiply(6).astype(dtype)
      const wide = low.astype('float32')
      for (const x of [low, wide]) x.stopGradient = false
      const loss = (x: Tensor): Tensor => ctcLoss(x, int(labels), int(times), int(lengths), { reduction: 'sum' })
      const flat = async (x: Tensor): Promise<number[]> => (await x.astype('float32').flatten().array()) as number[]
      const exact = await flat(grad(loss(wide), wide)[0]!)
      const half = dtype === 'bfloat16' ? 2 ** -8 : 2 ** -11
      // Symbols that stand in a label several times (the blanks) would be rounded several times if they were added up.
      for (const [i, got] of (await flat(grad(loss(low), low)[0]!)).entries())
        expect(Math.abs(got - exact[i]!)).toBeLessThanOrEqual(1.01 * half * Math.abs(exact[i]!) + 3e-7)

      // Who asks for the gradient of what was widened gets all its digits, and may differentiate again.
      const inside = low.astype('float32')
      const [asked] = grad(loss(inside), inside)
      for (const [i, got] of (await flat(asked!)).entries()) expect(got).toBeCloseTo(exact[i]!, 6)
      const again = (x: Tensor): Tensor =>
        grad(grad(loss(x), x, { createGraph: true })[0]!.astype('float32').square().sum(), x)[0]!
      const second = await flat(again(wide))
      const most = Math.max(...second.map(Math.abs))
      for (const [i, got] of (await flat(again(low))).entries())
        expect(Math.abs(got - second[i]!)).toBeLessThan(0.02 * most)
    },
  )

  test('a label that does not fit costs infinity, or 0 if so wished, and has no gradient', async () => {
    const x = rand([3, 2, 4])
    x.stopGradient = false
    const run = (zeroInfinity: boolean): Tensor =>
      ctcLoss(
        x,
        int([
          [1, 1],
          [1, 2],
        ]),
        int([2, 3]),
        int([2, 2]),
        { reduction: 'none', zeroInfinity, normByTimes: true },
      )
    const [impossible, possible] = (await run(false).array()) as [number, number]
    expect(impossible).toBe(Infinity)
    expect(possible).toBeLessThan(20)
    expect(await run(true).array()).toEqual([0, possible])
    const [g] = grad(run(false), x)
    const byTime = (await g!.array()) as number[][][]
    for (const step of byTime) expect(step[0]!.map(Math.abs)).toEqual([0, 0, 0, 0])
    expect(byTime.some((step) => step[1]!.some((v) => v !== 0))).toBe(true)
  })

  test('nothing past the lengths has a gradient, whatever stands there', async () => {
    const x = rand([4, 2, 3])
    x.stopGradient = false
    const [g] = grad(
      ctcLoss(
        x,
        int([
          [1, -7],
          [2, 99],
        ]),
        int([2, 4]),
        int([1, 1]),
      ),
      x,
    )
    const byTime = (await g!.array()) as number[][][]
    expect(byTime.map((step) => step[0]!.some((v) => v !== 0))).toEqual([true, true, false, false])
    expect(byTime.flat(2).every(Number.isFinite)).toBe(true)
  })

  test('normByTimes divides the gradient and not the loss', async () => {
    const x = rand([4, 2, 3])
    x.stopGradient = false
    const run = (normByTimes: boolean): Tensor =>
      ctcLoss(x, int([[1], [2]]), int([4, 2]), int([1, 1]), { reduction: 'sum', normByTimes })
    expect(await run(true).item()).toBeCloseTo(await run(false).item(), 5)
    const whole = (await grad(run(false), x)[0]!.array()) as number[][][]
    const parts = (await grad(run(true), x)[0]!.array()) as number[][][]
    parts.forEach((step, t) => {
      step[0]!.forEach((v, c) => expect(v).toBeCloseTo(whole[t]![0]![c]! / 4, 6))
      step[1]!.forEach((v, c) => expect(v).toBeCloseTo(whole[t]![1]![c]! / 2, 6))
    })
  })

  test('zero time steps, zero labels and zero sequences', async () => {
    const none = { reduction: 'none' } as const
    const unread = await ctcLoss(rand([0, 2, 3]), int([[1], [1]]), int([0, 0]), int([1, 0]), none).array()
    expect((unread as number[]).map(Math.abs)).toEqual([Infinity, 0])
    const empty = toTensor([], { dtype: 'int32' })
    const flat = (await ctcLoss(
      rand([2, 1, 3]).multiply(0),
      empty.reshape([1, 0]),
      int([2]),
      int([0]),
      none,
    ).array()) as number[]
    expect(flat[0]).toBeCloseTo(2 * Math.log(3), 5)
    expect(await ctcLoss(rand([2, 0, 3]), empty.reshape([0, 1]), empty, empty, none).array()).toEqual([])
  })

  test('refuses what does not fit', async () => {
    const x = rand([3, 2, 4])
    const good = [int([[1], [2]]), int([3, 3]), int([1, 1])] as const
    expect(() => ctcLoss(rand([3, 2]), ...good)).toThrow(ShapeError)
    expect(() => ctcLoss(x, int([[1]]), good[1], good[2])).toThrow(/labels must be \[2, L\]/)
    expect(() => ctcLoss(x, good[0], int([3]), good[2])).toThrow(/inputLengths must be \[2\]/)
    expect(() => ctcLoss(x, ...good, { blank: 4 })).toThrow(ArgumentError)
    await expect(ctcLoss(x, int([[1], [4]]), good[1], good[2]).item()).rejects.toThrow(IndexOutOfRangeError)
    await expect(ctcLoss(x, int([[1], [-1]]), good[1], good[2]).item()).rejects.toThrow(IndexOutOfRangeError)
  })
})

describe.each(devices)('rnntLoss on %s', (device) => {
  beforeAll(() => setDevice(device))

  const labels = [
    [1, 2],
    [2, 0],
    [0, 0],
  ]
  const lengths = [2, 1, 0]
  const times = [3, 4, 2]

  test('is the sum over all alignments', async () => {
    const x = rand([3, 4, 3, 3], 'float64').multiply(-2)
    const loss = rnntLoss(x, int(labels), int(times), int(lengths), { reduction: 'none' })
    const values: number[][][][] = await rows(x)
    const expected = labels.map((label, b) => rnntByPaths(values[b]!.slice(0, times[b]), label.slice(0, lengths[b]), 0))
    for (const [b, got] of ((await loss.array()) as number[]).entries()) expect(got).toBeCloseTo(expected[b]!, 10)
  })

  test('FastEmit leaves the loss and enlarges the gradients of emissions', async () => {
    const x = rand([1, 2, 2, 3])
    x.stopGradient = false
    const run = (fastemitLambda: number): Tensor => rnntLoss(x, int([[1]]), int([2]), int([1]), { fastemitLambda })
    expect(await run(0.5).item()).toBeCloseTo(await run(0).item(), 5)
    const plain = (await grad(run(0), x)[0]!.array()) as number[][][][]
    const fast = (await grad(run(0.5), x)[0]!.array()) as number[][][][]
    plain[0]!.forEach((step, t) =>
      step.forEach((node, u) =>
        node.forEach((v, c) => expect(fast[0]![t]![u]![c]).toBeCloseTo(c === 1 && u === 0 ? 1.5 * v : v, 5)),
      ),
    )
  })

  test('refuses labels that do not fit the lattice', () => {
    const run = (label: Tensor): Tensor => rnntLoss(rand([1, 2, 3, 3]), label, int([2]), int([2]))
    expect(() => run(int([[1]]))).toThrow(/labels must be \[1, 2\]/)
  })
})
