/**
 * Letters of a contraction: their sizes, and the strides of the plain ones in each operand.
 */
import { contractSizes } from '../../graph/build.ts'
import type { ContractAxis, Window } from '../../graph/node.ts'
import type { ContractProblem, StridedView } from './problem.ts'

export interface Letter {
  readonly letter: number
  readonly size: number
}

export function isWindow(axis: ContractAxis): axis is Window {
  return typeof axis !== 'number'
}

/** Every letter of the three operands, in the order in which out, lhs and rhs name them. */
export function lettersOf(problem: ContractProblem): Letter[] {
  const { spec, lhs, rhs, out } = problem
  const sizes = contractSizes(spec, lhs.shape, rhs.shape, out.shape)
  const seen = new Set<number>()
  for (const axis of [...spec.out, ...spec.lhs, ...spec.rhs]) {
    for (const letter of isWindow(axis) ? [axis.position, axis.tap] : [axis]) seen.add(letter)
  }
  return [...seen].map((letter) => ({ letter, size: sizes.get(letter)! }))
}

/** The stride with which a letter moves through a view by its plain axes; a letter that stands twice walks the diagonal. */
export function plainStride(axes: readonly ContractAxis[], view: StridedView, letter: number): number {
  let stride = 0
  axes.forEach((axis, i) => {
    if (axis === letter) stride += view.strides[i]!
  })
  return stride
}

export function hasLetter(axes: readonly ContractAxis[], letter: number): boolean {
  return axes.some((axis) => (isWindow(axis) ? axis.position === letter || axis.tap === letter : axis === letter))
}
