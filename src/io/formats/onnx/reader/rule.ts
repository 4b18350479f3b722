/** The form of the table of rules: what each ONNX operator becomes, by the version of the operator set since which it means what it means. */
import type { NodeCall } from './node-call.ts'

export type Convert = (n: NodeCall) => void

export interface OnnxOperator {
  /** By since-version, in ascending order. */
  readonly since: Readonly<Record<number, Convert>>
  /** What of it is refused, for the coverage table. */
  readonly limits?: string
}

export type RuleTable = Readonly<Record<string, OnnxOperator>>

/** One rule for all versions. */
export const always = (convert: Convert, limits?: string): OnnxOperator => ({
  since: { 1: convert },
  ...(limits === undefined ? {} : { limits }),
})

export const versions = (since: Readonly<Record<number, Convert>>, limits?: string): OnnxOperator => ({
  since,
  ...(limits === undefined ? {} : { limits }),
})

/** The rule for a version of the operator set. */
export function ruleFor(operator: OnnxOperator, opset: number): Convert | null {
  const since = Object.keys(operator.since)
    .map(Number)
    .filter((v) => v <= opset)
  return since.length > 0 ? operator.since[Math.max(...since)]! : null
}
