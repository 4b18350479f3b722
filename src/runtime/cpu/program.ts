/**
 * Plans as the words that the native executor walks (the layout is described in runtime.c.ts). Addresses of leaves, outputs and the
 * arena are not known before a run: for each argument that needs one there is a relocation.
 */
import { InternalError } from '../../common/errors.ts'
import type { CompiledKernel, Kernel, Parameter } from '../../codegen/kernel.ts'
import type { Argument, Launch, Plan } from '../../schedule/plan.ts'
import type { Program } from '../backend.ts'
import { timeCount } from '../run-times.ts'
import { allocateWords } from './memory.ts'

export interface CpuProgram extends Program {
  readonly words: BigInt64Array
  readonly address: number
  /** That may work for a run; 0: as many as for all others. */
  readonly threads: number
  /** Leaves, outputs and scalars that a run must give at least. */
  readonly needs: Needs
  readonly arenaBytes: number
  /** Numbers that a timed run writes. */
  readonly timeCount: number
}

interface Needs {
  leaves: number
  outputs: number
  scalars: number
}

/** Kinds of relocations, as in runtime.c.ts. */
const LEAF = 0
const OUTPUT = 1
const ARENA = 2
const FLOAT = 3
const INTEGER = 4

const LAUNCH = 0
const LOOP = 1

type Word = number | bigint
type KernelHead = Kernel | CompiledKernel

/** `addresses` are those of the compiled kernels, by number. */
export function encodeProgram(
  plan: Plan,
  kernels: readonly KernelHead[],
  addresses: readonly number[],
  threads = 0,
): CpuProgram {
  const needs: Needs = { leaves: 0, outputs: 0, scalars: 0 }
  const launch = (l: Launch): Word[] => encodeLaunch(l, kernels[l.kernel], addresses[l.kernel], needs)
  const words: Word[] = [plan.arenaBytes, plan.steps.length]
  for (const step of plan.steps) {
    if (step.kind === 'launch') {
      words.push(LAUNCH, ...launch(step))
    } else {
      const body = step.steps.flatMap(launch)
      words.push(LOOP, step.count, step.steps.length, body.length)
      for (const w of body) words.push(w)
    }
  }
  const memory = allocateWords(words.length)
  words.forEach((w, i) => (memory.words[i] = BigInt(w)))
  return { kernels: kernels.length, ...memory, threads, needs, arenaBytes: plan.arenaBytes, timeCount: timeCount(plan) }
}

function encodeLaunch(
  launch: Launch,
  kernel: KernelHead | undefined,
  address: number | undefined,
  needs: Needs,
): Word[] {
  if (!kernel || !address)
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
  const header = [size, address, extent, grainAtLeastOne, scratchBytes, values.length, relocations.length / 5]
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
