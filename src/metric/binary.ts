/** Metrics of two-class problems: Precision, Recall and Auc, as in paddle.metric. */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import { binary, cast, constant, reduce, reshape, scatter, sliceAxis, unary } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { concatNodes } from '../tensor/manipulation.ts'
import { checkFloat, checkTensor } from '../tensor/promotion.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { Metric, RunningCounts } from './metric.ts'

const flat = (x: Node): Node => reshape(x, [x.shape.reduce((a, b) => a * b, 1)])
const isNot = (x: Node, value: number): Node => binary('ne', x, constant(value, x.dtype, x.shape))
const countOf = (x: Node): Node => reshape(reduce('reduceSum', cast(x, 'int32'), [0]), [1])

function checkPairs(op: string, preds: Tensor, labels: Tensor, perLabel: number): void {
  checkFloat(preds, op, 'preds')
  checkTensor(labels, op)
  if (preds.size !== labels.size * perLabel)
    throw new ShapeError(
      `${op}: predictions ${formatShape(preds.shape)} and labels ${formatShape(labels.shape)} do not fit`,
    )
}

/** What Precision and Recall share: hits, and the other outcome that stands below the line. */
abstract class HitRate extends Metric {
  readonly #name: string
  readonly #counts = new RunningCounts([2])

  constructor(name: string) {
    super()
    this.#name = name
  }

  /** The cases to be found: [predicted, actual] give what counts below the line. */
  protected abstract below(predicted: Node, actual: Node): Node

  /** Probabilities of the positive class (0.5 and above is positive) and labels 0 or 1, [N] or [N, 1]. */
  override update(preds: Tensor, labels: Tensor): void {
    checkPairs(`${this.constructor.name}.update`, preds, labels, 1)
    withGrad(false, () => {
      const p = flat(preds.node)
      const predicted = binary('ge', p, constant(0.5, p.dtype, p.shape))
      const actual = isNot(flat(labels.node), 0)
      const hit = countOf(binary('and', predicted, actual))
      this.#counts.add(preds.place, concatNodes([hit, countOf(this.below(predicted, actual))], 0))
    })
  }

  reset(): void {
    this.#counts.reset()
  }

  /** 0 where nothing stands below the line. */
  async accumulate(): Promise<number> {
    const [hit, all] = (await this.#counts.read()) as [number, number]
    return all === 0 ? 0 : hit / all
  }

  name(): string {
    return this.#name
  }
}

/** Of the samples called positive, the share that is, `paddle.metric.Precision`. */
export class Precision extends HitRate {
  constructor(name = 'precision') {
    super(name)
  }

  protected below(predicted: Node): Node {
    return predicted
  }
}

/** Of the positive samples, the share called so, `paddle.metric.Recall`. */
export class Recall extends HitRate {
  constructor(name = 'recall') {
    super(name)
  }

  protected below(_predicted: Node, actual: Node): Node {
    return actual
  }
}

export interface AucOptions {
  /** Only `'ROC'`. */
  readonly curve?: 'ROC'
  /** Bins of the probability, one less. Default 4095. */
  readonly numThresholds?: number
  /** Default `'auc'`. */
  readonly name?: string
}

/** The area under the ROC curve, by trapezoids over bins of the probability, `paddle.metric.Auc`. */
export class Auc extends Metric {
  readonly #bins: number
  readonly #name: string
  /** Positive samples of each bin, then negative ones. */
  readonly #counts: RunningCounts

  constructor(options: AucOptions = {}) {
    super()
    const { curve = 'ROC', numThresholds = 4095, name = 'auc' } = options
    if (curve !== 'ROC') throw new ArgumentError(`Auc: curve must be 'ROC', got '${String(curve)}'`)
    if (!Number.isInteger(numThresholds) || numThresholds < 1)
      throw new ArgumentError(`Auc: numThresholds must be a positive integer, got ${numThresholds}`)
    this.#bins = numThresholds + 1
    this.#name = name
    this.#counts = new RunningCounts([2 * this.#bins])
  }

  /** Probabilities [N, 2] (column 1: the positive class) and labels 0 or 1, [N] or [N, 1]. Outside [0, 1]: IndexOutOfRangeError when it runs. */
  override update(preds: Tensor, labels: Tensor): void {
    checkPairs('Auc.update', preds, labels, 2)
    if (preds.ndim !== 2 || preds.shape[1] !== 2)
      throw new ShapeError(`Auc.update: predictions must be [N, 2], got ${formatShape(preds.shape)}`)
    const bins = this.#bins
    this.#counts.change(preds.place, (counts) => {
      const p = flat(sliceAxis(preds.node, 1, 1, 2))
      const bin = cast(unary('trunc', binary('mul', p, constant(bins - 1, p.dtype, p.shape))), 'int32')
      const negative = cast(unary('not', isNot(flat(labels.node), 0)), 'int32')
      const index = binary('add', bin, binary('mul', negative, constant(bins, 'int32', bin.shape)))
      return scatter(counts, index, constant(1, 'int32', index.shape), 0, 'add')
    })
  }

  reset(): void {
    this.#counts.reset()
  }

  /** 0 where one of the classes did not occur. */
  async accumulate(): Promise<number> {
    const counts = await this.#counts.read()
    let [positive, negative, area] = [0, 0, 0]
    for (let bin = this.#bins - 1; bin >= 0; bin--) {
      const before = positive
      positive += counts[bin]!
      area += (counts[bin + this.#bins]! * (before + positive)) / 2
      negative += counts[bin + this.#bins]!
    }
    return positive > 0 && negative > 0 ? area / positive / negative : 0
  }

  name(): string {
    return this.#name
  }
}
