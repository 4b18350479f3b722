/** Every op of the table, with every dtype it takes, gives on every backend what the oracle gives. */
import { describe, expect, it } from 'vitest'
import { getElement, isFloat, type DType, type HostData } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'
import { opTable, type OpName } from '../../src/graph/ops.ts'
import { setDevice } from '../../src/tensor/device.ts'
import { submit } from '../../src/tensor/realize.ts'
import { fromHost, Tensor } from '../../src/tensor/tensor.ts'
import { judged } from '../support/backends.ts'
import { attentionOpCases } from '../support/ops/attention.ts'
import type { OpCase } from '../support/ops/case.ts'
import { binaryCases, castCases, unaryCases, whereCases } from '../support/ops/elementwise.ts'
import { controlCases, indexCases } from '../support/ops/indexing.ts'
import { leafCases, viewCases } from '../support/ops/leaves.ts'
import { contractCases, cumulateCases, reduceCases } from '../support/ops/reductions.ts'

const groups: Readonly<Record<string, () => OpCase[]>> = {
  leaves: leafCases,
  'unary ops': unaryCases,
  'binary ops': binaryCases,
  where: whereCases,
  casts: castCases,
  views: viewCases,
  reductions: reduceCases,
  'running reductions': cumulateCases,
  contractions: contractCases,
  'index ops': indexCases,
  loops: controlCases,
  attention: attentionOpCases,
}

/** Half a unit of the last place, and what the arithmetic of float32 may lose before. */
const tolerance: Partial<Record<DType, number>> = {
  float64: 1e-12,
  float32: 1e-5,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
}

interface Result {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly data: HostData
}

/** All cases as one plan. */
async function results(list: readonly OpCase[], device: string): Promise<Result[]> {
  setDevice(device)
  const roots = list.map((c) => c.build(c.inputs.map((i) => fromHost(i).node)))
  submit(roots)
  return Promise.all(roots.map(async (r) => ({ shape: r.shape, dtype: r.dtype, data: await new Tensor(r).data() })))
}

function agree(c: OpCase, dtype: DType, expected: number | bigint, got: number | bigint): boolean {
  if (!isFloat(dtype)) return expected === got
  const [x, y] = [Number(expected), Number(got)]
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) && Number.isNaN(y)
  if (x === y) return !c.zeros || x !== 0 || Object.is(x, y)
  const least = c.cancels ? 1 : dtype === 'float64' ? 1e-300 : 1e-6
  return Math.abs(x - y) <= tolerance[dtype]! * Math.max(least, Math.abs(x))
}

function differences(list: readonly OpCase[], expected: readonly Result[], got: readonly Result[]): string[] {
  return list.flatMap((c, k) => {
    const [e, r] = [expected[k]!, got[k]!]
    const read = (data: HostData, i: number): number | bigint =>
      e.dtype === 'int64' ? (data as BigInt64Array)[i]! : getElement(e.dtype, data, i)
    for (let i = 0; i < numel(e.shape); i++) {
      const [x, y] = [read(e.data, i), read(r.data, i)]
      if (agree(c, e.dtype, x, y)) continue
      const given = c.inputs.map((h) =>
        h.data.length === e.data.length ? String(getElement(h.dtype, h.data, i)) : '?',
      )
      return [`${c.name}: element ${i} is ${y}, not ${x} (of ${given.join(', ')})`]
    }
    return []
  })
}

const text = (lines: readonly string[]): string => lines.slice(0, 40).join('\n')

describe.each(judged)('%s agrees with the reference on', (device) => {
  it.each(Object.keys(groups))('%s', async (group) => {
    const list = groups[group]!()
    const [expected, got] = [await results(list, 'reference'), await results(list, device)]

    expect(text(differences(list, expected, got))).toBe('')
  })
})

it('covers every op of the table but the parameters of loops', () => {
  const covered = new Set(Object.values(groups).flatMap((make) => make().map((c) => c.op)))
  const missing = (Object.keys(opTable) as OpName[]).filter((op) => !covered.has(op) && op !== 'param')

  expect(missing).toEqual([])
})
