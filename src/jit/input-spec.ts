/** InputSpec: what a function under toStatic takes, as `paddle.static.InputSpec`. */
import { isDType, type DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Sizes; null or -1 for an axis of any size. */
export type SpecShape = readonly (number | null)[]

/**
 * Shape, dtype and name of an input. An axis of null or -1 is dynamic: it takes any size.
 * @example new jit.InputSpec([null, 3, 32, 320], 'float32', 'image')
 */
export class InputSpec {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly name: string | null

  /** `dtype` default float32. Throws ArgumentError. */
  constructor(shape: SpecShape, dtype: DType = 'float32', name: string | null = null) {
    this.shape = shape.map((d) => d ?? -1)
    const wrong = this.shape.find((d) => !Number.isInteger(d) || d < -1)
    if (wrong !== undefined)
      throw new ArgumentError(`InputSpec: ${wrong} is not a size; give an integer >= 0, or null for any size`)
    if (!isDType(dtype)) throw new ArgumentError(`InputSpec: there is no dtype '${String(dtype)}'`)
    this.dtype = dtype
    this.name = name
  }

  /** The spec of a tensor, all axes fixed, `InputSpec.from_tensor`. */
  static fromTensor(tensor: Tensor, name: string | null = null): InputSpec {
    return new InputSpec(tensor.shape, tensor.dtype, name)
  }

  /** Throws ShapeError or DTypeError, naming the input, unless a tensor fits. */
  check(tensor: Tensor, position: number): void {
    const name = this.name === null ? `input ${position}` : `input '${this.name}'`
    const { shape, dtype } = tensor
    if (dtype !== this.dtype) throw new DTypeError(`toStatic: ${name} is ${dtype}, its InputSpec says ${this.dtype}`)
    if (shape.length !== this.shape.length || shape.some((d, i) => this.shape[i] !== -1 && this.shape[i] !== d))
      throw new ShapeError(
        `toStatic: ${name} has shape [${shape.join(', ')}], its InputSpec says ${this.toString()}; make an axis dynamic with null`,
      )
  }

  toString(): string {
    return `[${this.shape.map((d) => (d === -1 ? 'any' : d)).join(', ')}]`
  }
}
