/** Lowering a contraction depends on nothing but its problem: networks repeat themselves, so the last ones are kept. */
import { RecentMap } from '../../common/recent-map.ts'
import { lowerContract } from './lower.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'

const kept = new RecentMap<string, LoweredContract>(512)

/** As `lowerContract`. */
export function lowerContractOnce(problem: ContractProblem): LoweredContract {
  const { spec, dtype, lhs, rhs, out, outDType, constant, inLoop, capabilities, epilogue } = problem
  const view = (v: ContractProblem['lhs']): unknown[] => [v.shape, v.strides, v.offset]
  const after = epilogue && [epilogue.key, epilogue.operands, epilogue.results, epilogue.scalars, epilogue.title]
  const views = [view(lhs), view(rhs), view(out)]
  const key = JSON.stringify([spec, dtype, views, outDType, constant, inLoop, capabilities, after])
  return kept.getOrMake(key, () => lowerContract(problem))
}
