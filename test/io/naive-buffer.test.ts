/** Paddle Lite's .nb files: those of its own `opt`, and a network written by hand that the real runtime must run. */
import { existsSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { ArgumentError, FormatError } from '../../src/common/errors.ts'
import { nn, setDevice, type Tensor } from '../../src/index.ts'
import {
  parseNaiveBuffer,
  serializeNaiveBuffer,
  type NaiveBuffer,
} from '../../src/io/formats/naive-buffer/naive-buffer.ts'
import {
  VAR_TYPE,
  type AttributeDesc,
  type OpDesc,
  type ProgramDesc,
  type VarDesc,
} from '../../src/io/formats/paddle/program-desc.ts'
import { parseNpy } from '../../src/io/npy.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { paddleLitePython, runInPaddleLite } from '../support/paddlelite.ts'
import { makeScratch } from '../support/scratch.ts'

const python = paddleLitePython()
const fixture = (name: string): Buffer =>
  readFileSync(fileURLToPath(new URL(`../fixtures/lite/${name}`, import.meta.url)))

let directory: string
beforeAll(() => {
  setDevice('reference')
  directory = makeScratch('naive-buffer')
})
afterAll(() => rm(directory, { recursive: true }))

const VERSION = [2, 18] as const

/** The bytes without what `opt` leaves uninitialised: the rest of its version's 16 characters. */
function comparable(bytes: Uint8Array): Buffer {
  const out = Buffer.from(bytes)
  out.fill(0, out.indexOf(0, VERSION[0]), VERSION[1])
  return out
}

describe('files of opt', () => {
  const original = fixture('simplecnn_v32.x86.nb')

  test('program and parameters', () => {
    const { optVersion, program, parameters } = parseNaiveBuffer(original)
    expect(optVersion).toBe('v2.12')
    expect(program.version).toBe(2006002)
    const [root] = program.blocks
    expect(root!.ops.map((op) => op.type)).toEqual([
      'feed',
      'conv2d',
      'reshape2',
      'fusion_elementwise_add_activation',
      'pool2d',
      'flatten_contiguous_range',
      'matmul_v2',
      'elementwise_add',
      'fetch',
    ])
    expect(root!.ops[1]).toMatchObject({
      inputs: [
        { name: 'Filter', variables: ['conv2d_0.w_0'] },
        { name: 'Input', variables: ['x'] },
      ],
      outputs: [{ name: 'Output', variables: ['conv2d_0.tmp_0'] }],
    })
    expect(root!.ops[1]!.attributes).toContainEqual({ name: 'strides', type: 'ints', value: [1, 1] })
    expect(root!.vars.find((v) => v.name === 'x')).toEqual({
      name: 'x',
      type: { type: VAR_TYPE.denseTensor, tensor: { dataType: VAR_TYPE.float32, dims: [-1, 3, 32, 32] }, lodLevel: 0 },
      persistable: false,
      needCheckFeed: false,
      isParameter: false,
      stopGradient: false,
    })
    expect(Object.entries(parameters).map(([name, a]) => [name, a.dtype, a.shape])).toEqual([
      ['conv2d_0.b_0', 'float32', [32]],
      ['conv2d_0.w_0', 'float32', [32, 3, 3, 3]],
      ['linear_0.b_0', 'float32', [10]],
      ['linear_0.w_0', 'float32', [7200, 10]],
    ])
  })

  test('written again, they are the same bytes', () => {
    const again = serializeNaiveBuffer(parseNaiveBuffer(original))
    expect(comparable(again).equals(comparable(original))).toBe(true)
  })

  const shared = fileURLToPath(new URL('../../../shared/fixtures/lite', import.meta.url))
  const large = ['ch_ppocr_mobile_v2.0_cls.x86.nb', 'ch_ppocr_mobile_v2.0_cls.arm.nb', 'simplecnn_v32.arm.nb']
  test.runIf(existsSync(shared)).each(large)('the larger recorded file %s too', (name) => {
    const bytes = readFileSync(join(shared, name))
    const model = parseNaiveBuffer(bytes)
    expect(Object.keys(model.parameters).length).toBeGreaterThan(3)
    expect(comparable(serializeNaiveBuffer(model)).equals(comparable(bytes))).toBe(true)
  })

  test.runIf(python)('Paddle Lite runs what was written again as the recorded predictor ran it', async () => {
    const path = join(directory, 'again.nb')
    await writeFile(path, serializeNaiveBuffer(parseNaiveBuffer(original)))
    const expected = parseNpy(fixture('simplecnn_v32.output.npy'))
    const [[shape, values]] = runInPaddleLite(python ?? '', path, [parseNpy(fixture('simplecnn_v32.input.npy'))]) as [
      [number[], number[]],
    ]
    expect(shape).toEqual(expected.shape)
    expect(values).toEqual(Array.from(expected.data as Float32Array, (v): unknown => expect.closeTo(v, 4)))
  })

  test('damage and other versions are said', () => {
    const model = parseNaiveBuffer(original)
    expect(() => parseNaiveBuffer(original.subarray(0, 10))).toThrow(FormatError)
    expect(() => parseNaiveBuffer(original.subarray(0, original.length - 1))).toThrow('truncated')
    expect(() => parseNaiveBuffer(Buffer.concat([original, Buffer.alloc(3)]))).toThrow('3 bytes after the last')
    for (const [version, says] of [
      [0, 'Paddle Lite before 2.7'],
      [1, 'Paddle Lite before 2.7'],
      [3, 'unknown meta version'],
    ] as const) {
      const other = Buffer.from(original)
      other.writeUInt16LE(version, 0)
      expect(() => parseNaiveBuffer(other)).toThrow(says)
    }
    const attribute: AttributeDesc = { name: 'axis', type: 'var', value: 'x' }
    const [root, ...rest] = model.program.blocks
    const ops = [{ ...root!.ops[0]!, attributes: [attribute] }]
    const program: ProgramDesc = { ...model.program, blocks: [{ ...root!, ops }, ...rest] }
    expect(() => serializeNaiveBuffer({ ...model, program })).toThrow(ArgumentError)
  })
})

// ---- by hand --------------------------------------------------------------------------------------------------------------------

function op(
  type: string,
  inputs: Record<string, string>,
  outputs: Record<string, string>,
  attributes: readonly AttributeDesc[] = [],
): OpDesc {
  const slots = (of: Record<string, string>): OpDesc['inputs'] =>
    Object.entries(of).map(([name, variable]) => ({ name, variables: [variable] }))
  return { type, inputs: slots(inputs), outputs: slots(outputs), attributes, isTarget: false }
}

function variable(
  name: string,
  dims: readonly number[],
  persistable = false,
  type: number = VAR_TYPE.denseTensor,
): VarDesc {
  const dataType = type === VAR_TYPE.denseTensor ? VAR_TYPE.float32 : 0
  return {
    name,
    type: { type, tensor: { dataType, dims }, lodLevel: 0 },
    persistable,
    needCheckFeed: false,
    isParameter: persistable && type === VAR_TYPE.denseTensor,
    stopGradient: false,
  }
}

const ints = (name: string, value: readonly number[]): AttributeDesc => ({ name, type: 'ints', value })
const int = (name: string, value: number): AttributeDesc => ({ name, type: 'int', value })
const text = (name: string, value: string): AttributeDesc => ({ name, type: 'string', value })
const float = (name: string, value: number): AttributeDesc => ({ name, type: 'float', value })
const flag = (name: string, value: boolean): AttributeDesc => ({ name, type: 'boolean', value })

/** Conv2D(2, 3, 3, stride 2, padding 1), BatchNorm2D(3), hard-swish-free: ReLU, Linear over the last axis, softmax. */
function handWritten(weights: Readonly<Record<string, HostArray>>): NaiveBuffer {
  const norm = { Scale: 'bn.w', Bias: 'bn.b', Mean: 'bn.mean', Variance: 'bn.variance' }
  const ops = [
    op('feed', { X: 'feed' }, { Out: 'x' }, [int('col', 0)]),
    // Attributes in no order: the writer sorts them.
    op('conv2d', { Input: 'x', Filter: 'conv.w' }, { Output: 'a' }, [
      ints('strides', [2, 2]),
      ints('paddings', [1, 1]),
      ints('dilations', [1, 1]),
      int('groups', 1),
      text('padding_algorithm', 'EXPLICIT'),
      text('data_format', 'NCHW'),
    ]),
    op(
      'batch_norm',
      { X: 'a', ...norm },
      {
        Y: 'b',
        MeanOut: 'bn.mean',
        VarianceOut: 'bn.variance',
        SavedMean: 'saved.mean',
        SavedVariance: 'saved.variance',
      },
      [
        float('momentum', 0.9),
        float('epsilon', 1e-5),
        flag('is_test', true),
        flag('use_global_stats', true),
        text('data_layout', 'NCHW'),
      ],
    ),
    op('relu', { X: 'b' }, { Out: 'c' }),
    op('matmul_v2', { X: 'c', Y: 'fc.w' }, { Out: 'd' }, [flag('trans_x', false), flag('trans_y', false)]),
    op('elementwise_add', { X: 'd', Y: 'fc.b' }, { Out: 'e' }, [int('axis', -1)]),
    op('softmax', { X: 'e' }, { Out: 'y' }, [int('axis', -1)]),
    op('fetch', { X: 'y' }, { Out: 'fetch' }, [int('col', 0)]),
  ]
  const vars = [
    variable('feed', [], true, VAR_TYPE.feedMinibatch),
    variable('fetch', [], true, VAR_TYPE.fetchList),
    variable('x', [-1, 2, 9, 9]),
    ...['a', 'b', 'c'].map((name) => variable(name, [-1, 3, 5, 5])),
    ...['saved.mean', 'saved.variance'].map((name) => variable(name, [3])),
    ...['d', 'e', 'y'].map((name) => variable(name, [-1, 3, 5, 4])),
    ...Object.entries(weights).map(([name, array]) => variable(name, array.shape, true)),
  ]
  const blocks = [{ idx: 0, parentIdx: -1, vars, ops, forwardBlockIdx: -1 }]
  return { optVersion: 'v2.12', program: { blocks, version: 2006002, opVersions: new Map() }, parameters: weights }
}

class Small extends nn.Layer {
  conv = new nn.Conv2D(2, 3, { kernelSize: 3, stride: 2, padding: 1, biasAttr: false })
  bn = new nn.BatchNorm2D(3)
  fc = new nn.Linear(5, 4)

  forward(x: Tensor): Tensor {
    return nn.functional.softmax(this.fc(nn.functional.relu(this.bn(this.conv(x)))), -1)
  }
}

describe('a network written by hand', () => {
  const wave = (shape: readonly number[], phase: number): HostArray & { readonly data: Float32Array } => {
    const n = shape.reduce((a, b) => a * b, 1)
    return { dtype: 'float32', shape, data: Float32Array.from({ length: n }, (_, i) => Math.sin(i * 0.7 + phase)) }
  }
  const positive = wave([3], 4)
  positive.data.forEach((v, i) => (positive.data[i] = v + 1.5))
  const weights = {
    'conv.w': wave([3, 2, 3, 3], 0),
    'bn.w': wave([3], 1),
    'bn.b': wave([3], 2),
    'bn.mean': wave([3], 3),
    'bn.variance': positive,
    'fc.w': wave([5, 4], 5),
    'fc.b': wave([4], 6),
  }

  test('comes back, with slots and attributes in order', () => {
    const model = handWritten(weights)
    const read = parseNaiveBuffer(serializeNaiveBuffer(model))
    expect(read.parameters).toEqual(weights)
    expect(read.program.blocks[0]!.vars).toEqual(model.program.blocks[0]!.vars)
    const sorted = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name).toSorted()
    for (const [i, { type, inputs, attributes }] of read.program.blocks[0]!.ops.entries()) {
      const own = model.program.blocks[0]!.ops[i]!
      expect(type).toBe(own.type)
      expect(inputs.map(({ name }) => name)).toEqual(sorted(own.inputs))
      expect(attributes.map(({ name }) => name)).toEqual(sorted(own.attributes))
      for (const attribute of own.attributes) {
        const value = attribute.type === 'float' ? { ...attribute, value: Math.fround(attribute.value) } : attribute
        expect(attributes).toContainEqual(value)
      }
    }
  })

  test('attributes of every type come back', () => {
    const attributes: AttributeDesc[] = [
      { name: 'a', type: 'int', value: -5 },
      { name: 'b', type: 'float', value: 0.5 },
      { name: 'c', type: 'string', value: 'ü键' },
      { name: 'd', type: 'ints', value: [1, -2] },
      { name: 'e', type: 'floats', value: [0.25, -1] },
      { name: 'f', type: 'strings', value: ['', 'x'] },
      { name: 'g', type: 'boolean', value: true },
      { name: 'h', type: 'booleans', value: [true, false] },
      { name: 'i', type: 'block', value: 3 },
      { name: 'j', type: 'long', value: 2n ** 62n },
      { name: 'k', type: 'blocks', value: [1, 2] },
      { name: 'l', type: 'longs', value: [-1, 2n ** 60n] },
      { name: 'm', type: 'float64s', value: [0.1, -1e300] },
      { name: 'n', type: 'float64', value: 0.1 },
    ]
    const model = handWritten(weights)
    const [root] = model.program.blocks
    const program = { ...model.program, blocks: [{ ...root!, ops: [{ ...root!.ops[0]!, attributes }] }] }
    expect(parseNaiveBuffer(serializeNaiveBuffer({ ...model, program })).program).toEqual(program)
  })

  test.runIf(python)('gives in Paddle Lite what the same layer gives here', async () => {
    const path = join(directory, 'by-hand.nb')
    await writeFile(path, serializeNaiveBuffer(handWritten(weights)))
    const layer = new Small()
    const names = {
      'bn.w': 'bn.weight',
      'bn.b': 'bn.bias',
      'bn.mean': 'bn._mean',
      'bn.variance': 'bn._variance',
    } as const
    const state = Object.entries(weights).map(([name, array]) => [
      names[name as keyof typeof names] ?? name.replace('.w', '.weight').replace('.b', '.bias'),
      array,
    ])
    expect(layer.setStateDict(Object.fromEntries(state))).toMatchObject({ missing: [], unexpected: [] })
    layer.eval()
    for (const batch of [1, 2]) {
      const x = wave([batch, 2, 9, 9], 7)
      const expected = await layer(fromHost(x)).hostArray()
      const [[shape, values]] = runInPaddleLite(python ?? '', path, [x]) as [[number[], number[]]]
      expect(shape).toEqual(expected.shape)
      expect(values).toEqual(Array.from(expected.data as Float32Array, (v): unknown => expect.closeTo(v, 5)))
    }
  })
})
