import { describe, expect, it } from 'vitest'
import { splitInvariant } from './invariant.ts'
import type { Kernel } from './kernel.ts'
import type { Location, PendingLaunch } from './pending.ts'

/** A kernel that writes its first argument and reads the others. */
const kernelOf = (reads: number): Kernel =>
  ({
    title: `of ${reads}`,
    parameters: ['write', ...Array.from({ length: reads }, () => 'read')].map((access) => ({
      kind: 'buffer',
      dtype: 'float32',
      access,
    })),
    body: [],
  }) as unknown as Kernel
const kernels = [0, 1, 2].map(kernelOf)

const temporary = (slot: number, step = 0): Location => ({ space: 'temporary', slot, byteOffset: 0, step })
const leaf = (slot: number, step = 0): Location => ({ space: 'leaf', slot, byteOffset: 0, step })
const launch = (to: Location, ...from: Location[]): PendingLaunch => ({
  kernel: from.length,
  arguments: [to, ...from].map((role) => ({ kind: 'memory', role })),
  extent: 1,
  grain: 1,
  scratchBytes: 0,
  flops: 0,
  bytes: 0,
})

describe('splitInvariant', () => {
  it('takes out what reads nothing that changes', () => {
    const pack = launch(temporary(0), leaf(0))
    const step = launch(temporary(1), temporary(0), leaf(1, 4))
    expect(splitInvariant([pack, step], kernels)).toEqual({ before: [pack], inside: [step] })
  })

  it('leaves a counter in, though nothing else changes it', () => {
    const next = launch(temporary(1), temporary(0))
    const carry = launch(temporary(0), temporary(1))
    expect(splitInvariant([next, carry], kernels).before).toEqual([])
  })

  it('leaves what steps through memory, and what others write', () => {
    const slice = launch(temporary(0, 4), leaf(0))
    const first = launch(temporary(1), leaf(0))
    const second = launch(temporary(1), leaf(1, 8))
    expect(splitInvariant([slice, first, second], kernels).before).toEqual([])
  })
})
