/**
 * Plans as text: what a process needs to run a program that an earlier one planned and compiled. Read as data: a file that is damaged, or
 * names memory that its program does not have, is no plan.
 */
import { dtypes, type DType } from '../../common/dtype.ts'
import { FormatError } from '../../common/errors.ts'
import type { CompiledKernel, Parameter } from '../../codegen/kernel.ts'
import type { Constant } from '../../codegen/prologue.ts'
import type { Argument, BufferRef, Launch, Loop } from '../../schedule/plan.ts'
import type { MadePlan, PlanRequest } from '../backend.ts'
import type { KernelIdentity } from './kernel-files.ts'
import { check, integer, list, oneOf, seal, text, unseal } from './sealed.ts'

/** A kernel that lies compiled on disk. */
export type StoredKernel = CompiledKernel & { readonly identity: KernelIdentity }

/** A plan whose kernels are compiled. */
export interface StoredPlan extends MadePlan {
  readonly kernels: readonly StoredKernel[]
}

type Json = null | boolean | number | string | readonly Json[]

const spaces = ['leaf', 'output', 'arena'] as const
const accesses = ['read', 'write', 'update'] as const
const scalarTypes = ['i32', 'i64', 'f32', 'f64'] as const
const scratchTypes = ['float32', 'float64', 'int32', 'int64'] as const

// ---- writing ------------------------------------------------------------------------------------------------------------

const numberText = (n: number | bigint): string =>
  typeof n === 'bigint' ? `${n}n` : Object.is(n, -0) ? '-0' : String(n)

function argumentJson(a: Argument): Json {
  switch (a.kind) {
    case 'index':
      return a.value
    case 'buffer':
      return [spaces.indexOf(a.ref.space), a.ref.slot, a.ref.byteOffset, a.ref.step]
    case 'number':
      return numberText(a.value)
    case 'scalar':
      return [a.slot]
    case 'scratch':
      return null
  }
}

const launchJson = (l: Launch): Json => [
  l.kernel,
  l.extent,
  l.grain,
  l.scratchBytes,
  l.flops,
  l.bytes,
  l.shapes ?? null,
  l.arguments.map(argumentJson),
]

function parameterJson(p: Parameter): Json {
  switch (p.kind) {
    case 'buffer':
      return [p.dtype, p.access]
    case 'index':
      return 0
    case 'scalar':
      return p.type
    case 'scratch':
      return [p.dtype]
  }
}

/** The text of a plan: a digest, and on the next line what it is of. */
export function writePlan({ plan, kernels, constants, prologue }: StoredPlan): string {
  const content: Json = [
    kernels.map((k) => [
      k.title,
      k.structure,
      k.identity.name,
      k.identity.digest,
      k.identity.file,
      k.parameters.map(parameterJson),
    ]),
    plan.arenaBytes,
    plan.steps.map((s) => (s.kind === 'loop' ? [s.count, s.steps.map(launchJson), s.besideNext] : launchJson(s))),
    constants.map((c) => [c.bytes, c.recipe, c.leaves]),
    prologue.map((p) => [launchJson(p.launch), p.writes]),
  ]
  return seal(content)
}

// ---- reading ------------------------------------------------------------------------------------------------------------

const integers = (value: unknown, low: number, high?: number): number[] => list(value).map((v) => integer(v, low, high))

function amount(value: unknown): number {
  check(typeof value === 'number' && value >= 0)
  return value
}

function parameterOf(value: unknown): Parameter {
  if (value === 0) return { kind: 'index' }
  if (typeof value === 'string') return { kind: 'scalar', type: oneOf(scalarTypes, value) }
  const [dtype, access] = list(value)
  if (access === undefined) return { kind: 'scratch', dtype: oneOf(scratchTypes, dtype) }
  return { kind: 'buffer', dtype: oneOf<DType>(dtypes, dtype), access: oneOf(accesses, access) }
}

function kernelOf(value: unknown): StoredKernel {
  const [title, structure, name, digest, file, parameters] = list(value, 6)
  return {
    title: text(title),
    structure: text(structure),
    identity: { name: text(name), digest: text(digest), file: text(file) },
    parameters: list(parameters).map(parameterOf),
  }
}

function numberOf(value: string): number | bigint {
  if (/^-?\d+n$/.test(value)) return BigInt(value.slice(0, -1))
  const number = Number(value)
  check(value !== '' && (!Number.isNaN(number) || value === 'NaN'))
  return number
}

/** Bytes of the memory that launches may name. */
interface Spaces {
  readonly leaf: readonly number[]
  readonly output: readonly number[]
  readonly arena: readonly number[]
  readonly scalars: number
}

class LaunchReader {
  readonly #kernels: readonly StoredKernel[]
  readonly #spaces: Spaces

  constructor(kernels: readonly StoredKernel[], memory: Spaces) {
    this.#kernels = kernels
    this.#spaces = memory
  }

  /** `count`: how often the loop runs in which the launch stands. */
  launch(value: unknown, count = 1): Launch {
    const [kernel, extent, grain, scratchBytes, flops, bytes, shapes, given] = list(value, 8)
    const number = integer(kernel, 0, this.#kernels.length - 1)
    const { parameters } = this.#kernels[number]!
    const args = list(given, parameters.length).map((a, i) => this.#argument(a, parameters[i]!, count))
    return {
      kind: 'launch',
      kernel: number,
      arguments: args,
      extent: integer(extent, 0),
      grain: integer(grain, 1),
      scratchBytes: integer(scratchBytes, 0),
      flops: amount(flops),
      bytes: amount(bytes),
      ...(shapes !== null && { shapes: list(shapes).map((s) => integers(s, 0)) }),
    }
  }

  step(value: unknown): Launch | Loop {
    const entries = list(value)
    if (entries.length !== 3) return this.launch(value)
    const [count, steps, besideNext] = [integer(entries[0], 0), list(entries[1]), entries[2]]
    check(typeof besideNext === 'boolean')
    return { kind: 'loop', count, steps: steps.map((l) => this.launch(l, count)), besideNext }
  }

  #argument(value: unknown, parameter: Parameter, count: number): Argument {
    switch (parameter.kind) {
      case 'index':
        return { kind: 'index', value: integer(value, -Number.MAX_SAFE_INTEGER) }
      case 'scratch':
        check(value === null)
        return { kind: 'scratch' }
      case 'scalar':
        if (typeof value === 'string') return { kind: 'number', value: numberOf(value) }
        return { kind: 'scalar', slot: integer(list(value, 1)[0], 0, this.#spaces.scalars - 1) }
      case 'buffer':
        return { kind: 'buffer', ref: this.#memory(value, count) }
    }
  }

  #memory(value: unknown, count: number): BufferRef {
    const [spaceNumber, slot, byteOffset, step] = list(value, 4)
    const space = spaces[integer(spaceNumber, 0, spaces.length - 1)]!
    const sizes = this.#spaces[space]
    const ref: BufferRef = {
      space,
      slot: integer(slot, 0, sizes.length - 1),
      byteOffset: integer(byteOffset, 0),
      step: integer(step, -Number.MAX_SAFE_INTEGER),
    }
    const last = ref.byteOffset + ref.step * Math.max(count - 1, 0)
    check(ref.byteOffset <= sizes[ref.slot]! && last >= 0 && last <= sizes[ref.slot]!)
    return ref
  }
}

/** Checks that what may run at the same time as the next step has a loop there. */
function besideLoops(steps: readonly (Launch | Loop)[]): readonly (Launch | Loop)[] {
  steps.forEach((s, i) => check(s.kind === 'launch' || !s.besideNext || steps[i + 1]?.kind === 'loop'))
  return steps
}

function constantOf(value: unknown, leaves: number): Constant {
  const [bytes, recipe, own] = list(value, 3)
  return { bytes: integer(bytes, 0), recipe: text(recipe), leaves: integers(own, 0, leaves - 1) }
}

/** The plan of a request; null where the text is damaged, or no plan of this request. */
export function readPlan(
  file: string,
  request: Pick<PlanRequest, 'leaves' | 'outputs' | 'scalars'>,
): StoredPlan | null {
  const content = unseal(file)
  if (content === null) return null
  try {
    const [kernelList, arenaBytes, steps, constantList, prologue] = list(content, 5)
    const kernels = list(kernelList).map(kernelOf)
    const constants = list(constantList).map((c) => constantOf(c, request.leaves.length))
    const constantBytes = constants.map((c) => c.bytes)
    const arena = integer(arenaBytes, 0)
    const { leaves, outputs, scalars } = request
    const main = new LaunchReader(kernels, {
      leaf: [...leaves, ...constantBytes],
      output: outputs,
      arena: [arena],
      scalars,
    })
    const first = new LaunchReader(kernels, { leaf: leaves, output: constantBytes, arena: [], scalars })
    return {
      plan: { arenaBytes: arena, steps: besideLoops(list(steps).map((s) => main.step(s))) },
      kernels,
      constants,
      prologue: list(prologue).map((p) => {
        const [launch, writes] = list(p, 2)
        return { launch: first.launch(launch!), writes: integers(writes, 0, constants.length - 1) }
      }),
    }
  } catch (error) {
    if (error instanceof FormatError) return null
    throw error
  }
}
