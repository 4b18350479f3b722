/** Lowering a contraction depends on nothing but its problem: networks repeat themselves, so the last ones are kept. */
import { lowerContract } from './lower.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'

const kept = new Map<string, LoweredContract>()
const maxKept = 512

/** As `lowerContract`, for problems without an epilogue. */
export function lowerContractOnce(problem: Omit<ContractProblem, 'epilogue'>): LoweredContract {
  const { spec, dtype, lhs, rhs, out, capabilities } = problem
  const view = (v: ContractProblem['lhs']): unknown[] => [v.shape, v.strides, v.offset]
  const key = JSON.stringify([spec, dtype, view(lhs), view(rhs), view(out), problem.outDType, capabilities])
  const known = kept.get(key)
  if (known) return known
  const lowered = lowerContract(problem)
  kept.set(key, lowered)
  if (kept.size > maxKept) kept.delete(kept.keys().next().value!)
  return lowered
}
