/** Which packed product computes a form: the one for pairs of bfloat16 where the device has instructions for them, else the one in float32. */
import type { Capabilities } from '../capabilities.ts'
import { lowerPairGemm } from './bf16-gemm.ts'
import { hasPairProducts, LEAST_SPLIT } from './bf16-kind.ts'
import { formSize, type Form, type StepList } from './form.ts'
import { lowerGemm, type GemmOptions } from './gemm.ts'

/** Rows, or length of the sum, up to which a program may have fewer than that with another batch: the other form is compiled ahead. */
const MOST_FEW = 256

/**
 * Whether a product that splits its elements has so few rows, or so short a sum, that it is better computed in float32; null where it does not
 * split them, or has so many that another batch of its program has enough as well. Weights that never change were split before; columns are
 * constants of a program.
 */
export function floatProduct(form: Form, capabilities: Capabilities): { readonly pays: boolean } | null {
  const isFixed = form.a.isConstant === true || form.b.isConstant === true
  if (form.a.dtype !== 'float32' || isFixed || !hasPairProducts(form, capabilities)) return null
  const few = Math.min(formSize(form.rows), formSize(form.contracted))
  return few > MOST_FEW ? null : { pays: few < LEAST_SPLIT }
}

export function lowerProduct(form: Form, capabilities: Capabilities, options: GemmOptions, list: StepList): void {
  if (hasPairProducts(form, capabilities)) lowerPairGemm(form, capabilities, options, list)
  else lowerGemm(form, capabilities, options, list)
}
