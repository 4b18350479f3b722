/**
 * A new width or length of a known program starts no compiler: after the first steps of the benchmark's networks, 50 other sizes bring no
 * kernel that was not there. (Where a template tells sizes apart, such as products of fewer columns than a vector has, the first size on the
 * other side brings some, and so do images too small for Winograd; these walks stay on one side.)
 */
import { expect, test } from 'vitest'
import { CRNN, EncoderClassifier } from '../../src/cli/commands/bench/networks.ts'
import type { Kernel } from '../../src/codegen/kernel.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { full, nn, optimizer, randint, randn, setDevice, type Tensor } from '../../src/index.ts'
import type { Program } from '../../src/runtime/backend.ts'
import { NullBackend } from '../../src/runtime/null/backend.ts'
import type { Plan } from '../../src/schedule/plan.ts'
import { registerDevice } from '../../src/tensor/device.ts'

/** Counts plans, and the kernels that a backend would have to compile. */
class CountingBackend extends NullBackend {
  plans = 0
  readonly #known = new Set<string>()
  #fresh: string[] = []

  override compileSync(_: Plan, kernels: readonly Kernel[]): Program {
    this.plans++
    for (const k of kernels) {
      const structure = structureOf(k)
      if (!this.#known.has(structure)) this.#fresh.push(k.title)
      this.#known.add(structure)
    }
    return { kernels: kernels.length }
  }

  /** Titles of the kernels that no plan had before, since the last call. */
  takeFresh(): string[] {
    const fresh = this.#fresh
    this.#fresh = []
    return fresh
  }
}

function counting(name: string): CountingBackend {
  const backend = new CountingBackend()
  registerDevice(name, () => backend)
  setDevice(name)
  return backend
}

/** A training step of each size; the sizes that brought kernels, with these. */
async function walk(
  backend: CountingBackend,
  sizes: readonly number[],
  loss: (size: number) => Tensor,
  adam: optimizer.Optimizer,
): Promise<[size: number, titles: string[]][]> {
  const found: [number, string[]][] = []
  for (const size of sizes) {
    const value = loss(size)
    value.backward()
    adam.step()
    adam.clearGrad()
    await value.item()
    const fresh = backend.takeFresh()
    if (fresh.length > 0) found.push([size, fresh])
  }
  return found
}

test('50 widths of CRNN', async () => {
  const backend = counting('null-widths')
  const model = new CRNN(100)
  const adam = new optimizer.Adam({ parameters: model.parameters() })
  const loss = (width: number): Tensor => {
    const logits = (model as unknown as (x: Tensor) => Tensor)(randn([4, 1, 32, width]))
    const lengths = (length: number): Tensor => full([4], length, 'int64')
    const labels = randint(1, 100, [4, 10]).astype('int32')
    return nn.functional.ctcLoss(logits, labels, lengths(logits.shape[0]!), lengths(10))
  }
  const first = await walk(backend, [320, 200], loss, adam)
  const plans = backend.plans
  const later = await walk(
    backend,
    // From here on the last images of 3x3 convolutions have as many tiles as Winograd's form wants.
    Array.from({ length: 50 }, (_, i) => 116 + 12 * i),
    loss,
    adam,
  )

  expect(first.length).toBeGreaterThan(0)
  expect(backend.plans - plans).toBeGreaterThanOrEqual(48)
  expect(later).toEqual([])
})

test('50 lengths of ERNIE-nano', async () => {
  const backend = counting('null-lengths')
  const model = new EncoderClassifier({ layers: 4, hidden: 312, heads: 12, feedForward: 1248, vocabulary: 1000 })
  const adamw = new optimizer.AdamW({ parameters: model.parameters() })
  const loss = (length: number): Tensor => {
    const ids = randint(1000, null, [16, length])
    const logits = (model as unknown as (x: Tensor) => Tensor)(ids)
    return nn.functional.crossEntropy(logits, randint(2, null, [16]))
  }
  const first = await walk(backend, [128, 450], loss, adamw)
  const plans = backend.plans
  const later = await walk(
    backend,
    Array.from({ length: 50 }, (_, i) => 36 + 9 * i),
    loss,
    adamw,
  )

  expect(first.length).toBeGreaterThan(0)
  expect(backend.plans - plans).toBeGreaterThanOrEqual(48)
  expect(later).toEqual([])
})
