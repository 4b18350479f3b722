/**
 * What a plan computes from constants alone (packed weights, folded scales, tables of positions) taken out of it: it is computed once, before
 * the first run, and read like a leaf from then on. Inference runs one plan many times over weights that do not change.
 */
import { Hash } from '../common/hash.ts'
import type { Kernel, Parameter } from './kernel.ts'
import type { Location, PendingLaunch, PendingStep } from './pending.ts'
import { structureOf } from './structure.ts'

/** A temporary that becomes a constant of the plan. */
export interface Constant {
  readonly bytes: number
  /** How it is computed from its leaves: equal for constants with equal values, in all plans over the same leaves. */
  readonly recipe: string
  /** Numbers of the leaves of the recipe, in its order. */
  readonly leaves: readonly number[]
}

/** A launch that computes constants. They are outputs by number, as are those that it reads. */
export interface PrologueLaunch {
  readonly launch: PendingLaunch
  /** Numbers of the constants that it writes. */
  readonly writes: readonly number[]
}

export interface SplitSteps {
  readonly constants: readonly Constant[]
  /** In order. */
  readonly prologue: readonly PrologueLaunch[]
  /** Steps without those that compute constants, which are leaves behind the `leaves` of the capture. */
  readonly steps: readonly PendingStep[]
  /** Numbers of the temporaries that are constants. */
  readonly replaced: ReadonlySet<number>
}

export interface Access {
  readonly place: Location
  readonly writes: boolean
}

/** `constantLeaves`: numbers of leaves that never change. */
export function splitConstants(
  steps: readonly PendingStep[],
  kernels: readonly Kernel[],
  temporaries: readonly { readonly bytes: number }[],
  leaves: number,
  constantLeaves: ReadonlySet<number>,
): SplitSteps {
  const accesses = new Map<PendingLaunch, readonly Access[]>()
  const accessesOf = (launch: PendingLaunch): readonly Access[] => {
    let found = accesses.get(launch)
    if (!found) accesses.set(launch, (found = memoryOf(launch, kernels[launch.kernel]!.parameters)))
    return found
  }
  const varying = varyingTemporaries(steps, accessesOf, constantLeaves)
  const isConstant = (step: PendingStep): step is PendingLaunch =>
    !('count' in step) &&
    accessesOf(step).some((a) => a.writes) &&
    accessesOf(step).every(
      (a) =>
        (a.place.space === 'temporary' && a.writes && !varying.has(a.place.slot)) || (!a.writes && isFixed(a.place)),
    )
  const isFixed = (place: Location): boolean =>
    place.space === 'leaf' ? constantLeaves.has(place.slot) : place.space === 'temporary' && !varying.has(place.slot)

  const numbers = new Map<number, number>()
  const launches = new Map<number, PendingLaunch[]>()
  const kept: PendingStep[] = []
  for (const step of steps) {
    if (!isConstant(step)) {
      kept.push(step)
      continue
    }
    for (const { place, writes } of accessesOf(step)) {
      if (!writes) continue
      if (!numbers.has(place.slot)) numbers.set(place.slot, numbers.size)
      const list = launches.get(place.slot) ?? []
      if (list.at(-1) !== step) list.push(step)
      launches.set(place.slot, list)
    }
  }
  const rebound = (launch: PendingLaunch, space: 'leaf' | 'output', first: number): PendingLaunch => ({
    ...launch,
    arguments: launch.arguments.map((a) => {
      const number = a.kind === 'memory' && a.role.space === 'temporary' ? numbers.get(a.role.slot) : undefined
      return a.kind === 'memory' && number !== undefined
        ? { kind: 'memory', role: { ...a.role, space, slot: first + number } }
        : a
    }),
  })
  const made = new Map<number, Constant>()
  const constants = [...numbers.keys()].map((slot): Constant => {
    const own = launches.get(slot)!
    // Leaves are named by their order in the recipe: another plan numbers them otherwise.
    const read: number[] = []
    const nameOf = (leaf: number): number => (read.includes(leaf) ? read.indexOf(leaf) : read.push(leaf) - 1)
    const recipe = own.map((launch) => {
      const parts = launch.arguments.map((a, i) => {
        if (a.kind !== 'memory') return a.kind === 'index' ? String(a.value) : JSON.stringify(a, bigintText)
        const { space, slot: s, byteOffset } = a.role
        if (space === 'leaf') return `leaf ${nameOf(s)}+${byteOffset}`
        if (s === slot) return `self+${byteOffset}`
        // What another constant is computed by, or, where both are computed by one launch, which of its results it is.
        const known = made.get(s)
        return known
          ? `(${known.recipe} of ${known.leaves.map(nameOf).join()})+${byteOffset}`
          : `beside ${i}+${byteOffset}`
      })
      return `${structureOf(kernels[launch.kernel]!)} ${launch.extent} ${launch.grain} ${parts.join(' ')}`
    })
    const { bytes } = temporaries[slot]!
    const constant = { bytes, recipe: digest(`${bytes} ${recipe.join(' ; ')}`), leaves: read }
    made.set(slot, constant)
    return constant
  })
  const prologue = steps.filter(isConstant).map((launch): PrologueLaunch => {
    const written = accessesOf(launch).filter((a) => a.writes)
    return { launch: rebound(launch, 'output', 0), writes: written.map((a) => numbers.get(a.place.slot)!) }
  })
  return {
    constants,
    prologue,
    steps: kept.map((s) =>
      'count' in s ? { ...s, steps: s.steps.map((l) => rebound(l, 'leaf', leaves)) } : rebound(s, 'leaf', leaves),
    ),
    replaced: new Set(numbers.keys()),
  }
}

/** Temporaries whose values may differ from run to run: a fixed point over the launches that write them. */
function varyingTemporaries(
  steps: readonly PendingStep[],
  accessesOf: (launch: PendingLaunch) => readonly Access[],
  constantLeaves: ReadonlySet<number>,
): Set<number> {
  const varying = new Set<number>()
  for (;;) {
    const before = varying.size
    for (const step of steps) {
      const inLoop = 'count' in step
      for (const launch of inLoop ? step.steps : [step]) {
        const own = accessesOf(launch)
        const isVarying =
          inLoop ||
          launch.arguments.some((a) => a.kind === 'scalar') ||
          own.some(({ place, writes }) =>
            place.space === 'temporary' ? varying.has(place.slot) : writes || !constantLeaves.has(place.slot),
          )
        if (!isVarying) continue
        for (const { place, writes } of own) if (writes && place.space === 'temporary') varying.add(place.slot)
      }
    }
    if (varying.size === before) return varying
  }
}

/** The memory that a launch reads and writes. */
export function memoryOf(launch: PendingLaunch, parameters: readonly Parameter[]): Access[] {
  return launch.arguments.flatMap((a, i) => {
    const p = parameters[i]!
    return a.kind === 'memory' && p.kind === 'buffer' ? [{ place: a.role, writes: p.access !== 'read' }] : []
  })
}

const bigintText = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v)

/** Recipes hold those of what they are made of: kept short by their hash, and the length. */
function digest(text: string): string {
  const hash = new Hash()
  for (let i = 0; i < text.length; i++) hash.add(text.charCodeAt(i))
  return `${hash.toString()}:${text.length}`
}
