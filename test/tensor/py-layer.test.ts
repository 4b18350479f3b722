/** Functions with a gradient of their own, on every backend: values, gradients of gradients, and what is said of a wrong `backward`. */
import { beforeEach, describe, expect, test } from 'vitest'
import {
  add,
  amp,
  autograd,
  AutogradError,
  DTypeError,
  grad,
  jit,
  matmul,
  multiply,
  nn,
  noGrad,
  ones,
  optimizer,
  rand,
  randn,
  seed,
  setDevice,
  ShapeError,
  square,
  subtract,
  tanh,
  toTensor,
  transpose,
  type Tensor,
} from '../../src/index.ts'
import { gradcheck } from '../gradcheck.ts'
import { judged } from '../support/backends.ts'

const { PyLayer } = autograd
type Context = autograd.PyLayerContext

/** The example of Paddle's documentation. */
class CusTanh extends PyLayer {
  static forward(ctx: Context & { func?: (x: Tensor) => Tensor }, x: Tensor, func1 = tanh, func2 = square): Tensor {
    ctx.func = func2
    const y = func1(x)
    ctx.saveForBackward(y)
    return y
  }

  static backward(ctx: Context & { func?: (x: Tensor) => Tensor }, dy: Tensor): Tensor {
    const [y] = ctx.savedTensor()
    return multiply(dy, subtract(1, ctx.func!(y!)))
  }
}

/** Product and sum, with a factor that is no tensor. */
class ProductAndSum extends PyLayer {
  static forward(ctx: Context & { factor?: number }, x: Tensor, factor: number, y: Tensor): [Tensor, Tensor] {
    ctx.factor = factor
    ctx.saveForBackward(x, y)
    return [multiply(multiply(x, y), factor), add(x, y)]
  }

  static backward(ctx: Context & { factor?: number }, dProduct: Tensor, dSum: Tensor): [Tensor, Tensor] {
    const [x, y] = ctx.savedTensor() as [Tensor, Tensor]
    const scaled = multiply(dProduct, ctx.factor!)
    return [add(multiply(scaled, y), dSum), add(multiply(scaled, x), dSum)]
  }
}

/** The identity with a gradient that is turned round, as in domain-adversarial training. */
class Reversal extends PyLayer {
  static calls = 0
  static forward(_ctx: Context, x: Tensor): Tensor {
    return x
  }

  static backward(_ctx: Context, dy: Tensor): Tensor {
    Reversal.calls++
    return multiply(dy, -1)
  }
}

const variable = (shape: number[]): Tensor => {
  const x = randn(shape)
  x.stopGradient = false
  return x
}
const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data(), Number)

beforeEach(() => {
  setDevice('reference')
  seed(5)
})

describe.each(['reference', ...judged])('on %s', (device) => {
  beforeEach(() => setDevice(device))

  test("Paddle's example gives the gradient of tanh", async () => {
    const x = variable([2, 3])
    const y = CusTanh.apply(x, tanh)
    y.mean().backward()
    const [expected] = grad(tanh(x).mean(), x)
    expect(await numbers(y)).toEqual(await numbers(tanh(x)))
    expect(y.stopGradient).toBe(false)
    const got = await numbers(x.grad!)
    ;(await numbers(expected!)).forEach((e, i) => expect(got[i]).toBeCloseTo(e, 6))
  })

  test('a layer that uses it trains, and reads after the step as before it', async () => {
    class Net extends nn.Layer {
      fc = new nn.Linear(3, 4)
      forward(x: Tensor): Tensor {
        return CusTanh.apply(this.fc(x))
      }
    }
    const losses: number[] = []
    const net = new Net()
    const adam = new optimizer.Adam({ learningRate: 0.1, parameters: net.parameters() })
    const x = rand([5, 3])
    for (let i = 0; i < 8; i++) {
      const y = net(x)
      const loss = square(subtract(y, 0.5)).mean()
      loss.backward()
      adam.step()
      adam.clearGrad()
      losses.push(await loss.item())
      expect(await subtract(y, 0.5).square().mean().item()).toBeCloseTo(losses.at(-1)!, 5)
    }
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4)
  })
})

describe('gradients', () => {
  const on = { range: [-1.5, 1.5] as const }
  test('agree with finite differences, first and second', async () => {
    await gradcheck((x) => CusTanh.apply(x), [{ shape: [4], ...on }])
    await gradcheck(
      (x, y) => ProductAndSum.apply(x, 3, y),
      [
        { shape: [3], ...on },
        { shape: [3], ...on },
      ],
    )
    await gradcheck((x) => CusTanh.apply(multiply(CusTanh.apply(x), 2)).square(), [{ shape: [3], ...on }])
  })

  test('of results without one are zeros, or null', async () => {
    const seen: (number[] | null)[] = []
    class Two extends PyLayer {
      static forward(ctx: Context, x: Tensor, materialize: boolean): { twice: Tensor; index: Tensor; thrice: Tensor } {
        ctx.setMaterializeGrads(materialize)
        const index = x.argmax()
        return { twice: multiply(x, 2), index, thrice: multiply(x, 3) }
      }
      static backward(_ctx: Context, dTwice: Tensor, _dIndex: Tensor | null, dThrice: Tensor | null): Tensor {
        seen.push(dThrice && [...dThrice.dataSync()].map(Number))
        return multiply(dTwice, 2)
      }
    }
    for (const materialize of [true, false]) {
      const x = variable([2])
      const { twice, index, thrice } = Two.apply(x, materialize)
      expect([twice.stopGradient, index.stopGradient, thrice.stopGradient]).toEqual([false, true, false])
      twice.sum().backward()
      expect(await numbers(x.grad!)).toEqual([2, 2])
    }
    expect(seen).toEqual([[0, 0], null])
  })

  test('are not wanted where forward marks a result, an input has stopGradient, or in noGrad', async () => {
    const wanted: (readonly boolean[])[] = []
    class Marked extends PyLayer {
      static forward(ctx: Context, x: Tensor, y: Tensor, _factor: number): [Tensor, Tensor] {
        wanted.push(ctx.needsInputGrad)
        const twice = multiply(y, 2)
        ctx.markNonDifferentiable(twice)
        return [add(x, y), twice]
      }
      static backward(_ctx: Context, dy: Tensor): [Tensor, null] {
        return [dy, null]
      }
    }
    const x = variable([2])
    const [sum, twice] = Marked.apply(x, ones([2]), 1)
    expect([sum.stopGradient, twice.stopGradient]).toEqual([false, true])
    sum.sum().backward()
    expect(await numbers(x.grad!)).toEqual([1, 1])
    expect(noGrad(() => Marked.apply(x, x, 1)).map((t) => t.stopGradient)).toEqual([true, true])
    expect(noGrad(() => Reversal.apply(x)).stopGradient).toBe(true)
    expect(wanted[0]).toEqual([true, false, false])
  })

  test('pass through an identity, and hooks see them', async () => {
    const x = variable([3])
    const y = Reversal.apply(x)
    const seen: Tensor[] = []
    y.registerHook((g) => {
      seen.push(g)
      return multiply(g, 10)
    })
    x.registerHook((g) => void seen.push(g))
    expect(await numbers(y)).toEqual(await numbers(x))
    multiply(y, 2).sum().backward()
    expect(await Promise.all(seen.map(numbers))).toEqual([
      [2, 2, 2],
      [-20, -20, -20],
    ])
    expect(await numbers(x.grad!)).toEqual([-20, -20, -20])
  })

  test('come twice where the graph is retained, and once where not', () => {
    const y = Reversal.apply(variable([2])).sum()
    const before = Reversal.calls
    y.backward({ retainGraph: true })
    y.backward()
    expect(Reversal.calls - before).toBe(2)
    expect(() => y.backward()).toThrow(/released/)
  })

  test('reach tensors in arrays', async () => {
    class SumOf extends PyLayer {
      static forward(_ctx: Context, xs: readonly Tensor[]): Tensor {
        return xs.reduce((a, b) => add(a, b))
      }
      static backward(_ctx: Context, dy: Tensor): Tensor[] {
        return [dy, multiply(dy, 2)]
      }
    }
    const xs = [variable([2]), variable([2])]
    SumOf.apply(xs).sum().backward()
    expect(await Promise.all(xs.map((x) => numbers(x.grad!)))).toEqual([
      [1, 1],
      [2, 2],
    ])
  })
})

describe('an argument changed in place', () => {
  class Double extends PyLayer {
    static forward(ctx: Context, x: Tensor): Tensor {
      ctx.markNotInplace()
      return x.scale_(2)
    }
    static backward(_ctx: Context, dy: Tensor): Tensor {
      return multiply(dy, 2)
    }
  }

  test('is the result', async () => {
    const x = variable([2])
    const h = multiply(x, 3)
    const y = Double.apply(h)
    expect(y).toBe(h)
    y.sum().backward()
    expect(await numbers(x.grad!)).toEqual([6, 6])
  })

  test('must not be a leaf that wants a gradient', () => {
    expect(() => Double.apply(variable([2]))).toThrow(/Double\.forward changed argument 0 in place/)
  })
})

describe('together with', () => {
  class Product extends PyLayer {
    static forward(ctx: Context, x: Tensor, w: Tensor): Tensor {
      ctx.saveForBackward(x, w)
      return matmul(x, w)
    }
    static backward(ctx: Context, dy: Tensor): [Tensor, Tensor] {
      const [x, w] = ctx.savedTensor() as [Tensor, Tensor]
      return [matmul(dy, transpose(w.astype(dy.dtype), [1, 0])), matmul(transpose(x.astype(dy.dtype), [1, 0]), dy)]
    }
  }

  test('autoCast: forward in low precision, gradients in the dtype of the arguments', async () => {
    const [x, w] = [variable([2, 3]), variable([3, 4])]
    const y = amp.autoCast({ dtype: 'bfloat16' }, () => Product.apply(x, w))
    expect(y.dtype).toBe('bfloat16')
    y.sum().backward()
    expect([x.grad!.dtype, w.grad!.dtype]).toEqual(['float32', 'float32'])
    const [expected] = grad(matmul(x, w).sum(), w)
    const got = await numbers(w.grad!)
    ;(await numbers(expected!)).forEach((e, i) => expect(Math.abs(got[i]! - e)).toBeLessThan(0.02))
  })

  test('toStatic: forward runs once, backward with the tensors of each run', async () => {
    let forwards = 0
    const step = jit.toStatic((x: Tensor) => {
      forwards++
      return CusTanh.apply(CusTanh.apply(x))
    })
    for (let i = 0; i < 3; i++) {
      const x = variable([4])
      step(x).sum().backward()
      const [expected] = grad(tanh(tanh(x)).sum(), x)
      const got = await numbers(x.grad!)
      ;(await numbers(expected!)).forEach((e, k) => expect(got[k]).toBeCloseTo(e, 6))
    }
    expect(forwards).toBe(1)
    const slope = jit.toStatic((x: Tensor) => grad(ProductAndSum.apply(x, 2, x)[0].sum(), x)[0]!)
    const x = variable([3])
    slope(variable([3]))
    expect(await numbers(slope(x))).toEqual(await numbers(multiply(x, 4)))
  })

  test('a cell of a recurrent layer', async () => {
    class Cell extends nn.RNNCellBase {
      fc = new nn.Linear(2, 2)
      custom = true
      override get stateShape(): number[] {
        return [2]
      }
      forward(x: Tensor, state: Tensor): [Tensor, Tensor] {
        const z = add(this.fc(x), state)
        const h = this.custom ? CusTanh.apply(z) : tanh(z)
        return [h, h]
      }
    }
    const cell = new Cell()
    const x = rand([3, 4, 2])
    const results: number[][] = []
    for (const custom of [true, false]) {
      cell.custom = custom
      const [y] = new nn.RNN(cell)(x) as [Tensor, unknown]
      const [g] = grad(y.square().sum(), cell.fc.weight)
      results.push([...(await numbers(y)), ...(await numbers(g!))])
    }
    results[0]!.forEach((v, i) => expect(v).toBeCloseTo(results[1]![i]!, 5))
  })

  test('a value read between', async () => {
    const x = variable([3])
    const y = CusTanh.apply(x)
    const before = await numbers(y)
    y.sum().backward()
    ;(await numbers(x.grad!)).forEach((g, i) => expect(g).toBeCloseTo(1 - before[i]! ** 2, 6))
  })
})

describe('a wrong PyLayer is named', () => {
  const returning = (value: unknown): (() => void) => {
    class Wrong extends PyLayer {
      static forward(_ctx: Context, x: Tensor, y: Tensor): Tensor {
        return add(x, y)
      }
      static backward(_ctx: Context, _dy: Tensor): autograd.PyLayerGradients {
        return value as Tensor
      }
    }
    const x = variable([2])
    return () =>
      Wrong.apply(x, ones([2]))
        .sum()
        .backward()
  }

  test.each([
    ['too few gradients', ones([2]), AutogradError, /Wrong\.backward returned 1 gradient, and forward takes 2 tensors/],
    ['another shape', [ones([3]), null], ShapeError, /Wrong\.backward: gradient 0 has shape \[3\].*\[2\]/],
    ['integers', [toTensor([1, 2], { dtype: 'int64' }), null], DTypeError, /Wrong\.backward: gradient 0 is int64/],
    ['nothing', undefined, AutogradError, /Wrong\.backward returned something of type undefined/],
    ['a promise', Promise.resolve(null), AutogradError, /Wrong\.backward returned a promise/],
  ] as const)('%s', (_, value, type, message) => {
    expect(returning(value)).toThrow(type)
    expect(returning(value)).toThrow(message)
  })

  test('without backward, or with a forward that returns no tensor', () => {
    class NoBackward extends PyLayer {
      static forward(_ctx: Context, x: Tensor): Tensor {
        return x
      }
    }
    class NoTensor extends PyLayer {
      static forward(_ctx: Context, _x: Tensor): number {
        return 1
      }
      static backward(_ctx: Context, dy: Tensor): Tensor {
        return dy
      }
    }
    expect(() => Reflect.apply(PyLayer.apply, NoBackward, [ones([1])]) as unknown).toThrow(
      /NoBackward has no static backward/,
    )
    expect(() => NoTensor.apply(ones([1]))).toThrow(/NoTensor\.forward returned no tensor/)
  })

  test('with arguments that forward does not take, when types are checked', () => {
    // @ts-expect-error a string is no tensor
    expect(() => Reversal.apply('x')).toThrow(/returned no tensor/)
  })
})
