/** Lowered contractions against the naive sum, on numbers whose sums are exact: what tests of the templates share. */
import { expect } from 'vitest'
import { allocateHost, getElement, setElement, type DType } from '../../src/common/dtype.ts'
import { contiguousStrides, numel } from '../../src/common/shape.ts'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { withFreshKernels } from '../../src/codegen/contract/assembler.ts'
import { lowerContract } from '../../src/codegen/contract/lower.ts'
import type { ContractProblem, Epilogue, LoweredContract, StridedView } from '../../src/codegen/contract/problem.ts'
import { ContractRunner } from './contract-runner.ts'
import { naiveContract, type ContractCase } from './naive-contract.ts'

export const capabilities: Capabilities = {
  vectorBytes: 32,
  threads: 2,
  cacheBytes: [32 << 10, 1 << 20, 4 << 20],
  blocking: true,
}

export interface Layout {
  /** Order in which the axes lie in memory, outer to inner; default: row-major. */
  readonly order?: readonly number[]
  /** Axes along which the operand repeats (stride 0). */
  readonly repeated?: readonly number[]
  readonly flipped?: readonly number[]
  readonly offset?: number
}

/** A view and the elements that it spans. */
function layOut(shape: readonly number[], layout: Layout = {}): { view: StridedView; length: number } {
  const order = layout.order ?? shape.map((_, i) => i)
  const strides = new Array<number>(shape.length).fill(0)
  let length = 1
  for (const axis of [...order].reverse()) {
    if (layout.repeated?.includes(axis)) continue
    strides[axis] = length
    length *= Math.max(1, shape[axis]!)
  }
  let offset = layout.offset ?? 0
  for (const axis of layout.flipped ?? []) {
    offset += strides[axis]! * Math.max(0, shape[axis]! - 1)
    strides[axis] = -strides[axis]!
  }
  return { view: { shape, strides, offset }, length: length + (layout.offset ?? 0) }
}

export interface Options {
  readonly dtype?: DType
  readonly outDType?: DType
  readonly constant?: ContractProblem['constant']
  readonly lhs?: Layout
  readonly rhs?: Layout
  readonly epilogue?: Epilogue
  readonly operands?: readonly Float32Array[]
  readonly capabilities?: Capabilities
  readonly seed?: number
}

export function lower(c: ContractCase, o: Options = {}): LoweredContract {
  return lowerContract({
    spec: c.spec,
    dtype: o.dtype ?? 'float32',
    lhs: layOut(c.lhs, o.lhs).view,
    rhs: layOut(c.rhs, o.rhs).view,
    out: { shape: c.out, strides: contiguousStrides(c.out), offset: 0 },
    ...(o.outDType ? { outDType: o.outDType } : {}),
    ...(o.epilogue ? { epilogue: o.epilogue } : {}),
    ...(o.constant ? { constant: o.constant } : {}),
    capabilities: o.capabilities ?? capabilities,
  })
}

/** Small integers: their sums are exact in float32, so that results must be equal whatever the order of the sum. */
function fill(dtype: DType, length: number, seed: number): ReturnType<typeof allocateHost> {
  const data = allocateHost(dtype, length)
  let state = seed | 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    setElement(dtype, data, i, ((state >>> 16) % 9) - (dtype === 'uint8' ? 0 : 4))
  }
  return data
}

/** Kernels kept from other problems must be those that this one would write itself. */
function expectReuse(c: ContractCase, o: Options): void {
  const structures = (l: LoweredContract): string[] => l.steps.map((s) => structureOf(s.kernel))
  expect(structures(lower(c, o))).toEqual(withFreshKernels(() => structures(lower(c, o))))
}

export function compute(c: ContractCase, o: Options = {}): { found: number[]; sum: Float64Array } {
  const dtype = o.dtype ?? 'float32'
  const outDType = o.outDType ?? dtype
  const [l, r] = [layOut(c.lhs, o.lhs), layOut(c.rhs, o.rhs)]
  const lhs = fill(dtype, l.length, o.seed ?? 1)
  const rhs = fill(dtype, r.length, (o.seed ?? 1) + 77)
  const out = allocateHost(outDType, numel(c.out))
  const lowered = lower(c, o)
  expectReuse(c, o)
  new ContractRunner(lowered, { lhs, rhs, out, ...(o.operands ? { operands: o.operands } : {}), scalars: [2] }).run()
  const read = (data: typeof lhs) => (at: number) => getElement(dtype, data, at)
  const sum = naiveContract(c.spec, { view: l.view, data: read(lhs) }, { view: r.view, data: read(rhs) }, c.out)
  return { found: Array.from({ length: out.length }, (_, i) => getElement(outDType, out, i)), sum }
}

export function expectResult(c: ContractCase, o: Options = {}): void {
  const { found, sum } = compute(c, o)
  const stored = allocateHost(o.outDType ?? o.dtype ?? 'float32', sum.length)
  sum.forEach((x, i) => setElement(o.outDType ?? o.dtype ?? 'float32', stored, i, x))
  expect(found).toEqual(
    Array.from({ length: sum.length }, (_, i) => getElement(o.outDType ?? o.dtype ?? 'float32', stored, i) + 0),
  )
}

export const matmul = (m: number, n: number, k: number): ContractCase => ({
  name: 'matmul',
  spec: { lhs: [0, 1], rhs: [1, 2], out: [0, 2] },
  lhs: [m, k],
  rhs: [k, n],
  out: [m, n],
})

export const batched = (b: number, h: number, m: number, n: number, k: number): ContractCase => ({
  name: 'batched matmul',
  spec: { lhs: [5, 6, 0, 1], rhs: [5, 6, 1, 2], out: [5, 6, 0, 2] },
  lhs: [b, h, m, k],
  rhs: [b, h, k, n],
  out: [b, h, m, n],
})
