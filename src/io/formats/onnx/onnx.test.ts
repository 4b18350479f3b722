import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { onnxGraph, onnxModel, onnxNode, onnxTensor } from '../../../../test/support/onnx-model.ts'
import { FormatError } from '../../../common/errors.ts'
import type { HostArray } from '../../../common/dtype.ts'
import type { ModelParameter, Operation, OperatorProgram, ValueInfo } from '../program/program.ts'
import { WireWriter } from '../protobuf/wire-writer.ts'
import { onnxOfProgram, parseOnnx, programOfOnnx, readOnnxModel, serializeOnnx, writeOnnxModel } from './index.ts'
import type { OnnxModel, OnnxNode, OnnxTensor } from './model.ts'
import { tensorArray } from './tensor-data.ts'

const directory = await mkdtemp(join(tmpdir(), 'longzhou-onnx-'))
afterAll(() => rm(directory, { recursive: true, force: true }))

const floats = (shape: readonly number[]): HostArray => {
  const n = shape.reduce((a, b) => a * b, 1)
  return { dtype: 'float32', shape, data: Float32Array.from({ length: n }, (_, i) => (i % 7) / 7 - 0.4) }
}
const parameter = (shape: readonly number[]): ModelParameter => ({ array: floats(shape), trainable: true })
const operation = (
  type: string,
  inputs: Operation['inputs'],
  out: string,
  attributes: Operation['attributes'] = {},
): Operation => ({ type, inputs, outputs: { out }, attributes })

const program: OperatorProgram = {
  inputs: [{ name: 'image', dtype: 'float32', shape: [-1, 3, 8, -1] }],
  outputs: [{ name: 'probabilities', value: 's' }],
  parameters: new Map([
    ['stem/conv:weight', parameter([16, 3, 3, 3])],
    ['stem.bias', parameter([16])],
  ]),
  operations: [
    operation('conv2d', { input: 'image', filter: 'stem/conv:weight' }, 'c', { paddings: [1, 1] }),
    operation('reshape', { x: 'stem.bias' }, 'b', { shape: [1, -1, 1, 1] }),
    operation('add', { x: 'c', y: 'b' }, 'a'),
    operation('softmax', { x: 'a' }, 's', { axis: 1 }),
  ],
  values: new Map(),
  metadata: { dictionary: '一\n二', version: '1' },
}

/** Sums of some inputs and ReLUs of others, all of any batch. */
function sums(terms: readonly string[]): OperatorProgram {
  const operations = terms.map((term, i) => {
    const [x, y] = term.split('+') as [string, string?]
    return y === undefined ? operation('relu', { x }, `s${i}`) : operation('add', { x, y }, `s${i}`)
  })
  return {
    inputs: terms.flatMap((t) => t.split('+')).map((name) => ({ name, dtype: 'float32', shape: [-1, -1, 4] })),
    outputs: terms.map((_, i) => ({ name: `out${i}`, value: `s${i}` })),
    parameters: new Map(),
    operations,
    values: new Map(),
    metadata: {},
  }
}

/** A model of one node over an input x of shape [2, 3]. */
const modelOf = (node: Partial<OnnxNode>, initializers: readonly OnnxTensor[] = [], opset = 17): OnnxModel =>
  onnxModel(onnxGraph([{ ...onnxNode('Relu', ['x']), name: 'node', ...node }], { initializers }), { opset })

describe('ONNX files', () => {
  it('names sizes of inputs alike that the program does not take different', () => {
    const shapesOf = (terms: readonly string[]): string => {
      const { inputs, outputs } = onnxOfProgram(sums(terms)).graph
      return [inputs, outputs].map((values) => values.map((v) => v.shape!.slice(0, 2).join()).join(' ')).join(' -> ')
    }
    expect(shapesOf(['a+b'])).toBe('a_0,a_1 a_0,a_1 -> a_0,a_1')
    expect(shapesOf(['a', 'b'])).toBe('a_0,a_1 b_0,b_1 -> a_0,a_1 b_0,b_1')
    expect(shapesOf(['a+c', 'b+d', 'e'])).toBe('a_0,a_1 a_0,a_1 b_0,b_1 b_0,b_1 e_0,e_1 -> a_0,a_1 b_0,b_1 e_0,e_1')
    const wide = sums(['a+b'])
    // A length that one of them fixes is no size of the other's.
    const fixed = { ...wide, inputs: [wide.inputs[0]!, { ...wide.inputs[1]!, shape: [-1, 7, 4] }] }
    expect(onnxOfProgram(fixed).graph.inputs.map((v) => v.shape)).toEqual([
      ['a_0', 'a_1', 4],
      ['b_0', 7, 4],
    ])
  })

  it("keep the names of axes that a model has, and give others names that are nobody else's", () => {
    const two = sums(['a+b'])
    const [a, b] = [two.inputs[0]!, two.inputs[1]!]
    const named = (inputs: readonly ValueInfo[], outputNames?: readonly (string | null)[]): OperatorProgram => ({
      ...two,
      inputs,
      outputs: two.outputs.map((o) => ({ ...o, ...(outputNames && { axisNames: outputNames }) })),
    })
    const shapesOf = (p: OperatorProgram) => {
      const { inputs, outputs } = onnxOfProgram(p).graph
      return [...inputs, ...outputs].map((v) => v.shape!.slice(0, 2).join())
    }
    // What one input tells holds for the axes that are as long.
    expect(shapesOf(named([{ ...a, axisNames: ['batch', null, null] }, b]))).toEqual([
      'batch,a_1',
      'batch,a_1',
      'batch,a_1',
    ])
    // Each axis keeps its own name, whatever is known of it.
    const own = named(
      [
        { ...a, axisNames: ['batch', 'sequence length', null] },
        { ...b, axisNames: ['batch', 'b-length', null] },
      ],
      ['batch', 'a_0', null],
    )
    expect(shapesOf(own)).toEqual(['batch,sequence length', 'batch,b-length', 'batch,a_0'])
    // a_1 is the name of another size.
    expect(shapesOf(named([{ ...a, axisNames: ['a_1', null, null] }, b]))).toEqual(['a_1,a_1_', 'a_1,a_1_', 'a_1,a_1_'])
    const again = programOfOnnx(onnxOfProgram(own))
    expect([again.inputs, again.outputs.map((o) => o.axisNames)]).toEqual([
      own.inputs,
      own.outputs.map((o) => o.axisNames),
    ])
  })

  it('keep names, sizes and metadata, and take the bias into the convolution', async () => {
    const path = join(directory, 'small.onnx')
    await writeOnnxModel(program, path)
    const model = onnxOfProgram(program)
    expect(model.graph.nodes.map((n) => n.opType)).toEqual(['Conv', 'Softmax'])
    expect(model.graph.initializers.map((t) => t.name)).toEqual(['stem.conv.weight', 'stem.bias'])
    expect(model.graph.inputs[0]!.shape).toEqual(['image_0', 3, 8, 'image_3'])
    expect(model.graph.outputs[0]).toEqual({ name: 'probabilities', dataType: 1, shape: ['image_0', 16, 8, 'image_3'] })
    const again = await readOnnxModel(path)
    expect(again.metadata).toEqual(program.metadata)
    expect(again.inputs).toEqual([{ ...program.inputs[0]!, axisNames: ['image_0', null, null, 'image_3'] }])
    expect(again.parameters.get('stem.conv.weight')).toEqual(parameter([16, 3, 3, 3]))
  })

  it('put weights into a file beside them, whose old versions go', async () => {
    const path = join(directory, 'large.onnx')
    await writeOnnxModel(program, path, { externalData: true })
    const other = {
      ...program,
      parameters: new Map(
        [...program.parameters].map(([k]) => [k, parameter(k === 'stem.bias' ? [16] : [16, 3, 3, 3])]),
      ),
    }
    other.parameters.get('stem/conv:weight')!.array.data[0] = 5
    await writeOnnxModel(other, path, { externalData: true })
    const files = (await readdir(directory)).filter((f) => f.startsWith('large.onnx'))
    expect(files.length).toBe(2)
    const again = await readOnnxModel(path)
    expect(again.parameters.get('stem.conv.weight')!.array.data[0]).toBe(5)
  })

  it('reach no data outside their directory', async () => {
    await writeFile(join(directory, 'secret.bin'), new Uint8Array(24))
    await rm(join(directory, 'inner'), { recursive: true, force: true })
    const inner = await mkdtemp(join(directory, 'inner-'))
    await symlink(join(directory, 'secret.bin'), join(inner, 'link.bin'))
    const read = async (location: string): Promise<unknown> => {
      const content = { kind: 'external', at: { location, offset: 0, length: 24 } } as const
      const model = modelOf({ opType: 'Add', inputs: ['x', 't'] }, [onnxTensor(content, [2, 3])])
      const path = join(inner, 'model.onnx')
      await writeFile(path, serializeOnnx(model))
      return readOnnxModel(path)
    }
    for (const location of [
      '../secret.bin',
      join(directory, 'secret.bin'),
      'link.bin',
      'a/../../secret.bin',
      '..\\secret.bin',
    ])
      await expect(read(location)).rejects.toThrow('not a file in its own directory')
    await writeFile(join(inner, 'short.bin'), new Uint8Array(8))
    await expect(read('short.bin')).rejects.toThrow("tensor 't' takes 24 bytes")
  })

  it('hold numbers in raw bytes or in lists, packed or not', () => {
    const data = Float32Array.of(1, 2, 3)
    const raw = tensorArray(onnxTensor({ kind: 'raw', bytes: new Uint8Array(data.buffer) }, [3]))
    expect(raw.data.buffer).toBe(data.buffer)
    const halves = tensorArray(onnxTensor({ kind: 'int32s', values: Int32Array.of(0x3c00, 0xc000) }, [2], 10))
    expect(halves).toEqual({ dtype: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) })
    const writer = new WireWriter()
    writer.message(7, (graph) => {
      graph.message(5, (t) => {
        t.varint(1, 3)
        t.varint(2, 1)
        for (const v of data) t.float(4, v)
        t.string(8, 'unpacked')
      })
    })
    const [unpacked] = parseOnnx(writer.finish()).graph.initializers
    expect(tensorArray(unpacked!).data).toEqual(data)
  })

  it('keep integers that numbers do not hold', () => {
    const largest = 2n ** 63n - 1n
    const int64s = (...values: bigint[]): OnnxTensor['content'] => ({
      kind: 'raw',
      bytes: new Uint8Array(BigInt64Array.from(values).buffer),
    })
    const value = { kind: 'tensor', value: onnxTensor(int64s(largest), [1], 7) } as const
    const node = { opType: 'ConstantOfShape', inputs: ['t'], attributes: new Map([['value', value]]) }
    const { parameters } = programOfOnnx(modelOf(node, [onnxTensor(int64s(2n), [1], 7)]))
    expect([...parameters.values()].map((p) => p.array.data)).toEqual([BigInt64Array.of(largest, largest)])
  })

  it('list everything that is not supported at once', () => {
    const model = modelOf({ opType: 'Unique' })
    const nodes = [
      ...model.graph.nodes,
      { ...model.graph.nodes[0]!, opType: 'Mystery', name: 'a', outputs: ['z'] },
      { ...model.graph.nodes[0]!, opType: 'Mystery', name: 'b', outputs: ['w'] },
      { ...model.graph.nodes[0]!, opType: 'Unique', name: 'c', outputs: ['v'] },
    ]
    const read = (): unknown => programOfOnnx({ ...model, graph: { ...model.graph, nodes } })
    expect(read).toThrow('Mystery: not supported, 2 times (a, b)')
    expect(read).toThrow("Unique: its results' shapes depend on values, 2 times (node, c)")
  })

  it('are refused by a FormatError where they are damaged', () => {
    const bytes = serializeOnnx(onnxOfProgram(program))
    for (let end = 0; end < bytes.length; end += 7) {
      try {
        programOfOnnx(parseOnnx(bytes.subarray(0, end)))
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError)
      }
    }
    expect(() => tensorArray(onnxTensor({ kind: 'raw', bytes: new Uint8Array(8) }, [3]))).toThrow('takes 12 bytes')
    const huge = modelOf({ opType: 'Add', inputs: ['x', 't'] }, [onnxTensor({ kind: 'none' }, [2 ** 40, 2 ** 40])])
    expect(() => parseOnnx(serializeOnnx(huge))).toThrow('which no tensor has')
    const flat = modelOf({ opType: 'Conv', inputs: ['x', 't', 't'] }, [onnxTensor({ kind: 'none' }, [0])])
    expect(() => programOfOnnx(flat)).toThrow('has a filter of 1 axes; that of a convolution has 3 or more')
    expect(() => programOfOnnx(modelOf({}, [], 6))).toThrow('older than 7')
    expect(() => programOfOnnx(modelOf({ inputs: ['nothing'] }))).toThrow("nothing computes its operand 'nothing'")
  })

  it('make no weights larger than those that they hold', () => {
    const matrix = (name: string): OnnxTensor => ({
      ...onnxTensor({ kind: 'floats', values: new Float32Array(12 * 3) }, [1, 12, 3]),
      name,
    })
    const node = {
      opType: 'RNN',
      inputs: ['x', 'w', 'r'],
      attributes: new Map([['hidden_size', { kind: 'int', value: 2 ** 24 } as const]]),
    }
    expect(() => programOfOnnx(modelOf(node, [matrix('w'), matrix('r')]))).toThrow(
      'has W of shape [1, 12, 3]; its direction, hidden_size and inputs ask for [1, 16777216, 3]',
    )
  })

  it('do not grow into graphs without end', () => {
    const node = new WireWriter()
    node.message(1, () => {})
    const graph = new Uint8Array(600_000)
    for (let i = 0; i < graph.length; i += 2) graph.set([0x0a, 0], i)
    const writer = new WireWriter()
    writer.bytes(7, graph)
    expect(() => parseOnnx(writer.finish())).toThrow('more messages than a model of this size has')
  })
})
