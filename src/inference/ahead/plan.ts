/**
 * A program planned for a machine that may be another one: recorded on the device whose values are at hand, planned with what the target can do.
 * What depends on weights alone (packed weights, folded norms) is computed when the library loads them, by the same plans.
 */
import { createHash } from 'node:crypto'
import { crc32 } from '../../common/crc32.ts'
import type { Shape } from '../../common/shape.ts'
import { generatePlan, type GeneratedPlan } from '../../codegen/generate.ts'
import type { Constant } from '../../codegen/prologue.ts'
import { TranslatedLayer } from '../../io/formats/program/translated-layer.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import type { AheadModel, AheadProgram, AheadShape, Place } from '../../runtime/ahead/model.ts'
import type { Target } from '../../runtime/ahead/target.ts'
import { capture, type Capture } from '../../schedule/capture.ts'
import { buffersOf, type Plan } from '../../schedule/plan.ts'
import { backendOf, withDevice } from '../../tensor/device.ts'
import { recordInference } from '../record.ts'

/** Its values are plain memory, and it needs no compiler. */
const HOST = 'reference'
const ALIGNMENT = 64
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

export interface PlannedModel {
  readonly model: AheadModel
  /** The file of weights. */
  readonly weights: Uint8Array
}

/** A program at one choice of shapes, before leaves have their places. */
interface Planned {
  readonly capture: Capture
  readonly generated: GeneratedPlan
  /** Launches of the prologue that this choice has to run, since no earlier one has. */
  readonly prologue: Plan | null
  /** Of each leaf of the capture: the number of the input that it is, or the digest of what it holds. */
  readonly leaves: readonly (number | string)[]
}

/** `shapes`: one or more choices of the shapes of all inputs. Throws what the program's operators throw for them. */
export function planModel(
  program: OperatorProgram,
  name: string,
  target: Target,
  shapes: readonly (readonly Shape[])[],
): PlannedModel {
  const layer = withDevice(HOST, () => new TranslatedLayer(program))
  const values = new LeafValues()
  const constants = new Offsets()
  const planned = shapes.map((s) => planShape(layer, s, target, values, constants))

  // Leaves that runs read stand first; the others are forgotten once the constants are there.
  const resident = new Offsets()
  const transient = new Offsets()
  for (const { generated, leaves } of planned) addLeaves(generated.plan, leaves, values, resident)
  for (const { prologue, leaves } of planned) if (prologue) addLeaves(prologue, leaves, values, transient, resident)

  const weights = new Uint8Array(resident.bytes + transient.bytes)
  resident.each((digest, at) => weights.set(values.bytesOf(digest), at))
  transient.each((digest, at) => weights.set(values.bytesOf(digest), resident.bytes + at))

  const placeOf = (leaf: number | string): Place => {
    if (typeof leaf === 'number') return { kind: 'input', at: leaf }
    if (resident.has(leaf)) return { kind: 'resident', at: resident.at(leaf) }
    return transient.has(leaf) ? { kind: 'transient', at: transient.at(leaf) } : { kind: 'none' }
  }
  const finish = ({ capture, generated, prologue, leaves }: Planned, i: number): AheadShape => {
    const { kernels } = generated
    const { scalars } = capture
    const known = leaves.map(placeOf)
    const without = (kind: Place['kind']): Place[] => known.map((p) => (p.kind === kind ? { kind: 'none' } : p))
    const computed = generated.constants.map((c): Place => ({ kind: 'constant', at: constants.at(nameOf(c, leaves)) }))
    const main: AheadProgram = {
      plan: generated.plan,
      kernels,
      leaves: [...without('transient'), ...computed],
      outputs: capture.targets.map((_, at): Place => ({ kind: 'output', at })),
      scalars,
    }
    return {
      inputs: shapes[i]!,
      outputs: capture.targets.map(({ node }) => node.shape),
      main,
      prologue: prologue && { plan: prologue, kernels, leaves: without('input'), outputs: computed, scalars },
    }
  }
  return {
    model: {
      name,
      target,
      inputs: program.inputs.map((p) => ({ name: p.name, dtype: p.dtype })),
      outputs: planned[0]!.capture.targets.map(({ node }, i) => ({
        name: program.outputs[i]!.name,
        dtype: node.dtype,
      })),
      shapes: planned.map(finish),
      constantBytes: constants.bytes,
      weights: { residentBytes: resident.bytes, transientBytes: transient.bytes, crc32: crc32(weights) },
      metadata: program.metadata,
    },
    weights,
  }
}

function planShape(
  layer: TranslatedLayer,
  shapes: readonly Shape[],
  target: Target,
  values: LeafValues,
  constants: Offsets,
): Planned {
  const { inputs, outputs } = recordInference(layer, shapes, HOST, 'float32')
  const captured = capture(outputs, [])
  const leaves = captured.leaves.map((leaf): number | string => {
    const input = inputs.findIndex((i) => i.storage === leaf)
    return input < 0 ? values.add(leaf) : input
  })
  const fixed = new Set(leaves.flatMap((leaf, i) => (typeof leaf === 'string' ? [i] : [])))
  const generated = generatePlan(captured, target.capabilities, fixed)
  const isNew = generated.constants.map((c) => constants.add(nameOf(c, leaves), c.bytes))
  const steps = generated.prologue.filter((p) => p.writes.some((w) => isNew[w])).map((p) => p.launch)
  return { capture: captured, generated, prologue: steps.length > 0 ? { steps, arenaBytes: 0 } : null, leaves }
}

/** Equal for constants that are computed alike from equal weights. */
function nameOf(constant: Constant, leaves: readonly (number | string)[]): string {
  return `${constant.recipe} of ${constant.leaves.map((leaf) => leaves[leaf]).join()}`
}

/** Gives places to the weights that a plan reads. */
function addLeaves(
  plan: Plan,
  leaves: readonly (number | string)[],
  values: LeafValues,
  to: Offsets,
  except?: Offsets,
): void {
  for (const { space, slot } of buffersOf(plan)) {
    const leaf = space === 'leaf' ? leaves[slot] : undefined
    if (typeof leaf !== 'string' || except?.has(leaf)) continue
    to.add(leaf, values.bytesOf(leaf).length)
  }
}

/** What leaves hold, by its digest: weights that are equal are one. */
class LeafValues {
  readonly #bytes = new Map<string, Uint8Array>()
  readonly #digests = new WeakMap<object, string>()

  add(storage: Capture['leaves'][number]): string {
    const known = this.#digests.get(storage.buffer)
    if (known !== undefined) return known
    const bytes = backendOf(storage.device).readSync(storage.buffer)
    const digest = createHash('sha256').update(bytes).digest('hex')
    this.#digests.set(storage.buffer, digest)
    this.#bytes.set(digest, bytes)
    return digest
  }

  bytesOf(digest: string): Uint8Array {
    return this.#bytes.get(digest)!
  }
}

/** Pieces of one memory, by name, each at a boundary that suits every vector. */
class Offsets {
  readonly #places = new Map<string, number>()
  bytes = 0

  has(name: string): boolean {
    return this.#places.has(name)
  }

  at(name: string): number {
    return this.#places.get(name)!
  }

  /** Whether it was not there before. */
  add(name: string, bytes: number): boolean {
    if (this.#places.has(name)) return false
    this.#places.set(name, this.bytes)
    this.bytes += aligned(bytes)
    return true
  }

  each(visit: (name: string, at: number) => void): void {
    for (const [name, at] of this.#places) visit(name, at)
  }
}
