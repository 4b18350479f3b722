/**
 * Training checkpoints: weights, optimizer, loss scale, learning rate, random generators and the sampler's position in one directory, so
 * that a resumed run goes on with the very numbers of one that never stopped.
 */
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError } from '../common/errors.ts'
import { globalRandomState } from '../common/numpy-random.ts'
import { formatShape, sameShape } from '../common/shape.ts'
import { defaultGenerator, type Generator } from '../tensor/generator.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { fromHost } from '../tensor/tensor.ts'
import type { AtomicOptions } from './atomic.ts'
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from './checkpoint.ts'
import { restoredGenerator, savedGenerator } from './generator-state.ts'
import { joinTensors, separateTensors } from './nested-tensors.ts'
import { renameOptimizerState } from './rename-state.ts'
import type { StateValue } from './state-json.ts'

/** What saves itself as a nested value of tensors and numbers: an optimizer, a scaler, a schedule, a sampler, a DataLoader. */
export interface Stateful {
  stateDict(): unknown
  setStateDict(state: never): unknown
}

/** A layer, as far as checkpoints see it. */
export interface StatefulModel {
  stateDict(): Record<string, Tensor>
  setStateDict(state: Readonly<Record<string, Tensor | HostArray>>): unknown
}

export interface TrainingParts {
  readonly model: StatefulModel
  readonly optimizer?: Stateful | null
  readonly scaler?: Stateful | null
  /** A schedule that the optimizer does not hold; its own is saved with it. */
  readonly scheduler?: Stateful | null
  /** Default: the generator of `seed`. */
  readonly generator?: Generator
  /** What draws the batches: a DataLoader, or a sampler that can save its position. */
  readonly sampler?: Stateful | null
}

export interface TrainingProgress {
  /** Epochs that are done. */
  readonly epoch: number
  /** Steps that are done, over all epochs. */
  readonly step: number
  /** What else belongs to the run, as JSON. */
  readonly extra?: StateValue
}

/** The parts that save themselves, with the names under which they are saved. */
const statefulParts = ['optimizer', 'scaler', 'scheduler', 'sampler'] as const

/**
 * Reads a run into a checkpoint. All of it is looked at before this function first waits, so that the run may go on meanwhile.
 * Throws ArgumentError where a part cannot be saved.
 */
export async function trainingCheckpoint(parts: TrainingParts, progress: TrainingProgress): Promise<Checkpoint> {
  const weights = parts.model.stateDict()
  const states = Object.fromEntries(
    statefulParts.flatMap((name) => (parts[name] ? [[name, parts[name].stateDict()]] : [])),
  )
  const { epoch, step, extra = null } = progress
  const state = {
    epoch,
    step,
    extra,
    generator: savedGenerator((parts.generator ?? defaultGenerator()).getState()),
    numpy: { ...globalRandomState.getState() },
    // Optimizers name their state after the unique names of parameters, which another process may give differently.
    names: Object.fromEntries(Object.entries(weights).map(([name, t]) => [name, t.name])),
  }
  const { tensors, rest } = await separateTensors({ model: weights, ...states }, 'saveTrainingState')
  const groups: Record<string, Record<string, HostArray>> = {}
  for (const [path, array] of Object.entries(tensors)) {
    const dot = path.indexOf('.')
    ;(groups[path.slice(0, dot)] ??= {})[path.slice(dot + 1)] = array
  }
  return { tensors: groups, state: { ...state, parts: rest } }
}

/** Saves a run as `directory`; an older checkpoint there is replaced in one step. Throws ArgumentError, StorageError. */
export async function saveTrainingState(
  directory: string,
  state: TrainingParts & TrainingProgress,
  options: AtomicOptions = {},
): Promise<void> {
  await saveCheckpoint(directory, await trainingCheckpoint(state, state), options)
}

/**
 * Puts a saved run back into its parts, and gives epoch and step. The whole checkpoint is verified first: where it is corrupt, lacks a part,
 * or has other weights than the model, nothing changes. Throws StorageError, FormatError, ArgumentError.
 */
export async function loadTrainingState(directory: string, parts: TrainingParts): Promise<Required<TrainingProgress>> {
  return restoreTraining(await loadCheckpoint(directory), parts, directory)
}

interface SavedState {
  readonly epoch: number
  readonly step: number
  readonly extra: StateValue
  readonly generator: unknown
  readonly numpy: never
  readonly names: Readonly<Record<string, string>>
  readonly parts: StateValue
}

/** As `loadTrainingState`, from a checkpoint that is loaded. `where` names it in errors. */
export function restoreTraining(
  checkpoint: Checkpoint,
  parts: TrainingParts,
  where: string,
): Required<TrainingProgress> {
  const { epoch, step, extra, generator, numpy, names, parts: rest } = checkpoint.state as unknown as SavedState
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(step) || typeof names !== 'object')
    throw new FormatError(`'${where}': a checkpoint, but not one of a training run (saveTrainingState)`)
  const weights = checkpoint.tensors['model'] ?? {}
  checkWeights(parts.model.stateDict(), weights, where)
  const tensors = Object.fromEntries(
    Object.entries(checkpoint.tensors).flatMap(([group, arrays]) =>
      Object.entries(arrays).map(([name, array]) => [`${group}.${name}`, array]),
    ),
  )
  const states = joinTensors({ tensors, rest }, (array) => fromHost(array)) as Readonly<Record<string, unknown>>
  for (const name of statefulParts)
    if (parts[name] && states[name] === undefined)
      throw new ArgumentError(`'${where}' holds no state of the ${name}; it was saved without one`)
  parts.model.setStateDict(weights)
  const now = parts.model.stateDict()
  const renamed = renameOptimizerState(states['optimizer'], names, now)
  ;(parts.generator ?? defaultGenerator()).setState(restoredGenerator(generator))
  globalRandomState.setState(numpy)
  for (const name of statefulParts) parts[name]?.setStateDict((name === 'optimizer' ? renamed : states[name]) as never)
  return { epoch, step, extra }
}

function checkWeights(
  own: Readonly<Record<string, Tensor>>,
  saved: Readonly<Record<string, HostArray>>,
  where: string,
): void {
  const missing = Object.keys(own).filter((name) => !saved[name])
  const unexpected = Object.keys(saved).filter((name) => !own[name])
  if (missing.length > 0 || unexpected.length > 0)
    throw new FormatError(
      `'${where}' is of another model: ${[...listed('it lacks', missing), ...listed('the model lacks', unexpected)].join('; ')}`,
    )
  for (const [name, t] of Object.entries(own)) {
    const { shape, dtype } = saved[name]!
    if (!sameShape(shape, t.shape) || dtype !== t.dtype)
      throw new FormatError(
        `'${where}' is of another model: '${name}' is ${dtype}${formatShape(shape)} there, ${t.dtype}${formatShape(t.shape)} here`,
      )
  }
}

function listed(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  return [`${what} ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`]
}
