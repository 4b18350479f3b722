import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostArray } from '../../src/common/dtype.ts'
import { DeviceError, FormatError, ShapeError } from '../../src/common/errors.ts'
import { jit, nn, type Tensor } from '../../src/index.ts'
import {
  compileModel,
  createPredictor,
  readModel,
  type CompileModelOptions,
  type Manifest,
  type OperatorProgram,
} from '../../src/inference/index.ts'
import { exportProgram } from '../../src/io/formats/program/export/export.ts'
import { drawSamples } from '../../src/io/formats/proof.ts'
import { TextRecognizer } from '../../src/ocr/recognition/recognizer.ts'
import * as T from '../../src/tensor/index.ts'
import { compileC, hasArm, hasCompiler, largestDifference, runC, runExample } from '../support/compiled.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

/** A convolution in Winograd's form, a thin one, a product, and a running sum over columns. */
class Net extends nn.Layer {
  conv = new nn.Conv2D(3, 32, { kernelSize: 3, padding: 1 })
  norm = new nn.BatchNorm2D(32)
  wide = new nn.Conv2D(32, 32, { kernelSize: 3, padding: 1 })
  thin = new nn.Conv2D(32, 32, { kernelSize: 3, padding: 1, groups: 32, biasAttr: false })
  rnn = new nn.LSTM(32, 8, { direction: 'bidirect' })
  head = new nn.Linear(16, 5)
  forward(x: Tensor): Tensor {
    const y = nn.functional.relu(this.wide(this.norm(this.conv(x))))
    const columns = T.transpose(T.mean(T.add(y, nn.functional.hardswish(this.thin(y))), 2), [0, 2, 1])
    return nn.functional.softmax(this.head(this.rnn(columns)[0]))
  }
}

const scratch = makeScratch('compile')
afterAll(() => rm(scratch, { recursive: true, force: true }))

const place = (name: string): string => join(scratch, name)

/** What the predictor of this process makes of a model. */
async function expected(model: OperatorProgram, inputs: readonly HostArray[]): Promise<HostArray[]> {
  const predictor = await createPredictor({ model })
  return Object.values(await predictor.run(inputs))
}

const samplesOf = (model: OperatorProgram, manifest: Manifest): HostArray[][] =>
  drawSamples(
    model,
    manifest.shapes.map((s) => s.inputs),
    7,
  )

/** The model in a compiled directory gives what the predictor gives, at each of its shapes. */
async function differenceInNode(model: OperatorProgram, directory: string, manifest: Manifest): Promise<number> {
  const compiled = await createPredictor({ model: directory, threads: 2 })
  let worst = 0
  for (const inputs of samplesOf(model, manifest)) {
    const got = Object.values(await compiled.run(inputs))
    worst = Math.max(worst, largestDifference(got, await expected(model, inputs)))
  }
  await compiled.dispose()
  return worst
}

async function differenceInC(
  model: OperatorProgram,
  directory: string,
  manifest: Manifest,
  arm = false,
): Promise<number> {
  let worst = 0
  for (const [i, inputs] of samplesOf(model, manifest).entries()) {
    const got = runExample(join(directory, 'example'), directory, manifest, i, inputs, arm)
    worst = Math.max(worst, largestDifference(got, await expected(model, inputs)))
  }
  return worst
}

/** Writes a model as C and builds its example. */
async function buildExample(
  options: Omit<CompileModelOptions, 'emit'>,
  compiler: string,
  flags: readonly string[] = [],
): Promise<Manifest> {
  const manifest = await compileModel({ ...options, emit: 'c' })
  const { directory } = options
  const files = ['example.c', `${manifest.name}.c`].map((f) => join(directory, f))
  const code = manifest.target.flags.filter((f) => f !== '-O2')
  compileC(compiler, files, join(directory, 'example'), [...code, ...flags])
  return manifest
}

let model: OperatorProgram
beforeAll(async () => {
  T.seed(3)
  const net = new Net()
  net.eval()
  model = await exportProgram(net, { inputSpec: [new jit.InputSpec([null, 3, null, null], 'float32', 'x')] })
})

const shapes = [{ x: [1, 3, 24, 40] }, { x: [2, 3, 16, 33] }]

describe.runIf(hasCompiler)('a model compiled for this machine', () => {
  const directory = place('native')
  let manifest: Manifest
  beforeAll(async () => {
    manifest = await compileModel({ model, directory, target: 'native', shapes: [...shapes, shapes[0]!] })
  })

  it('gives what the predictor gives, at each of its shapes', async () => {
    expect(readdirSync(directory).toSorted()).toEqual([
      'liblongzhou_model.so',
      'longzhou_model.h',
      'manifest.json',
      'weights.bin',
    ])
    expect(manifest.shapes.map((s) => s.outputs)).toEqual([[[1, 40, 5]], [[2, 33, 5]]])
    expect(await differenceInNode(model, directory, manifest)).toBeLessThan(1e-5)
  })

  it('answers many calls at once, each with its own result', async () => {
    const predictor = await createPredictor({ model: directory })
    const calls = Array.from({ length: 60 }, (_, i) => drawSamples(model, [manifest.shapes[i % 2]!.inputs], i)[0]!)
    const answers = await Promise.all(calls.map((x) => predictor.clone().run(x)))
    const plain = await createPredictor({ model })
    for (let i = 0; i < calls.length; i += 7)
      expect(largestDifference(Object.values(answers[i]!), Object.values(await plain.run(calls[i]!)))).toBeLessThan(
        1e-5,
      )
    await predictor.dispose()
  })

  it('names the shapes that it knows where it gets another', async () => {
    const predictor = await createPredictor({ model: directory })
    const run = predictor.run([{ dtype: 'float32', shape: [1, 3, 8, 8], data: new Float32Array(192) }])
    await expect(run).rejects.toThrow(ShapeError)
    await expect(run).rejects.toThrow('not compiled for x [1, 3, 8, 8], but for x [1, 3, 24, 40]; x [2, 3, 16, 33]')
    await predictor.dispose()
  })

  it('runs where there is no compiler, and leaves nothing in the cache', () => {
    const cache = place('cache')
    mkdirSync(cache)
    const [input] = drawSamples(model, [manifest.shapes[0]!.inputs])[0]!
    const script = `
      import { createPredictor } from ${JSON.stringify(join(ROOT, 'src/inference/index.ts'))}
      const predictor = await createPredictor({ model: ${JSON.stringify(directory)} })
      const data = new Float32Array(${input!.data.length}).fill(0.5)
      const { output_0 } = await predictor.run([{ dtype: 'float32', shape: [1, 3, 24, 40], data }])
      console.log(JSON.stringify([output_0.shape, output_0.data.slice(0, 5).reduce((a, b) => a + b)]))`
    const path = place('bare.mts')
    writeFileSync(path, script)
    const environment = { PATH: '', CC: '/nowhere/cc', LONGZHOU_CACHE_DIR: cache }
    const printed = execFileSync(process.execPath, ['--import', 'tsx', path], {
      cwd: ROOT,
      env: environment,
      encoding: 'utf8',
    })
    const [shape, sum] = JSON.parse(printed) as [number[], number]
    expect(shape).toEqual([1, 40, 5])
    expect(sum).toBeCloseTo(1, 5)
    expect(readdirSync(cache)).toEqual([])
  })

  it('refuses weights and libraries that are not those of its manifest, and other machines', async () => {
    const spoiled = (name: string, spoil: (path: string) => void): string => {
      const copy = place(name)
      cpSync(directory, copy, { recursive: true })
      spoil(copy)
      return copy
    }
    const damage = (path: string): void => {
      const bytes = readFileSync(path)
      bytes[1000]! ^= 1
      writeFileSync(path, bytes)
    }
    const opening = (path: string): Promise<unknown> => createPredictor({ model: path })
    const truncated = spoiled('truncated', (d) => truncateSync(join(d, 'weights.bin'), 640))
    await expect(opening(truncated)).rejects.toThrow(/weights.bin' has 640 bytes, its manifest says/)
    await expect(opening(spoiled('damaged', (d) => damage(join(d, 'weights.bin'))))).rejects.toThrow(FormatError)
    const library = spoiled('library', (d) => damage(join(d, 'liblongzhou_model.so')))
    await expect(opening(library)).rejects.toThrow(/liblongzhou_model.so' is not what its manifest says/)
    const foreign = spoiled('foreign', (d) => {
      const path = join(d, 'manifest.json')
      const other = process.arch === 'x64' ? 'arm64' : 'x64'
      writeFileSync(path, readFileSync(path, 'utf8').replace(`"${process.arch}"`, `"${other}"`))
    })
    await expect(opening(foreign)).rejects.toThrow(DeviceError)
    await expect(createPredictor({ model: directory, device: 'wasm' })).rejects.toThrow("not on 'wasm'")
    await expect(createPredictor({ model: directory, maxShapes: 3 })).rejects.toThrow('maxShapes')
  })

  it('replaces its directory, and no other', async () => {
    const other = place('other')
    mkdirSync(other)
    writeFileSync(join(other, 'notes.txt'), 'mine')
    await expect(compileModel({ model, directory: other, target: 'native', shapes })).rejects.toThrow(
      'holds other files',
    )
    expect(readdirSync(other)).toEqual(['notes.txt'])
  })

  it('is run by the program of docs/compile.md', () => {
    const text = readFileSync(join(ROOT, 'docs/compile.md'), 'utf8')
    const [, program] = /```c\n([^]*?)```/.exec(text) ?? []
    const source = place('main.c')
    writeFileSync(source, program!)
    const main = place('main')
    // The library stands behind the file that needs it.
    compileC('cc', [source, join(directory, 'liblongzhou_model.so')], main, [
      '-I',
      directory,
      `-Wl,-rpath,${directory}`,
    ])
    const good = runC(main, [join(directory, 'weights.bin')])
    expect([good.status, good.stderr]).toEqual([0, ''])
    expect(good.stdout).toMatch(/^output_0\[0\] = 0\.\d+\n$/)
    const bad = runC(main, [join(directory, 'manifest.json')])
    expect([bad.status, bad.stdout]).toEqual([1, ''])
    expect(bad.stderr).toContain('truncated or belong to another model')
  })
})

describe.runIf(hasCompiler)('the C of a model', () => {
  it('compiles without warnings, has no constructors, and gives what the predictor gives', async () => {
    const directory = place('c')
    const manifest = await buildExample({ model, directory, target: 'native', shapes, name: 'reader' }, 'cc')
    expect(await differenceInC(model, directory, manifest)).toBeLessThan(1e-5)
    const object = join(directory, 'reader.o')
    execFileSync('cc', ['-std=c11', ...manifest.target.flags, '-w', '-c', '-o', object, join(directory, 'reader.c')])
    const sections = execFileSync('objdump', ['-h', object], { encoding: 'utf8' })
    expect(sections).not.toMatch(/\.(init_array|ctors)/)
    expect(() => execFileSync('make', ['-C', directory, '-n'], { stdio: 'pipe' })).not.toThrow()
  })

  it('meets damaged weights and wrong calls with an error, under the sanitizers too', async () => {
    const directory = place('sanitized')
    const flags = ['-O0', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined']
    const manifest = await buildExample({ model, directory, target: 'native', shapes: [shapes[1]!] }, 'cc', flags)
    expect(await differenceInC(model, directory, manifest)).toBeLessThan(1e-5)
    const example = join(directory, 'example')
    const weights = join(directory, 'weights.bin')
    const wrong = join(directory, 'wrong.bin')
    const bytes = readFileSync(weights)
    const complaint = (contents: Uint8Array | null, shape = '0'): string => {
      if (contents) writeFileSync(wrong, contents)
      const { status, stderr } = runC(example, [contents ? wrong : weights, '2', shape])
      expect(status).toBe(1)
      expect(stderr).not.toMatch(/Sanitizer|runtime error/)
      return stderr
    }
    expect(complaint(bytes.subarray(0, bytes.length - 64))).toContain('truncated')
    expect(complaint(new Uint8Array(0))).toContain('truncated')
    expect(complaint(Uint8Array.from(bytes, (b, i) => (i === 99 ? b ^ 4 : b)))).toContain(
      'damaged or belong to another',
    )
    expect(complaint(null, '1')).toContain('there is no shape 1; this model was compiled for x [2, 3, 16, 33]')
    expect(runC(example, [directory, '2', '0']).stderr).toContain('it is no file')
    expect(runC(example, [join(directory, 'absent'), '2', '0']).stderr).toContain('No such file')
  })

  it('may be run from several threads at once', async () => {
    const directory = place('threads')
    await compileModel({ model, directory, target: 'native', shapes: [shapes[0]!], name: 'reader', emit: 'c' })
    const files = [join(ROOT, 'test/inference/compile-threads.c'), join(directory, 'reader.c')]
    const { target } = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8')) as Manifest
    const program = join(directory, 'threads')
    compileC('cc', files, program, [...target.flags, '-I', directory])
    const { status, stdout, stderr } = runC(program, [join(directory, 'weights.bin')])
    expect([status, stdout, stderr]).toEqual([0, '0 wrong\n', ''])
  })

  it.each([
    ['ernie', { input_ids: [2, 10], token_type_ids: [2, 10] }],
    ['recurrent', undefined],
    ['attention', undefined],
  ])('of the small network %s gives what the predictor gives', async (name, sizes) => {
    const network = await readModel(join(ROOT, `test/fixtures/onnx/${name}.onnx`))
    const given = sizes ?? Object.fromEntries(network.inputs.map((i) => [i.name, i.shape.map((d) => (d < 0 ? 3 : d))]))
    const directory = place(`onnx-${name}`)
    const manifest = await buildExample({ model: network, directory, target: 'native', shapes: [given] }, 'cc')
    expect(await differenceInC(network, directory, manifest)).toBeLessThan(1e-5)
  })
})

describe.runIf(hasCompiler)('the recogniser of receipts', () => {
  it('compiled for x86-64-v3 and for this machine reads as the predictor does', async () => {
    const recognizer = await TextRecognizer.load(join(ROOT, 'models/receipts-base.safetensors'))
    const program = await recognizer.toProgram()
    const widths = [160, 320].map((w) => ({ images: [1, 1, 32, w] }))
    const targets = process.arch === 'x64' ? (['native', 'x86-64-v3'] as const) : (['native'] as const)
    for (const target of targets) {
      const directory = place(`receipts-${target}`)
      const manifest = await compileModel({ model: program, directory, target, shapes: widths })
      // Logits are up to about 20; vectors of another width add in another order, as does the predictor where it multiplies by tiles.
      expect(await differenceInNode(program, directory, manifest)).toBeLessThan(1e-4)
      expect(JSON.parse(manifest.metadata['dictionary']!)).toEqual(recognizer.dictionary.characters)
    }
  })
})

const larger = join(ROOT, '../shared/fixtures/models')
describe.runIf(hasCompiler && existsSync(larger))('larger networks, ../shared/fixtures/models,', () => {
  it.each([
    ['PP-OCRv4_mobile_det', [1, 3, 96, 160]],
    ['ch_ppocr_mobile_v2.0_cls', [1, 3, 48, 192]],
    ['rec_mv3_none_bilstm_ctc', [1, 3, 32, 100]],
  ])('%s gives what the predictor gives', async (name, shape) => {
    const network = await readModel(join(larger, name, 'pir'))
    const directory = place(name)
    const manifest = await compileModel({ model: network, directory, target: 'native', shapes: [{ x: shape }] })
    expect(await differenceInNode(network, directory, manifest)).toBeLessThan(1e-5)
  })
})

describe.runIf(hasArm)('a model compiled for 64-bit Arm', () => {
  it('gives what the predictor gives here, in the emulator', async () => {
    const directory = place('arm')
    const manifest = await buildExample({ model, directory, target: 'aarch64', shapes }, 'aarch64-linux-gnu-gcc')
    expect(await differenceInC(model, directory, manifest, true)).toBeLessThan(1e-4)
  })

  it('is a library that a program for Arm is linked to', async () => {
    const recognizer = await TextRecognizer.load(join(ROOT, 'models/receipts-base.safetensors'))
    const program = await recognizer.toProgram()
    const directory = place('arm-library')
    const options = { model: program, target: 'aarch64', shapes: [{ images: [1, 1, 32, 96] }], name: 'reader' } as const
    await compileModel({ ...options, directory: place('arm-c'), emit: 'c' })
    const manifest = await compileModel({ ...options, directory })
    expect(manifest.target).toMatchObject({ architecture: 'arm64', features: [] })
    copyFileSync(join(place('arm-c'), 'example.c'), join(directory, 'example.c'))
    const files = [join(directory, 'example.c'), join(directory, 'libreader.so')]
    compileC('aarch64-linux-gnu-gcc', files, join(directory, 'example'), [`-Wl,-rpath,${directory}`])
    expect(await differenceInC(program, directory, manifest, true)).toBeLessThan(1e-4)
    await expect(createPredictor({ model: directory })).rejects.toThrow('compiled for aarch64')
  })
})
