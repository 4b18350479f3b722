/**
 * Plans as the words that the native executor walks (the layout is described in executor.c.ts). Addresses of leaves, outputs and the
 * arena are not known before a run: for each argument that needs one there is a relocation.
 */
import { InternalError } from '../../common/errors.ts'
import type { Kernel, Parameter } from '../../codegen/kernel.ts'
import type { Argument, Launch, Loop, Plan } from '../../schedule/plan.ts'

/** Leaves, outputs and scalars that a run must give at least. */
export interface Needs {
  leaves: number
  outputs: number
  scalars: number
}

export type Word = number | bigint

/** Kinds of relocations, as in executor.c.ts. */
const LEAF = 0
const OUTPUT = 1
const ARENA = 2
const FLOAT = 3
const INTEGER = 4

/** What a launch has to fit. */
export type KernelHead = Pick<Kernel, 'title' | 'parameters'>

const LAUNCH = 0
const LOOP = 1

const MOST_THREADS = 1024

/** `functions` stand for the kernels, by number: addresses of what was compiled, or what becomes one when the words are loaded. */
export function encodePlan(
  plan: Plan,
  kernels: readonly KernelHead[],
  functions: readonly number[],
): { words: Word[]; needs: Needs } {
  const needs: Needs = { leaves: 0, outputs: 0, scalars: 0 }
  const launch = (l: Launch): Word[] => encodeLaunch(l, kernels[l.kernel], functions[l.kernel], needs)
  const words: Word[] = [plan.arenaBytes, plan.steps.length]
  for (const step of plan.steps) {
    if (step.kind === 'launch') {
      words.push(LAUNCH, ...launch(step))
    } else {
      const body = step.steps.flatMap(launch)
      words.push(LOOP, step.count, step.steps.length, body.length, threadsBeside(step))
      for (const w of body) words.push(w)
    }
  }
  return { words, needs }
}

/** What it costs to share a launch out to threads and to wait for them, in operations: about 4 microseconds. */
const SHARING = 400_000

/**
 * Up to how many threads to a loop it is better that loops run beside each other, each on one thread, than one after another with every launch shared
 * out; 0 for a loop that runs alone. On n threads to a loop an iteration of w operations and l launches takes w, or w / n + l * SHARING for each.
 */
function threadsBeside({ besideNext, steps }: Loop): number {
  if (!besideNext) return 0
  const work = steps.reduce((n, l) => n + Math.max(l.flops, l.bytes), 0)
  const saved = 1 - (steps.length * SHARING) / Math.max(work, 1)
  return saved <= 0 ? MOST_THREADS : Math.min(MOST_THREADS, Math.max(1, Math.floor(1 / saved)))
}

function encodeLaunch(launch: Launch, kernel: KernelHead | undefined, fn: number | undefined, needs: Needs): Word[] {
  if (!kernel || fn === undefined)
    throw new InternalError(`a launch names kernel ${launch.kernel}, which the plan does not have`)
  if (kernel.parameters.length !== launch.arguments.length) {
    throw new InternalError(
      `a launch of '${kernel.title}' gives ${launch.arguments.length} arguments for ${kernel.parameters.length} parameters`,
    )
  }
  const values: Word[] = []
  const relocations: Word[] = []
  launch.arguments.forEach((argument, i) => {
    const { value, relocation } = encodeArgument(argument, kernel.parameters[i]!, kernel, needs)
    values.push(value)
    if (relocation) relocations.push(i, ...relocation)
  })
  const { extent, grain, scratchBytes } = launch
  const size = 7 + values.length + relocations.length
  const grainAtLeastOne = Math.max(1, grain)
  const header = [size, fn, extent, grainAtLeastOne, scratchBytes, values.length, relocations.length / 5]
  return [...header, ...values, ...relocations]
}

interface Encoded {
  readonly value: Word
  readonly relocation?: readonly [kind: number, slot: number, byteOffset: number, step: number]
}

function encodeArgument(argument: Argument, parameter: Parameter, kernel: KernelHead, needs: Needs): Encoded {
  const wrong = (): never => {
    throw new InternalError(
      `a launch of '${kernel.title}' gives a ${argument.kind} for a parameter of kind ${parameter.kind}`,
    )
  }
  switch (argument.kind) {
    case 'buffer': {
      if (parameter.kind !== 'buffer') return wrong()
      const { space, slot, byteOffset, step } = argument.ref
      if (space === 'arena') return { value: 0, relocation: [ARENA, 0, byteOffset, step] }
      const counted = space === 'leaf' ? 'leaves' : 'outputs'
      needs[counted] = Math.max(needs[counted], slot + 1)
      return { value: 0, relocation: [space === 'leaf' ? LEAF : OUTPUT, slot, byteOffset, step] }
    }
    case 'index':
      return parameter.kind === 'index' ? { value: argument.value } : wrong()
    case 'number':
      if (parameter.kind !== 'scalar') return wrong()
      return { value: isFloat(parameter) ? doubleBits(Number(argument.value)) : integerWord(argument.value) }
    case 'scalar': {
      if (parameter.kind !== 'scalar') return wrong()
      needs.scalars = Math.max(needs.scalars, argument.slot + 1)
      return { value: 0, relocation: [isFloat(parameter) ? FLOAT : INTEGER, argument.slot, 0, 0] }
    }
    case 'scratch':
      return parameter.kind === 'scratch' ? { value: 0 } : wrong()
    default:
      return argument satisfies never
  }
}

function isFloat(parameter: Extract<Parameter, { kind: 'scalar' }>): boolean {
  return parameter.type === 'f32' || parameter.type === 'f64'
}

const double = new Float64Array(1)
const doubleWords = new BigInt64Array(double.buffer)

function doubleBits(value: number): bigint {
  double[0] = value
  return doubleWords[0]!
}

function integerWord(value: number | bigint): bigint {
  return BigInt.asIntN(64, typeof value === 'bigint' ? value : BigInt(Math.trunc(value)))
}
