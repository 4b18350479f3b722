import { beforeEach, expect, test, vi } from 'vitest'
import { allocateBuffer, FEW_NODES } from './memory.ts'

const collections = vi.hoisted(() => ({ count: 0 }))
vi.mock('../young-collection.ts', () => ({ collectYoung: () => void collections.count++ }))

const LARGE = 17 << 20

beforeEach(() => void (collections.count = 0))

test('memory that nobody has any more is given back before much is asked for', () => {
  allocateBuffer(1 << 20)
  expect(collections.count).toBe(0)
  allocateBuffer(LARGE)
  allocateBuffer(LARGE, FEW_NODES)
  expect(collections.count).toBe(2)
})

test('but not while many recorded nodes are alive, which would be moved', () => {
  allocateBuffer(LARGE, FEW_NODES + 1)
  expect(collections.count).toBe(0)
})
