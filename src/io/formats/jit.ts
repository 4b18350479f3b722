/** `jit.save` and `jit.load`, as in `paddle.jit`: layers to model files of every format, and back. */
import type { HostArray } from '../../common/dtype.ts'
import { ArgumentError } from '../../common/errors.ts'
import { exportProgram, inEvaluation, sampleShapesOf, type ExportOptions } from './program/export/export.ts'
import type { Exportable } from './program/export/record.ts'
import { TranslatedLayer } from './program/translated-layer.ts'
import { formatOf, readModel, type ModelFormat } from './model-files.ts'
import { drawSamples } from './proof.ts'
import { saveProven, type ProvenOptions, type Saved } from './save-proven.ts'

export interface JitSaveOptions extends ExportOptions, Omit<ProvenOptions, 'samples'> {
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
export async function save(target: Exportable, path: string, options: JitSaveOptions): Promise<Saved> {
  if (typeof target !== 'function') throw new ArgumentError('jit.save: expected a Layer or a function')
  const { format = formatOf(path) ?? 'pir', samples, tolerance, keepFailed, lite, ...rest } = options
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
