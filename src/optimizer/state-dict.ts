/**
 * Optimizer states in Paddle's layout (`.pdopt`): `<parameter name>_<accumulator>_0` for each accumulator, `master_weights` with the
 * float32 copies of low-precision parameters, `LR_Scheduler`. Parameters go by their unique names (`linear_0.w_0`).
 */
import { getElement, isDType, type HostArray } from '../common/dtype.ts'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, numel, sameShape, type Shape } from '../common/shape.ts'
import { broadcastTo, cast, reshape, sliceAxis } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { converted } from '../nn/move.ts'
import { backendOf } from '../tensor/device.ts'
import { fromHost, Tensor } from '../tensor/tensor.ts'
import type { LRScheduler } from './lr/scheduler.ts'
import type { OptimizerState } from './optimizer.ts'
import type { AccumulatorSpecs } from './rule.ts'
import { computeDtype, storedTensor, type Clock, type ParameterState } from './state.ts'

/** The key of an accumulator in a `.pdopt` file. */
const keyOf = (p: Tensor, accumulator: string): string => `${p.name}_${accumulator}_0`

/**
 * The state with every key that ends in another number under the one that ends in 0. In Paddle the number counts the optimizers that a
 * process has made for a parameter: a file of the second one ends in 1.
 */
function withFirstNumbers(state: OptimizerState): OptimizerState {
  const others = Object.keys(state).filter((key) => /_[1-9]\d*$/.test(key))
  if (others.length === 0) return state
  const renamed = others.map((key) => [key.replace(/\d+$/, '0'), state[key]!] as const)
  return { ...Object.fromEntries(renamed), ...state }
}

export function writeState(
  states: ReadonlyMap<Tensor, ParameterState>,
  fullSizeCounters: boolean,
  scheduler: LRScheduler | null,
): OptimizerState {
  const entries: Record<string, OptimizerState[string]> = {}
  const masters: Record<string, Tensor> = {}
  const put = (key: string, value: Tensor): void => {
    if (key in entries)
      throw new ArgumentError(
        `stateDict: two parameters are named '${key.split('_').slice(0, -2).join('_')}'; names must be unique`,
      )
    entries[key] = value
  }
  for (const [p, state] of states) {
    for (const [name, t] of Object.entries(state.accumulators)) put(keyOf(p, name), t)
    for (const [name, t] of Object.entries(state.clock.counters))
      put(keyOf(p, name), fullSizeCounters ? new Tensor(inShape(t.node, p.node.shape)) : t)
    if (state.master) masters[p.name] = state.master
  }
  if (Object.keys(masters).length > 0) entries['master_weights'] = masters
  if (scheduler) entries['LR_Scheduler'] = scheduler.stateDict()
  return entries
}

/** One element repeated. */
function inShape(counter: Node, shape: Shape): Node {
  return broadcastTo(reshape(counter, []), shape)
}

/** The parameters of a group with the accumulators that its rule wants. */
export interface GroupLayout {
  readonly params: readonly Tensor[]
  readonly accumulators: AccumulatorSpecs
  readonly counters: AccumulatorSpecs
}

/** States of the parameters that the dictionary knows; the others begin with their first step. */
export function readState(
  saved: OptimizerState,
  groups: readonly GroupLayout[],
  multiPrecision: boolean,
  optimizer: string,
): Map<Tensor, ParameterState> {
  const state = withFirstNumbers(saved)
  const restored = new Map<Tensor, ParameterState>()
  const masters = (state['master_weights'] ?? {}) as Readonly<Record<string, Tensor | HostArray>>
  for (const group of groups) {
    const clocks = new Map<string, Clock>()
    for (const p of group.params) {
      const names = [...Object.keys(group.accumulators), ...Object.keys(group.counters)]
      const missing = names.filter((name) => state[keyOf(p, name)] === undefined)
      const master = masters[p.name]
      if (missing.length === names.length && !master) continue
      if (missing.length > 0)
        throw new ArgumentError(
          `${optimizer}.setStateDict: '${keyOf(p, missing[0]!)}' is missing; the state was saved by another optimizer or other settings`,
        )
      const accumulators: Record<string, Tensor> = {}
      for (const [name, spec] of Object.entries(group.accumulators)) {
        const value = tensorLike(state[keyOf(p, name)], keyOf(p, name), optimizer)
        const shape = spec.shape?.(p.shape) ?? p.shape
        accumulators[name] = ownTensor(value, shape, spec.dtype ?? computeDtype(p.dtype), p.place, keyOf(p, name))
      }
      const low = p.dtype === 'float16' || p.dtype === 'bfloat16'
      restored.set(p, {
        accumulators,
        master: low && master && multiPrecision ? ownTensor(master, p.shape, 'float32', p.place, p.name) : null,
        clock: sharedClock(state, p, group.counters, clocks, optimizer),
      })
    }
  }
  if (restored.size === 0) checkFits(state, groups, optimizer)
  return restored
}

/** A state that fits no parameter at all would start the run anew without a word: it is of a model whose parameters have other names. */
function checkFits(state: OptimizerState, groups: readonly GroupLayout[], optimizer: string): void {
  const key = Object.keys(state).find((name) => name !== 'LR_Scheduler' && name !== 'master_weights')
  const [first] = groups.flatMap((group) => group.params)
  const remembers = groups.some((g) => Object.keys(g.accumulators).length + Object.keys(g.counters).length > 0)
  if (key === undefined || first === undefined || !remembers) return
  throw new ArgumentError(
    `${optimizer}.setStateDict: the state is of parameters with other names ('${key}' in it, '${keyOf(first, '...')}' here), or of another optimizer; ` +
      'build the model first thing, as where it was saved, or rename the state with io.renameOptimizerState',
  )
}

function tensorLike(value: unknown, key: string, optimizer: string): Tensor | HostArray {
  if (value instanceof Tensor) return value
  const array = value as Partial<HostArray> | null
  if (array && typeof array === 'object' && array.data && array.shape && isDType(String(array.dtype)))
    return array as HostArray
  throw new ArgumentError(`${optimizer}.setStateDict: '${key}' must be a tensor, got ${typeof value}`)
}

/** A copy in memory of its own. */
function ownTensor(
  value: Tensor | HostArray,
  shape: Shape,
  dtype: Tensor['dtype'],
  device: string,
  key: string,
): Tensor {
  if (!sameShape(value.shape, shape))
    throw new ShapeError(`setStateDict: '${key}' has shape ${formatShape(value.shape)}, expected ${formatShape(shape)}`)
  const fitting = converted(value, dtype)
  return fitting instanceof Tensor ? storedTensor(fitting.node, device) : fromHost(fitting, { place: device })
}

/** The clock of a parameter: the one of other parameters whose counters have the same values, where those can be read without waiting. */
function sharedClock(
  state: OptimizerState,
  p: Tensor,
  specs: AccumulatorSpecs,
  clocks: Map<string, Clock>,
  optimizer: string,
): Clock {
  const values = Object.keys(specs).map((name) => tensorLike(state[keyOf(p, name)], keyOf(p, name), optimizer))
  const dtype = computeDtype(p.dtype)
  const numbers = values.map(readableNumber)
  const key = numbers.includes(null) ? p.name : `${dtype} ${p.place} ${numbers.join(' ')}`
  let clock = clocks.get(key)
  if (!clock) {
    const counters = Object.entries(specs).map(([name, spec], i) => {
      const first = firstElement(values[i]!, keyOf(p, name), p.place)
      return [name, storedTensor(cast(first, spec.dtype ?? dtype), p.place)]
    })
    clocks.set(key, (clock = { counters: Object.fromEntries(counters) as Record<string, Tensor> }))
  }
  return clock
}

/** The element that all elements of a counter equal; null where reading would have to wait. */
function readableNumber(value: Tensor | HostArray): number | null {
  if (numel(value.shape) === 0) return null
  if (!(value instanceof Tensor)) return getElement(value.dtype, value.data, 0)
  return backendOf(value.place).capabilities.blocking ? getElement(value.dtype, value.dataSync(), 0) : null
}

function firstElement(value: Tensor | HostArray, key: string, device: string): Node {
  const size = numel(value.shape)
  if (size === 0) throw new ShapeError(`setStateDict: '${key}' is empty, expected one element`)
  const node = value instanceof Tensor ? value.node : fromHost(value, { place: device }).node
  return sliceAxis(reshape(node, [size]), 0, 0, 1)
}
