/** Which packed product computes a form: the one for pairs of bfloat16 where the device has instructions for them, else the one in float32. */
import type { Capabilities } from '../capabilities.ts'
import { lowerPairGemm } from './bf16-gemm.ts'
import { hasPairProducts } from './bf16-kind.ts'
import { formSize, type Form, type StepList } from './form.ts'
import { lowerGemm, type GemmOptions } from './gemm.ts'

/**
 * Elements of each extent from which on tiles save more than splitting float32 in three takes: each element of an operand is split for as many
 * products as the other has rows or columns, and sums are stored for as many as they are long. On one core, 64 x 4096 x 256 ran at 125 GFLOP/s
 * split and at 148 whole, 1800 x 199 x 57 at 89 and 124, 128 x 221 x 397 at the same speed, 2048 x 312 x 312 at 215 and 168.
 */
const LEAST_SPLIT = 96
/** Rows, or length of the sum, up to which a program may have fewer than that with another batch: the other form is compiled ahead. */
const MOST_FEW = 256

/**
 * Whether a product that splits its elements has so few rows, or so short a sum, that it is better computed in float32; null where it does not
 * split them, or has so many that another batch of its program has enough as well.
 */
export function floatProduct(form: Form, capabilities: Capabilities): { readonly pays: boolean } | null {
  if (!splits(form, capabilities)) return null
  const few = Math.min(formSize(form.rows), formSize(form.contracted))
  return few > MOST_FEW ? null : { pays: few < LEAST_SPLIT }
}

/** Weights that never change were split before. Columns are constants of a program. */
function splits(form: Form, capabilities: Capabilities): boolean {
  if (form.a.dtype !== 'float32' || form.a.isConstant === true || form.b.isConstant === true) return false
  return formSize(form.columns) >= LEAST_SPLIT && hasPairProducts(form, capabilities)
}

export function lowerProduct(form: Form, capabilities: Capabilities, options: GemmOptions, list: StepList): void {
  const isWhole = form.a.dtype === 'float32' && !form.a.isConstant && !form.b.isConstant && !splits(form, capabilities)
  if (!isWhole && hasPairProducts(form, capabilities)) lowerPairGemm(form, capabilities, options, list)
  else lowerGemm(form, capabilities, options, list)
}
