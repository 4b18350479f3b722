/** Plans in memory that the native executor walks. */
import type { Plan } from '../../schedule/plan.ts'
import type { Program, ProgramOptions } from '../backend.ts'
import { timeCount } from '../run-times.ts'
import { encodePlan, type KernelHead, type Needs } from './encode.ts'
import { allocateWords, type CpuBuffer } from './memory.ts'

export interface CpuProgram extends Program {
  readonly words: BigInt64Array
  readonly address: number
  /** That may work for a run; 0: as many as for all others. */
  readonly threads: number
  readonly flushesSubnormals: boolean
  readonly needs: Needs
  readonly arenaBytes: number
  /** Where native code keeps the nanoseconds that the last run took; 0 before the first. */
  readonly taken: { readonly words: BigInt64Array; readonly address: number }
  /** Numbers that a timed run writes. */
  readonly timeCount: number
}

/** A program of which most leaves, and the scalars, are the same in each run. */
export interface BoundProgram {
  readonly program: CpuProgram
  /** Addresses and scalars as native code takes them; each run writes those that are its own. */
  readonly slots: { readonly values: Float64Array; readonly address: number }
  readonly leaves: number
  readonly outputs: number
  readonly scalars: number
  /** Numbers of the leaves that each run gives, in order. */
  readonly given: readonly number[]
  /** Buffers of the others. */
  readonly fixed: readonly CpuBuffer[]
}

/** `addresses` are those of the compiled kernels, by number. */
export function encodeProgram(
  plan: Plan,
  kernels: readonly KernelHead[],
  addresses: readonly number[],
  { threads = 0, flushesSubnormals = false }: ProgramOptions = {},
): CpuProgram {
  const { words, needs } = encodePlan(plan, kernels, addresses)
  const memory = allocateWords(words.length)
  words.forEach((w, i) => (memory.words[i] = BigInt(w)))
  return {
    kernels: kernels.length,
    ...memory,
    threads,
    flushesSubnormals,
    needs,
    arenaBytes: plan.arenaBytes,
    taken: allocateWords(1),
    timeCount: timeCount(plan),
  }
}
