/**
 * Metric, the base of all metrics (paddle.metric.Metric), and the counts that they keep on the device: feeding a metric records a few
 * nodes and waits for nothing; `accumulate` is the door.
 */
import { numel, type Shape } from '../common/shape.ts'
import { allocateHost } from '../common/dtype.ts'
import { binary, cast } from '../graph/build.ts'
import { withGrad, type Node } from '../graph/node.ts'
import { storageOf, submit } from '../tensor/realize.ts'
import { fromHost, Tensor } from '../tensor/tensor.ts'

/**
 * A measure that is fed batch by batch. `compute` runs in the graph on the outputs of the model and the labels, `update` takes what it
 * returns, `accumulate` gives the result so far.
 */
export abstract class Metric {
  /** Names under which results are printed; several where `accumulate` gives several. */
  abstract name(): string | string[]

  /** Forgets everything fed. */
  abstract reset(): void

  /** Takes what `compute` returned. What was fed before an optimizer's step counts with its value from before the step. */
  abstract update(...args: never[]): Tensor | void

  /** The result so far. */
  abstract accumulate(): Promise<number | number[]>

  /** What `update` needs of outputs and labels; by default themselves. */
  compute(...args: Tensor[]): Tensor | Tensor[] {
    return args
  }
}

/** Sums that wait longer than this for a step are computed on their own: an evaluation has no steps. */
const MOST_WAITING = 8

/** Integer counts of a fixed shape that add up on the device. */
export class RunningCounts {
  readonly #shape: Shape
  #value: Tensor | null = null
  #waiting = 0

  constructor(shape: Shape) {
    this.#shape = shape
  }

  reset(): void {
    this.#value = null
    this.#waiting = 0
  }

  /** Replaces the counts by a function of them, recorded outside autograd. */
  change(place: string, next: (counts: Node) => Node): void {
    const before = this.#value ?? this.#zeros(place)
    const value = withGrad(false, () => new Tensor(next(before.node)))
    this.#waiting = storageOf(before.node) || before.node.op === 'buffer' ? 1 : this.#waiting + 1
    this.#value = value.keep()
    if (this.#waiting >= MOST_WAITING) submit([value.node])
  }

  /** Adds counts of the same shape. */
  add(place: string, counts: Node): void {
    this.change(place, (before) => binary('add', before, cast(counts, 'int32')))
  }

  async read(): Promise<number[]> {
    if (!this.#value) return new Array<number>(numel(this.#shape)).fill(0)
    return Array.from(await this.#value.data(), Number)
  }

  #zeros(place: string): Tensor {
    return fromHost({ dtype: 'int32', shape: this.#shape, data: allocateHost('int32', numel(this.#shape)) }, { place })
  }
}
