import { describe, expect, it } from 'vitest'
import { onnxGraph, onnxModel, onnxNode, onnxTensor, onnxValue } from '../../../../../test/support/onnx-model.ts'
import { FormatError } from '../../../../common/errors.ts'
import type { OperatorProgram } from '../../program/program.ts'
import { parseOnnx, programOfOnnx, serializeOnnx } from '../index.ts'
import type { OnnxAttributeValue, OnnxFunction, OnnxGraph, OnnxNode, OnnxTensor } from '../model.ts'

const own = (
  opType: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, OnnxAttributeValue>> = {},
) => onnxNode(opType, inputs, ['y'], attributes, 'own')

const graph = (
  nodes: readonly OnnxNode[],
  inputs = ['x'],
  outputs = ['y'],
  initializers: readonly OnnxTensor[] = [],
): OnnxGraph =>
  onnxGraph(nodes, {
    inputs: inputs.map((name) => onnxValue(name)),
    outputs: outputs.map((name) => onnxValue(name)),
    initializers,
  })

function define(name: string, nodes: readonly OnnxNode[], more: Partial<OnnxFunction> = {}): OnnxFunction {
  const [opsets, defaults] = [new Map([['', 17]]), new Map<string, OnnxAttributeValue>()]
  return { name, domain: 'own', overload: '', inputs: ['a'], outputs: ['b'], nodes, opsets, defaults, ...more }
}

/** By way of the bytes of a file. */
function read(whole: OnnxGraph, functions: readonly OnnxFunction[] = []): OperatorProgram {
  const model = onnxModel(whole, { domains: ['own'], functions })
  return programOfOnnx(parseOnnx(serializeOnnx(model)))
}

const types = (program: OperatorProgram): string[] => program.operations.map((o) => o.type)
const reference = (value: string): OnnxAttributeValue => ({ kind: 'reference', value })
const int = (value: number): OnnxAttributeValue => ({ kind: 'int', value })

function integers(name: string, values: readonly number[], dims: readonly number[] = []): OnnxTensor {
  return onnxTensor({ kind: 'int64s', values: BigInt64Array.from(values, BigInt) }, dims, 7, name)
}

describe('functions that a model defines', () => {
  const softmax = define('Soft', [onnxNode('Softmax', ['a'], ['b'], { axis: reference('along') })], {
    defaults: new Map([['along', int(0)]]),
  })

  it('stand in the place of their calls, with attributes of the call or their own', () => {
    const twice = graph([onnxNode('Soft', ['x'], ['h'], { along: int(1) }, 'own'), own('Soft', ['h'])])
    const program = read(twice, [softmax])
    expect(types(program)).toEqual(['softmax', 'softmax'])
    expect(program.operations.map((o) => o.attributes['axis'])).toEqual([1, 0])
  })

  it('call others, and leave out operands', () => {
    const inner = define('Clipped', [onnxNode('Clip', ['a', 'low', 'high'], ['b'])], { inputs: ['a', 'low', 'high'] })
    const outer = define('Outer', [onnxNode('Clipped', ['a', '', 'top'], ['b'], {}, 'own')], { inputs: ['a', 'top'] })
    const six = { name: 'six', dims: [], dataType: 1, content: { kind: 'floats', values: Float32Array.of(6) } } as const
    const [clip] = read(graph([own('Outer', ['x', 'six'])], ['x'], ['y'], [six]), [outer, inner]).operations
    expect(clip).toMatchObject({ type: 'clip', attributes: { max: 6 } })
  })

  it('are of the version of the operator set that they tell', () => {
    // Before version 13 all axes from the given one on were one.
    const old = define('Old', [onnxNode('Softmax', ['a'], ['b'], { axis: int(0) })], { opsets: new Map([['', 11]]) })
    expect(types(read(graph([own('Old', ['x'])]), [old]))).toEqual(['flatten', 'softmax', 'reshape'])
    const ancient = define('Old', old.nodes, { opsets: new Map([['', 5]]) })
    expect(() => read(graph([own('Old', ['x'])]), [ancient])).toThrow('version 5 of the operator set, older than 7')
  })

  it('are refused by a FormatError where they have no end', () => {
    const call = (name: string, from: string, to: string): OnnxNode => onnxNode(name, [from], [to], {}, 'own')
    const self = define('Self', [call('Other', 'a', 'b')])
    const other = define('Other', [call('Self', 'a', 'b')])
    expect(() => read(graph([own('Self', ['x'])]), [self, other])).toThrow("the function 'Self' calls itself")
    // Each calls the next one ten times: 10^12 nodes.
    const names = Array.from({ length: 13 }, (_, i) => `F${i}`)
    const chain = names.map((name, i) => {
      const at = (k: number): string => (k === 0 ? 'a' : k === 10 ? 'b' : `h${k}`)
      const next = names[i + 1]
      const one = (k: number): OnnxNode =>
        next === undefined ? onnxNode('Relu', [at(k)], [at(k + 1)]) : call(next, at(k), at(k + 1))
      return define(
        name,
        Array.from({ length: 10 }, (_, k) => one(k)),
      )
    })
    const grow = (): unknown => read(graph([own('F0', ['x'])]), chain)
    expect(grow).toThrow(FormatError)
    expect(grow).toThrow('more than 20000 nodes in place of')
  })

  it('are refused by a FormatError where calls and definitions do not fit', () => {
    expect(() => read(graph([own('Soft', ['x', 'x'])]), [softmax])).toThrow(
      "has 2 operands; the function 'Soft' takes 1",
    )
    const empty = define('Empty', [])
    expect(() => read(graph([own('Empty', ['x'])]), [empty])).toThrow("nothing computes 'b' in the function 'Empty'")
    const stray = graph([onnxNode('Softmax', ['x'], ['y'], { axis: reference('along') })])
    expect(() => read(stray)).toThrow("its attribute 'axis' is that of a function, and it stands in none")
  })
})

describe('loops', () => {
  const doubled: OnnxGraph = graph(
    [onnxNode('Identity', ['go'], ['again']), onnxNode('Add', ['h', 'h'], ['next'])],
    ['i', 'go', 'h'],
    ['again', 'next', 'h'],
  )
  const loop = (steps: number): OnnxGraph => {
    const body: OnnxAttributeValue = { kind: 'graph', value: doubled }
    return graph([onnxNode('Loop', ['n', '', 'x'], ['y'], { body })], ['x'], ['y'], [integers('n', [steps])])
  }

  it('are written out, step by step', () => {
    expect(types(read(loop(3)))).toEqual(['add', 'add', 'add'])
  })

  it('are refused where they are long, or where the input tells their length', () => {
    expect(() => read(loop(1001))).toThrow('Loop: with more than 1000 steps')
    const open = { ...loop(1), initializers: [] }
    const inputs = [...open.inputs, { name: 'n', dataType: 7, shape: [] }]
    expect(() => read({ ...open, inputs })).toThrow("Loop: with a number of steps that depends on the input's values")
  })
})

describe('sequences', () => {
  it('are lists while a model is read', () => {
    const nodes = [
      onnxNode('SequenceConstruct', ['x', 'z'], ['s']),
      onnxNode('SequenceErase', ['s', 'at'], ['t']),
      onnxNode('SequenceInsert', ['t', 'x'], ['u']),
      onnxNode('ConcatFromSequence', ['u'], ['y'], { axis: int(0) }),
    ]
    const program = read(graph(nodes, ['x', 'z'], ['y'], [integers('at', [-2])]))
    expect(program.operations.map((o) => o.inputs['x'])).toEqual([['z', 'x']])
  })

  it('have the positions that they have, and are no results', () => {
    const at = (position: number): OnnxGraph =>
      graph(
        [onnxNode('SequenceConstruct', ['x'], ['s']), onnxNode('SequenceAt', ['s', 'at'], ['y'])],
        ['x'],
        ['y'],
        [integers('at', [position])],
      )
    expect(() => read(at(1))).toThrow('has position 1 in a sequence of 1')
    expect(() => read(graph([onnxNode('SequenceConstruct', ['x'], ['y'])]))).toThrow("'y' is a sequence of tensors")
    const sum = graph([onnxNode('SequenceConstruct', ['x'], ['s']), onnxNode('Add', ['x', 's'], ['y'])])
    expect(() => read(sum)).toThrow('Add: with a sequence of tensors as an operand')
  })
})
