/**
 * Proof that what was written computes what was trained: inputs are drawn, run through the live layer, through the file as it is read again,
 * and through the runtime that the file is made for, where that is installed; every output is compared. Where they differ, the first layer,
 * or operator, that does is named.
 */
import { allocateHost, getElement, isFloat, setElement, type HostArray } from '../../common/dtype.ts'
import { ArgumentError, ProofError } from '../../common/errors.ts'
import { uniformAt } from '../../common/philox.ts'
import { formatShape, numel, sameShape, type Shape } from '../../common/shape.ts'
import { Layer } from '../../nn/layer.ts'
import { noGrad } from '../../tensor/autograd.ts'
import { tensorsIn } from '../../tensor/nested.ts'
import { fromHost, type Tensor } from '../../tensor/tensor.ts'
import { foreignRuntimeOf, readModel, type ForeignRuntime } from './model-files.ts'
import type { Exportable } from './program/export/record.ts'
import { slotNames, type OperatorProgram } from './program/program.ts'
import { firstInProgram, firstInRuntime, type OperatorDifference } from './proof-operators.ts'
import { TranslatedLayer } from './program/translated-layer.ts'

/** Largest difference that float32 arithmetic in another order may make. */
export const DEFAULT_TOLERANCE = 1e-4

export interface ProofOptions {
  /** Inputs to run, in order, a list for each run. */
  readonly samples: readonly (readonly HostArray[])[]
  /** Largest absolute difference, of values above 1 relative. Default 1e-4. */
  readonly tolerance?: number
}

export interface Proof {
  readonly samples: number
  /** Over all outputs of all samples, here and there. */
  readonly largestDifference: number
  /** The runtime that ran the file too; null where none that reads its format is installed here. */
  readonly foreignRuntime: string | null
}

/** Inputs drawn for a program: floats in [-1, 1), integers 0 and 1, which are tokens and classes of every table. */
export function drawSamples(program: OperatorProgram, shapes: readonly (readonly Shape[])[], seed = 0): HostArray[][] {
  return shapes.map((round, r) =>
    program.inputs.map(({ dtype }, i): HostArray => {
      const shape = [...round[i]!]
      const data = allocateHost(dtype, numel(shape))
      for (let k = 0; k < data.length; k++) {
        const u = uniformAt(seed + 97 * r + i, 0, k)
        setElement(dtype, data, k, isFloat(dtype) ? 2 * u - 1 : dtype === 'bool' ? Number(u < 0.5) : Math.floor(2 * u))
      }
      return { dtype, shape, data }
    }),
  )
}

/**
 * Compares a live layer, in evaluation, with a file. `written` is the program that the file was written from, to tell where they part. Throws
 * ProofError that names the first layer or operator that differs, and by how much.
 */
export async function proveEqual(
  live: Exportable,
  written: OperatorProgram,
  path: string,
  options: ProofOptions,
): Promise<Proof> {
  const { samples, tolerance = DEFAULT_TOLERANCE } = options
  if (samples.length === 0) throw new ArgumentError('proof: there are no samples to run')
  const reread = await readModel(path)
  const layer = new TranslatedLayer(reread)
  const foreign = await foreignRuntimeOf(path)
  const session = await foreign?.open(path)
  let largest = 0
  try {
    for (const sample of samples) {
      const wanted = await outputsOf(live, sample)
      const compare = async (got: readonly HostArray[], model: string, where: () => Promise<string>): Promise<void> => {
        if (got.length !== wanted.length)
          throw new ProofError(`proof: the layer returns ${wanted.length} tensors, ${model} ${got.length}`)
        for (const [i, w] of wanted.entries()) {
          const difference = distance(w, got[i]!)
          largest = Math.max(largest, difference)
          if (difference <= tolerance) continue
          const shapes = sample.map((s) => formatShape(s.shape)).join(', ')
          throw new ProofError(
            `proof: output '${reread.outputs[i]!.name}' of ${model} differs from the layer's by ${difference} (at most ${tolerance}) for inputs of ${shapes}: ${await where()}`,
          )
        }
      }
      await compare(await outputsOf(layer, sample), 'the written model', () =>
        firstDifference(live, written, reread, sample, tolerance),
      )
      if (foreign && session)
        await compare(await session.run(sample), `the written model in ${foreign.name}`, () =>
          firstForeignDifference(written, foreign, sample, tolerance),
        )
    }
  } finally {
    await session?.dispose()
  }
  return { samples: samples.length, largestDifference: largest, foreignRuntime: foreign?.name ?? null }
}

/** What a layer or function returns for inputs given as arrays. */
export async function outputsOf(target: Exportable, sample: readonly HostArray[]): Promise<HostArray[]> {
  const results = noGrad(() =>
    tensorsIn((target as (...inputs: Tensor[]) => unknown)(...sample.map((s) => fromHost(s)))),
  )
  return Promise.all(results.map((t) => t.hostArray()))
}

/** Largest difference: absolute up to 1, relative beyond; infinite for other shapes, and where only one is NaN. */
function distance(a: HostArray, b: HostArray): number {
  if (!sameShape(a.shape, b.shape)) return Infinity
  let largest = 0
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [getElement(a.dtype, a.data, i), getElement(b.dtype, b.data, i)]
    if (Object.is(x, y) || x === y) continue
    const d = Math.abs(x - y) / Math.max(1, Math.abs(x))
    largest = Math.max(largest, Number.isNaN(d) ? Infinity : d)
  }
  return largest
}

/** Where the live layer and the program part, or the program and the file. */
async function firstDifference(
  live: Exportable,
  written: OperatorProgram,
  reread: OperatorProgram,
  sample: readonly HostArray[],
  tolerance: number,
): Promise<string> {
  const layers = live instanceof Layer ? await layerValues(live, sample) : []
  const programs = await originValues(written, sample)
  for (const { path, type, value } of layers) {
    const own = programs.get(path)
    if (!own || !sameShape(own.shape, value.shape)) continue
    const d = distance(value, own)
    if (d > tolerance) return `the first layer that differs is ${path} (${type}), by ${d}`
  }
  const run = (program: OperatorProgram) => outputsOf(new TranslatedLayer(program), sample)
  if (live instanceof TranslatedLayer && live.program !== written) {
    const found = await firstInProgram(live.program, written, run, distance, tolerance)
    if (found) return inWords(found)
  }
  for (const [name, { array }] of written.parameters) {
    const other = reread.parameters.get(name)?.array
    if (other && distance(array, other) > tolerance) return `the file holds other values of the parameter '${name}'`
  }
  const found = await firstInProgram(written, reread, run, distance, tolerance)
  if (found) return `${inWords(found)} in the file as it is read again`
  return 'the program agrees with the layer, the file as it is read again does not: please report this model'
}

/** What each sublayer returned, in the order in which they ended. */
async function layerValues(
  layer: Layer,
  sample: readonly HostArray[],
): Promise<{ readonly path: string; readonly type: string; readonly value: HostArray }[]> {
  const seen: { path: string; type: string; tensor: Tensor }[] = []
  const remove = layer.namedSublayers().map(([name, sublayer]) =>
    sublayer.registerForwardPostHook((_, __, output) => {
      const [tensor, ...more] = tensorsIn(output)
      if (tensor && more.length === 0)
        seen.push({ path: `${layer.constructor.name}.${name}`, type: sublayer.constructor.name, tensor })
    }),
  )
  try {
    await outputsOf(layer, sample)
    return await Promise.all(
      seen.map(async ({ path, type, tensor }) => ({ path, type, value: await tensor.hostArray() })),
    )
  } finally {
    for (const hook of remove) hook()
  }
}

/** Where another runtime parts from the program: the first operation whose value differs. */
async function firstForeignDifference(
  written: OperatorProgram,
  foreign: ForeignRuntime,
  sample: readonly HostArray[],
  tolerance: number,
): Promise<string> {
  const ours = (program: OperatorProgram) => outputsOf(new TranslatedLayer(program), sample)
  const theirs = async (program: OperatorProgram): Promise<readonly HostArray[]> => {
    const session = await foreign.open(program)
    return session.run(sample).finally(() => session.dispose())
  }
  const found = await firstInRuntime(written, ours, theirs, distance, tolerance)
  return found ? inWords(found) : 'no operator differs when their values are outputs'
}

const inWords = ({ place, difference }: OperatorDifference): string =>
  `the first operator that differs is ${place}, by ${difference}`

/** The last value of each origin that the operations name, as outputs of that name. */
function lastOfOrigins(program: OperatorProgram): { readonly name: string; readonly value: string }[] {
  const last = new Map<string, string>()
  for (const { origin, outputs } of program.operations) {
    const name = slotNames(Object.values(outputs)[0])[0]
    if (origin && name !== undefined) last.set(origin, name)
  }
  return [...last].map(([name, value]) => ({ name, value }))
}

async function originValues(program: OperatorProgram, sample: readonly HostArray[]): Promise<Map<string, HostArray>> {
  const outputs = lastOfOrigins(program)
  if (outputs.length === 0) return new Map()
  const results = await outputsOf(new TranslatedLayer({ ...program, outputs }), sample)
  return new Map(outputs.map(({ name }, i) => [name, results[i]!]))
}
