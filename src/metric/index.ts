/** `metric`: measures of a model, as `paddle.metric`. */
export { accuracy, Accuracy, type AccuracyOptions } from './accuracy.ts'
export { Auc, Precision, Recall, type AucOptions } from './binary.ts'
export {
  EditDistance,
  type EditDistanceOptions,
  type EditDistanceResult,
  type SequenceBatch,
  type Sequences,
} from './edit-distance.ts'
export { Metric } from './metric.ts'
