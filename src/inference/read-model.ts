/** Whatever file holds a model, as a program: model files of all formats, and recognisers' own. */
import { readSafetensorsMetadata } from '../io/files.ts'
import { readModel as readModelFile } from '../io/formats/model-files.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'

/**
 * Reads a model: a `.json` (PIR), `.pdmodel`, `__model__`, `.onnx`, `.safetensors` or `.nb` file, a recogniser's file, a directory that holds a
 * model, or the path of a Paddle model without its ending. Throws StorageError, FormatError.
 */
export async function readModel(path: string): Promise<OperatorProgram> {
  if (path.endsWith('.safetensors')) {
    const { isRecognizer, TextRecognizer } = await import('../ocr/recognition/recognizer.ts')
    if (isRecognizer(await readSafetensorsMetadata(path))) return (await TextRecognizer.load(path)).toProgram()
  }
  return readModelFile(path)
}
