/**
 * `longzhou/inference`: models prepared for running, as Paddle Inference. What reads, writes and compiles models is loaded when it is called:
 * predictors of models that were prepared before need none of it.
 */
import type { CompileModelOptions } from './ahead/compile.ts'
import type { Manifest } from './ahead/manifest.ts'
import type { ModelFormat, WriteOptions } from '../io/formats/model-files.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'

export { modelFormats, type ModelFormat } from '../io/formats/format-names.ts'
export type { OperatorProgram } from '../io/formats/program/program.ts'
export { Config } from './config.ts'
export { precisions, type Model, type PortInfo, type Precision } from './engine.ts'
export { createPredictor, engineNames, type EngineName, type PredictorOptions } from './engines.ts'
export type { InputHandle, OutputHandle } from './handles.ts'
export { describePort, fitsPort, Predictor, type PredictorInputs } from './predictor.ts'
export type { CompileModelOptions } from './ahead/compile.ts'
export type { Manifest } from './ahead/manifest.ts'
export { isCompiledModel } from './ahead/manifest-file.ts'
export { isTargetName, targetNames, type TargetName } from '../runtime/ahead/target-names.ts'

/**
 * Reads a model: a `.json` (PIR), `.pdmodel`, `__model__`, `.onnx`, `.safetensors` or `.nb` file, a recogniser's file, a directory that holds a
 * model, or the path of a Paddle model without its ending. Throws StorageError, FormatError.
 */
export async function readModel(path: string): Promise<OperatorProgram> {
  return (await import('./read-model.ts')).readModel(path)
}

/** Writes a program; returns the path of the file that names the model. Throws ArgumentError, FormatError, StorageError. */
export async function writeModel(
  program: OperatorProgram,
  path: string,
  format?: ModelFormat,
  options?: WriteOptions,
): Promise<string> {
  return (await import('../io/formats/model-files.ts')).writeModel(program, path, format, options)
}

/** Compiles a model ahead of time; resolves to the manifest. Throws ArgumentError, ShapeError, CompileError, StorageError, and what the model's operators throw. */
export async function compileModel(options: CompileModelOptions): Promise<Manifest> {
  return (await import('./ahead/compile.ts')).compileModel(options)
}

/** Reads the manifest of a compiled model. Throws StorageError, FormatError. */
export async function readManifest(directory: string): Promise<Manifest> {
  return (await import('./ahead/manifest.ts')).readManifest(directory)
}
