/** Paddle's .pdparams and .pdopt: recorded files of all kinds, and PaddlePaddle itself in both directions where it is installed. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBfloat16Bits, type HostArray } from '../../src/common/dtype.ts'
import { load, Model, nn, optimizer, save, setDevice, type Tensor } from '../../src/index.ts'
import { decodeState } from '../../src/io/formats/pdparams/decode.ts'
import { encodeState } from '../../src/io/formats/pdparams/encode.ts'
import type { PickleDict } from '../../src/io/formats/pickle/values.ts'
import { serializePickle } from '../../src/io/formats/pickle/write.ts'
import { renameOptimizerState } from '../../src/io/index.ts'
import { guard } from '../../src/nn/unique-name.ts'
import { fromHost } from '../../src/tensor/tensor.ts'
import { readArrays, readJson } from '../support/fixtures.ts'
import { askPaddle, paddlePython } from '../support/paddle.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

const python = paddlePython()
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url))
const recorded = (name: string): string => join(fixtures, 'pickles', name)

let directory: string
beforeAll(() => {
  setDevice('reference')
  directory = makeScratch('pdparams')
})
afterAll(() => rm(directory, { recursive: true }))
const at = (name: string): string => join(directory, name)

describe('recorded files', () => {
  // The recorder had run the network once more before it wrote the arrays: the statistics are those of a new layer in the files.
  const statistic = (value: number): HostArray => array('float32', [4], new Float32Array(4).fill(value))
  const expected: Record<string, HostArray> = {
    ...readArrays('pickles/expected'),
    '1._mean': statistic(0),
    '1._variance': statistic(1),
  }

  test.each(['proto2.pdparams', 'proto3.pdparams', 'proto4.pdparams'])(
    '%s holds the recorded weights',
    async (name) => {
      expect(await load(recorded(name), { returnHostArrays: true })).toEqual(expected)
    },
  )

  test('names of NumPy 2 are the same names', async () => {
    const [a, b] = await Promise.all(
      ['proto4_numpy2.pdparams', 'proto4.pdparams'].map((name) => load(recorded(name), { returnHostArrays: true })),
    )
    const described = (state: object): unknown =>
      Object.entries(state as Record<string, HostArray>).map(([key, { dtype, shape }]) => [key, dtype, shape])
    expect(described(a!)).toEqual(described(b!))
  })

  test('tensors that protocol 2 cut are whole again', async () => {
    const state = await load(recorded('sliced_proto2.pdparams'), { returnHostArrays: true })
    expect(state).toEqual({ '0.bias': expected['0.bias'], '0.weight': expected['0.weight'] })
  })

  test('tensors carry the unique names, and the table can be kept', async () => {
    const state = await load(recorded('proto4.pdparams'))
    expect(state['1._variance']!.name).toBe('batch_norm1d_0.w_2')
    expect(state['2.0.cell.bias_hh']!.name).toBe('lstm_cell_0.b_1')
    const kept = await load<Record<string, object>>(recorded('proto2.pdparams'), { keepNameTable: true })
    expect(kept['StructuredToParameterName@@']).toMatchObject({ '0.weight': 'linear_0.w_0' })
    expect(Object.keys(kept)).toHaveLength(15)
  })

  test('all dtypes, bfloat16 from the bits in uint16', async () => {
    const state = await load<Record<string, HostArray>>(recorded('dtypes.pdparams'), { returnHostArrays: true })
    const described = Object.fromEntries(Object.entries(state).map(([key, a]) => [key, [a.dtype, a.shape, ...a.data]]))
    expect(described).toEqual({
      bf16: ['bfloat16', [2], toBfloat16Bits(1.5), toBfloat16Bits(-2.25)],
      f16: ['float16', [2], 0x3e00, 0x4100],
      f64: ['float64', [1], 1.5],
      i64: ['int64', [2], 1n, -2n],
      i32: ['int32', [1], 3],
      u8: ['uint8', [1], 250],
      b: ['bool', [2], 1, 0],
      zero_d: ['float32', [], 3.5],
      empty: ['float32', [0, 3]],
    })
  })

  test('nested values, and a tensor alone', async () => {
    const { model, ...rest } = await load<Record<string, unknown>>(recorded('nested.pd'))
    const { '0.weight': weight } = model as Record<string, Tensor>
    expect(weight!.name).toBe('linear_0.w_0')
    expect(await weight!.hostArray()).toEqual(expected['0.weight'])
    const [tensor, ...list] = rest['list'] as [Tensor, ...unknown[]]
    expect(await tensor.array()).toEqual([1, 1])
    expect({ ...rest, list }).toEqual({
      epoch: 7,
      best: { acc: 0.5, name: 'x' },
      list: ['str', null, true, -1, 2 ** 40, 0.001],
    })
    const alone = await load<Tensor>(recorded('tensor.pdtensor'))
    expect(await alone.hostArray()).toEqual(expected['0.weight'])
  })

  test('the state of an optimizer with a schedule inside a schedule', async () => {
    const state = await load(recorded('adamw_sched.pdopt'))
    expect(state['LR_Scheduler']).toEqual({
      last_epoch: 0,
      last_lr: 0,
      LinearWarmup_LR: { last_epoch: 0, last_lr: 0.001 },
    })
    expect(await state['lstm_cell_0.b_1_beta1_pow_acc_0']!.array()).toEqual([expect.closeTo(0.9 ** 2, 6)])
  })
})

describe('round trips', () => {
  const names = readdirSync(join(fixtures, 'pickles')).filter((name) => !name.endsWith('.npz'))

  test.each(names.flatMap((name) => ([2, 3, 4] as const).map((protocol) => [name, protocol] as const)))(
    '%s, written with protocol %i',
    async (name, protocol) => {
      const again = at(`${protocol}-${name}`)
      await save(await load(recorded(name)), again, { protocol })
      const options = { returnHostArrays: true, keepNameTable: true }
      const [written, original] = [await load(again, options), await load(recorded(name), options)]
      // Two of the files have no table of names; what is written has one.
      delete (written as Partial<typeof written>)['StructuredToParameterName@@']
      delete (original as Partial<typeof original>)['StructuredToParameterName@@']
      expect(written).toEqual(original)
    },
  )

  test.runIf(python)('PaddlePaddle loads what was written as it loads the original', () => {
    const program = `
import json, sys
import numpy as np, paddle
def same(a, b, path):
    if isinstance(a, paddle.Tensor):
        assert isinstance(b, paddle.Tensor) and a.dtype == b.dtype and a.shape == b.shape, path
        assert np.array_equal(a.cast('float64').numpy(), b.cast('float64').numpy()), path
        if not a.name.startswith('generated_tensor'): assert a.name == b.name, (path, a.name, b.name)
    elif isinstance(a, dict):
        assert list(a) == list(b), (path, list(a), list(b))
        for key in a: same(a[key], b[key], path + '.' + str(key))
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)): same(x, y, f'{path}[{i}]')
    else: assert a == b, (path, a, b)
pairs = json.load(sys.stdin)
for original, written in pairs: same(paddle.load(original), paddle.load(written), original)
print(json.dumps(len(pairs)))
`
    const pairs = names.flatMap((name) => [2, 3, 4].map((protocol) => [recorded(name), at(`${protocol}-${name}`)]))
    expect(askPaddle(python ?? '', program, pairs)).toBe(pairs.length)
  })

  test('the values of a state come back, whatever they are', async () => {
    const value = {
      'key with ünicode 键': 'text 文字',
      long: 'x'.repeat(1000) + '键',
      numbers: [
        0,
        -1,
        255,
        256,
        65536,
        -(2 ** 31),
        2 ** 40,
        -(2 ** 52),
        0.1,
        NaN,
        Infinity,
        -Infinity,
        -0,
        2n ** 70n,
        -(2n ** 63n),
      ],
      nothing: null,
      flags: [true, false],
      empty: [[], {}, ''],
      many: Array.from({ length: 2500 }, (_, i) => i),
      large: Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`k${i}`, i])),
      scalar: array('float32', [], new Float32Array([2])),
      none: array('float32', [0, 3], new Float32Array(0)),
      bits: array('bfloat16', [2, 1], new Uint16Array([0x3fc0, 0xc010])),
      int: array('int64', [2], new BigInt64Array([2n ** 62n, -1n])),
      bool: array('bool', [3], new Uint8Array([1, 0, 1])),
    }
    for (const protocol of [2, 3, 4] as const) {
      await save(value, at('values.pd'), { protocol })
      expect(await load(at('values.pd'), { returnHostArrays: true })).toEqual(value)
    }
  })
})

test('protocols 2 and 3 cut what is too large for them, as Paddle does', async () => {
  const state = {
    small: array('float32', [3], Float32Array.of(1, 2, 3)),
    large: array(
      'float32',
      [3, 7],
      Float32Array.from({ length: 21 }, (_, i) => i),
    ),
    half: array(
      'bfloat16',
      [11],
      Uint16Array.from({ length: 11 }, (_, i) => i),
    ),
  }
  const cut = await encodeState(state, 'save', { protocol: 2, sliceBytes: 20 })
  expect([...(cut as PickleDict).keys()]).toEqual([
    'small',
    ...['@@.0', '@@.1', '@@.2', '@@.3', '@@.4'].map((part) => `large${part}`),
    ...['@@.0', '@@.1'].map((part) => `half${part}`),
    'StructuredToParameterName@@',
    'UnpackBigParamInfor@@',
  ])
  const bytes = serializePickle(cut, { protocol: 2 })
  const whole = decodeState(bytes, (a) => a) as Record<string, unknown>
  expect(whole).toEqual(state)
  const four = await encodeState(state, 'save', { protocol: 4, sliceBytes: 20 })
  expect([...(four as PickleDict).keys()]).toEqual(['small', 'large', 'half', 'StructuredToParameterName@@'])
  if (!python) return
  writeFileSync(at('cut.pdparams'), bytes)
  const program = `
import json, sys
import paddle
state = paddle.load(json.load(sys.stdin))
print(json.dumps({key: [str(t.dtype), t.shape, t.cast('float32').flatten().tolist()] for key, t in state.items()}))
`
  expect(askPaddle(python, program, at('cut.pdparams'))).toMatchObject({
    small: ['paddle.float32', [3], [1, 2, 3]],
    large: ['paddle.float32', [3, 7], [...state.large.data]],
    half: ['paddle.bfloat16', [11], expect.anything()],
  })
})

const shared = fileURLToPath(new URL('../../../shared/fixtures', import.meta.url))

test.runIf(python && existsSync(shared))('the larger recorded files hold what PaddlePaddle finds in them', async () => {
  const paths = [
    ...readdirSync(join(shared, 'models'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => ['train', 'model'].map((file) => join(shared, 'models', name, `${file}.pdparams`))),
    join(shared, 'simplecnn/v32/init.pdparams'),
  ].filter((path) => existsSync(path))
  const own = await Promise.all(
    paths.map(async (path) => {
      const state = await load<Record<string, HostArray>>(path, { returnHostArrays: true })
      return Object.entries(state).map(([name, a]) => {
        const bytes = new Uint8Array(a.data.buffer, a.data.byteOffset, a.data.byteLength)
        return [name, a.dtype, a.shape, createHash('sha256').update(bytes).digest('hex')]
      })
    }),
  )
  const program = `
import hashlib, json, sys
import paddle
def described(path):
    arrays = {name: t.numpy() for name, t in paddle.load(path).items()}
    return [[name, str(a.dtype), list(a.shape), hashlib.sha256(a.tobytes()).hexdigest()] for name, a in arrays.items()]
print(json.dumps([described(path) for path in json.load(sys.stdin)]))
`
  expect(askPaddle(python ?? '', program, paths)).toEqual(own)
  expect(own.map((entries) => entries.length).every((n) => n >= 4)).toBe(true)
})

function array(dtype: HostArray['dtype'], shape: readonly number[], data: HostArray['data']): HostArray {
  return { dtype, shape, data }
}

// ---- training goes on -----------------------------------------------------------------------------------------------------------

const STEPS = 4
const BATCH = 8
const { lr } = optimizer
type Make = (parameters: Tensor[]) => optimizer.Optimizer

/** As in scripts/fixtures/continued.py. */
const optimizers: Record<string, Make> = {
  sgd: (parameters) => new optimizer.SGD({ learningRate: 0.1, parameters }),
  momentum: (parameters) =>
    new optimizer.Momentum({ learningRate: 0.05, momentum: 0.9, weightDecay: 1e-3, parameters }),
  adam: (parameters) => new optimizer.Adam({ learningRate: 0.01, parameters }),
  adam_warm_cosine: (parameters) => {
    const cosine = new lr.CosineAnnealingDecay({ learningRate: 0.02, tMax: 10 })
    const learningRate = new lr.LinearWarmup({ learningRate: cosine, warmupSteps: 2, startLr: 0, endLr: 0.02 })
    return new optimizer.Adam({ learningRate, parameters })
  },
  adam_amsgrad: (parameters) => new optimizer.Adam({ learningRate: 0.01, amsgrad: true, parameters }),
  adamw_steps: (parameters) => {
    const learningRate = new lr.StepDecay({ learningRate: 0.02, stepSize: 3, gamma: 0.5 })
    return new optimizer.AdamW({ learningRate, weightDecay: 0.05, parameters })
  },
  adamax: (parameters) => new optimizer.Adamax({ learningRate: 0.01, parameters }),
  adagrad: (parameters) => new optimizer.Adagrad({ learningRate: 0.05, parameters }),
  adadelta: (parameters) => new optimizer.Adadelta({ learningRate: 0.5, parameters }),
  rmsprop: (parameters) => new optimizer.RMSProp({ learningRate: 0.01, momentum: 0.5, centered: true, parameters }),
  lamb: (parameters) => new optimizer.Lamb({ learningRate: 0.02, parameters }),
  nadam: (parameters) => new optimizer.NAdam({ learningRate: 0.01, parameters }),
  radam: (parameters) => new optimizer.RAdam({ learningRate: 0.01, parameters }),
}

function network(): nn.Sequential {
  return new nn.Sequential(new nn.Linear(4, 6), new nn.BatchNorm1D(6), new nn.ReLU(), new nn.Linear(6, 3))
}

/** Model and optimizer whose parameters have the names of a new process. */
function fresh(name: string): { model: nn.Sequential; opt: optimizer.Optimizer } {
  return guard(() => {
    const model = network()
    return { model, opt: optimizers[name]!(model.parameters()) }
  })
}

function batch(step: number): [Tensor, Tensor] {
  const x = Float32Array.from({ length: BATCH * 4 }, (_, i) => (((i + step * 1009) * 7919) % 199) / 100 - 1)
  const y = BigInt64Array.from({ length: BATCH }, (_, i) => BigInt((i * 5 + step) % 3))
  return [
    fromHost({ dtype: 'float32', shape: [BATCH, 4], data: x }),
    fromHost({ dtype: 'int64', shape: [BATCH], data: y }),
  ]
}

async function train(model: nn.Sequential, opt: optimizer.Optimizer, from: number, to: number): Promise<number[]> {
  const criterion = new nn.CrossEntropyLoss()
  const losses: number[] = []
  for (let step = from; step < to; step++) {
    const [x, y] = batch(step)
    const loss = criterion(model(x) as Tensor, y)
    loss.backward()
    opt.step()
    opt.clearGrad()
    opt.lrScheduler?.step()
    losses.push(await loss.item())
  }
  return losses
}

const near = (values: readonly number[]): unknown[] => values.map((v): unknown => expect.closeTo(v, 4))

describe('training goes on', () => {
  const losses = readJson<Record<string, number[]>>('continued/losses')
  const file = (name: string): string => join(fixtures, 'continued', name)

  test('every recorded run has its optimizer here', () => {
    expect(Object.keys(losses)).toEqual(Object.keys(optimizers))
  })

  test.each(Object.keys(optimizers))("from Paddle's files with Paddle's losses: %s", async (name) => {
    const { model, opt } = fresh(name)
    const report = model.setStateDict(await load(file(`${name}.pdparams`)))
    expect(report).toEqual({ missing: [], unexpected: [], mismatched: [] })
    opt.setStateDict(await load(file(`${name}.pdopt`)))
    expect(await train(model, opt, STEPS, 2 * STEPS)).toEqual(near(losses[name]!))
  })

  test("Model.load takes Paddle's files where there are no others", async () => {
    const { model: layer, opt } = fresh('adam')
    const model = new Model(layer)
    model.prepare({ optimizer: opt, loss: new nn.CrossEntropyLoss() })
    await model.load(file('adam'))
    expect(await train(layer, opt, STEPS, 2 * STEPS)).toEqual(near(losses['adam']!))
    await expect(model.load(file('nothing'))).rejects.toThrow('nothing.safetensors')
  })

  test("files of a process's second optimizer end in another number", async () => {
    const { model, opt } = fresh('adam')
    model.setStateDict(await load(file('adam.pdparams')))
    const second = Object.entries(await load(file('adam.pdopt'))).map(
      ([key, t]) => [key.replace(/_0$/, '_1'), t] as const,
    )
    opt.setStateDict(Object.fromEntries(second))
    expect(await train(model, opt, STEPS, 2 * STEPS)).toEqual(near(losses['adam']!))
  })

  test('where other layers were built before, the state says so and can be renamed', async () => {
    const { model, opt } = guard(() => {
      network()
      const second = network()
      return { model: second, opt: optimizers['adam']!(second.parameters()) }
    })
    const weights = await load(file('adam.pdparams'))
    model.setStateDict(weights)
    const state = await load(file('adam.pdopt'))
    expect(() => opt.setStateDict(state)).toThrow(/'linear_0\.w_0_moment1_0' in it.*renameOptimizerState/)
    opt.setStateDict(renameOptimizerState(state, weights, model.stateDict()))
    expect(await train(model, opt, STEPS, 2 * STEPS)).toEqual(near(losses['adam']!))
  })

  test.runIf(python)("in PaddlePaddle from this project's files, with this project's losses", async () => {
    const folder = at('continued')
    mkdirSync(folder)
    const own: Record<string, unknown> = {}
    for (const name of Object.keys(optimizers)) {
      const { model, opt } = fresh(name)
      await train(model, opt, 0, STEPS)
      await save(model.stateDict(), join(folder, `${name}.pdparams`))
      await save(opt.stateDict(), join(folder, `${name}.pdopt`))
      own[name] = near(await train(model, opt, STEPS, 2 * STEPS))
    }
    const script = join(ROOT, 'scripts/fixtures/continued.py')
    const output = execFileSync(python ?? '', ['-W', 'ignore', script, 'goon', folder], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
    expect(JSON.parse(output.trimEnd().split('\n').at(-1) ?? '')).toEqual(own)
  })

  test('float32 copies of low-precision parameters are saved and restored', async () => {
    const make = (): { model: nn.Linear; opt: optimizer.Optimizer } =>
      guard(() => {
        const model = new nn.Linear(2, 2)
        model.to({ dtype: 'bfloat16' })
        return {
          model,
          opt: new optimizer.Adam({ learningRate: 0.01, multiPrecision: true, parameters: model.parameters() }),
        }
      })
    const { model, opt } = make()
    const loss = model(fromHost(array('bfloat16', [1, 2], new Uint16Array([0x3f80, 0x4000])))).sum()
    loss.backward()
    opt.step()
    await save(opt.stateDict(), at('master.pdopt'))
    await save(model.stateDict(), at('master.pdparams'))
    const state = await load<optimizer.OptimizerState>(at('master.pdopt'), { returnHostArrays: true })
    const masters = state['master_weights'] as Record<string, HostArray>
    expect(Object.entries(masters).map(([name, a]) => [name, a.dtype, a.shape])).toEqual([
      ['linear_0.w_0', 'float32', [2, 2]],
      ['linear_0.b_0', 'float32', [2]],
    ])
    const other = make()
    other.model.setStateDict(await load(at('master.pdparams')))
    other.opt.setStateDict(await load(at('master.pdopt')))
    const again = other.opt.stateDict()['master_weights'] as Record<string, Tensor>
    expect(await again['linear_0.w_0']!.hostArray()).toEqual(masters['linear_0.w_0'])
    if (!python) return
    const program = `
import json, sys
import paddle
opt, params = [paddle.load(path) for path in json.load(sys.stdin)]
print(json.dumps([[str(t.dtype), t.flatten().tolist()] for t in opt['master_weights'].values()] + [[str(t.dtype)] for t in params.values()]))
`
    expect(askPaddle(python, program, [at('master.pdopt'), at('master.pdparams')])).toEqual([
      ['paddle.float32', [...masters['linear_0.w_0']!.data]],
      ['paddle.float32', [...masters['linear_0.b_0']!.data]],
      ['paddle.bfloat16'],
      ['paddle.bfloat16'],
    ])
  })
})
