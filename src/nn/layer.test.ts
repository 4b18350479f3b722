import { readFileSync } from 'node:fs'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { ones, zeros } from '../tensor/creation.ts'
import { defaultGenerator } from '../tensor/generator.ts'
import '../tensor/methods.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { LayerDict, LayerList, ParameterList, Sequential } from './container.ts'
import { Constant } from './initializer/index.ts'
import { Layer } from './layer.ts'
import { ReLU } from './layers/activation.ts'
import { Linear } from './layers/common.ts'
import { Conv2D } from './layers/conv.ts'
import { Parameter, ParamAttr } from './parameter.ts'
import { guard, snakeCase } from './unique-name.ts'

class Block extends Layer {
  first = new Linear(3, 4)
  act = new ReLU()
  second
  shift = this.registerBuffer('shift', zeros([2]))
  cache = this.registerBuffer('cache', zeros([1]), { persistable: false })

  constructor(outputs = 2) {
    super()
    this.second = new Linear(4, outputs)
  }

  forward(x: Tensor, scale = 1): Tensor {
    return this.second(this.act(this.first(x)))
      .add(this.shift)
      .multiply(scale)
  }
}

describe('a layer', () => {
  test('is a function, an instance of its classes, and typed by its forward', () => {
    const block = new Block()
    expect(typeof block).toBe('function')
    expect(block).toBeInstanceOf(Block)
    expect(block).toBeInstanceOf(Layer)
    expectTypeOf(block).parameters.toEqualTypeOf<[x: Tensor, scale?: number | undefined]>()
    expectTypeOf(block).returns.toEqualTypeOf<Tensor>()
    expect(block(ones([5, 3])).shape).toEqual([5, 2])
    expect(() => block(...([ones([5, 3]), 2] as const))).not.toThrow()
  })

  test('takes fields named as members of functions', () => {
    class Named extends Layer {
      override name = 'given'
      override length = 3
      forward(): number {
        return this.length
      }
    }
    const named = new Named()
    expect([named.name, named.length, named()]).toEqual(['given', 3, 3])
  })

  test('finds parameters, buffers and sublayers in its fields', () => {
    const block = guard(() => new Block())
    expect(block.namedParameters().map(([path, p]) => `${path} ${p.name}`)).toEqual([
      'first.weight linear_0.w_0',
      'first.bias linear_0.b_0',
      'second.weight linear_1.w_0',
      'second.bias linear_1.b_0',
    ])
    expect(block.namedSublayers().map(([path]) => path)).toEqual(['first', 'act', 'second'])
    expect(block.sublayers(true)[0]).toBe(block)
    expect(block.namedBuffers().map(([path]) => path)).toEqual(['shift', 'cache'])
    expect(Object.keys(block.stateDict())).toEqual([
      'shift',
      'first.weight',
      'first.bias',
      'second.weight',
      'second.bias',
    ])
    expect(block.fullName()).toBe('block_0')
    expect([block.children().length, block.parameters(false).length]).toEqual([3, 0])
  })

  test('lists a shared layer and a shared parameter once', () => {
    const shared = new Linear(2, 2)
    const both = new LayerList([shared, shared])
    expect(both.parameters()).toEqual([shared.weight, shared.bias])
    expect(Object.keys(both.stateDict())).toEqual(['0.weight', '0.bias', '1.weight', '1.bias'])
  })

  test('prints its tree', () => {
    expect(String(new Sequential(new Linear(2, 3), new Sequential(['act', new ReLU()])))).toBe(
      [
        'Sequential(',
        '  (0): Linear(in_features=2, out_features=3, dtype=float32)',
        '  (1): Sequential(',
        '    (act): ReLU()',
        '  )',
        ')',
      ].join('\n'),
    )
  })

  test('switches modes, applies functions and hooks', () => {
    const block = new Block()
    block.eval()
    expect(block.sublayers(true).map((l) => l.training)).toEqual([false, false, false, false])
    block.train()
    const seen: string[] = []
    block.apply((l) => seen.push(l.constructor.name))
    expect(seen).toEqual(['Linear', 'ReLU', 'Linear', 'Block'])
    const removePre = block.registerForwardPreHook((_, [x]) => [(x as Tensor).multiply(0)])
    const removePost = block.registerForwardPostHook((_, __, y) => (y as Tensor).add(1))
    expect(block(ones([1, 3])).arraySync()).toEqual([[1, 1]])
    removePre()
    removePost()
    expect(block(ones([1, 3])).arraySync()).not.toEqual([[1, 1]])
  })

  test('reports what a state dictionary lacks and what does not fit', () => {
    const source = new Block()
    const target = new Block()
    expect(target.setStateDict(source.stateDict())).toEqual({ missing: [], unexpected: [], mismatched: [] })
    expect(target(ones([1, 3])).arraySync()).toEqual(source(ones([1, 3])).arraySync())
    const { 'first.bias': _, ...partial } = source.stateDict()
    const other = new Block(7)
    expect(other.setStateDict({ ...partial, extra: ones([1]) })).toEqual({
      missing: ['first.bias', 'second.weight', 'second.bias'],
      unexpected: ['second.weight', 'second.bias', 'extra'],
      mismatched: [
        { name: 'second.weight', expected: [4, 7], got: [4, 2] },
        { name: 'second.bias', expected: [7], got: [2] },
      ],
    })
  })

  test('takes a state dictionary by parameter names', () => {
    const [source, target] = [guard(() => new Linear(2, 3)), guard(() => new Linear(2, 3))]
    const state = Object.fromEntries(source.parameters().map((p) => [p.name, p]))
    expect(target.setStateDict(state, { useStructuredName: false })).toEqual({
      missing: [],
      unexpected: [],
      mismatched: [],
    })
    expect(target.weight.arraySync()).toEqual(source.weight.arraySync())
  })

  test('names the layer in which a shape error was thrown', () => {
    class Outer extends Layer {
      blocks = new LayerList([new Block(), new Block()])
      forward(x: Tensor): Tensor {
        return this.blocks.at(1)(x)
      }
    }
    const outer = new Outer()
    expect(() => outer(ones([2, 5]))).toThrow(ShapeError)
    expect(() => outer(ones([2, 5]))).toThrow(/^Outer\.blocks\.1\.first: linear: \[2, 5\] x \[3, 4\]/)
  })

  test('changes dtype and loses no value', () => {
    const linear = new Linear(2, 2)
    const before = linear.weight.arraySync()
    linear.to({ dtype: 'float64' })
    expect([linear.weight.dtype, linear.weight.trainable]).toEqual(['float64', true])
    expect(linear.weight.arraySync()).toEqual(before)
    expect(() => linear.to({ dtype: 'int32' })).toThrow(ArgumentError)
  })

  test('makes parameters as its attributes say', () => {
    const linear = new Linear(2, 3, {
      weightAttr: new ParamAttr({
        name: 'mine',
        initializer: new Constant(2),
        learningRate: 0.5,
        trainable: false,
        needClip: false,
      }),
      biasAttr: false,
    })
    expect(linear.bias).toBeNull()
    expect(linear.weight).toBeInstanceOf(Parameter)
    expect(linear.weight.arraySync()).toEqual([
      [2, 2, 2],
      [2, 2, 2],
    ])
    const { name, optimizeAttr, trainable, needClip, stopGradient } = linear.weight
    expect({ name, optimizeAttr, trainable, needClip, stopGradient }).toEqual({
      name: 'mine',
      optimizeAttr: { learningRate: 0.5 },
      trainable: false,
      needClip: false,
      stopGradient: true,
    })
  })

  test('refuses names that would not work', () => {
    const block = new Block()
    expect(() => block.addSublayer('a.b', new ReLU())).toThrow(ArgumentError)
    expect(() => block.addSublayer('train', new ReLU())).toThrow(/already a method/)
    expect(() => block.addParameter('p', 3 as never)).toThrow(ArgumentError)
    block.addSublayer('more', new ReLU())
    expect(block.namedChildren().map(([n]) => n)).toContain('more')
  })

  test('keeps the output of the outermost call over an update of its weights', async () => {
    const linear = new Linear(2, 1, { weightAttr: new Constant(1), biasAttr: false })
    const y = linear(ones([1, 2]))
    linear.weight.assign(zeros([2, 1]))
    expect(linear.weight.arraySync()).toEqual([[0], [0]])
    expect(await y.array()).toEqual([[2]])
  })
})

describe('containers', () => {
  test('Sequential runs its layers and is typed by its first and last', () => {
    const net = new Sequential(new Linear(2, 3), new ReLU(), new Linear(3, 1))
    expect(net(ones([4, 2])).shape).toEqual([4, 1])
    expect([net.length, net.at(-1)]).toEqual([3, net.at(2)])
    expect(Object.keys(net.stateDict())).toEqual(['0.weight', '0.bias', '2.weight', '2.bias'])
    expect(() => net.at(3)).toThrow(/out of range/)
  })

  test('LayerList grows in the middle', () => {
    const list = new LayerList([new Linear(1, 2), new Linear(1, 4)])
    list.insert(1, new Linear(1, 3)).append(new Linear(1, 5))
    expect(list.map((l) => l.outFeatures)).toEqual([2, 3, 4, 5])
    expect(list.namedChildren().map(([n]) => n)).toEqual(['0', '1', '2', '3'])
  })

  test('LayerDict keeps any name in order', () => {
    const dict = new LayerDict({ train: new Linear(1, 2) })
    dict.set('7', new Linear(1, 3)).set('1', new Linear(1, 4))
    expect(dict.keys()).toEqual(['train', '7', '1'])
    expect(dict.get('7').outFeatures).toBe(3)
    expect(() => dict.get('x')).toThrow(/there is no 'x'/)
    expect(dict.pop('7')).toBeInstanceOf(Linear)
    expect(dict.length).toBe(2)
  })

  test('ParameterList holds parameters', () => {
    const linear = new Linear(2, 2)
    const list = new ParameterList(linear.parameters())
    expect(Object.keys(list.stateDict())).toEqual(['0', '1'])
  })
})

test.each([
  ['Conv2D', 'conv2d'],
  ['BatchNorm2D', 'batch_norm2d'],
  ['PReLU', 'p_re_lu'],
  ['LSTMCell', 'lstm_cell'],
  ['Conv2DTranspose', 'conv2d_transpose'],
  ['SimpleCNN', 'simple_cnn'],
])('%s is %s in names', (name, snake) => {
  expect(snakeCase(name)).toBe(snake)
})

describe('initial weights after seed(s) are those of paddle.seed(s)', () => {
  const { draws } = JSON.parse(
    readFileSync(new URL('../../test/fixtures/rng/draws.json', import.meta.url), 'utf8'),
  ) as { draws: Record<string, Record<string, number[] & Record<string, number[]>>> }

  const check = (weight: Tensor, recorded: readonly number[]): void => {
    const values = weight.dataSync()
    recorded.forEach((v, i) => expect(Math.abs(Number(values[i]) - v)).toBeLessThanOrEqual(2 ** -22 * Math.abs(v)))
  }

  test.each(Object.keys(draws))('s = %s', (seed) => {
    const start = (): void => void defaultGenerator().manualSeed(Number(seed))
    start()
    check(new Linear(5, 7).weight, draws[seed]!['Linear(5,7).weight']!)
    start()
    check(new Conv2D(3, 2, 3).weight, draws[seed]!['Conv2D(3,2,3).weight']!)
    start()
    const net = new Sequential(new Conv2D(3, 4, 3), new ReLU(), new Linear(4, 3))
    const state = net.stateDict()
    const recorded = draws[seed]!['Sequential(Conv2D(3,4,3),ReLU,Linear(4,3)) in order']!
    for (const [name, values] of Object.entries(recorded)) check(state[name]!, values as unknown as number[])
  })
})
