/** Values recorded from real PaddlePaddle (test/fixtures/README.md). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DType, HostArray } from '../../src/common/dtype.ts'
import { parseNpz } from '../../src/io/npz.ts'
import { ROOT } from './scratch.ts'

export interface RecordedCase {
  readonly name: string
  readonly expr: string
  readonly attrs: Readonly<Record<string, unknown>>
  readonly grads: readonly string[]
  readonly arrays: Readonly<Record<string, HostArray>>
}

const folder = join(ROOT, 'test/fixtures')

export function recordedJson(path: string): unknown {
  return JSON.parse(readFileSync(join(folder, path), 'utf8'))
}

/** One case of fixtures/ops: its description and arrays (in_*, out0, gout0, d_*, ...). */
export function recordedCase(name: string): RecordedCase {
  const description = recordedJson(`ops/${name}.json`) as Omit<RecordedCase, 'arrays'>
  return { ...description, arrays: parseNpz(readFileSync(join(folder, `ops/${name}.npz`))) }
}

/** A recorded value: numbers, with NaN and infinities as strings, in arrays. */
export function revive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(revive)
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : value
}

/** `paddle.float32` -> `float32` */
export function dtypeOf(name: string): DType {
  return name.replace('paddle.', '') as DType
}
