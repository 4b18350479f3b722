/** Checkpointing: the same numbers from less memory. */
import { beforeEach, describe, expect, test } from 'vitest'
import {
  add,
  amp,
  ArgumentError,
  autograd,
  defaultGenerator,
  distributed,
  grad,
  jit,
  multiply,
  nn,
  noGrad,
  ones,
  optimizer,
  rand,
  randn,
  recompute,
  recomputeSequential,
  seed,
  setDevice,
  square,
  tanh,
  type Tensor,
} from '../../src/index.ts'
import { generatePlan } from '../../src/codegen/generate.ts'
import { capture } from '../../src/schedule/capture.ts'
import { WasmBackend } from '../../src/runtime/wasm/backend.ts'
import { gradcheck } from '../gradcheck.ts'
import { judged } from '../support/backends.ts'
import { registerSpy } from '../support/spy-backend.ts'

type Run = (block: nn.Layer, x: Tensor) => Tensor
const asBlock = (layer: nn.Layer): ((x: Tensor) => Tensor) => layer as unknown as (x: Tensor) => Tensor
const plainly: Run = (block, x) => asBlock(block)(x)
const again: Run = (block, x) => recompute(asBlock(block), x)
/** A recomputed block in two recomputed halves. */
const nested: Run = (block, x) => {
  const parts = block.children().map(asBlock)
  const half = (from: number, to: number) => (h: Tensor) => parts.slice(from, to).reduce((y, f) => f(y), h)
  return recompute((h: Tensor) => recompute(half(2, 99), recompute(half(0, 2), h)), x)
}

const width = 16
const makeBlock = (): nn.Layer =>
  new nn.Sequential(
    new nn.Linear(width, 4 * width),
    new nn.BatchNorm1D(4 * width),
    new nn.GELU(),
    new nn.Dropout(0.2),
    new nn.Linear(4 * width, width),
    new nn.Tanh(),
  )

class Net extends nn.Layer {
  blocks: nn.LayerList
  run: Run
  constructor(run: Run, depth: number) {
    super()
    this.blocks = new nn.LayerList(Array.from({ length: depth }, makeBlock))
    this.run = run
  }
  forward(x: Tensor): Tensor {
    return [...this.blocks].reduce((h, block) => this.run(block, h), x)
  }
}

const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data(), Number)

/** Losses and the state after a few steps, draws of the generator included. */
async function train(run: Run, freeze: boolean): Promise<number[]> {
  seed(3)
  const net = new Net(run, 3)
  const model = freeze ? jit.toStatic(net) : net
  const momentum = new optimizer.Momentum({ learningRate: 0.05, parameters: net.parameters() })
  const out: number[] = []
  for (let i = 0; i < 3; i++) {
    const loss = square(model(randn([8, width]))).mean()
    loss.backward()
    momentum.step()
    momentum.clearGrad()
    out.push(await loss.item())
  }
  for (const t of Object.values(net.stateDict())) out.push(...(await numbers(t)))
  return [...out, defaultGenerator().getState().offset]
}

function expectClose(got: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  expect(got.length).toBe(expected.length)
  const worst = got.reduce(
    (w, v, i) => Math.max(w, Math.abs(v - expected[i]!) / Math.max(1, Math.abs(expected[i]!))),
    0,
  )
  expect(worst).toBeLessThanOrEqual(tolerance)
}

beforeEach(() => {
  setDevice('reference')
  seed(2)
})

describe.each(['reference', ...judged])('on %s', (device) => {
  beforeEach(() => setDevice(device))

  test('training gives the same numbers: dropout, running statistics, generator', async () => {
    const expected = await train(plainly, false)
    const tolerance = device === 'reference' ? 0 : 2e-6
    expectClose(await train(again, false), expected, tolerance)
    if (device === 'reference') expectClose(await train(again, true), expected, tolerance)
    expectClose(await train(nested, true), expected, tolerance)
  })
})

describe('memory', () => {
  /** Bytes of the arena for loss and gradients. */
  function arenaOf(run: Run, freeze = false): number {
    const net = new Net(run, 12)
    const model = freeze ? jit.toStatic(net) : net
    const loss = square(model(randn([64, width]))).mean()
    loss.backward()
    const gradients = net.parameters().map((p) => p.grad!.node)
    const program = capture([loss.node, ...gradients], [])
    return generatePlan(program, new WasmBackend().capabilities).plan.arenaBytes
  }

  test('of twelve blocks is less than half, also nested and frozen', () => {
    const all = arenaOf(plainly)
    expect(arenaOf(again)).toBeLessThan(0.4 * all)
    expect(arenaOf(nested)).toBeLessThan(0.4 * all)
    expect(arenaOf(again, true)).toBeLessThan(0.4 * all)
  })

  test('holds no masks of dropout', () => {
    const drop = new nn.Dropout(0.5)
    const body = (x: Tensor): Tensor => square(drop(tanh(x)))
    const x = ones([8])
    x.stopGradient = false
    const y = recompute(body, x)
    y.sum().backward()
    const program = capture([y.node, x.grad!.node], [])
    expect(program.nodes.filter((n) => n.op === 'random').length).toBe(2)
    expect(program.nodes.some((n) => n.op === 'barrier' || n.op === 'custom')).toBe(false)
  })

  test('plans of two steps are one', async () => {
    const spy = registerSpy('spy-recompute')
    setDevice('spy-recompute')
    const net = new Net(again, 2)
    const sgd = new optimizer.SGD({ parameters: net.parameters() })
    const keys: string[][] = []
    for (let i = 0; i < 3; i++) {
      const loss = square(net(rand([4, width]))).mean()
      loss.backward()
      sgd.step()
      sgd.clearGrad()
      await loss.item()
      keys.push(spy.takeKeys())
    }
    expect(keys[2]).toEqual(keys[1])
  })

  test('of layers called at the top is not kept for reading, but their result is', async () => {
    const [first, last] = [new nn.Linear(4, 4), new nn.Linear(4, 2)]
    const sgd = new optimizer.SGD({ parameters: [...first.parameters(), ...last.parameters()] })
    let inner!: Tensor
    const y = recompute((x: Tensor) => last((inner = tanh(first(x)))), rand([2, 4]))
    const expected = await numbers(noGrad(() => add(y, 0)))
    y.sum().backward()
    sgd.step()
    expect(await numbers(y)).toEqual(expected)
    await expect(inner.data()).rejects.toThrow(/step\(\)/)
  })
})

describe('gradients', () => {
  test('agree with finite differences, first and second', async () => {
    const f = (x: Tensor, y: Tensor): Tensor => tanh(multiply(square(x), y))
    await gradcheck((x, y) => recompute(f, x, y), [{ shape: [3] }, { shape: [3] }])
    await gradcheck(
      (x, y) => recompute((a: Tensor, b: Tensor) => multiply(recompute(f, a, b), recompute(f, b, a)), x, y),
      [{ shape: [2] }, { shape: [2] }],
    )
  })

  test('flow to what the function brings along, through several results and hooks', async () => {
    const [x, w] = [ones([2]), ones([2])]
    x.stopGradient = w.stopGradient = false
    let calls = 0
    const body = (a: Tensor): { y: Tensor; z: Tensor; count: Tensor } => {
      calls++
      const h = multiply(a, w)
      h.registerHook((g) => multiply(g, 10))
      return { y: multiply(h, 2), z: square(h), count: h.argmax() }
    }
    const { y, z, count } = recompute(body, x, { preserveRngState: true })
    expect([y.stopGradient, z.stopGradient, count.stopGradient]).toEqual([false, false, true])
    add(y, z).sum().backward()
    expect(await numbers(x.grad!)).toEqual([40, 40])
    expect(await numbers(w.grad!)).toEqual([40, 40])
    expect(calls).toBe(1)
  })

  test('are right where a value was read between, and where a custom function stands inside', async () => {
    class Square extends autograd.PyLayer {
      static forward(ctx: autograd.PyLayerContext, x: Tensor): Tensor {
        ctx.saveForBackward(x)
        return square(x)
      }
      static backward(ctx: autograd.PyLayerContext, dy: Tensor): Tensor {
        return multiply(dy, multiply(ctx.savedTensor()[0]!, 2))
      }
    }
    const x = rand([3])
    x.stopGradient = false
    let inner!: Tensor
    const y = recompute((a: Tensor) => tanh((inner = Square.apply(tanh(a)))), x)
    await numbers(y)
    await numbers(inner)
    const [got] = grad(y.sum(), x)
    const [expected] = grad(tanh(square(tanh(x))).sum(), x)
    expectClose(await numbers(got!), await numbers(expected!))
  })

  test('are those of mixed precision under autoCast', async () => {
    const block = new nn.Sequential(new nn.Linear(4, 8), new nn.GELU(), new nn.Linear(8, 4))
    const x = rand([2, 4])
    const slope = async (run: Run): Promise<number[]> => {
      const y = amp.autoCast({ dtype: 'bfloat16' }, () => run(block, x))
      const [g] = grad(y.astype('float32').square().sum(), block.parameters()[0]!)
      return numbers(g!)
    }
    expect(await slope(again)).toEqual(await slope(plainly))
  })
})

describe('the call', () => {
  test('is that of the function where nothing wants a gradient', () => {
    const x = ones([2])
    expect(recompute((a: Tensor) => a, x)).toBe(x)
    expect(recompute((a: Tensor, n: number) => multiply(a, n), x, 3, { useReentrant: false }).stopGradient).toBe(true)
    x.stopGradient = false
    expect(noGrad(() => recompute(square, x)).stopGradient).toBe(true)
  })

  test('stands where users of Paddle look for it', () => {
    expect(distributed.fleet.utils.recompute).toBe(recompute)
    expect(autograd.recompute).toBe(recompute)
  })

  test('refuses what it cannot run', () => {
    expect(() => recompute(3 as never)).toThrow(ArgumentError)
    expect(() => recompute(async (x: Tensor) => x, ones([1]))).toThrow(/async/)
    expect(() => recomputeSequential({ segments: 3 }, [square], ones([1]))).toThrow(/from 1 to 1/)
  })

  test('of a sequence runs it in segments', async () => {
    const x = rand([2, width])
    const layers = Array.from({ length: 5 }, () => new nn.Linear(width, width))
    const y = recomputeSequential({ segments: 2 }, layers, x) as Tensor
    expect(await numbers(y)).toEqual(await numbers(layers.reduce((h, f) => f(h), x)))
    expect(y.stopGradient).toBe(false)
  })
})
