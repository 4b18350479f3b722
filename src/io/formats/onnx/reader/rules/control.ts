/** Control flow that is decided when the model is read. */
import { always, type Convert, type RuleTable } from '../rule.ts'

const branch: Convert = (n) => {
  const condition = n.numbers(0) ?? n.refuse("a condition that depends on the input's values")
  const values = n.inline(n.graph(condition[0] ? 'then_branch' : 'else_branch'))
  values.forEach((name, k) => n.bind(k, name))
}

export const controlRules: RuleTable = { If: always(branch, 'a condition that is constant') }

/** Operators that are known, and why they are refused. */
export const refusedOperators: Readonly<Record<string, string>> = {
  ConvInteger: 'integer arithmetic of quantised models comes in a later version',
  DequantizeLinear: 'quantised models come in a later version',
  DynamicQuantizeLinear: 'quantised models come in a later version',
  Loop: 'loops are not there',
  MatMulInteger: 'integer arithmetic of quantised models comes in a later version',
  NonMaxSuppression: "its results' shapes depend on values",
  QLinearConv: 'quantised models come in a later version',
  QLinearMatMul: 'quantised models come in a later version',
  QuantizeLinear: 'quantised models come in a later version',
  RoiAlign: 'not there yet',
  Scan: 'loops are not there',
  SequenceAt: 'there are no sequences of tensors',
  SequenceConstruct: 'there are no sequences of tensors',
  Unique: "its results' shapes depend on values",
}
