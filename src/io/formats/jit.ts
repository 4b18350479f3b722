/** `jit.save` and `jit.load`, as in `paddle.jit`: layers to model files of every format, and back. */
import type { HostArray } from '../../common/dtype.ts'
import { ArgumentError } from '../../common/errors.ts'
import { exportProgram, inEvaluation, sampleShapesOf, type ExportOptions } from './program/export/export.ts'
import type { Exportable } from './program/export/record.ts'
import { TranslatedLayer } from './program/translated-layer.ts'
import { formatOf, readModel, writeModel, type ModelFormat, type WriteOptions } from './model-files.ts'
import { drawSamples, proveEqual, type Proof } from './proof.ts'

export interface JitSaveOptions extends ExportOptions, WriteOptions {
  /** Default: what the path ends with; else `pir`, as in Paddle 3. */
  readonly format?: ModelFormat
  /** Inputs for the proof, in order, a list for each run. Default: drawn for `inputSpec`. */
  readonly samples?: readonly (readonly HostArray[])[]
  /** Largest difference between layer and file. Default 1e-4. */
  readonly tolerance?: number
}

export interface Saved {
  /** The file that names the model. */
  readonly path: string
  readonly proof: Proof
}

/**
 * Saves a layer for inference, in evaluation mode, as `paddle.jit.save`: recorded for the shapes of `inputSpec` (null for any size), written in the
 * format, read again, and run beside the layer. Throws TraceError for what cannot be recorded, FormatError for what the format cannot
 * express and where file and layer differ.
 * @example await jit.save(model, 'out/inference', { inputSpec: [new jit.InputSpec([null, 3, 48, null])], format: 'onnx' })
 */
export async function save(target: Exportable, path: string, options: JitSaveOptions): Promise<Saved> {
  const { format = formatOf(path) ?? 'pir', samples, tolerance, lite, ...rest } = options
  if (typeof target !== 'function') throw new ArgumentError('jit.save: expected a Layer or a function')
  const program = await exportProgram(target, rest)
  const written = await writeModel(program, path, format, lite ? { lite } : {})
  const proof = await inEvaluation(target, async () =>
    proveEqual(target, program, written, {
      samples: samples ?? drawSamples(program, sampleShapesOf(rest)),
      ...(tolerance === undefined ? {} : { tolerance }),
    }),
  )
  return { path: written, proof }
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
