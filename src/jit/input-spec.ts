/** InputSpec: what a function under toStatic takes, as `paddle.static.InputSpec`. */
import { isDType, type DType } from '../common/dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from '../common/errors.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Sizes; null, -1 or a name for an axis of any size. */
export type SpecShape = readonly (number | string | null)[]

/**
 * Shape, dtype and name of an input. An axis of null or -1 is dynamic: it takes any size. So is one with a name, which files keep that have names for
 * sizes (ONNX, safetensors); axes of one name are one size.
 * @example new jit.InputSpec(['batch', 3, 32, null], 'float32', 'image')
 */
export class InputSpec {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly name: string | null
  /** Null for axes without a name. */
  readonly axisNames: readonly (string | null)[]

  /** `dtype` default float32. Throws ArgumentError. */
  constructor(shape: SpecShape, dtype: DType = 'float32', name: string | null = null) {
    this.axisNames = shape.map((d) => (typeof d === 'string' ? d : null))
    if (this.axisNames.includes(''))
      throw new ArgumentError('InputSpec: the name of an axis is empty; give null for none')
    this.shape = shape.map((d) => (typeof d === 'number' ? d : -1))
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
    return `[${this.shape.map((d, axis) => (d === -1 ? (this.axisNames[axis] ?? 'any') : d)).join(', ')}]`
  }
}
