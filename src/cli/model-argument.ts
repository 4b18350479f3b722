/** MODEL on the command line: a model file of any format, a directory that holds one, or a recogniser's file. */
import { resolve } from 'node:path'
import { UnsupportedError } from '../common/errors.ts'
import { isCompiledModel, readModel, type Model } from '../inference/index.ts'
import { readSafetensorsMetadata } from '../io/files.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'

/** As a program. Throws StorageError, FormatError. */
export async function readModelArgument(argument: unknown): Promise<OperatorProgram> {
  const path = resolve(String(argument))
  if (await isCompiledModel(path))
    throw new UnsupportedError(
      `'${path}' is a compiled model, which can only be run (longzhou infer); give the model that it was compiled from`,
    )
  return (await readRecognizer(path)) ?? readModel(path)
}

/** As `createPredictor` takes it: a path where that is enough, so that a model that was prepared before is not read again. */
export async function predictorArgument(argument: unknown): Promise<Model> {
  const path = resolve(String(argument))
  return (await readRecognizer(path)) ?? path
}

/** The program of a recogniser's file; null for all else. */
async function readRecognizer(path: string): Promise<OperatorProgram | null> {
  if (!path.endsWith('.safetensors')) return null
  const { isRecognizer, TextRecognizer } = await import('../ocr/recognition/recognizer.ts')
  return isRecognizer(await readSafetensorsMetadata(path)) ? (await TextRecognizer.load(path)).toProgram() : null
}
