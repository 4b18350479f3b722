/** The table of rules: every ONNX operator that is read. docs/onnx-operators.md is made from it. */
import type { RuleTable } from './rule.ts'
import { controlRules } from './rules/control.ts'
import { elementwiseRules } from './rules/elementwise.ts'
import { indexingRules } from './rules/indexing.ts'
import { linearRules } from './rules/linear.ts'
import { normalizationRules } from './rules/normalization.ts'
import { recurrentRules } from './rules/recurrent.ts'
import { shapingRules } from './rules/shaping.ts'
import { spatialRules } from './rules/spatial.ts'

/** Groups of rules, for the coverage table. */
export const ruleGroups: Readonly<Record<string, RuleTable>> = {
  'Single elements': elementwiseRules,
  Shapes: shapingRules,
  'Products and reductions': linearRules,
  'Windows and resizing': spatialRules,
  'Normalisation and softmax': normalizationRules,
  Indices: indexingRules,
  Recurrence: recurrentRules,
  'Control flow': controlRules,
}

export const onnxOperators: RuleTable = Object.assign({}, ...Object.values(ruleGroups)) as RuleTable
