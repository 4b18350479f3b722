/**
 * Values that decide shapes: sizes of tensors and what is computed from them. They live on the `reference` device, whose values are at hand
 * without a door, so that a program with dynamic shapes runs without waiting for the device that computes.
 */
import { getElement, type HostArray, type HostData } from '../../../common/dtype.ts'
import { numel, type Shape } from '../../../common/shape.ts'
import { withDevice } from '../../../tensor/device.ts'
import { fromHost, type Tensor } from '../../../tensor/tensor.ts'
import { withTracer } from '../../../tensor/tracer.ts'

/** The device of values that are at hand. */
const HOST = 'reference'

/** What is at hand, and what was computed from constants alone, which may be computed anywhere. */
const known = new WeakMap<Tensor, 'host' | 'constant'>()

/** Integers as a tensor at hand. */
export function hostTensor(values: readonly number[], shape: Shape, dtype: 'int32' | 'int64' = 'int64'): Tensor {
  const data = dtype === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values)
  return atHand({ dtype, shape: [...shape], data })
}

/** An array as a tensor at hand. */
export function atHand(array: HostArray): Tensor {
  const tensor = fromHost(array, { place: HOST })
  known.set(tensor, 'host')
  return tensor
}

/** Whether a value is at hand, or as good as that. */
export function isHostTensor(tensor: Tensor): boolean {
  return known.has(tensor)
}

/** Marks what was computed from `operands` as at hand where they are. */
export function markComputed(results: readonly Tensor[], operands: readonly Tensor[]): void {
  if (!operands.every((t) => known.has(t))) return
  const kind = operands.some((t) => known.get(t) === 'host') ? 'host' : 'constant'
  for (const t of results) if (!known.has(t)) known.set(t, kind)
}

/** The elements of a value; of one that is not at hand this waits for its device. */
export function hostNumbers(tensor: Tensor): number[] {
  const data = hostData(tensor)
  return Array.from({ length: numel(tensor.shape) }, (_, i) => getElement(tensor.dtype, data, i))
}

function hostData(tensor: Tensor): HostData {
  return withTracer(null, () => {
    if (known.get(tensor) !== 'constant') return tensor.dataSync()
    return withDevice(HOST, () => tensor.dataSync())
  })
}

/** The same value where other tensors are computed. */
export function onDevice(tensor: Tensor, device: string): Tensor {
  if (known.get(tensor) !== 'host' || device === HOST) return tensor
  return fromHost({ dtype: tensor.dtype, shape: tensor.shape, data: hostData(tensor) }, { place: device })
}
