import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { autoCast } from '../../src/amp/index.ts'
import { ArgumentError, DTypeError, ShapeError, TraceError } from '../../src/common/errors.ts'
import { guard } from '../../src/nn/unique-name.ts'
import * as nn from '../../src/nn/index.ts'
import { Momentum } from '../../src/optimizer/index.ts'
import {
  grad,
  noGrad,
  ones,
  rand,
  randint,
  randn,
  seed,
  setDevice,
  zeros,
  type Tensor,
} from '../../src/tensor/index.ts'
import { InputSpec, notToStatic, staticFunctionOf, toStatic } from '../../src/jit/index.ts'

beforeAll(() => setDevice('reference'))
beforeEach(() => void seed(7))

class Net extends nn.Layer {
  runs = 0
  first = new nn.Linear(6, 8)
  norm = new nn.BatchNorm1D(8)
  relu = new nn.ReLU()
  drop = new nn.Dropout(0.4)
  last = new nn.Linear(8, 3)

  forward(x: Tensor): Tensor {
    this.runs++
    return this.last(this.drop(this.relu(this.norm(this.first(x)))))
  }
}

function build(): Net {
  seed(3)
  return guard(() => new Net())
}

async function train(net: Net, steps: number): Promise<{ losses: number[]; state: number[][] }> {
  seed(11)
  const optimizer = new Momentum({ learningRate: 0.1, parameters: net.parameters() })
  const criterion = new nn.CrossEntropyLoss()
  const losses: number[] = []
  for (let i = 0; i < steps; i++) {
    const loss = criterion(net(randn([5, 6])), randint(0, 3, [5]))
    loss.backward()
    optimizer.step()
    optimizer.clearGrad()
    losses.push(await loss.item())
  }
  const state = await Promise.all(Object.values(net.stateDict()).map(async (t) => Array.from(await t.data(), Number)))
  return { losses, state }
}

describe('a frozen layer', () => {
  test('trains to the same numbers as a dynamic one, and its code runs once', async () => {
    const dynamic = await train(build(), 10)
    const net = toStatic(build())
    const frozen = await train(net, 10)
    expect(frozen).toEqual(dynamic)
    expect(net.runs).toBe(1)
    expect(new Set(dynamic.losses).size).toBe(10)
  })

  test('records once for each mode and shape, and follows them', async () => {
    const net = toStatic(build(), { inputSpec: [new InputSpec([null, 6], 'float32', 'x')] })
    net(rand([4, 6]))
    net.eval()
    const x = rand([4, 6])
    const frozen = await net(x).array()
    net(rand([2, 6]))
    expect(net.runs).toBe(3)
    net.train()
    net(rand([4, 6]))
    net(rand([2, 6]))
    net(rand([2, 6]))
    expect(net.runs).toBe(4)
    noGrad(() => net(rand([2, 6])))
    expect(net.runs).toBe(5)
    const dynamic = build().eval()
    dynamic.setStateDict(net.stateDict())
    expect(frozen).not.toEqual(await dynamic(x).array())
    expect(await net.eval()(x).array()).toEqual(await dynamic(x).array())
    expect(net.runs).toBe(5)
  })

  test('a layer below that is switched to eval counts', () => {
    const net = toStatic(build())
    net(rand([4, 6]))
    net.drop.eval()
    net(rand([4, 6]))
    expect(net.runs).toBe(2)
    net.drop.train()
    net(rand([4, 6]))
    expect(net.runs).toBe(2)
  })

  test('parameters are live: setValue and loading are seen', async () => {
    const net = toStatic(build()).eval()
    const x = ones([1, 6])
    await net(x).array()
    net.last.weight.setValue({ dtype: 'float32', shape: [8, 3], data: new Float32Array(24) })
    net.last.bias!.setValue({ dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) })
    expect(await net(x).array()).toEqual([[1, 2, 3]])
    net.setStateDict({ ...net.stateDict(), 'last.bias': zeros([3]) })
    expect(await net(x).array()).toEqual([[0, 0, 0]])
    expect(net.runs).toBe(1)
  })

  test('gradients flow to the input, also second ones', async () => {
    const layer = guard(() => new nn.Linear(3, 1))
    const curve = (x: Tensor): Tensor => layer(x.multiply(x).multiply(x)).sum()
    const run = async (f: (x: Tensor) => Tensor) => {
      const x = ones([2, 3])
      x.stopGradient = false
      const [first] = grad(f(x), x, { createGraph: true })
      const [second] = grad(first!.sum(), x)
      return [await first!.array(), await second!.array()]
    }
    const frozen = toStatic(curve)
    expect(await run(frozen)).toEqual(await run(curve))
    expect(await run(frozen)).toEqual(await run(curve))
    expect(staticFunctionOf(frozen)!.programs).toHaveLength(1)
  })

  test('shows its graph', () => {
    const net = toStatic(build())
    net(rand([4, 6]))
    const program = staticFunctionOf(net)!.concreteProgram!
    expect(program.inputs.map((n) => n.shape)).toEqual([[4, 6]])
    const held = program.captured.map((c) => c.tensor)
    for (const t of [net.first.weight, net.first.bias, net.norm._mean]) expect(held).toContain(t)
    expect(program.nodes.filter((n) => n.op === 'contract')).toHaveLength(2)
    expect(program.writes.map((w) => w.tensor)).toEqual([net.norm._mean, net.norm._variance])
    expect((program.result as Tensor).shape).toEqual([4, 3])
  })
})

describe('a frozen function', () => {
  test('is recorded for float32 and once for each kind of autocast scope', async () => {
    let runs = 0
    const layer = guard(() => new nn.Linear(2, 2))
    const f = toStatic((x: Tensor) => {
      runs++
      return layer(x)
    })
    const x = ones([1, 2])
    const half = () => autoCast({ dtype: 'bfloat16' }, () => f(x))
    expect([f(x).dtype, half().dtype, f(x).dtype, half().dtype]).toEqual(['float32', 'bfloat16', 'float32', 'bfloat16'])
    expect(autoCast(() => f(x)).dtype).toBe('float16')
    expect(runs).toBe(3)
  })

  test('nested arguments, constants as guards, several results', async () => {
    let runs = 0
    const f = toStatic((inputs: { a: Tensor; b: Tensor[] }, scale: number) => {
      runs++
      return { sum: inputs.a.add(inputs.b[0]!).multiply(scale), same: inputs.a, scale }
    })
    const a = ones([2])
    for (const scale of [2, 3, 2, 3]) {
      const out = f({ a, b: [ones([2])] }, scale)
      expect(await out.sum.array()).toEqual([2 * scale, 2 * scale])
      expect(out.same).toBe(a)
      expect(out.scale).toBe(scale)
    }
    expect(runs).toBe(2)
  })

  test('random numbers are drawn anew, as a dynamic run draws them', async () => {
    const noisy = (x: Tensor): Tensor => x.add(randn([3])).add(rand([3]))
    const run = async (f: typeof noisy) => {
      seed(5)
      return [await f(zeros([3])).array(), await f(zeros([3])).array(), await randn([2]).array()]
    }
    const dynamic = await run(noisy)
    expect(await run(toStatic(noisy))).toEqual(dynamic)
    expect(dynamic[0]).not.toEqual(dynamic[1])
  })

  test('an input that is changed in place is changed for the caller', async () => {
    const f = toStatic((x: Tensor) => x.add_(1).sum())
    for (let i = 1; i <= 3; i++) {
      const x = ones([2])
      expect(await f(x).item()).toBe(4)
      expect(await x.array()).toEqual([2, 2])
    }
  })

  test('tensors from around it are live through writes to their memory', async () => {
    const table = zeros([2])
    const f = toStatic((x: Tensor) => x.add(table))
    expect(await f(ones([2])).array()).toEqual([1, 1])
    table.assign(ones([2]))
    expect(await f(ones([2])).array()).toEqual([2, 2])
    table.add_(1)
    expect(await f(ones([2])).array()).toEqual([3, 3])
  })

  test('results of the outermost call can be read after a step', async () => {
    const layer = guard(() => new nn.Linear(2, 2))
    const f = toStatic((x: Tensor) => layer(x))
    const optimizer = new Momentum({ parameters: layer.parameters() })
    for (let i = 0; i < 2; i++) {
      const y = f(ones([1, 2]))
      y.sum().backward()
      optimizer.step()
      optimizer.clearGrad()
      expect(await y.array()).toHaveLength(1)
    }
  })
})

describe('what cannot be frozen', () => {
  test('reading a value', () => {
    const f = toStatic((x: Tensor) => (x.sum().itemSync() > 0 ? x : x.multiply(2)))
    expect(() => f(ones([2]))).toThrow(TraceError)
  })

  test('async functions', () => {
    const f = toStatic(async (x: Tensor) => x.add(1))
    expect(() => f(ones([2]))).toThrow(/async/)
  })

  test('backward and steps', () => {
    const layer = guard(() => new nn.Linear(2, 2))
    const optimizer = new Momentum({ parameters: layer.parameters() })
    expect(() => toStatic((x: Tensor) => layer(x).sum().backward())(ones([1, 2]))).toThrow(TraceError)
    layer(ones([1, 2]))
      .sum()
      .backward()
    expect(() => toStatic(() => optimizer.step())()).toThrow(TraceError)
  })

  test('after an error the layer is as it was', async () => {
    class Fails extends nn.BatchNorm1D {
      override forward(x: Tensor): Tensor {
        super.forward(x)
        throw new ArgumentError('not today')
      }
    }
    const layer = new Fails(2)
    expect(() => toStatic(layer)(ones([1, 2]))).toThrow('not today')
    expect(await layer._mean.array()).toEqual([0, 0])
  })

  test('a tensor that leaves by a side door says so', async () => {
    let leaked: Tensor | undefined
    toStatic((x: Tensor) => (leaked = x.add(1)).multiply(2))(ones([2]))
    await expect(leaked!.array()).rejects.toThrow(/side door/)
  })

  test('notToStatic keeps a part, and what calls it, dynamic', async () => {
    let runs = 0
    const choose = notToStatic((x: Tensor) => {
      runs++
      return x.sum().itemSync() > 0 ? x : x.multiply(-1)
    })
    const f = toStatic((x: Tensor) => choose(x).add(1))
    expect(await f(ones([1])).array()).toEqual([2])
    expect(await f(ones([1]).multiply(-3)).array()).toEqual([4])
    expect(runs).toBe(2)
    const layer = notToStatic(build())
    toStatic(layer)
    layer(rand([1, 6]))
    layer(rand([1, 6]))
    expect(layer.runs).toBe(2)
  })
})

describe('InputSpec', () => {
  const f = toStatic((x: Tensor) => x, { inputSpec: [new InputSpec([null, 3], 'float32', 'image')] })

  test('names the input that does not fit', () => {
    expect(() => f(ones([2, 4]))).toThrow(ShapeError)
    expect(() => f(ones([2, 4]))).toThrow("input 'image' has shape [2, 4], its InputSpec says [any, 3]")
    expect(() => f(ones([2, 3], 'float64'))).toThrow(DTypeError)
  })

  test('refuses sizes and dtypes that are none', () => {
    expect(() => new InputSpec([-2])).toThrow(ArgumentError)
    expect(() => new InputSpec([1], 'float' as 'float32')).toThrow(ArgumentError)
    expect(InputSpec.fromTensor(zeros([2, 3]), 'x')).toMatchObject({ shape: [2, 3], dtype: 'float32', name: 'x' })
  })
})
