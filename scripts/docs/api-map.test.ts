/** docs/api-map.md says what src/index.ts exports. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { apiMap, apiMapText, camelCase } from './api-map.ts'

describe('the map from PaddlePaddle', () => {
  it('is up to date in docs/api-map.md; `npm run docs` writes it', async () => {
    const written = readFileSync(new URL('../../docs/api-map.md', import.meta.url), 'utf8')

    expect(written).toBe(await apiMapText())
  })

  it('turns names of Python into those of TypeScript', () => {
    const cases = ['to_tensor', 'conv2d_transpose', 'add_', 'adaptive_avg_pool1d', 'Conv2D', 'i0', 'clip_grad_norm_']

    expect(cases.map(camelCase)).toEqual([
      'toTensor',
      'conv2dTranspose',
      'add_',
      'adaptiveAvgPool1d',
      'Conv2D',
      'i0',
      'clipGradNorm_',
    ])
  })

  it('finds what is there, by rule, by table and as a method, and says why the rest is missing', () => {
    const found = new Map([...apiMap().values()].flat().map((m) => [m.name, m]))

    expect(found.get('paddle.nn.functional.conv2d_transpose')?.ours).toBe('`nn.functional.conv2dTranspose`')
    expect(found.get('paddle.clamp')?.ours).toBe('`clip`')
    expect(found.get('paddle.abs_')?.ours).toBe('`Tensor.abs_`')
    expect(found.get('paddle.nn.Layer.register_buffer')?.ours).toBe('`Layer.registerBuffer`')
    expect(found.get('paddle.float32')?.ours).toBe("`'float32'`")
    expect(found.get('paddle.linalg.eig')).toMatchObject({ ours: null, why: 'complex dtypes are not there' })
  })
})
