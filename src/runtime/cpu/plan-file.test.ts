import { expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import type { Launch } from '../../schedule/plan.ts'
import type { PlanRequest } from '../backend.ts'
import { readPlan, writePlan, type StoredPlan } from './plan-file.ts'

const request: PlanRequest = {
  description: Float64Array.of(1, 2),
  capabilities: { vectorBytes: 32, threads: 2, cacheBytes: [32768, 524288, 4194304], blocking: true },
  constant: new Set([1]),
  leaves: [64, 256],
  outputs: [128],
  scalars: 1,
}

const launch = (byteOffset: number, step = 0): Launch => ({
  kind: 'launch',
  kernel: 0,
  arguments: [
    { kind: 'buffer', ref: { space: 'leaf', slot: 2, byteOffset: 32, step: 0 } },
    { kind: 'buffer', ref: { space: 'arena', slot: 0, byteOffset, step } },
    { kind: 'index', value: -7 },
    { kind: 'number', value: -0 },
    { kind: 'number', value: 2n ** 60n },
    { kind: 'number', value: -Infinity },
    { kind: 'scalar', slot: 0 },
    { kind: 'scratch' },
  ],
  extent: 5,
  grain: 1,
  scratchBytes: 640,
  flops: 12.5,
  bytes: 99,
  shapes: [[2, 3], []],
})

const stored: StoredPlan = {
  kernels: [
    {
      title: 'add',
      structure: '1-2',
      identity: { name: 'k_1', file: `${'0'.repeat(32)}.so`, digest: 'ab' },
      parameters: [
        { kind: 'buffer', dtype: 'float32', access: 'read' },
        { kind: 'buffer', dtype: 'bool', access: 'update' },
        { kind: 'index' },
        { kind: 'scalar', type: 'f32' },
        { kind: 'scalar', type: 'i64' },
        { kind: 'scalar', type: 'f64' },
        { kind: 'scalar', type: 'i32' },
        { kind: 'scratch', dtype: 'float64' },
      ],
    },
  ],
  plan: {
    arenaBytes: 512,
    steps: [launch(64), { kind: 'loop', count: 4, steps: [launch(300, -100)], besideNext: false }],
  },
  constants: [{ bytes: 40, recipe: 'r', leaves: [1] }],
  prologue: [
    {
      launch: {
        ...launch(0),
        arguments: launch(0).arguments.map((a, i) =>
          i < 2 ? { kind: 'buffer', ref: { space: 'output', slot: 0, byteOffset: 8, step: 0 } } : a,
        ),
      },
      writes: [0],
    },
  ],
}

/** The text of a plan whose content was changed by who also knows how to make its digest. */
function changed(change: (text: string) => string): string {
  const content = change(writePlan(stored).split('\n')[1]!)
  return `${createHash('sha256').update(content).digest('hex')}\n${content}`
}

test('a plan is read as it was written', () => {
  expect(readPlan(writePlan(stored), request)).toEqual(stored)
})

test('a damaged file is no plan', () => {
  const text = writePlan(stored)
  for (const cut of [0, 1, 63, 64, 65, text.length - 1]) expect(readPlan(text.slice(0, cut), request)).toBeNull()
  expect(readPlan(text.replace('add', 'sub'), request)).toBeNull()
})

test('memory that the program does not have is refused', () => {
  const refused = (plan: Partial<StoredPlan>): void =>
    expect(readPlan(writePlan({ ...stored, ...plan }), request)).toBeNull()
  const steps = (...list: StoredPlan['plan']['steps']): void => refused({ plan: { arenaBytes: 512, steps: list } })

  steps(launch(513))
  steps(launch(-1))
  steps({ kind: 'loop', count: 5, steps: [launch(300, -100)], besideNext: false })
  steps({ kind: 'loop', count: 4, steps: [launch(300, 100)], besideNext: false })
  steps({ ...launch(0), kernel: 1 })
  steps({ ...launch(0), arguments: launch(0).arguments.slice(1) })
  steps({ ...launch(0), extent: 1.5 })
  refused({ constants: [] })
  refused({ constants: [{ bytes: 40, recipe: 'r', leaves: [2] }] })
  expect(readPlan(writePlan(stored), { ...request, leaves: [64] })).toBeNull()
  expect(readPlan(writePlan(stored), { ...request, scalars: 0 })).toBeNull()
})

test('any token in the place of another gives a plan or none, never an exception', () => {
  const tokens = [
    ...writePlan(stored)
      .split('\n')[1]!
      .matchAll(/-?[\d.]+|"[^"]*"|null|\[\]/g),
  ]
  for (const token of tokens) {
    for (const other of ['null', '-1', '1e300', '0.5', '"x"', '[]', '{}', 'true', '[[[]]]']) {
      const text = changed((t) => t.slice(0, token.index) + other + t.slice(token.index + token[0].length))
      expect(() => readPlan(text, request)).not.toThrow()
    }
  }
})
