/** Frozen networks of nested layers, with batch norm and dropout, against the same ones run dynamically, step by step. */
import { beforeAll, describe, expect, test } from 'vitest'
import { nn, optimizer, randint, randn, seed, setDevice, type Tensor } from '../../src/index.ts'
import { toStatic } from '../../src/jit/index.ts'
import { guard } from '../../src/nn/unique-name.ts'

class Block extends nn.Layer {
  readonly body: nn.Sequential

  constructor(channels: number, drop: number) {
    super()
    const conv = new nn.Conv2D(channels, channels, { kernelSize: 3, padding: 1 })
    this.body = new nn.Sequential(conv, new nn.BatchNorm2D(channels), new nn.ReLU(), new nn.Dropout(drop))
  }

  forward(x: Tensor): Tensor {
    return x.add(this.body(x) as Tensor)
  }
}

class Net extends nn.Layer {
  stem = new nn.Conv2D(1, 4, { kernelSize: 3 })
  blocks = new nn.LayerList([new Block(4, 0.3), new Block(4, 0.5)])
  head = new nn.Sequential(new nn.Flatten(), new nn.Linear(4 * 6 * 6, 3))

  forward(x: Tensor): Tensor {
    let y = this.stem(x)
    for (const block of this.blocks) y = block(y)
    return this.head(y) as Tensor
  }
}

interface Course {
  readonly losses: number[]
  readonly outputs: number[][]
  readonly state: Record<string, number[]>
}

const numbers = async (t: Tensor): Promise<number[]> => Array.from(await t.data(), Number)

/** Six steps; after every second one a look in eval mode, and from the fourth on with the second block's dropout frozen. */
async function train(freeze: (net: Net) => Net): Promise<Course> {
  seed(4)
  const net = freeze(guard(() => new Net()))
  const adam = new optimizer.Adam({ parameters: net.parameters(), learningRate: 0.01 })
  const criterion = new nn.CrossEntropyLoss()
  const [losses, outputs]: [number[], number[][]] = [[], []]
  for (let step = 1; step <= 6; step++) {
    net.train()
    if (step >= 4) [...net.blocks][1]!.body.eval()
    const loss = criterion(net(randn([4, 1, 8, 8])), randint(0, 3, [4]))
    loss.backward()
    adam.step()
    adam.clearGrad()
    losses.push(await loss.item())
    if (step % 2 > 0) continue
    net.eval()
    outputs.push(await numbers(net(randn([2, 1, 8, 8]))))
  }
  const state: Record<string, number[]> = {}
  for (const [name, t] of Object.entries(net.stateDict())) state[name] = await numbers(t)
  return { losses, outputs, state }
}

describe.each(['reference', 'wasm', 'cpu'] as const)('on %s', (device) => {
  beforeAll(() => setDevice(device))

  test('a frozen network takes the same course, to the last running statistic', async () => {
    const dynamic = await train((net) => net)
    const frozen = await train((net) => toStatic(net))
    expect(frozen).toEqual(dynamic)
    expect(new Set(dynamic.losses).size).toBe(6)
    const statistics = Object.entries(dynamic.state).filter(([name]) => name.endsWith('_mean'))
    expect(statistics).toHaveLength(2)
    for (const [, values] of statistics) expect(values.some((v) => v !== 0)).toBe(true)
  })

  test('layers frozen one by one inside a dynamic network', async () => {
    const dynamic = await train((net) => net)
    const parts = await train((net) => {
      for (const block of net.blocks) toStatic(block)
      return net
    })
    expect(parts).toEqual(dynamic)
  })
})
