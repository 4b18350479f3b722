/** Moving a tensor that is held in place (a parameter, a buffer) to another device or dtype, and converting values for it. */
import { allocateHost, getElement, setElement, sizeOf, type DType, type HostArray } from '../common/dtype.ts'
import { cast, detach } from '../graph/build.ts'
import { makeLeaf, type Node } from '../graph/node.ts'
import { Storage } from '../graph/storage.ts'
import { backendOf } from '../tensor/device.ts'
import { recordWrite } from '../tensor/session.ts'
import { storageFrom, Tensor } from '../tensor/tensor.ts'

/** Makes a tensor a leaf over a storage, so that `assign` writes into the same memory from now on. */
export function holdInPlace(tensor: Tensor): void {
  if (tensor.node.op !== 'buffer') replaceStorage(tensor, newStorage(tensor, tensor.dtype, detach(tensor.node)))
}

/** Memory for a tensor's value, which is written with the next plan. */
function newStorage(tensor: Tensor, dtype: DType, value: Node): Storage {
  const device = tensor.place
  const storage = new Storage(device, dtype, tensor.size, backendOf(device).allocate(tensor.size * sizeOf(dtype)))
  recordWrite(storage, value)
  return storage
}

function replaceStorage(tensor: Tensor, storage: Storage): void {
  const variable = tensor.node.needsGrad
  tensor.node = makeLeaf(storage, tensor.shape, variable, variable ? tensor : null)
}

/** Gives a tensor a new storage on `device` in `dtype`; a move to another device waits for the value. */
export function moveTensor(tensor: Tensor, device: string = tensor.place, dtype: DType = tensor.dtype): void {
  if (device === tensor.place && dtype === tensor.dtype) return
  const value = cast(detach(tensor.node), dtype)
  const storage =
    device === tensor.place ? newStorage(tensor, dtype, value) : storageFrom(new Tensor(value).hostArraySync(), device)
  replaceStorage(tensor, storage)
  tensor.grad = null
}

/** A value in the dtype of the tensor that takes it. */
export function converted(value: Tensor | HostArray, dtype: DType): Tensor | HostArray {
  if (value.dtype === dtype) return value
  if (value instanceof Tensor) return new Tensor(cast(detach(value.node), dtype))
  const data = allocateHost(dtype, value.data.length)
  for (let i = 0; i < data.length; i++) setElement(dtype, data, i, getElement(value.dtype, value.data, i))
  return { dtype, shape: value.shape, data }
}
