/** The table of rules: every ONNX operator that is read. docs/onnx-operators.md is made from it. */
import type { RuleTable } from './rule.ts'
import { attentionRules } from './rules/attention.ts'
import { controlRules } from './rules/control.ts'
import { elementwiseRules } from './rules/elementwise.ts'
import { indexingRules } from './rules/indexing.ts'
import { linearRules } from './rules/linear.ts'
import { lossRules } from './rules/loss.ts'
import { normalizationRules } from './rules/normalization.ts'
import { poolingRules } from './rules/pooling.ts'
import { microsoftRules, quantizedRules } from './rules/quantized.ts'
import { recurrentRules } from './rules/recurrent.ts'
import { resizingRules } from './rules/resizing.ts'
import { sequenceRules } from './rules/sequence.ts'
import { shapingRules } from './rules/shaping.ts'
import { signalWeightRules } from './rules/signal-weights.ts'
import { spatialRules } from './rules/spatial.ts'

/** Groups of rules, for the coverage table. */
export const ruleGroups: Readonly<Record<string, RuleTable>> = {
  'Single elements': elementwiseRules,
  Shapes: shapingRules,
  'Products and reductions': linearRules,
  'Windows and resizing': { ...spatialRules, ...poolingRules, ...resizingRules },
  'Normalisation and softmax': normalizationRules,
  Attention: attentionRules,
  Losses: lossRules,
  Indices: indexingRules,
  Recurrence: recurrentRules,
  'Quantised models': quantizedRules,
  "ONNX Runtime's quantiser": microsoftRules,
  'Windows and filters of signals': signalWeightRules,
  'Control flow': controlRules,
  Sequences: sequenceRules,
}

export const onnxOperators: RuleTable = Object.assign({}, ...Object.values(ruleGroups)) as RuleTable
