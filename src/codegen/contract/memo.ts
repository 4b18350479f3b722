/** Lowering a contraction depends on nothing but its problem: networks repeat themselves, so the last ones are kept. */
import { Hash } from '../../common/hash.ts'
import { RecentMap } from '../../common/recent-map.ts'
import { addAxes, addDType } from '../../schedule/signature.ts'
import { capabilitiesNumber } from '../capabilities.ts'
import { lowerContract } from './lower.ts'
import type { ContractProblem, Epilogue, LoweredContract } from './problem.ts'

const kept = new RecentMap<string, LoweredContract>(512)

/** As `lowerContract`. */
export function lowerContractOnce(problem: ContractProblem): LoweredContract {
  return kept.getOrMake(keyOf(problem), () => lowerContract(problem))
}

function keyOf({
  spec,
  dtype,
  lhs,
  rhs,
  out,
  outDType,
  constant,
  inLoop,
  capabilities,
  epilogue,
}: ContractProblem): string {
  const hash = new Hash()
  for (const axes of [spec.lhs, spec.rhs, spec.out]) addAxes(hash, axes)
  addDType(hash, dtype)
  for (const { shape, strides, offset } of [lhs, rhs, out]) {
    hash.addAll(shape)
    hash.addAll(strides)
    hash.add(offset)
  }
  addDType(hash, outDType ?? dtype)
  hash.add((constant?.lhs ? 1 : 0) + (constant?.rhs ? 2 : 0) + (inLoop ? 4 : 0))
  hash.add(capabilitiesNumber(capabilities))
  if (epilogue) addEpilogue(hash, epilogue)
  return hash.toString()
}

/** Titles follow from keys. */
function addEpilogue(hash: Hash, { key, operands, results = [], scalars }: Epilogue): void {
  hash.addText(key)
  for (const { dtype, strides, offset } of operands) {
    addDType(hash, dtype)
    hash.addAll(strides)
    hash.add(offset)
  }
  hash.add(results.length)
  for (const dtype of results) addDType(hash, dtype)
  hash.addText(scalars.join())
}
