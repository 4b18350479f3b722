/**
 * A new width, length or batch of a known program starts no compiler: after the first step of the benchmark's networks, 50 other sizes bring
 * no kernel that was not there, or that was not compiled ahead since the program needs it at other sizes.
 */
import { expect, test } from 'vitest'
import { CRNN, EncoderClassifier } from '../../src/cli/commands/bench/networks.ts'
import type { Kernel } from '../../src/codegen/kernel.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { verifyKernel } from '../../src/codegen/verify.ts'
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

  compileAhead(kernels: readonly Kernel[]): void {
    for (const k of kernels) {
      verifyKernel(k)
      this.#known.add(structureOf(k))
    }
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

type Size = readonly [batch: number, size: number]

/** A training step of each size; the sizes that brought kernels, with these. */
async function walk(
  backend: CountingBackend,
  sizes: readonly Size[],
  loss: (size: Size) => Tensor,
  adam: optimizer.Optimizer,
): Promise<[size: Size, titles: string[]][]> {
  const found: [Size, string[]][] = []
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

test('50 widths of CRNN, from 32 on', async () => {
  const backend = counting('null-widths')
  const model = new CRNN(100)
  const adam = new optimizer.Adam({ parameters: model.parameters() })
  const loss = ([batch, width]: Size): Tensor => {
    const logits = (model as unknown as (x: Tensor) => Tensor)(randn([batch, 1, 32, width]))
    const lengths = (length: number): Tensor => full([batch], length, 'int64')
    const labels = randint(1, 100, [batch, 10]).astype('int32')
    return nn.functional.ctcLoss(logits, labels, lengths(logits.shape[0]!), lengths(10))
  }
  const first = await walk(backend, [[6, 320]], loss, adam)
  const plans = backend.plans
  // Odd and even ones, with and without remainders of pools, with more and fewer tiles than Winograd's form wants.
  const sizes = Array.from({ length: 50 }, (_, i): Size => [i % 5 === 1 ? 7 : 6, 32 + 13 * i])
  const later = await walk(backend, sizes, loss, adam)

  expect(first.length).toBeGreaterThan(0)
  expect(backend.plans - plans).toBeGreaterThanOrEqual(48)
  expect(later).toEqual([])
})

test('50 lengths of ERNIE-nano, from 5 on', async () => {
  const backend = counting('null-lengths')
  const model = new EncoderClassifier({ layers: 4, hidden: 312, heads: 12, feedForward: 1248 })
  const adamw = new optimizer.AdamW({ parameters: model.parameters() })
  const loss = ([batch, length]: Size): Tensor => {
    const ids = randint(1000, null, [batch, length])
    const logits = (model as unknown as (x: Tensor) => Tensor)(ids)
    return nn.functional.crossEntropy(logits, randint(2, null, [batch]))
  }
  const first = await walk(backend, [[16, 128]], loss, adamw)
  const plans = backend.plans
  const sizes = Array.from({ length: 50 }, (_, i): Size => [i % 5 === 1 ? 13 : 16, 5 + 7 * i])
  const later = await walk(backend, sizes, loss, adamw)

  expect(first.length).toBeGreaterThan(0)
  expect(backend.plans - plans).toBeGreaterThanOrEqual(48)
  expect(later).toEqual([])
})
