/** A loss that is read before `backward()`: the numbers are the same, and nothing dear is computed a second time. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nn, noGrad, optimizer, randint, randn, recompute, seed, type Tensor } from '../../src/index.ts'
import { observePlans } from '../../src/tensor/profile.ts'
import { launchesOf, type Plan } from '../../src/schedule/plan.ts'

const call = (layer: nn.Layer, x: Tensor): Tensor => (layer as unknown as (x: Tensor) => Tensor)(x)
/** Operations of products and convolutions, which have the shapes of their operands. */
const workOf = (plans: readonly Plan[]): number =>
  plans.flatMap(launchesOf).reduce((sum, l) => sum + (l.shapes && l.shapes.length > 1 ? l.flops : 0), 0)

let plans: Plan[] = []
let end: () => void
beforeEach(() => {
  plans = []
  end = observePlans(({ plan }) => plans.push(plan))
})
afterEach(() => end())

const makeNet = (): nn.Layer =>
  new nn.Sequential(
    new nn.Conv2D(3, 8, 3, { padding: 1 }),
    new nn.BatchNorm2D(8),
    new nn.ReLU(),
    new nn.MaxPool2D(2),
    new nn.Conv2D(8, 8, 3, { padding: 1 }),
    new nn.Tanh(),
    new nn.Flatten(),
    new nn.Linear(8 * 16, 10),
  )

/** Three steps; what the network looks like in the end, and the losses. */
async function train(
  read: (loss: Tensor) => Promise<unknown> | null,
  forward: (net: nn.Layer, x: Tensor) => Tensor = call,
): Promise<number[]> {
  seed(3)
  const net = makeNet()
  const sgd = new optimizer.Momentum({ learningRate: 0.05, parameters: net.parameters() })
  const [x, y] = [randn([4, 3, 8, 8]), randint(10, null, [4])]
  await Promise.all([x.data(), y.data(), ...net.parameters().map((p) => p.data())])
  plans.length = 0
  const losses: number[] = []
  for (let i = 0; i < 3; i++) {
    const loss = nn.functional.crossEntropy(forward(net, x), y)
    await read(loss)
    loss.backward()
    sgd.step()
    sgd.clearGrad()
    losses.push((await loss.item()) as number)
  }
  return losses
}

test('a loss that is read first costs no second forward pass', async () => {
  const plain = await train(() => null)
  const work = workOf(plans)
  const read = await train((loss) => loss.item())

  expect(work).toBeGreaterThan(0)
  expect(workOf(plans)).toBe(work)
  read.forEach((loss, i) => expect(loss).toBeCloseTo(plain[i]!, 5))
})

test('what is recomputed on purpose is not kept', async () => {
  const whole = (net: nn.Layer, x: Tensor): Tensor => recompute((h: Tensor) => call(net, h), x)
  const plain = await train(() => null, whole)
  const work = workOf(plans)
  const read = await train((loss) => loss.item(), whole)

  expect(workOf(plans)).toBe(work)
  read.forEach((loss, i) => expect(loss).toBeCloseTo(plain[i]!, 5))
})

test('a frozen part before the trained one is computed once', async () => {
  seed(5)
  const [frozen, head] = [makeNet(), new nn.Linear(10, 2)]
  for (const p of frozen.parameters()) p.stopGradient = true
  // Else its results would be kept for the running statistics' sake.
  frozen.eval()
  const x = randn([4, 3, 8, 8])
  await x.data()
  const loss = call(head, call(frozen, x)).mean()
  await loss.item()
  const before = workOf(plans)
  loss.backward()
  await Promise.all(head.parameters().map((p) => p.grad!.data()))

  expect(workOf(plans) - before).toBeLessThan(before / 10)
})

test('nothing is kept without gradients, or where backward() has been', async () => {
  seed(5)
  const net = makeNet()
  const x = randn([4, 3, 8, 8])
  await x.data()
  net.eval()
  await noGrad(() => call(net, x)).data()
  const outputs = plans.at(-1)!
  const written = new Set(
    launchesOf(outputs).flatMap((l) =>
      l.arguments.flatMap((a) => (a.kind === 'buffer' && a.ref.space === 'output' ? [a.ref.slot] : [])),
    ),
  )

  expect([...written]).toEqual([0])
})

test('a kept loss forgets its forward pass once backward() has been', async () => {
  seed(5)
  const net = makeNet()
  const loss = call(net, randn([4, 3, 8, 8])).mean()
  await loss.item()

  expect(loss.node.sources.length).toBeGreaterThan(0)
  loss.backward()
  expect(loss.node.sources).toEqual([])
  await Promise.all(net.parameters().map((p) => p.grad!.data()))
  expect(() => loss.backward()).toThrow('released')
})
