/**
 * Recording is lazy, and no program can tell: every hazard of laziness gives what running each op at once would give, or a typed error.
 */
import { beforeEach, describe, expect, it } from 'vitest'
import { AutogradError, IndexOutOfRangeError, ShapeError, StaleTensorError } from '../../src/common/errors.ts'
import { topologicalOrder } from '../../src/graph/node.ts'
import * as lz from '../../src/index.ts'
import { nn, optimizer, toTensor, type Tensor } from '../../src/index.ts'
import { judged } from '../support/backends.ts'

/** y = x w with one weight a feature, from given numbers. */
class Weighted extends nn.Layer {
  weight: Tensor
  constructor(values: number[]) {
    super()
    this.weight = this.createParameter({ shape: [values.length] })
    this.weight.setValue(toTensor(values, 'float32'))
  }
  forward(x: Tensor): Tensor {
    return x.multiply(this.weight)
  }
}

/** Rows 1, 2, 3 and 4, looked up. */
class Table extends nn.Layer {
  weight = this.createParameter({ shape: [4, 2] })
  constructor() {
    super()
    this.weight.setValue(toTensor([1, 2, 3, 4], 'float32').unsqueeze(1).expand([4, 2]))
  }
  forward(ids: Tensor): Tensor {
    return lz.gather(this.weight, ids)
  }
}

const sgd = (model: nn.Layer, learningRate = 0.5): optimizer.SGD =>
  new optimizer.SGD({ parameters: model.parameters(), learningRate })

const variable = (values: number[]): Tensor => toTensor(values, { dtype: 'float64', stopGradient: false })

/** Resolves to the error that a promise or a function ends with. */
async function errorOf(body: () => unknown): Promise<unknown> {
  try {
    await body()
  } catch (error) {
    return error
  }
  return null
}

describe.each(['reference', ...judged])('on %s', (device) => {
  beforeEach(() => {
    lz.setDevice(device)
    lz.seed(7)
  })

  describe('what was recorded before a step', () => {
    it('a prediction read after step() is the one from before', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const prediction = model(toTensor([3, 4], 'float32'))
      const loss = prediction.sum()
      loss.backward()
      sgdOptimizer.step()
      sgdOptimizer.clearGrad()

      expect(await prediction.array()).toEqual([3, 8])
      expect(await loss.item()).toBe(11)
      expect(await model.weight.array()).toEqual([-0.5, 0])
    })

    it('a metric fed before step() counts the predictions from before', async () => {
      const model = new Weighted([1, -1])
      const sgdOptimizer = sgd(model, 10)
      const accuracy = new lz.metric.Accuracy()
      const x = toTensor([[1, 1]], 'float32')
      // After the step the second class would win.
      accuracy.update(accuracy.compute(model(x), toTensor([[0]])))
      model(x)
        .sum()
        .subtract(
          model(x)
            .multiply(toTensor([0, 2], 'float32'))
            .sum(),
        )
        .backward()
      sgdOptimizer.step()

      expect(await accuracy.accumulate()).toBe(1)
      expect(await model(x).argmax(-1).array()).toEqual([1])
    })

    it('anything else that needs overwritten values is a StaleTensorError that says what to do', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loose = model.weight.multiply(2)
      const kept = model.weight.multiply(3).keep()
      model(toTensor([3, 4], 'float32'))
        .sum()
        .backward()
      sgdOptimizer.step()

      const error = await errorOf(() => loose.array())
      expect(error).toBeInstanceOf(StaleTensorError)
      expect((error as Error).message).toMatch(/before step\(\).*keep\(\)/)
      expect(await kept.array()).toEqual([3, 6])
      expect(await model.weight.multiply(2).array()).toEqual([-1, 0])
    })

    it('keep() of a tensor that is stale already says so, and later steps go on', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loose = model.weight.multiply(2)
      const step = (): void => {
        model(toTensor([3, 4], 'float32'))
          .sum()
          .backward()
        sgdOptimizer.step()
        sgdOptimizer.clearGrad()
      }
      step()
      loose.keep()
      step()
      step()

      expect(await model.weight.array()).toEqual([-3.5, -4])
      expect(await errorOf(() => loose.array())).toBeInstanceOf(StaleTensorError)
    })

    it('a read that was begun before step() gives the value from before it', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const step = (of: Weighted, by: optimizer.SGD): void => {
        of(toTensor([2, 2], 'float32'))
          .sum()
          .backward()
        by.step()
        by.clearGrad()
      }
      // The kernels are there before, so that a step may run while the JS thread is busy.
      const other = new Weighted([0, 0])
      step(other, sgd(other))
      await other.weight.data()
      const reads: Promise<unknown>[] = []
      for (let i = 0; i < 4; i++) {
        reads.push(model.weight.array())
        step(model, sgdOptimizer)
        const start = performance.now()
        while (performance.now() - start < 5);
      }

      expect(await Promise.all(reads)).toEqual([
        [1, 2],
        [0, 1],
        [-1, 0],
        [-2, -1],
      ])
    })

    it('gradients can be read after step(), until they are cleared', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loss = model(toTensor([3, 4], 'float32'))
        .square()
        .sum()
      loss.backward()
      sgdOptimizer.step()

      expect(await model.weight.grad!.array()).toEqual([18, 64])
    })

    it('steps that nobody waits for give what awaited ones give', async () => {
      const train = async (wait: boolean): Promise<unknown> => {
        lz.seed(3)
        const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 1))
        const adam = new optimizer.Adam({ parameters: model.parameters(), learningRate: 0.05 })
        const x = lz.randn([5, 3])
        const losses: Tensor[] = []
        for (let i = 0; i < 20; i++) {
          const loss = model(x).square().mean()
          loss.backward()
          adam.step()
          adam.clearGrad()
          losses.push(loss)
          if (wait) await loss.item()
        }
        return Promise.all([...losses, ...model.parameters()].map((t) => t.array()))
      }

      expect(await train(false)).toEqual(await train(true))
    })

    it('a learning rate that changes after step() does not reach back', async () => {
      const model = new Weighted([1])
      const sgdOptimizer = sgd(model, 1)
      model(toTensor([1], 'float32'))
        .sum()
        .backward()
      sgdOptimizer.step()
      sgdOptimizer.setLr(100)

      expect(await model.weight.array()).toEqual([0])
    })

    it('running statistics are those of their moment', async () => {
      const norm = new nn.BatchNorm1D(1, { momentum: 0.5 })
      const x = (value: number): Tensor => toTensor([[value], [value + 2]], 'float32')
      norm(x(1))
      const first = norm._mean.clone().keep()
      norm(x(5))
      norm.eval()
      const judgedOutput = norm(x(0))

      expect(await norm._mean.array()).toEqual([3.5])
      expect(await first.array()).toEqual([1])
      expect(((await judgedOutput.array()) as number[][])[0]![0]).toBeLessThan(-1)
    })
  })

  describe('values that are replaced', () => {
    it('setValue between recording and reading leaves what was recorded', async () => {
      const x = toTensor([1, 2], 'float32')
      const y = x.multiply(10)
      x.setValue({ dtype: 'float32', shape: [2], data: new Float32Array([5, 6]) })
      const z = x.multiply(10)

      expect(await y.array()).toEqual([10, 20])
      expect(await z.array()).toEqual([50, 60])
    })

    it('and so for a parameter, by host data and by a tensor', async () => {
      const model = new Weighted([1, 2])
      const before = model(toTensor([1, 1], 'float32'))
      model.weight.setValue({ dtype: 'float32', shape: [2], data: new Float32Array([3, 4]) })
      const between = model(toTensor([1, 1], 'float32'))
      lz.noGrad(() => model.weight.setValue(model.weight.multiply(2)))
      const after = model(toTensor([1, 1], 'float32'))

      expect(await before.array()).toEqual([1, 2])
      expect(await between.array()).toEqual([3, 4])
      expect(await after.array()).toEqual([6, 8])
    })

    it('host memory is copied on the way in and out', async () => {
      const data = new Float32Array([1, 2])
      const x = toTensor(data)
      const y = x.add(0.5)
      data.fill(9)
      const out = (await x.data()) as Float32Array
      out.fill(8)

      expect(await x.array()).toEqual([1, 2])
      expect(await y.array()).toEqual([1.5, 2.5])
    })

    it('views of a value keep it when the value changes in place', async () => {
      const x = toTensor([1, 2, 3, 4], 'float32')
      const view = x.reshape([2, 2]).transpose([1, 0])
      const row = x.slice([0], [1], [3])
      x.add_(10)
      x.fill_(0)

      expect(await view.array()).toEqual([
        [1, 3],
        [2, 4],
      ])
      expect(await row.array()).toEqual([2, 3])
      expect(await x.array()).toEqual([0, 0, 0, 0])
    })

    it('a parameter updated from views of itself reads all of it first', async () => {
      const w = variable([1, 2, 3, 4])
      const flipped = lz.noGrad(() => w.flip([0]).multiply(10).add(w))
      lz.noGrad(() => w.setValue(flipped))

      expect(await w.array()).toEqual([41, 32, 23, 14])
    })

    it('two parameters swap their values', async () => {
      const [a, b] = [variable([1, 2]), variable([3, 4])]
      lz.noGrad(() => {
        const [oldA, oldB] = [a.add(0), b.add(0)]
        a.setValue(oldB)
        b.setValue(oldA)
      })

      expect(await b.array()).toEqual([1, 2])
      expect(await a.array()).toEqual([3, 4])
    })

    it('an in-place change in the middle of a graph is differentiated as written', async () => {
      const x = variable([2, 3])
      const y = x.multiply(2)
      const before = y.multiply(x)
      y.add_(1)
      before.add(y.multiply(x)).sum().backward()

      // d(2x^2 + (2x + 1)x)/dx = 8x + 1
      expect(await x.grad!.array()).toEqual([17, 25])
    })
  })

  describe('draws', () => {
    it('dropout has one mask: in forward, backward, and every later read', async () => {
      const x = toTensor(new Array<number>(64).fill(1), { dtype: 'float32', stopGradient: false })
      const dropped = nn.functional.dropout(x, 0.5)
      const loss = dropped.multiply(3).sum()
      loss.backward()
      const [first, gradient] = [await dropped.array(), await x.grad!.array()]
      const again = await dropped.add(0).array()

      expect(gradient).toEqual((first as number[]).map((v) => 3 * v))
      expect(again).toEqual(first)
      expect(await loss.item()).toBe(3 * (first as number[]).reduce((a, b) => a + b))
      expect(new Set(first as number[])).toEqual(new Set([0, 2]))
    })

    it('and each call a mask of its own, which reading order does not change', async () => {
      const x = toTensor(new Array<number>(64).fill(1), 'float32')
      const masks = async (order: readonly number[]): Promise<unknown[]> => {
        lz.seed(11)
        const calls = [0, 1, 2].map(() => nn.functional.dropout(x, 0.5))
        for (const i of order) await calls[i]!.data()
        return Promise.all(calls.map((c) => c.array()))
      }
      const [forwards, backwards] = [await masks([0, 1, 2]), await masks([2, 1, 0])]

      expect(backwards).toEqual(forwards)
      expect(forwards[1]).not.toEqual(forwards[0])
    })
  })

  describe('graphs', () => {
    it('backward works after its loss was read, and again where the graph is retained', async () => {
      const x = variable([1, 2])
      const loss = x.pow(3).sum()
      await loss.item()
      loss.backward(null, { retainGraph: true })
      await x.grad!.data()
      loss.backward()

      expect(await x.grad!.array()).toEqual([6, 24])
    })

    it('a second backward without that is an AutogradError', async () => {
      const x = variable([1, 2])
      const loss = x.pow(3).sum()
      loss.backward()
      const error = await errorOf(() => loss.backward())

      expect(error).toBeInstanceOf(AutogradError)
      expect((error as Error).message).toContain('retainGraph')
    })

    it('a retained graph whose parameters were overwritten is a StaleTensorError, not another gradient', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loss = model.weight.pow(3).sum()
      loss.backward(null, { retainGraph: true })
      sgdOptimizer.step()
      sgdOptimizer.clearGrad()
      const error = await errorOf(async () => {
        loss.backward()
        await model.weight.grad!.array()
      })

      expect(error).toBeInstanceOf(StaleTensorError)
    })

    it('but what such a graph saved itself is as good as before', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loss = model(toTensor([3, 4], 'float32'))
        .square()
        .sum()
      loss.backward(null, { retainGraph: true })
      sgdOptimizer.step()
      sgdOptimizer.clearGrad()
      loss.backward()

      expect(await model.weight.grad!.array()).toEqual([18, 64])
    })

    it('gradients accumulate over several losses before one step', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model, 1)
      for (const x of [1, 2, 3])
        model(toTensor([x, 10 * x], 'float32'))
          .sum()
          .backward()
      sgdOptimizer.step()

      expect(await model.weight.array()).toEqual([-5, -58])
    })

    it('two optimizers share a loss', async () => {
      const [a, b] = [new Weighted([2]), new Weighted([3])]
      const [first, second] = [sgd(a, 1), sgd(b, 1)]
      b(a(toTensor([1], 'float32')))
        .sum()
        .backward()
      first.step()
      second.step()

      expect(await a.weight.array()).toEqual([-1])
      expect(await b.weight.array()).toEqual([1])
    })

    it('evaluation between forward and step changes neither', async () => {
      const model = new Weighted([1, 2])
      const sgdOptimizer = sgd(model)
      const loss = model(toTensor([3, 4], 'float32')).sum()
      const seen = await lz.noGrad(() => model(toTensor([1, 1], 'float32'))).array()
      loss.backward()
      sgdOptimizer.step()

      expect(seen).toEqual([1, 2])
      expect(await model.weight.array()).toEqual([-0.5, 0])
    })
  })

  describe('recordings without end', () => {
    it('100,000 ops without a door are flushed on the way, whatever chains they make', async () => {
      let a: Tensor = toTensor([1, 2], 'float64')
      let b: Tensor = toTensor([0, 0], 'float64')
      const fixed = toTensor([1, 2], 'float64').add(1)
      for (let i = 0; i < 50_000; i++) {
        a = a.add(1)
        b = b.add(fixed)
      }

      expect(topologicalOrder([a.node, b.node]).length).toBeLessThan(50_000)
      expect(await a.array()).toEqual([50_001, 50_002])
      expect(await b.array()).toEqual([100_000, 150_000])
    })

    it('a chain of views as long as that', async () => {
      let x: Tensor = toTensor([1, 2, 3], 'float64')
      for (let i = 0; i < 5001; i++) x = x.flip([0]).reshape([3, 1]).reshape([3])

      expect(await x.array()).toEqual([3, 2, 1])
    })

    it('backward through thousands of ops', async () => {
      const x = variable([1, 2])
      let y = x.multiply(1)
      for (let i = 0; i < 3000; i++) y = y.add(x)
      y.sum().backward()

      expect(await x.grad!.array()).toEqual([3001, 3001])
    })
  })

  describe('errors', () => {
    it('an exception half-way through a step leaves nothing behind', async () => {
      const train = async (fails: boolean): Promise<unknown> => {
        lz.seed(5)
        const model = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1D(4), new nn.Linear(4, 2))
        const adam = new optimizer.Adam({ parameters: model.parameters(), learningRate: 0.1 })
        const x = lz.randn([6, 3])
        for (let i = 0; i < 4; i++) {
          if (fails && i === 2) {
            const error = await errorOf(() => {
              new nn.Linear(4, 2)(new nn.Linear(3, 4)(x).reshape([3, 8]))
              model(x).mean().backward()
              adam.step()
            })
            expect(error).toBeInstanceOf(ShapeError)
          }
          model(x).square().mean().backward()
          adam.step()
          adam.clearGrad()
        }
        return Promise.all(model.parameters().map((p) => p.array()))
      }

      expect(await train(true)).toEqual(await train(false))
    })

    it('an index out of range fails its step and its results, not the parameters and the steps behind it', async () => {
      const table = new Table()
      const sgdOptimizer = sgd(table, 1)
      const losses: Tensor[] = []
      const step = (ids: number[]): void => {
        const loss = table(toTensor(ids)).sum()
        losses.push(loss)
        loss.backward()
        sgdOptimizer.step()
        sgdOptimizer.clearGrad()
      }
      const error = await errorOf(async () => {
        step([0, 9])
        await losses[0]!.item()
      })
      sgdOptimizer.clearGrad()
      const again = await errorOf(() => losses[0]!.add(1).item())
      step([1, 1])

      expect(error).toBeInstanceOf(IndexOutOfRangeError)
      expect(again).toBeInstanceOf(IndexOutOfRangeError)
      expect(await losses[1]!.item()).toBe(8)
      expect(await table.weight.array()).toEqual([
        [1, 1],
        [0, 0],
        [3, 3],
        [4, 4],
      ])
    })

    it('an index out of range fails its plan before any parameter is overwritten, though no gradient needs it', async () => {
      const linear = new nn.Linear(2, 2)
      const before = await linear.weight.array()
      const adam = new optimizer.Adam({ parameters: linear.parameters() })
      const loss = linear(toTensor([[1, 2]], 'float32'))
        .square()
        .sum()
      loss.backward()
      const metric = lz.gather(loss.detach().reshape([1]), toTensor([3])).keep()
      adam.step()
      const error = await errorOf(() => metric.array())

      expect(error).toBeInstanceOf(IndexOutOfRangeError)
      expect(await linear.weight.array()).toEqual(before)
    })

    it('a result of a failed plan fails each time it is asked for, also through other tensors', async () => {
      const bad = lz.gather(toTensor([1, 2, 3], 'float32'), toTensor([0, 7]))
      const first = await errorOf(() => bad.array())
      const second = await errorOf(() => bad.array())
      const derived = await errorOf(() => bad.multiply(2).array())

      expect(first).toBeInstanceOf(IndexOutOfRangeError)
      expect(second).toBeInstanceOf(IndexOutOfRangeError)
      expect(derived).toBeInstanceOf(IndexOutOfRangeError)
      expect(await toTensor([1, 2], 'float32').add(1).array()).toEqual([2, 3])
    })
  })
})
