/** Doors for many tensors at once: what is asked for together is computed in one plan. */
import type { HostArray } from '../common/dtype.ts'
import { viewHost } from '../common/dtype.ts'
import { backendOf, getDevice } from './device.ts'
import { laneOf } from './lane.ts'
import { readable, readNode, submit } from './realize.ts'
import { Tensor } from './tensor.ts'

/**
 * Computes tensors in one plan; resolves when their values are there. What was recorded before them in place (running statistics) is
 * computed too.
 * @example await realize([logits, loss])
 */
export async function realize(tensors: Tensor | readonly Tensor[]): Promise<void> {
  const list = tensors instanceof Tensor ? [tensors] : tensors
  submit(
    list.map((t) => t.node),
    [],
    true,
  )
  await Promise.all([...new Set(list.map((t) => t.place))].map((device) => laneOf(backendOf(device)).synchronize()))
}

/** Waits for everything that was submitted to a device; submits what was written in place before. Default: the current device. */
export async function synchronize(device: string = getDevice()): Promise<void> {
  submit([])
  await laneOf(backendOf(device)).synchronize()
}

/** The values of many tensors as they are now, read through one plan. */
export async function hostArrays(tensors: readonly Tensor[]): Promise<HostArray[]> {
  const nodes = tensors.map((t) => readable(t.node))
  submit(nodes, [], true)
  const bytes = await Promise.all(nodes.map(readNode))
  return tensors.map(({ dtype, shape, size }, i) => {
    return { dtype, shape, data: viewHost(dtype, bytes[i]!.buffer, bytes[i]!.byteOffset, size) }
  })
}
