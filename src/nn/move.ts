/** Moving a tensor that is held in place (a parameter, a buffer) to another device or dtype, and converting values for it. */
import { allocateHost, getElement, setElement, sizeOf, type DType, type HostArray } from '../common/dtype.ts'
import { cast, detach } from '../graph/build.ts'
import { makeLeaf, type Node } from '../graph/node.ts'
import { Storage } from '../graph/storage.ts'
import { backendOf } from '../tensor/device.ts'
import { recordWrite } from '../tensor/session.ts'
import { storageFrom, Tensor } from '../tensor/tensor.ts'

/** Gives a tensor that is only recorded (`zeros([n])` is) memory of its own, so that writes to it happen in place. */
export function giveMemory(tensor: Tensor): void {
  if (tensor.node.op === 'buffer') return
  const { dtype, shape, size, place } = tensor
  const storage = new Storage(place, dtype, size, backendOf(place).allocate(size * sizeOf(dtype)))
  const variable = tensor.node.needsGrad
  recordWrite(storage, detach(tensor.node))
  tensor.node = makeLeaf(storage, shape, variable, variable ? tensor : null)
}

/** Gives a tensor a new storage on `device` in `dtype`; a move to another device waits for the value. */
export function moveTensor(tensor: Tensor, device: string = tensor.place, dtype: DType = tensor.dtype): void {
  if (device === tensor.place && dtype === tensor.dtype) return
  const { shape } = tensor
  const variable = tensor.node.needsGrad
  const value = cast(detach(tensor.node), dtype)
  tensor.grad = null
  if (device === tensor.place) {
    tensor.node = { ...value, needsGrad: variable } as Node
    giveMemory(tensor)
  } else {
    const storage = storageFrom(new Tensor(value).hostArraySync(), device)
    tensor.node = makeLeaf(storage, shape, variable, variable ? tensor : null)
  }
}

/** A value in the dtype of the tensor that takes it. */
export function converted(value: Tensor | HostArray, dtype: DType): Tensor | HostArray {
  if (value.dtype === dtype) return value
  if (value instanceof Tensor) return new Tensor(cast(detach(value.node), dtype))
  const data = allocateHost(dtype, value.data.length)
  for (let i = 0; i < data.length; i++) setElement(dtype, data, i, getElement(value.dtype, value.data, i))
  return { dtype, shape: value.shape, data }
}
