/** Plans in memory that the native executor walks. */
import type { Plan } from '../../schedule/plan.ts'
import type { Program, ProgramOptions } from '../backend.ts'
import { timeCount } from '../run-times.ts'
import { encodePlan, type KernelHead, type Needs } from './encode.ts'
import { allocateWords } from './memory.ts'

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
