/** Loops over time, one `scan` each: the shapes of its parameters are read off the arguments. */
import { param, scan } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'

export interface LoopArguments {
  /** What the first step starts from. */
  readonly carries: readonly Node[]
  /** Sliced along axis 0, one slice a step. */
  readonly sequences: readonly Node[]
  /** The same in each step. */
  readonly constants: readonly Node[]
  /** Number of steps. */
  readonly length: number
  /** Runs from the last slice to the first. Default false. */
  readonly reverse?: boolean
}

export interface StepResult {
  /** The next carries. */
  readonly carries: readonly Node[]
  /** One slice of each stacked output. */
  readonly outputs: readonly Node[]
}

export interface LoopResult {
  /** The last carries. */
  readonly finals: Node[]
  /** The outputs of all steps, stacked along axis 0 in the order of the sequences. */
  readonly stacks: Node[]
}

/** Records one loop. `step` is called once, with parameters in place of values; it may use nothing else but constants. */
export function loop(
  args: LoopArguments,
  step: (carries: Node[], slices: Node[], constants: Node[]) => StepResult,
): LoopResult {
  const { carries, sequences, constants, length, reverse = false } = args
  let index = 0
  const take = (nodes: readonly Node[], drop: number): Node[] =>
    nodes.map((n) => param(index++, n.dtype, n.shape.slice(drop)))
  const carryParams = take(carries, 0)
  const sliceParams = take(sequences, 1)
  const constantParams = take(constants, 0)
  const next = step(carryParams, sliceParams, constantParams)
  const body = {
    params: [...carryParams, ...sliceParams, ...constantParams],
    outputs: [...next.carries, ...next.outputs],
  }
  const results = scan(body, carries, sequences, constants, length, reverse)
  return { finals: results.slice(0, carries.length), stacks: results.slice(carries.length) }
}
