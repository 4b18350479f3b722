/**
 * From a live layer to a program: it is recorded, in evaluation, over placeholders; with dynamic axes several times at different sizes, from
 * which the one program follows that holds for all.
 */
import { ArgumentError, TraceError } from '../../../../common/errors.ts'
import { sameShape, type Shape } from '../../../../common/shape.ts'
import type { InputSpec } from '../../../../jit/input-spec.ts'
import { Layer } from '../../../../nn/layer.ts'
import { Parameter } from '../../../../nn/parameter.ts'
import { Tensor } from '../../../../tensor/tensor.ts'
import type { ModelParameter, OperatorProgram, ValueInfo } from '../program.ts'
import { recordDraft, type Exportable, type RecordedDraft } from './record.ts'
import { unified } from './sizes.ts'

export interface ExportOptions {
  /** Shapes, dtypes and names of the inputs, in order; null or -1 for an axis of any size. */
  readonly inputSpec: readonly InputSpec[]
  /**
   * Sizes at which a layer with dynamic axes is recorded: two or more lists of shapes, one for each input, that differ in every dynamic axis.
   * Default: 2, 3 and 5 for a dynamic first axis, multiples of 32 from 64 to 416 for others.
   */
  readonly sampleShapes?: readonly (readonly Shape[])[]
  /** Names of the outputs. Default `output_0`, ... */
  readonly outputNames?: readonly string[]
  /** What travels with the model. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** Records a layer, or a function over tensors, as a program. Throws ArgumentError, TraceError that says which layer and why. */
export async function exportProgram(target: Exportable, options: ExportOptions): Promise<OperatorProgram> {
  const inputs = inputsOf(options.inputSpec)
  const layers = target instanceof Layer ? target.sublayers(true) : []
  return inEvaluation(target, async () => {
    const shapes = sampleShapesOf(options)
    const drafts = shapes.map((s) => recordDraft(target, layers, inputs, s))
    const first = drafts[0]!
    const { operations, values } = unified(drafts)
    const given = options.outputNames ?? first.outputs.map((_, i) => `output_${i}`)
    if (given.length !== first.outputs.length)
      throw new ArgumentError(
        `export: the layer returns ${first.outputs.length} tensors, outputNames has ${given.length}`,
      )
    return {
      inputs,
      outputs: first.outputs.map((value, i) => ({ name: given[i]!, value })),
      parameters: await parametersOf(target, drafts),
      operations,
      values,
      metadata: options.metadata ?? {},
    }
  })
}

/** Runs `body` while a layer is in evaluation mode; afterwards all its layers are in the modes in which they were. */
export async function inEvaluation<T>(target: Exportable, body: () => Promise<T>): Promise<T> {
  const layers = target instanceof Layer ? target.sublayers(true) : []
  const modes = layers.map((layer) => layer.training)
  if (target instanceof Layer) target.eval()
  try {
    return await body()
  } finally {
    layers.forEach((layer, i) => (layer.training = modes[i]!))
  }
}

/** The shapes at which a layer is recorded. Throws ArgumentError for samples that do not fit the InputSpec. */
export function sampleShapesOf(options: ExportOptions): readonly (readonly Shape[])[] {
  const inputs = inputsOf(options.inputSpec)
  const shapes = options.sampleShapes ?? defaultSamples(inputs)
  checkSamples(inputs, shapes)
  return shapes
}

function inputsOf(specs: readonly InputSpec[]): ValueInfo[] {
  if (specs.length === 0) throw new ArgumentError('export: inputSpec is empty; say the shape of each input')
  const names = new Set<string>()
  return specs.map(({ name, dtype, shape, axisNames }, i) => {
    const own = name ?? (specs.length === 1 ? 'x' : `x${i}`)
    if (names.has(own)) throw new ArgumentError(`export: two inputs have the name '${own}'`)
    names.add(own)
    return { name: own, dtype, shape, ...(axisNames.some((n) => n !== null) && { axisNames }) }
  })
}

const isDynamic = (inputs: readonly ValueInfo[]): boolean => inputs.some((i) => i.shape.includes(-1))

/** Sizes that networks take, different in each round and, but for the first axis, on each axis; axes of one name have one. */
export function defaultSamples(inputs: readonly ValueInfo[]): Shape[][] {
  const rounds = isDynamic(inputs) ? [0, 1, 2] : [0]
  const firstOf = new Map<string, number>()
  for (const { axisNames = [] } of inputs)
    axisNames.forEach((name, axis) => name !== null && !firstOf.has(name) && firstOf.set(name, axis))
  return rounds.map((round) => {
    // An axis of one number is one axis for all inputs: batch with batch, length with length.
    const size = (axis: number): number =>
      axis === 0 ? [2, 3, 5][round]! : 32 * ([2, 5, 9][round]! + ((axis * 2) % 5))
    return inputs.map(({ shape, axisNames }) =>
      shape.map((d, axis) => (d === -1 ? size(firstOf.get(axisNames?.[axis] ?? '') ?? axis) : d)),
    )
  })
}

function checkSamples(inputs: readonly ValueInfo[], samples: readonly (readonly Shape[])[]): void {
  if (samples.length === 0 || (isDynamic(inputs) && samples.length < 2))
    throw new ArgumentError('export: dynamic axes need sampleShapes for at least two sizes')
  for (const shapes of samples) {
    const fits = inputs.every(
      ({ shape }, i) => shapes[i]?.length === shape.length && shape.every((d, a) => d === -1 || d === shapes[i]![a]),
    )
    if (!fits || shapes.length !== inputs.length)
      throw new ArgumentError('export: sampleShapes must have a shape for each input that its InputSpec allows')
  }
}

/** Values of what the operations read, by name. Throws TraceError where a constant depends on a dynamic axis. */
async function parametersOf(
  target: Exportable,
  drafts: readonly RecordedDraft[],
): Promise<ReadonlyMap<string, ModelParameter>> {
  const structured = new Map<Tensor, string>()
  if (target instanceof Layer)
    for (const [name, tensor] of Object.entries(target.stateDict()))
      if (!structured.has(tensor)) structured.set(tensor, name)
  const used = new Set(drafts[0]!.operations.flatMap((o) => Object.values(o.inputs).flat()))
  const parameters = new Map<string, ModelParameter>()
  for (const [name, node] of drafts[0]!.leaves) {
    if (!used.has(name)) continue
    const tensor = drafts[0]!.tensors.get(name) ?? new Tensor(node)
    const array = await tensor.hostArray()
    for (const other of drafts.slice(1)) {
      const same = other.leaves.get(name)
      if (same === node) continue
      const value = same && (await new Tensor(same).hostArray())
      if (!value || !sameShape(value.shape, array.shape) || value.data.some((v, i) => v !== array.data[i]))
        throw new TraceError(`export: the constant '${name}' depends on a dynamic axis; fix that axis in the InputSpec`)
    }
    const structuredName = structured.get(tensor)
    parameters.set(name, {
      array,
      trainable: tensor instanceof Parameter,
      ...(structuredName === undefined ? {} : { structuredName }),
    })
  }
  return parameters
}
