import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasOnnxRuntime } from '../../src/io/formats/onnx/index.ts'
import { modelFormats, readModel, writeModel } from '../../src/io/formats/model-files.ts'
import { TranslatedLayer } from '../../src/io/formats/program/translated-layer.ts'
import { drawSamples, proveEqual } from '../../src/io/formats/proof.ts'
import { createPredictor } from '../../src/inference/index.ts'
import { jit, nn, noGrad, randn, seed, type Tensor } from '../../src/index.ts'
import * as T from '../../src/tensor/index.ts'

const { functional: F } = nn

class SmallReader extends nn.Layer {
  stem = new nn.Conv2D(1, 8, { kernelSize: 3, stride: 2, padding: 1, biasAttr: false })
  norm = new nn.BatchNorm2D(8)
  thin = new nn.Conv2D(8, 8, { kernelSize: 3, padding: 1, groups: 8 })
  rnn = new nn.LSTM(8, 6, { direction: 'bidirect' })
  head = new nn.Linear(12, 5)
  forward(x: Tensor): Tensor {
    let y = F.hardswish(this.norm(this.stem(x)))
    y = F.relu(T.add(y, this.thin(y)))
    y = T.squeeze(F.adaptiveAvgPool2d(y, [1, null]), 2)
    return F.softmax(this.head(this.rnn(T.transpose(y, [0, 2, 1]))[0]), -1)
  }
}

const isJudged = await hasOnnxRuntime()
let directory = ''
beforeAll(async () => {
  seed(4)
  directory = await mkdtemp(join(tmpdir(), 'longzhou-jit-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe.each(modelFormats)('jit.save as %s', (format) => {
  const inputSpec = [new jit.InputSpec([null, 1, 8, null], 'float32', 'image')]

  it('writes what the layer computes, and proves it', async () => {
    const model = new SmallReader()
    const { path, proof } = await jit.save(model, join(directory, `reader-${format}`), { inputSpec, format })
    expect(proof.samples).toBe(3)
    expect(proof.largestDifference).toBeLessThan(1e-5)
    expect(proof.foreignRuntime).toBe(format === 'onnx' && isJudged ? 'ONNX Runtime' : null)
    expect(model.training).toBe(true)

    const loaded = await jit.load(path)
    const x = randn([2, 1, 8, 52])
    model.eval()
    const [a, b] = noGrad(() => [model(x), loaded(x) as Tensor])
    const [wanted, got] = [await a!.data(), await b!.data()]
    expect(b!.shape).toEqual(a!.shape)
    for (let i = 0; i < wanted.length; i++) expect(Math.abs(Number(wanted[i]) - Number(got[i]))).toBeLessThan(1e-5)
  })

  it('reads again what can be trained on and saved again', async () => {
    const loaded = await jit.load(
      (await readdir(directory)).map((f) => join(directory, f)).find((f) => isModel(f, format))!,
    )
    expect(loaded.parameters().length).toBeGreaterThan(5)
    const again = await jit.save(loaded, join(directory, `again-${format}`), { inputSpec, format: 'safetensors' })
    expect(again.proof.largestDifference).toBeLessThan(1e-5)
  })
})

const endings = { pir: '.json', pdmodel: '.pdmodel', onnx: '.onnx', safetensors: '.safetensors', nb: '.nb' }
const isModel = (file: string, format: keyof typeof endings): boolean =>
  file.includes('reader-') && file.endsWith(endings[format])

describe('jit.save', () => {
  it.runIf(isJudged)('says where a file and its layer differ in the runtime that the file is for', async () => {
    const model = new nn.Sequential(new nn.Linear(40, 40), new nn.Tanh(), new nn.Linear(40, 3))
    const inputSpec = [new jit.InputSpec([null, 40], 'float32', 'x')]
    const { path } = await jit.save(model, join(directory, 'strict'), { inputSpec, format: 'onnx' })
    // What was read computes what is read again to the last bit; the other runtime adds in another order.
    await expect(
      jit.save(await jit.load(path), join(directory, 'stricter'), { inputSpec, format: 'onnx', tolerance: 0 }),
    ).rejects.toThrow(
      /of the written model in ONNX Runtime differs from the layer's by \S+ \(at most 0\).*the first operator that differs is \w+ '\S+' \(operator \d+, TranslatedLayer: \w+ '\S+' \(operator \d.*\)\), by/,
    )
  })

  it.each(modelFormats)('says at which operator a model that was read and a file of %s differ', async (format) => {
    const model = new nn.Sequential(new nn.Linear(4, 4), new nn.Tanh(), new nn.Linear(4, 3), new nn.Sigmoid())
    const inputSpec = [new jit.InputSpec([2, 4], 'float32', 'x')]
    const { path } = await jit.save(model, join(directory, `read-${format}.safetensors`), { inputSpec })
    const program = await readModel(path)
    const index = program.operations.findIndex((o) => o.type === 'tanh')
    const operations = program.operations.map((o, i) => (i === index ? { ...o, type: 'relu' } : o))
    const options = { lite: { writer: 'own' } } as const
    const other = await writeModel({ ...program, operations }, join(directory, `other-${format}`), format, options)
    const sample = drawSamples(program, [[[2, 4]]])
    const place = new RegExp(
      `the first operator that differs is \\w+ '\\S+' \\(operator ${index + 1}[,)].* by \\S+ in the file`,
    )
    await expect(proveEqual(new TranslatedLayer(program), program, other, { samples: sample })).rejects.toThrow(place)
  })

  it('says where a file and its layer differ', async () => {
    const saved = jit.save(new Fickle(), join(directory, 'fickle.safetensors'), {
      inputSpec: [new jit.InputSpec([2, 3])],
    })
    await expect(saved).rejects.toThrow('the first layer that differs is Fickle.second (Drifting)')
  })

  it.each(modelFormats)(
    'leaves what is there where a proof of %s fails, and keeps what failed where asked',
    async (format) => {
      const folder = join(directory, `failing-${format}`)
      const inputSpec = [new jit.InputSpec([2, 3], 'float32', 'x')]
      const options = { inputSpec, format, metadata: { 'inference.yml': 'Global: {}\n' } }
      const { path } = await jit.save(new nn.Linear(3, 3), join(folder, 'model'), options)
      const before = await contentsOf(folder)
      expect(Object.keys(before).every((name) => !name.startsWith('.'))).toBe(true)

      const failed = { ...options, metadata: { 'inference.yml': 'Global: {a: 1}\n' } }
      await expect(jit.save(new Fickle(), join(folder, 'model'), failed)).rejects.toThrow(
        `'${path}' was not written: keepFailed (--keep-failed of the command line) keeps what failed`,
      )
      expect(await contentsOf(folder)).toEqual(before)

      await expect(jit.save(new Fickle(), join(folder, 'model'), { ...failed, keepFailed: true })).rejects.toThrow(
        `'${path}' was not written: what failed is in '${path}.failed'`,
      )
      const { [basename(`${path}.failed`)]: kept, ...rest } = await contentsOf(folder)
      expect([kept, rest]).toEqual(['a directory', before])
      expect((await readModel(join(`${path}.failed`, basename(path)))).operations.at(-1)!.type).toMatch(
        /^(scale|multiply)$/,
      )
    },
  )

  it.each(['onnx', 'safetensors'] as const)(
    'keeps the names of axes in %s, and what else a loaded file says',
    async (format) => {
      const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh())
      const spec = new jit.InputSpec(['batch', 'sequence_length', 3], 'float32', 'ids')
      expect(String(spec)).toBe('[batch, sequence_length, 3]')
      const metadata = { labels: 'a b' }
      const first = await jit.save(model, join(directory, `named-${format}`), {
        inputSpec: [spec],
        format,
        metadata,
        outputNames: ['y'],
      })
      const loaded = await jit.load(first.path)
      expect(loaded.inputSpec).toEqual([spec])
      const second = await jit.save(loaded, join(directory, `renamed-${format}`), { format: 'onnx' })
      const { inputs, outputs, metadata: carried } = await readModel(second.path)
      expect(inputs).toEqual([
        { name: 'ids', dtype: 'float32', shape: [-1, -1, 3], axisNames: ['batch', 'sequence_length', null] },
      ])
      expect(outputs).toMatchObject([{ name: 'y', axisNames: ['batch', 'sequence_length', null] }])
      expect(carried).toEqual(metadata)
      const predictor = await createPredictor({ model: second.path })
      await expect(predictor.run({ x: await randn([2, 3]).hostArray() })).rejects.toThrow(
        "run: there is no input 'x'; the model takes ids (float32[batch, sequence_length, 3])",
      )
      await predictor.dispose()
    },
  )

  it('asks what a layer takes that was not loaded', async () => {
    await expect(jit.save(new nn.ReLU(), join(directory, 'unsaid'))).rejects.toThrow(
      'jit.save: say what the layer takes',
    )
    expect(() => new jit.InputSpec([''])).toThrow('InputSpec: the name of an axis is empty')
  })

  it('takes along what a model replaces and does not need any more', async () => {
    const inputSpec = [new jit.InputSpec([2, 3], 'float32', 'x')]
    const path = join(directory, 'lighter/model.pdmodel')
    await jit.save(new nn.Linear(3, 3), path, { inputSpec })
    expect(await readdir(join(directory, 'lighter'))).toEqual([
      'model.pdiparams',
      'model.pdiparams.info',
      'model.pdmodel',
    ])
    await jit.save(new nn.ReLU(), path, { inputSpec })
    expect(await readdir(join(directory, 'lighter'))).toEqual(['model.pdmodel'])
  })
})

/** A layer that computes something else each time it is called. */
class Fickle extends nn.Layer {
  first = new nn.Linear(3, 3)
  second = new Drifting()
  forward(x: Tensor): Tensor {
    return this.second(this.first(x))
  }
}
class Drifting extends nn.Layer {
  #factor = 1
  forward(x: Tensor): Tensor {
    this.#factor += 1
    return T.scale(x, this.#factor)
  }
}

/** What files of a folder hold, by name. */
async function contentsOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const texts = await Promise.all(
    entries.map(async (e) => [
      e.name,
      e.isDirectory() ? 'a directory' : await readFile(join(folder, e.name), 'latin1'),
    ]),
  )
  return Object.fromEntries(texts) as Record<string, string>
}
