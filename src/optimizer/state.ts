/**
 * What an optimizer remembers: accumulators of each parameter, float32 master weights of low-precision parameters, and clocks. A clock
 * holds the counters (powers of beta) of all parameters that have been updated in the same steps: Paddle keeps them per parameter, but
 * they move alike, so one tensor serves them all until a step updates only some of them.
 */
import { allocateHost, setElement, sizeOf, type DType, type FloatDType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'
import { detach } from '../graph/build.ts'
import { makeLeaf, type Node } from '../graph/node.ts'
import { Storage } from '../graph/storage.ts'
import { backendOf } from '../tensor/device.ts'
import { recordWrite } from '../tensor/session.ts'
import { fromHost, Tensor } from '../tensor/tensor.ts'
import type { AccumulatorSpec, AccumulatorSpecs } from './rule.ts'

/** The dtype in which a parameter is updated, whatever its own. */
export function computeDtype(dtype: DType): FloatDType {
  return dtype === 'float64' ? 'float64' : 'float32'
}

export interface Clock {
  readonly counters: Readonly<Record<string, Tensor>>
}

export interface ParameterState {
  readonly accumulators: Readonly<Record<string, Tensor>>
  master: Tensor | null
  clock: Clock
}

/** A tensor with memory of its own on `device`, all elements `value`. */
export function filledTensor(shape: Shape, dtype: DType, value: number, device: string): Tensor {
  const data = allocateHost(dtype, numel(shape))
  if (value !== 0) for (let i = 0; i < data.length; i++) setElement(dtype, data, i, value)
  return fromHost({ dtype, shape, data }, { place: device })
}

/** A tensor with memory of its own that takes the value of a node with the next plan. */
export function storedTensor(value: Node, device: string): Tensor {
  const size = numel(value.shape)
  const storage = new Storage(device, value.dtype, size, backendOf(device).allocate(size * sizeOf(value.dtype)))
  recordWrite(storage, detach(value))
  return new Tensor(makeLeaf(storage, value.shape, false))
}

/** Accumulators as they begin; `shape` is theirs unless a spec says otherwise. */
export function makeAccumulators(
  specs: AccumulatorSpecs,
  shape: Shape,
  dtype: DType,
  device: string,
): Record<string, Tensor> {
  const make = (spec: AccumulatorSpec): Tensor =>
    filledTensor(spec.shape?.(shape) ?? shape, spec.dtype ?? dtype, spec.initial, device)
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, make(spec)]))
}

/** A clock that stands where another one does and moves on its own from now on. */
export function copyClock(clock: Clock): Clock {
  const copies = Object.entries(clock.counters).map(([name, t]) => [name, storedTensor(t.node, t.place)])
  return { counters: Object.fromEntries(copies) as Record<string, Tensor> }
}

/** Gives parameters that leave their clock's other members behind a copy of it. `all`: states of all parameters; `active`: of those updated now. */
export function splitClocks(all: Iterable<ParameterState>, active: ReadonlySet<ParameterState>): void {
  const idle = new Set<Clock>()
  for (const state of all) if (!active.has(state)) idle.add(state.clock)
  const copies = new Map<Clock, Clock>()
  for (const state of active) {
    if (!idle.has(state.clock)) continue
    let copy = copies.get(state.clock)
    if (!copy) copies.set(state.clock, (copy = copyClock(state.clock)))
    state.clock = copy
  }
}
