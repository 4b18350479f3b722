/**
 * Inputs and outputs as places of a predictor that are filled, run and read, as `paddle.inference.Tensor`. They hold one run at a time; programs
 * that run a predictor several times at once give the inputs to `run` and take what it resolves to.
 */
import { isHostDataOf, type HostArray, type HostData } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { formatShape, numel } from '../common/shape.ts'
import { isHostArray } from '../io/host-array.ts'
import type { PortInfo } from './engine.ts'

/** An input of a predictor, of `Predictor.getInputHandle`. */
export class InputHandle {
  readonly #port: PortInfo
  #shape: number[] | null = null
  #value: HostArray | null = null

  constructor(port: PortInfo) {
    this.#port = port
  }

  get name(): string {
    return this.#port.name
  }

  /** Shape of what is copied next as a bare typed array. */
  reshape(shape: readonly number[]): void {
    this.#shape = [...shape]
  }

  /**
   * Copies the value for the next runs: an array with its shape, or elements of the input's dtype in the shape that `reshape` said, by default the
   * model's where it fixes all axes. Throws ArgumentError.
   */
  copyFromCpu(value: HostArray | HostData): void {
    if (isHostArray(value)) {
      this.#value = { ...value, shape: [...value.shape], data: value.data.slice() }
      return
    }
    const { dtype, name, shape: fixed } = this.#port
    const shape = this.#shape ?? (fixed.every((d) => d >= 0) ? [...fixed] : null)
    if (!shape) throw new ArgumentError(`copyFromCpu: input '${name}' has axes of any size; call reshape(shape) first`)
    if (value.length !== numel(shape))
      throw new ArgumentError(
        `copyFromCpu: got ${value.length} elements for input '${name}' of shape ${formatShape(shape)}`,
      )
    const data = value.slice()
    if (!isHostDataOf(dtype, data))
      throw new ArgumentError(`copyFromCpu: input '${name}' is ${dtype}, got a ${data.constructor.name}`)
    this.#value = { dtype, shape, data }
  }

  /** What the next run takes. Throws ArgumentError where nothing was copied. */
  value(): HostArray {
    if (!this.#value)
      throw new ArgumentError(
        `run: nothing was copied to input '${this.name}'; call getInputHandle('${this.name}').copyFromCpu`,
      )
    return this.#value
  }
}

/** An output of a predictor, of `Predictor.getOutputHandle`. */
export class OutputHandle {
  readonly name: string
  #value: HostArray | null = null

  constructor(name: string) {
    this.name = name
  }

  /** What the last run gave. Throws ArgumentError before the first one. */
  copyToCpu(): HostArray {
    if (!this.#value) throw new ArgumentError(`copyToCpu: output '${this.name}' has no value before run()`)
    return { ...this.#value, shape: [...this.#value.shape], data: this.#value.data.slice() }
  }

  /** Shape of what the last run gave; [] before the first one. */
  shape(): number[] {
    return [...(this.#value?.shape ?? [])]
  }

  /** Called with what a run gave. */
  set(value: HostArray): void {
    this.#value = value
  }
}
