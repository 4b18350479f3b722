/** Control flow that is decided when the model is read: branches are chosen, and steps of loops written out. */
import { allocateHost } from '../../../../../common/dtype.ts'
import { FormatError } from '../../../../../common/errors.ts'
import { fromFront, isNumber, numbersOf } from '../../../program/inference/known.ts'
import { dtypeOfDataType, type OnnxValueInfo } from '../../model.ts'
import type { Value } from '../frame.ts'
import { sliceBounds, type NodeCall } from '../node-call.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

/** Longer loops are refused: each step is written out. */
const MAX_STEPS = 1000

const branch: Convert = (n) => {
  const condition = n.numbers(0) ?? n.refuse("a condition that depends on the input's values")
  const values = n.inline(n.graph(condition[0] ? 'then_branch' : 'else_branch'))
  values.forEach((name, k) => n.bind(k, name))
}

const tooMany = (n: NodeCall): never => n.refuse(`more than ${MAX_STEPS} steps`)

/** What the steps gave, along an axis, as result `k`. */
function stacked(n: NodeCall, steps: readonly Value[], axis: number, k: number, info: OnnxValueInfo): void {
  if (!n.wants(k)) return
  const x = steps.map((s) => (typeof s === 'string' ? s : n.refuse('sequences as what a step gives')))
  if (x.length > 0) return n.give('stack', { x }, { axis }, 'out', k)
  const shape = numbersOf(info.shape)
  const dtype = dtypeOfDataType(info.dataType)
  if (!shape || !dtype) return n.refuse('no steps, and results whose shape is not told')
  shape.splice(fromFront(axis, shape.length + 1), 0, 0)
  n.bindConstant(k, { dtype, shape, data: allocateHost(dtype, 0) })
}

/** Steps until their number is reached, or a condition no longer holds. Both have to be constants, of which steps may make others. */
const loop: Convert = (n) => {
  const body = n.graph('body')
  const told = (numbers: number[] | null): number =>
    numbers?.[0] ?? n.refuse("a number of steps that depends on the input's values")
  const most = n.has(0) ? told(n.numbers(0)) : Infinity
  let condition = n.has(1) ? n.value(1) : n.makeNumber(1, 'bool', 'condition')
  let carried: readonly Value[] = Array.from({ length: Math.max(n.inputCount - 2, 0) }, (_, i) => n.any(i + 2))
  const scans = body.outputs.slice(1 + carried.length)
  const given: Value[][] = scans.map(() => [])
  for (let step = 0; step < most && told(n.numbersOf(condition)); step++) {
    if (step === MAX_STEPS) tooMany(n)
    const [next, ...results] = n.inline(body, [n.makeNumber(step, 'int64', 'step'), condition, ...carried])
    if (typeof next !== 'string') throw new FormatError('has a body without a condition as its first result')
    condition = next
    carried = results.slice(0, carried.length)
    given.forEach((steps, i) => steps.push(results[carried.length + i]!))
  }
  carried.forEach((value, k) => n.bind(k, value))
  scans.forEach((info, i) => stacked(n, given[i]!, 0, carried.length + i, info))
}

/** A step for each slice of some operands; each step takes what the one before gave. */
const scan: Convert = (n) => {
  const body = n.graph('body')
  const count = n.int('num_scan_inputs') ?? n.refuse('a number of scan inputs that is not told')
  const states = n.inputCount - count
  if (count < 1 || states < 0 || body.outputs.length < states)
    throw new FormatError(
      `has ${n.inputCount} operands, ${count} scan inputs, and a body of ${body.outputs.length} results`,
    )
  const axes = n.ints('scan_input_axes', [])
  const isReversed = n.ints('scan_input_directions', [])
  const axisOf = (i: number): number => fromFront(axes[i] ?? 0, n.rank(states + i))
  const steps = n.known(states).shape?.[axisOf(0)]
  if (!isNumber(steps)) return n.refuse('a number of steps that is not known')
  if (steps > MAX_STEPS) tooMany(n)
  const slice = (i: number, step: number): string => {
    const at = isReversed[i] ? steps - 1 - step : step
    const axis = axisOf(i)
    return n.emit('slice', { input: n.value(states + i) }, sliceBounds([axis], [at], [at + 1], [axis]))
  }
  let carried: readonly Value[] = Array.from({ length: states }, (_, i) => n.any(i))
  const scans = body.outputs.slice(states)
  const given: Value[][] = scans.map(() => [])
  for (let step = 0; step < steps; step++) {
    const results = n.inline(body, [...carried, ...Array.from({ length: count }, (_, i) => slice(i, step))])
    carried = results.slice(0, states)
    given.forEach((all, i) => all.push(results[states + i]!))
  }
  carried.forEach((value, k) => n.bind(k, value))
  const [outputAxes, isTurned] = [n.ints('scan_output_axes', []), n.ints('scan_output_directions', [])]
  scans.forEach((info, i) => {
    if (isTurned[i]) given[i]!.reverse()
    stacked(n, given[i]!, outputAxes[i] ?? 0, states + i, info)
  })
}

export const controlRules: RuleTable = {
  If: always(branch, 'a condition that is constant'),
  Loop: always(loop, `a number of steps that is told, at most ${MAX_STEPS}`),
  Scan: versions({ 9: scan }, `a number of steps that is told, at most ${MAX_STEPS}`),
}

/** Operators that are known, and why they are refused. */
export const refusedOperators: Readonly<Record<string, string>> = {
  NonMaxSuppression: "its results' shapes depend on values",
  Unique: "its results' shapes depend on values",
}
