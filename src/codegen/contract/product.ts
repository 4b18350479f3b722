/** Which packed product computes a form: the one for pairs of bfloat16 where the device has instructions for them, else the one in float32. */
import type { Capabilities } from '../capabilities.ts'
import { lowerPairGemm } from './bf16-gemm.ts'
import { hasPairProducts } from './bf16-kind.ts'
import type { Form, StepList } from './form.ts'
import { lowerGemm, type GemmOptions } from './gemm.ts'

export function lowerProduct(form: Form, capabilities: Capabilities, options: GemmOptions, list: StepList): void {
  if (hasPairProducts(form, capabilities)) lowerPairGemm(form, capabilities, options, list)
  else lowerGemm(form, capabilities, options, list)
}
