/**
 * Values that decide shapes: sizes of tensors and what is computed from them. They live on the `reference` device, whose values are at hand
 * without a door, so that a program with dynamic shapes runs without waiting for the device that computes.
 */
import { getElement } from '../../../common/dtype.ts'
import { numel, type Shape } from '../../../common/shape.ts'
import { fromHost, type Tensor } from '../../../tensor/tensor.ts'
import { withTracer } from '../../../tensor/tracer.ts'

/** The device of values that are at hand. */
export const HOST = 'reference'

/** Integers as a tensor at hand. */
export function hostTensor(values: readonly number[], shape: Shape, dtype: 'int32' | 'int64' = 'int64'): Tensor {
  const data = dtype === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values)
  return fromHost({ dtype, shape: [...shape], data }, { place: HOST })
}

/** Whether a value is at hand. */
export function isHostTensor(tensor: Tensor): boolean {
  return tensor.place === HOST
}

/** The elements of a value; of one that is not at hand this waits for its device. */
export function hostNumbers(tensor: Tensor): number[] {
  return withTracer(null, () => {
    const data = tensor.dataSync()
    return Array.from({ length: numel(tensor.shape) }, (_, i) => getElement(tensor.dtype, data, i))
  })
}

/** The same value where other tensors are computed. */
export function onDevice(tensor: Tensor, device: string): Tensor {
  if (tensor.place === device || !isHostTensor(tensor)) return tensor
  const data = withTracer(null, () => tensor.dataSync())
  return fromHost({ dtype: tensor.dtype, shape: tensor.shape, data }, { place: device })
}
