/** `jit.save` and `jit.load`, as in `paddle.jit`: layers to model files of every format, and back. */
import type { HostArray } from '../../common/dtype.ts'
import { ArgumentError } from '../../common/errors.ts'
import { exportProgram, inEvaluation, sampleShapesOf, type ExportOptions } from './program/export/export.ts'
import type { Exportable } from './program/export/record.ts'
import { TranslatedLayer } from './program/translated-layer.ts'
import { formatOf, readModel, type ModelFormat } from './model-files.ts'
import { drawSamples } from './proof.ts'
import { saveProven, type ProvenOptions, type Saved } from './save-proven.ts'

export interface JitSaveOptions extends Omit<ExportOptions, 'inputSpec'>, Omit<ProvenOptions, 'samples'> {
  /** Shapes, dtypes and names of the inputs, in order; null or a name for an axis of any size. Default: of a layer that was loaded, what its file says. */
  readonly inputSpec?: ExportOptions['inputSpec']
  /** Default: what the path ends with; else `pir`, as in Paddle 3. */
  readonly format?: ModelFormat
  /** Inputs for the proof, in order, a list for each run. Default: drawn for `inputSpec`. */
  readonly samples?: readonly (readonly HostArray[])[]
}

/**
 * Saves a layer for inference, in evaluation mode, as `paddle.jit.save`: recorded for the shapes of `inputSpec` (null for any size), written in the
 * format, read again, and run beside the layer; the file is at `path` only once both agree. Throws TraceError for what cannot be recorded, FormatError
 * for what the format cannot express, ProofError where file and layer differ: a file that was there stays then.
 * @example await jit.save(model, 'out/inference', { inputSpec: [new jit.InputSpec([null, 3, 48, null])], format: 'onnx' })
 */
export async function save(target: Exportable, path: string, options: JitSaveOptions = {}): Promise<Saved> {
  if (typeof target !== 'function') throw new ArgumentError('jit.save: expected a Layer or a function')
  const { format = formatOf(path) ?? 'pir', samples, tolerance, keepFailed, lite, ...given } = options
  const rest = withDefaults(target, given)
  const program = await exportProgram(target, rest)
  return inEvaluation(target, async () =>
    saveProven(target, program, path, format, {
      samples: samples ?? drawSamples(program, sampleShapesOf(rest)),
      ...(tolerance === undefined ? {} : { tolerance }),
      ...(keepFailed === undefined ? {} : { keepFailed }),
      ...(lite && { lite }),
    }),
  )
}

/** Throws ArgumentError where nobody says what the layer takes. */
function withDefaults(
  target: Exportable,
  given: Omit<ExportOptions, 'inputSpec'> & Pick<JitSaveOptions, 'inputSpec'>,
): ExportOptions {
  if (target instanceof TranslatedLayer) {
    const { inputSpec, program } = target
    return { inputSpec, outputNames: program.outputs.map((o) => o.name), metadata: program.metadata, ...given }
  }
  const { inputSpec, ...others } = given
  if (!inputSpec)
    throw new ArgumentError(
      'jit.save: say what the layer takes: inputSpec: [new jit.InputSpec([null, 3, 48, null])], one for each input, null for any size',
    )
  return { inputSpec, ...others }
}

/** Reads a model file of any format as a layer, as `paddle.jit.load`: it runs, trains on, and is saved again. Throws StorageError, FormatError. */
export async function load(path: string): Promise<TranslatedLayer> {
  return new TranslatedLayer(await readModel(path))
}

export * from '../../jit/index.ts'
export { TranslatedLayer } from './program/translated-layer.ts'
export type { OperatorProgram } from './program/program.ts'
export type { ModelFormat } from './model-files.ts'
export type { Proof } from './proof.ts'
export type { Saved } from './save-proven.ts'
