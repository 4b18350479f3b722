/** MODEL on the command line: a model file of any format, or a recogniser's file, as a program. */
import { resolve } from 'node:path'
import { readSafetensorsMetadata } from '../io/files.ts'
import { readModel } from '../io/formats/model-files.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'
import { isRecognizer, TextRecognizer } from '../ocr/recognition/recognizer.ts'

/** Throws StorageError, FormatError. */
export async function readModelArgument(argument: unknown): Promise<OperatorProgram> {
  const path = resolve(String(argument))
  if (path.endsWith('.safetensors') && isRecognizer(await readSafetensorsMetadata(path)))
    return (await TextRecognizer.load(path)).toProgram()
  return readModel(path)
}
