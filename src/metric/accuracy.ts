/** Top-k accuracy, as in paddle.metric: the class and the function. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, numel } from '../common/shape.ts'
import { argsort, binary, broadcastTo, cast, constant, reduce, reshape, sliceAxis } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { concatNodes } from '../tensor/manipulation.ts'
import { checkTensor } from '../tensor/promotion.ts'
import { Tensor } from '../tensor/tensor.ts'
import { Metric, RunningCounts } from './metric.ts'

/** Which of the k best classes is the label's: bool [.., k] from scores [.., C] and labels [..], [.., 1] or one-hot [.., C]. */
function hits(scores: Tensor, label: Tensor, k: number, op: string): Node {
  checkTensor(scores, op)
  checkTensor(label, op)
  const x = scores.node
  const axis = x.shape.length - 1
  if (axis < 0) throw new ShapeError(`${op}: scores need a class axis, got a tensor of rank 0`)
  const classes = x.shape[axis]!
  if (k > classes) throw new ArgumentError(`${op}: k = ${k} is above the number of classes, ${classes}`)
  const best = sliceAxis(argsort(x, axis, true), axis, 0, k)
  const column = [...x.shape.slice(0, -1), 1]
  const isOneHot = label.ndim === x.shape.length && label.node.shape[axis] === classes && classes > 1
  const indices = isOneHot ? reduce('argmax', label.node, [axis]) : label.node
  if (numel(indices.shape) !== numel(column))
    throw new ShapeError(`${op}: scores ${formatShape(x.shape)} and labels ${formatShape(label.shape)} do not fit`)
  return binary('eq', best, broadcastTo(reshape(cast(indices, 'int64'), column), best.shape))
}

export interface AccuracyOptions {
  /** The label counts as found among this many best classes; several give several results. Default 1. */
  readonly topk?: number | readonly number[]
  /** Default `'acc'`. */
  readonly name?: string
}

/**
 * The share of samples whose label is among the k best classes, `paddle.metric.Accuracy`.
 * @example metric.update(metric.compute(logits, label)); console.log(await metric.accumulate())
 */
export class Accuracy extends Metric {
  readonly topk: readonly number[]
  readonly #name: string
  readonly #correct: RunningCounts
  #samples = 0

  constructor(options: AccuracyOptions = {}) {
    super()
    const { topk = 1, name = 'acc' } = options
    this.topk = typeof topk === 'number' ? [topk] : topk
    if (this.topk.length === 0 || this.topk.some((k) => !Number.isInteger(k) || k < 1))
      throw new ArgumentError(`Accuracy: topk must be positive integers, got [${this.topk.join(', ')}]`)
    this.#name = name
    this.#correct = new RunningCounts([this.topk.length])
  }

  /** float32 [.., largest k]: 1 where that rank's class is the label's. Labels are [..], [.., 1] or one-hot. */
  override compute(scores: Tensor, label: Tensor): Tensor {
    return withGrad(
      false,
      () => new Tensor(cast(hits(scores, label, Math.max(...this.topk), 'Accuracy.compute'), 'float32')),
    )
  }

  /** Takes what `compute` returned; returns the accuracy of this batch, not read yet: rank 0, or [number of k]. */
  override update(correct: Tensor): Tensor {
    checkTensor(correct, 'Accuracy.update')
    const width = correct.node.shape[correct.ndim - 1]
    if (width !== Math.max(...this.topk))
      throw new ShapeError(
        `Accuracy.update: expected what compute returns, [.., ${Math.max(...this.topk)}], got ${formatShape(correct.shape)}`,
      )
    const samples = correct.size / width
    this.#samples += samples
    return withGrad(false, () => {
      const rows = reshape(cast(correct.node, 'int32'), [samples, width])
      const sums = this.topk.map((k) => reshape(reduce('reduceSum', sliceAxis(rows, 1, 0, k), [0, 1]), [1]))
      const counts = concatNodes(sums, 0)
      this.#correct.add(correct.place, counts)
      const share = binary('div', cast(counts, 'float32'), constant(samples, 'float32', counts.shape))
      return new Tensor(this.topk.length === 1 ? reshape(share, []) : share).keep()
    })
  }

  reset(): void {
    this.#correct.reset()
    this.#samples = 0
  }

  /** One number, or one for each k; 0 where nothing was fed. */
  async accumulate(): Promise<number | number[]> {
    const shares = (await this.#correct.read()).map((n) => (this.#samples > 0 ? n / this.#samples : 0))
    return shares.length === 1 ? shares[0]! : shares
  }

  name(): string[] {
    return this.topk.length === 1 ? [this.#name] : this.topk.map((k) => `${this.#name}_top${k}`)
  }
}

/** The share of samples [N] whose label is among the k best of scores [N, C], float32 of rank 0, `paddle.metric.accuracy`. */
export function accuracy(input: Tensor, label: Tensor, k = 1): Tensor {
  return withGrad(false, () => {
    const found = cast(hits(input, label, k, 'accuracy'), 'float32')
    const axes = found.shape.map((_, i) => i)
    const samples = numel(found.shape) / k
    return new Tensor(binary('div', reduce('reduceSum', found, axes), constant(samples, 'float32')))
  })
}
