import { describe, expect, it } from 'vitest'
import { fromHost } from '../../../tensor/tensor.ts'
import type { HostArray } from '../../../common/dtype.ts'
import type { ModelParameter, OperatorProgram } from './program.ts'
import { TranslatedLayer } from './translated-layer.ts'

const weight: HostArray = { dtype: 'float32', shape: [1, 1, 1, 1], data: Float32Array.of(-2) }
const program: OperatorProgram = {
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 1, -1, -1] }],
  outputs: [{ name: 'y', value: 'r' }],
  parameters: new Map<string, ModelParameter>([
    ['conv2d_0.w_0', { array: weight, trainable: true, structuredName: 'stem.conv.weight' }],
  ]),
  operations: [
    {
      type: 'conv2d',
      inputs: { input: 'x', filter: 'conv2d_0.w_0' },
      outputs: { out: 'c' },
      attributes: {},
    },
    { type: 'relu', inputs: { x: 'c' }, outputs: { out: 'r' }, attributes: {} },
  ],
  values: new Map(),
  metadata: {},
}

describe('TranslatedLayer', () => {
  it('runs a program, and has the state of the layer that was saved', async () => {
    const layer = new TranslatedLayer(program)
    expect(Object.keys(layer.stateDict())).toEqual(['stem.conv.weight'])
    const x = fromHost({ dtype: 'float32', shape: [1, 1, 1, 2], data: Float32Array.of(1, -3) })
    const y = layer(x)
    expect(Array.isArray(y)).toBe(false)
    expect(await (y as typeof x).data()).toEqual(Float32Array.of(0, 6))
  })

  it('names every operator that is missing, with how often and where, before anything runs', () => {
    const odd = { type: 'sigmoidd', inputs: { x: 'c' }, outputs: { out: 'r' }, attributes: {} }
    const operations = [...program.operations, { ...odd, origin: 'head.act' }, odd, { ...odd, type: 'warp' }]
    const make = (): TranslatedLayer => new TranslatedLayer({ ...program, operations })
    expect(make).toThrow('sigmoidd, 2 times: head.act, operation 3 (there is sigmoid)')
    expect(make).toThrow('warp, 1 time')
  })
})
