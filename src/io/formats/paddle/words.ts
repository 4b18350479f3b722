/** Words that Paddle's operators and its API do not agree on. */
import type { AttributeValue } from '../program/program.ts'

/** How the operator calls what the API calls `downscale_in_infer`. */
export function dropoutWord(mode: AttributeValue): string {
  return mode === 'downscale_in_infer' ? 'downgrade_in_infer' : String(mode)
}
