import { beforeAll, describe, expect, it } from 'vitest'
import { InputSpec } from '../../../../jit/input-spec.ts'
import * as nn from '../../../../nn/index.ts'
import { noGrad } from '../../../../tensor/autograd.ts'
import * as T from '../../../../tensor/index.ts'
import type { Shape } from '../../../../common/shape.ts'
import { fromHost, type Tensor } from '../../../../tensor/tensor.ts'
import { TranslatedLayer } from '../translated-layer.ts'
import { exportProgram, type ExportOptions } from './export.ts'
import type { Exportable } from './record.ts'

const { functional: F } = nn

/** Exports, runs the program at shapes that were not recorded, and compares with the layer itself. */
async function expectEqual(
  target: Exportable,
  options: ExportOptions,
  shapes: readonly (readonly Shape[])[],
): Promise<readonly string[]> {
  const program = await exportProgram(target, options)
  const layer = new TranslatedLayer(program)
  if (target instanceof nn.Layer) target.eval()
  for (const s of shapes) {
    const inputs = options.inputSpec.map((spec, i) =>
      spec.dtype === 'int64' ? T.randint(0, 20, s[i]!) : T.randn([...s[i]!]),
    )
    const [wanted, got] = noGrad(() => [target(...(inputs as never[])), layer(...inputs)]) as [unknown, unknown]
    const [a, b] = [wanted, got].map((r) => (Array.isArray(r) ? (r.flat(2) as Tensor[]) : [r as Tensor]))
    expect(b!.length).toBe(a!.length)
    for (let i = 0; i < a!.length; i++) {
      expect(b![i]!.shape).toEqual(a![i]!.shape)
      const [x, y] = [await a![i]!.data(), await b![i]!.data()]
      let worst = 0
      for (let k = 0; k < x.length; k++) worst = Math.max(worst, Math.abs(Number(x[k]) - Number(y[k])))
      expect(worst).toBeLessThan(1e-5)
    }
  }
  return program.operations.map((o) => o.type)
}

class ConvNet extends nn.Layer {
  stem = new nn.Sequential(new nn.Conv2D(3, 8, { kernelSize: 3, padding: 1, biasAttr: false }), new nn.BatchNorm2D(8))
  depthwise = new nn.Conv2D(8, 8, { kernelSize: 5, stride: 2, padding: 2, groups: 8 })
  pool = new nn.MaxPool2D({ kernelSize: 2, stride: 2 })
  up = new nn.Conv2DTranspose(8, 4, { kernelSize: 2, stride: 2 })
  gate = new nn.Conv2D(4, 4, { kernelSize: 1 })
  fc = new nn.Linear(4, 5)
  forward(x: Tensor): Tensor {
    let y = F.hardswish(this.stem(x))
    y = this.pool(F.relu(this.depthwise(y)))
    y = F.interpolate(this.up(y), { scaleFactor: 2, mode: 'nearest' })
    y = T.multiply(y, F.hardsigmoid(this.gate(F.adaptiveAvgPool2d(y, 1)), 0.2, 0.5))
    return F.softmax(this.fc(T.mean(y, [2, 3])), -1)
  }
}

class Attention extends nn.Layer {
  word = new nn.Embedding(20, 12)
  place = new nn.Embedding(600, 12)
  encoder = new nn.TransformerEncoder(new nn.TransformerEncoderLayer(12, 3, 24, { activation: 'gelu' }), 2)
  forward(ids: Tensor): Tensor[] {
    const at = T.arange(ids.shape[1]!)
    const mask = T.scale(T.unsqueeze(T.equal(ids, 0), [1, 2]).astype('float32'), -1e4)
    const h = this.encoder(T.add(this.word(ids), this.place(at)), mask)
    return [h, T.tanh(T.squeeze(T.slice(h, [1], [0], [1]), 1))]
  }
}

class Reader extends nn.Layer {
  rnn = new nn.LSTM(6, 5, { direction: 'bidirect', numLayers: 2 })
  head = new nn.Linear(10, 7)
  forward(x: Tensor): Tensor {
    const [n, c, h, w] = x.shape as [number, number, number, number]
    const columns = T.transpose(T.reshape(x, [n, c * h, w]), [0, 2, 1])
    return this.head(this.rnn(columns)[0])
  }
}

describe('exportProgram', () => {
  beforeAll(() => T.seed(3))

  it('writes convolutions, pools and norms as operators, for any size', async () => {
    const inputSpec = [new InputSpec([null, 3, null, null], 'float32', 'image')]
    const types = await expectEqual(new ConvNet(), { inputSpec }, [[[1, 3, 40, 72]], [[4, 3, 64, 32]]])
    for (const type of ['conv2d', 'depthwise_conv2d', 'batch_norm_', 'pool2d', 'conv2d_transpose', 'nearest_interp'])
      expect(types).toContain(type)
    expect(types).not.toContain('gather')
  })

  it('writes convolutions and pools over one axis as ones over two', async () => {
    const narrow = new nn.Conv1D(3, 6, { kernelSize: 3, padding: [2], stride: 2, groups: 3 })
    const wide = new nn.Conv1DTranspose(6, 4, { kernelSize: 4, stride: 2, padding: 1, outputPadding: 1 })
    const f = (x: Tensor): Tensor[] => {
      const y = wide(F.maxPool1d(F.relu(narrow(x)), 3, { stride: 2, padding: 1 }))
      return [F.avgPool1d(y, 2), F.adaptiveAvgPool1d(y, 1), F.adaptiveMaxPool1d(y, 1)]
    }
    const types = await expectEqual(f, { inputSpec: [new InputSpec([null, 3, null])] }, [[[2, 3, 45]]])
    expect(types.filter((t) => t === 'pool2d')).toHaveLength(4)
    for (const type of ['conv2d', 'conv2d_transpose']) expect(types).toContain(type)
  })

  it('writes recurrent layers as one operator', async () => {
    const types = await expectEqual(new Reader(), { inputSpec: [new InputSpec([null, 2, 3, null])] }, [[[2, 2, 3, 9]]])
    expect(types.filter((t) => t === 'rnn')).toHaveLength(1)
  })

  it('writes encoders over any length', async () => {
    const inputSpec = [new InputSpec([null, null], 'int64', 'ids')]
    await expectEqual(new Attention(), { inputSpec }, [[[1, 7]], [[3, 33]]])
  })

  it('says what it cannot write, and where', async () => {
    class Odd extends nn.Layer {
      forward(x: Tensor): Tensor {
        return T.add(x, T.rand([...x.shape]))
      }
    }
    await expect(exportProgram(new Odd(), { inputSpec: [new InputSpec([2])] })).rejects.toThrow('random numbers')
    class Sized extends nn.Layer {
      forward(x: Tensor): Tensor {
        return x.shape[0]! > 2 ? F.relu(x) : F.gelu(x)
      }
    }
    await expect(exportProgram(new Sized(), { inputSpec: [new InputSpec([null])] })).rejects.toThrow(
      'differently for different sizes',
    )
  })

  it('writes functions over constants that they hold', async () => {
    const table = fromHost({ dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) })
    const f = (x: Tensor): Tensor => T.divide(T.maximum(T.multiply(x, table), T.full([1], 0.5)), 3)
    await expectEqual(f, { inputSpec: [new InputSpec([null, 3])] }, [[[4, 3]]])
  })
})
