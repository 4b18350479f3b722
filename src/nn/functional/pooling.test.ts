import { expect, test } from 'vitest'
import { randn, realize, type Tensor } from '../../tensor/index.ts'
import { capture } from '../../schedule/capture.ts'
import { avgPool2d, maxPool2d } from './pooling.ts'

test.each([
  ['maxPool2d', (x: Tensor): Tensor => maxPool2d(x, 2)],
  ['avgPool2d', (x: Tensor): Tensor => avgPool2d(x, [2, 3])],
])('%s is recorded, with its gradient, alike whether or not its windows leave a remainder', async (_, pool) => {
  const recorded = async (height: number, width: number): Promise<string[]> => {
    const x = randn([2, 3, height, width])
    await realize([x])
    x.stopGradient = false
    const y = pool(x)
    y.sum().backward()
    return capture([y.node, x.grad!.node], []).nodes.map((n) => n.op)
  }
  const whole = await recorded(12, 12)
  expect(whole).toContain('slice')
  for (const [height, width] of [
    [13, 12],
    [12, 14],
    [13, 13],
  ] as const)
    expect(await recorded(height, width)).toEqual(whole)
})
