/**
 * Chooses how a contraction is computed and writes the steps: the packed product for floating-point matrix products, the plain loop
 * nest for the rest. The choice depends on the structure (letters, strides of 0 and 1, dtype), not on sizes.
 */
import { numel } from '../../common/shape.ts'
import type { ContractProblem, LoweredContract } from './problem.ts'
import { StepList, type Form, type FormAxis } from './form.ts'
import { lowerGemm } from './gemm.ts'
import { hasLetter, isWindow, lettersOf, plainStride } from './letters.ts'
import { lowerNest } from './nest.ts'

export function lowerContract(problem: ContractProblem): LoweredContract {
  const list = new StepList()
  if (numel(problem.out.shape) === 0) return list
  const form = plainForm(problem)
  if (form && isLowPrecisionOrFloat32(problem)) {
    lowerGemm(form, problem.capabilities, { packRowsOnce: false, splits: 1, splitStride: 0 }, list)
  } else {
    lowerNest(problem, titleOf(problem), list)
  }
  return list
}

function isLowPrecisionOrFloat32(problem: ContractProblem): boolean {
  return problem.dtype === 'float32' || problem.dtype === 'bfloat16' || problem.dtype === 'float16'
}

function titleOf(problem: ContractProblem): string {
  const { spec } = problem
  const windowed = [...spec.lhs, ...spec.rhs, ...spec.out].some(isWindow)
  return `${windowed ? 'convolution' : 'matmul'}${problem.epilogue?.title ?? ''}`
}

/** Sorts the letters of a contraction without windows; the side with the result's unit stride becomes the columns. */
function plainForm(problem: ContractProblem): Form | null {
  const { spec, lhs, rhs, out, epilogue } = problem
  if ([...spec.lhs, ...spec.rhs, ...spec.out].some(isWindow)) return null
  const axes = lettersOf(problem).map(({ letter, size }) => {
    const outAxis = spec.out.indexOf(letter)
    return {
      letter,
      inLhs: hasLetter(spec.lhs, letter),
      inRhs: hasLetter(spec.rhs, letter),
      inOut: outAxis >= 0,
      size,
      lhs: plainStride(spec.lhs, lhs, letter),
      rhs: plainStride(spec.rhs, rhs, letter),
      out: plainStride(spec.out, out, letter),
      operands: (epilogue?.operands ?? []).map((o) => (outAxis >= 0 ? o.strides[outAxis]! : 0)),
    }
  })
  const batch = axes.filter((l) => l.inLhs && l.inRhs && l.inOut)
  const left = axes.filter((l) => l.inLhs && !l.inRhs && l.inOut)
  const right = axes.filter((l) => !l.inLhs && l.inOut)
  const contracted = axes.filter((l) => !l.inOut)
  const swap = left.some((l) => l.out === 1) && !right.some((l) => l.out === 1)
  const form = (l: (typeof axes)[number]): FormAxis => ({
    size: l.size,
    a: swap ? l.rhs : l.lhs,
    b: swap ? l.lhs : l.rhs,
    out: l.out,
    operands: l.operands,
  })
  const view = (kind: 'lhs' | 'rhs'): Form['a'] => ({
    memory: { kind },
    dtype: problem.dtype,
    offset: problem[kind].offset,
  })
  const unitLast = (list: FormAxis[]): FormAxis[] => [
    ...list.filter((l) => l.out !== 1),
    ...list.filter((l) => l.out === 1),
  ]
  return {
    title: titleOf(problem),
    a: view(swap ? 'rhs' : 'lhs'),
    b: view(swap ? 'lhs' : 'rhs'),
    out: { memory: { kind: 'out' }, dtype: problem.outDType ?? problem.dtype, offset: out.offset },
    epilogue,
    batch: batch.map(form),
    rows: (swap ? right : left).map(form),
    columns: unitLast((swap ? left : right).map(form)),
    contracted: contracted.map(form),
  }
}
