import { describe, expect, it } from 'vitest'
import { onnxGraph, onnxModel, onnxNode, onnxTensor, onnxValue } from '../../../../../../test/support/onnx-model.ts'
import { fromHost, type Tensor } from '../../../../../tensor/tensor.ts'
import type { OperatorProgram } from '../../../program/program.ts'
import { TranslatedLayer } from '../../../program/translated-layer.ts'
import { programOfOnnx } from '../../index.ts'
import type { OnnxNode, OnnxTensor } from '../../model.ts'

const [FLOAT, UINT8, INT8, INT32] = [1, 2, 3, 6] as const

const tensor = (name: string, dataType: number, dims: readonly number[], bytes: Uint8Array): OnnxTensor =>
  onnxTensor({ kind: 'raw', bytes }, dims, dataType, name)
const filled = (name: string, dataType: number, dims: readonly number[], value: number): OnnxTensor =>
  tensor(name, dataType, dims, new Uint8Array(dims.reduce((a, b) => a * b, 1)).fill(value))

/** The program of nodes over x. */
function programOf(
  nodes: readonly Partial<OnnxNode>[],
  x: readonly [dataType: number, shape: readonly number[]],
  result: number,
  initializers: readonly OnnxTensor[],
): OperatorProgram {
  const whole = nodes.map((node) => ({ ...onnxNode('', []), ...node }))
  const [inputs, outputs] = [[onnxValue('x', ...x)], [onnxValue('y', result, null)]]
  return programOfOnnx(onnxModel(onnxGraph(whole, { inputs, outputs, initializers })))
}

describe('quantised models of ONNX', () => {
  it('sum integers exactly that float32 does not hold', async () => {
    const shape = [1, 299, 1, 1]
    const x = fromHost({ dtype: 'uint8', shape, data: new Uint8Array(299).fill(255) })
    for (const weight of [255, 254]) {
      const program = programOf([{ opType: 'ConvInteger', inputs: ['x', 'w'] }], [UINT8, shape], INT32, [
        filled('w', UINT8, [1, 299, 1, 1], weight),
      ])
      expect(program.operations.filter((o) => o.type === 'conv2d')).toHaveLength(2)
      const y = new TranslatedLayer(program)(x) as Tensor
      expect(await y.data()).toEqual(Int32Array.of(299 * 255 * weight))
    }
  })

  it('hold weights as parameters, as an ordinary model does', () => {
    const nodes = [
      { opType: 'DequantizeLinear', inputs: ['q', 's', 'z'], outputs: ['r'] },
      { opType: 'MatMul', inputs: ['x', 'r'] },
    ]
    const { operations, parameters } = programOf(nodes, [FLOAT, [1, 4]], FLOAT, [
      filled('q', UINT8, [4, 2], 7),
      tensor('s', FLOAT, [2], new Uint8Array(Float32Array.of(0.5, 0.25).buffer)),
      tensor('z', UINT8, [2], Uint8Array.of(3, 9)),
    ])
    expect(operations.map((o) => o.type)).toEqual(['matmul'])
    expect([...parameters.values()]).toEqual([
      {
        array: { dtype: 'float32', shape: [4, 2], data: Float32Array.of(2, -0.5, 2, -0.5, 2, -0.5, 2, -0.5) },
        trainable: true,
      },
    ])
  })

  it('refuse scales that do not fit the axis', () => {
    const halves = tensor('s', FLOAT, [2], new Uint8Array(Float32Array.of(0.5, 0.5).buffer))
    const constant = { opType: 'DequantizeLinear', inputs: ['q', 's'] }
    expect(() => programOf([constant], [FLOAT, [1]], FLOAT, [filled('q', UINT8, [2, 3], 1), halves])).toThrow(
      'with 2 numbers for axis 1 of [2, 3]',
    )
    const given = { opType: 'QuantizeLinear', inputs: ['x', 's'] }
    expect(() => programOf([given], [FLOAT, [2]], UINT8, [halves])).toThrow('with axis 1 of 1 axes')
  })

  it('name the results that they cannot have', () => {
    const scale = tensor('s', FLOAT, [], new Uint8Array(Float32Array.of(0.5).buffer))
    const node = [{ opType: 'QuantizeLinear', inputs: ['x', 's', 'z'] }]
    const zero = tensor('z', INT32, [], new Uint8Array(4))
    expect(() => programOf(node, [FLOAT, [2]], INT32, [scale, zero])).toThrow('QuantizeLinear: with results of int32')
    expect(() => programOf(node, [FLOAT, [2]], INT8, [scale, filled('z', INT8, [], 0)])).not.toThrow()
  })
})
