import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostArray } from '../../../common/dtype.ts'
import { FormatError, StorageError } from '../../../common/errors.ts'
import { fromHost, Tensor } from '../../../tensor/tensor.ts'
import { TranslatedLayer } from '../program/translated-layer.ts'
import type { OperatorProgram } from '../program/program.ts'
import { attributeDesc, slot } from './legacy-attributes.ts'
import { parseInferenceConfig } from './inference-config.ts'
import { programFromLegacy } from './legacy-reader.ts'
import { parameterChunks, parameterOrder, parseParameters } from './parameter-file.ts'
import { parsePirProgram } from './pir-json.ts'
import { programFromPir } from './pir-reader.ts'
import { serializePirProgram } from './pir-writer.ts'
import { parseProgramDesc } from './program-desc-reader.ts'
import { serializeProgramDesc } from './program-desc-writer.ts'
import { VAR_TYPE, type AttributeDesc, type OpDesc, type ProgramDesc, type VarDesc } from './program-desc.ts'
import { readPaddleModel } from './read.ts'
import { writePaddleModel } from './write.ts'

const f32 = (shape: number[], ...values: number[]): HostArray => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
})
const i64 = (shape: number[], ...values: number[]): HostArray => ({
  dtype: 'int64',
  shape,
  data: BigInt64Array.from(values, BigInt),
})

function op(
  type: string,
  inputs: Record<string, string[]>,
  outputs: Record<string, string[]>,
  ...attributes: AttributeDesc[]
): OpDesc {
  const slots = (map: Record<string, string[]>) =>
    Object.entries(map).map(([name, variables]) => slot(name, ...variables))
  return { type, inputs: slots(inputs), outputs: slots(outputs), attributes, isTarget: false }
}

/** A program of one operator over inputs and parameters; `extra`: shapes of what is between. */
function legacy(
  operators: OpDesc[],
  inputs: Record<string, HostArray>,
  output: string,
  extra: Record<string, number[]> = {},
  persistable: Record<string, HostArray> = {},
): ProgramDesc {
  const variable = (name: string, type: number, shape: readonly number[], isKept: boolean): VarDesc => ({
    name,
    type: { type: VAR_TYPE.denseTensor, lodLevel: 0, tensor: { dataType: type, dims: shape } },
    persistable: isKept,
    needCheckFeed: false,
    isParameter: isKept,
    stopGradient: false,
  })
  const vars = [
    ...Object.entries(inputs).map(([name, a]) => variable(name, VAR_TYPE[a.dtype], a.shape, false)),
    ...Object.entries(persistable).map(([name, a]) => variable(name, VAR_TYPE[a.dtype], a.shape, true)),
    ...Object.entries(extra).map(([name, shape]) => variable(name, VAR_TYPE.float32, shape, false)),
  ]
  const feeds = Object.keys(inputs).map((name, i) =>
    op('feed', { X: ['feed'] }, { Out: [name] }, attributeDesc('col', 'int', i)),
  )
  const fetch = op('fetch', { X: [output] }, { Out: ['fetch'] }, attributeDesc('col', 'int', 0))
  const ops = [...feeds, ...operators, fetch]
  return { blocks: [{ idx: 0, parentIdx: -1, vars, ops, forwardBlockIdx: -1 }], version: 0, opVersions: new Map() }
}

async function run(
  program: OperatorProgram,
  inputs: Record<string, HostArray>,
): Promise<{ shape: readonly number[]; values: number[] }> {
  const out = new TranslatedLayer(program)(...program.inputs.map((i) => fromHost(inputs[i.name]!)))
  if (!(out instanceof Tensor)) throw new Error('one output is due')
  return { shape: out.shape, values: Array.from(await out.data(), Number) }
}

describe('older legacy operators', () => {
  const x = f32([2, 3], 1, 2, 3, 4, 5, 6)
  const w = f32([3, 2], 1, 0, 0, 1, 1, 1)
  const cube = f32([1, 2, 1, 2], 1, 2, 3, 4)
  const cases: [string, OpDesc[], Record<string, HostArray>, Record<string, number[]>, number[], number[]][] = [
    [
      'elementwise_add whose axis is not the last',
      [op('elementwise_add', { X: ['x'], Y: ['y'] }, { Out: ['out'] }, attributeDesc('axis', 'int', 1))],
      { x: cube, y: f32([2], 10, 20) },
      { out: [1, 2, 1, 2] },
      [1, 2, 1, 2],
      [11, 12, 23, 24],
    ],
    [
      'mul',
      [op('mul', { X: ['x'], Y: ['y'] }, { Out: ['out'] })],
      { x, y: w },
      { out: [2, 2] },
      [2, 2],
      [4, 5, 10, 11],
    ],
    [
      'mul of an array as a matrix',
      [op('mul', { X: ['x'], Y: ['y'] }, { Out: ['out'] }, attributeDesc('x_num_col_dims', 'int', 1))],
      { x: cube, y: f32([4, 1], 1, 1, 1, 1) },
      { out: [1, 1] },
      [1, 1],
      [10],
    ],
    [
      'matmul with a factor',
      [
        op(
          'matmul',
          { X: ['x'], Y: ['y'] },
          { Out: ['out'] },
          attributeDesc('transpose_Y', 'boolean', true),
          attributeDesc('alpha', 'float', 2),
        ),
      ],
      { x: f32([1, 2], 1, 2), y: f32([1, 2], 3, 4) },
      { out: [1, 1] },
      [1, 1],
      [22],
    ],
    [
      'lookup_table',
      [op('lookup_table', { Ids: ['i'], W: ['y'] }, { Out: ['out'] })],
      { i: i64([2, 1], 2, 0), y: w },
      { out: [2, 2] },
      [2, 2],
      [1, 1, 1, 0],
    ],
    [
      'flatten2',
      [op('flatten2', { X: ['x'] }, { Out: ['out'] }, attributeDesc('axis', 'int', 2))],
      { x: cube },
      { out: [2, 2] },
      [2, 2],
      [1, 2, 3, 4],
    ],
    [
      'pad2d by reflection',
      [
        op(
          'pad2d',
          { X: ['x'] },
          { Out: ['out'] },
          attributeDesc('paddings', 'ints', [0, 0, 1, 0]),
          attributeDesc('mode', 'string', 'reflect'),
        ),
      ],
      { x: cube },
      { out: [1, 2, 1, 3] },
      [1, 2, 1, 3],
      [2, 1, 2, 4, 3, 4],
    ],
    [
      'a sum over everything',
      [
        op(
          'reduce_sum',
          { X: ['x'] },
          { Out: ['out'] },
          attributeDesc('dim', 'ints', [0]),
          attributeDesc('reduce_all', 'boolean', true),
        ),
      ],
      { x },
      { out: [] },
      [],
      [21],
    ],
    [
      'a variable that is written twice',
      [
        op('scale', { X: ['x'] }, { Out: ['out'] }, attributeDesc('scale', 'float', 2)),
        op('elementwise_add', { X: ['out'], Y: ['x'] }, { Out: ['out'] }, attributeDesc('axis', 'int', -1)),
      ],
      { x },
      { out: [2, 3] },
      [2, 3],
      [3, 6, 9, 12, 15, 18],
    ],
  ]

  it.each(cases)('%s, and as Paddle writes it now', async (_, operators, inputs, between, shape, values) => {
    const bytes = serializeProgramDesc(legacy(operators, inputs, 'out', between))
    const program = programFromLegacy(parseProgramDesc(bytes), new Map())
    expect(await run(program, inputs)).toEqual({ shape, values })
    const pir = new TextEncoder().encode(serializePirProgram(program))
    expect(await run(programFromPir(parsePirProgram(pir), new Map()), inputs)).toEqual({ shape, values })
  })
})

describe('reading a directory', () => {
  let folder: string
  const inputs = { x: f32([1, 2], 3, 4) }
  const weights = { 'fc/w': f32([2, 1], 1, 10), b: f32([1], 0.5) }
  const operators = [
    op('matmul_v2', { X: ['x'], Y: ['fc/w'] }, { Out: ['y'] }),
    op('elementwise_add', { X: ['y'], Y: ['b'] }, { Out: ['out'] }, attributeDesc('axis', 'int', -1)),
  ]
  const desc = (kept: Record<string, HostArray>) =>
    serializeProgramDesc(legacy(operators, inputs, 'out', { y: [1, 1], out: [1, 1] }, kept))

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'longzhou-paddle-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('takes one file a variable, and one for all', async () => {
    const flat = { w: weights['fc/w'], b: weights.b }
    const plain = operators.map((o) => ({
      ...o,
      inputs: o.inputs.map((s) => slot(s.name, ...s.variables.map((v) => v.replace('fc/', '')))),
    }))
    await writeFile(
      join(folder, '__model__'),
      serializeProgramDesc(legacy(plain, inputs, 'out', { y: [1, 1], out: [1, 1] }, flat)),
    )
    for (const [name, array] of Object.entries(flat))
      await writeFile(join(folder, name), [...parameterChunks(new Map([[name, array]]))])
    expect((await run(await readPaddleModel(folder), inputs)).values).toEqual([43.5])
    await writePaddleModel(join(folder, 'one/inference'), await readPaddleModel(folder), { format: 'pdmodel' })
    const program = await readPaddleModel(join(folder, 'one/inference'))
    expect((await run(program, inputs)).values).toEqual([43.5])
    expect(program.parameters.get('w')).toMatchObject({ trainable: true, structuredName: 'w' })
  })

  it('says which file is missing, and lets no name lead elsewhere', async () => {
    await writeFile(join(folder, 'lone.pdmodel'), desc(weights))
    await expect(readPaddleModel(join(folder, 'lone.pdmodel'))).rejects.toThrow(StorageError)
    await expect(readPaddleModel(join(folder, 'lone.pdmodel'))).rejects.toThrow("'lone.pdiparams'")
    await expect(readPaddleModel(join(folder, 'nothing'))).rejects.toThrow("'nothing.json'")
    await writeFile(join(folder, 'evil.pdmodel'), desc({ '../../etc/passwd': weights.b }))
    await expect(readPaddleModel(join(folder, 'evil.pdmodel'))).rejects.toThrow(FormatError)
  })

  it('refuses parameters of another program', () => {
    const bytes = new Uint8Array(Buffer.concat([...parameterChunks(new Map(Object.entries(weights)))]))
    expect([...parseParameters(bytes, ['fc/w', 'b']).keys()]).toEqual(['b', 'fc/w'])
    expect(() => parseParameters(bytes, ['b'])).toThrow('after the last of 1 tensors')
    expect(() => parseParameters(bytes, ['a', 'b', 'c'])).toThrow("ends before 'c'")
  })
})

describe('names and limits', () => {
  it('orders parameters by the bytes of their names', () => {
    expect(parameterOrder(['b', 'a_1', 'a', 'Z', '\u{1f600}', '\uff5e'])).toEqual([
      'Z',
      'a',
      'a_1',
      'b',
      '\uff5e',
      '\u{1f600}',
    ])
  })

  it('lists every operator that is unknown, of both formats', () => {
    const odd = [op('warp', { X: ['x'] }, { Out: ['a'] }), op('bend', { X: ['a'] }, { Out: ['out'] })]
    const program = programFromLegacy(legacy(odd, { x: f32([1], 1) }, 'out', { a: [1], out: [1] }), new Map())
    expect(() => new TranslatedLayer(program)).toThrow(/warp, 1 time.*\n.*bend, 1 time/)
    expect(() => serializePirProgram(program)).toThrow(/warp.*bend/)
  })

  it('refuses JSON and messages that take far more memory than their size', () => {
    const pir = (ops: string) =>
      new TextEncoder().encode(
        `{"base_code":{"magic":"pir","version":1},"program":{"regions":[{"blocks":[{"ops":[${ops}]}]}]}}`,
      )
    expect(() => parsePirProgram(pir('[],'.repeat(1_500_000) + '[]'))).toThrow('takes more than')
    const block = new Uint8Array(3_000_000)
    for (let i = 0; i < block.length; i += 2) block[i] = 0x1a
    const file = new Uint8Array(block.length + 5)
    file.set([0x0a, 0xc0, 0x8d, 0xb7, 0x01])
    file.set(block, 5)
    expect(() => parseProgramDesc(file)).toThrow('takes more than')
  })

  it('refuses newer versions, other magic words and YAML that is none', () => {
    const base = (text: string) => new TextEncoder().encode(`{"base_code":${text},"program":{}}`)
    expect(() => parsePirProgram(base('{"magic":"pir","version":9}'))).toThrow('version 9 is unknown')
    expect(() => parsePirProgram(base('{"magic":"pie","version":1}'))).toThrow('"pie"')
    expect(() => parseInferenceConfig('[1')).toThrow(FormatError)
    expect(() => parseInferenceConfig('['.repeat(100_000))).toThrow(FormatError)
  })

  it('keeps the characters of a dictionary as they are written', () => {
    const text =
      "PostProcess:\n  name: CTCLabelDecode\n  character_dict:\n  - '0'\n  - ''''\n  - '\"'\n  - ' '\n  - \"\\u3000\"\n  - 7\n  - ~\n"
    expect(parseInferenceConfig(text).characters).toEqual(['0', "'", '"', ' ', '\u3000', '7', '~'])
  })
})
