/**
 * A plan for a size that another size's plan was taken over for launches what a plan made afresh launches: the same kernels with the same
 * sizes, strides and numbers, and computes the same values from the same values. Only widths are walked: of other batches, kernels that need
 * nothing of each other may be joined otherwise.
 */
import { createHash } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import type { Kernel } from '../../src/codegen/kernel.ts'
import type { Tensor } from '../../src/index.ts'
import type { NullBackend } from '../../src/runtime/null/backend.ts'
import type { BufferRef, Plan } from '../../src/schedule/plan.ts'

/** The modules of the package with nothing kept from before. */
async function freshModules() {
  vi.resetModules()
  const paddle = await import('../../src/index.ts')
  const nullDevice = await import('../../src/runtime/null/backend.ts')
  const { structureOf } = await import('../../src/codegen/structure.ts')
  const { registerDevice } = await import('../../src/tensor/device.ts')
  const { launchesOf } = await import('../../src/schedule/plan.ts')
  return { paddle, NullBackend: nullDevice.NullBackend, structureOf, registerDevice, launchesOf }
}

type Modules = Awaited<ReturnType<typeof freshModules>>
type Size = readonly [batch: number, width: number]

interface Planned {
  /** Launches without where values lie in the arena, in an order that is not the plan's. */
  readonly launches: readonly string[]
  /** What each output holds at the end: by which kernels, of which values it was computed. */
  readonly results: readonly string[]
  readonly arenaBytes: number
}

function planned({ structureOf, launchesOf }: Modules, plan: Plan, kernels: readonly Kernel[]): Planned {
  const memory = new Map<string, string>()
  const placeOf = ({ space, slot, byteOffset }: BufferRef): string => `${space} ${slot} ${byteOffset}`
  const launches = launchesOf(plan).map(({ kernel, arguments: given, ...rest }) => {
    const { parameters } = kernels[kernel]!
    const named = given.map((a) => (a.kind === 'buffer' ? [a.ref.space, a.ref.step] : a))
    const launch = JSON.stringify([structureOf(kernels[kernel]!), named, rest])
    const accesses = given.flatMap((a, i) => {
      const p = parameters[i]!
      return a.kind === 'buffer' && p.kind === 'buffer' ? [{ place: placeOf(a.ref), access: p.access }] : []
    })
    const reads = accesses.map(({ place, access }) => (access === 'write' ? '' : (memory.get(place) ?? place)))
    const digest = createHash('sha256')
      .update(JSON.stringify([launch, reads]))
      .digest('hex')
    accesses.forEach(({ place, access }, i) => access !== 'read' && memory.set(place, `${digest} ${i}`))
    return launch
  })
  const results = [...memory].flatMap(([place, held]) => (place.startsWith('output') ? [`${place}: ${held}`] : []))
  return { launches: launches.sort(), results: results.sort(), arenaBytes: plan.arenaBytes }
}

/**
 * A first step of training on images: convolutions, a pool, a normalisation, products, and a loss. Parameters and data are in memory before, so that
 * the step is one program, the same but for its sizes in each call.
 */
async function trainer({ nn, optimizer, randn, randint, realize, seed }: Modules['paddle']) {
  seed(1)
  const body = new nn.Sequential(
    new nn.Conv2D(3, 16, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.Conv2D(16, 24, 3, { padding: 1 }),
    new nn.BatchNorm2D(24),
    new nn.ReLU(),
    new nn.MaxPool2D(2),
    new nn.Conv2D(24, 8, 1),
  )
  const head = new nn.Linear(8 * 4, 10)
  const parameters = [...body.parameters(), ...head.parameters()]
  await realize(parameters)
  return async ([batch, width]: Size): Promise<Tensor> => {
    const [x, y] = [randn([batch, 3, 8, width]), randint(10, null, [batch])]
    await realize([x, y])
    const features = body(x).transpose([0, 3, 1, 2]).flatten(2)
    const weights = nn.functional.softmax(features.matmul(features.transpose([0, 2, 1])), -1)
    const loss = nn.functional.crossEntropy(head(weights.matmul(features)).mean(1), y)
    loss.backward()
    const adam = new optimizer.Adam({ parameters, learningRate: 0.01 })
    adam.step()
    adam.clearGrad()
    return loss
  }
}

/** What the walk starts from, and the sizes that follow: widths, at which the same nodes would be fused. Which are is taken over by design. */
const start: Size = [4, 40]
const sizes: readonly Size[] = [
  [4, 9],
  [4, 17],
  [4, 50],
  [4, 63],
]

/** The plans of the steps of a walk over sizes. */
async function plansOf(modules: Modules, walk: readonly Size[]): Promise<Planned[]> {
  const { paddle, NullBackend, registerDevice } = modules
  let latest: Planned | null = null
  class Listing extends NullBackend {
    override compileSync(plan: Plan, kernels: readonly Kernel[]): ReturnType<NullBackend['compileSync']> {
      latest = planned(modules, plan, kernels)
      return super.compileSync(plan, kernels)
    }
  }
  const backend = new Listing()
  registerDevice('null-reused', () => backend)
  paddle.setDevice('null-reused')
  const step = await trainer(paddle)
  const plans: Planned[] = []
  for (const size of walk) {
    await (await step(size)).item()
    plans.push(latest!)
  }
  return plans
}

test('plans of a walk compute what plans made afresh compute', async () => {
  const [, ...walked] = await plansOf(await freshModules(), [start, ...sizes])

  const lowerings = new Set<string>()
  const different: string[] = []
  for (const [i, size] of sizes.entries()) {
    const [afresh] = await plansOf(await freshModules(), [size])
    const { launches, results, arenaBytes } = walked[i]!
    if (launches.join('\n') !== afresh!.launches.join('\n')) different.push(`launches of ${size.join(' x ')}`)
    if (results.join('\n') !== afresh!.results.join('\n')) different.push(`results of ${size.join(' x ')}`)
    // The order may be that of the size that came first, which suits its own memory best.
    expect(arenaBytes / afresh!.arenaBytes, `arena of ${size.join(' x ')}`).toBeLessThan(1.1)
    lowerings.add(launches.map((l) => l.split(',', 1)[0]).join())
  }
  expect(different).toEqual([])
  // Not one lowering fits them all.
  expect(lowerings.size).toBeGreaterThan(1)
})
