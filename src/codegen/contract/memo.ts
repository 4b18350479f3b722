/** Lowering a contraction depends on nothing but its problem: networks repeat themselves, so the last ones are kept. */
import { RecentMap } from '../../common/recent-map.ts'
import { lowerContract } from './lower.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'

const kept = new RecentMap<string, LoweredContract>(512)

/** As `lowerContract`, for problems without an epilogue. */
export function lowerContractOnce(problem: Omit<ContractProblem, 'epilogue'>): LoweredContract {
  const { spec, dtype, lhs, rhs, out, capabilities } = problem
  const view = (v: ContractProblem['lhs']): unknown[] => [v.shape, v.strides, v.offset]
  const key = JSON.stringify([spec, dtype, view(lhs), view(rhs), view(out), problem.outDType, capabilities])
  return kept.getOrMake(key, () => lowerContract(problem))
}
