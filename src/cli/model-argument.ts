/** MODEL on the command line as a program. */
import { resolve } from 'node:path'
import { UnsupportedError } from '../common/errors.ts'
import { isCompiledModel, readModel } from '../inference/index.ts'
import type { OperatorProgram } from '../io/formats/program/program.ts'

/** Throws StorageError, FormatError. */
export async function readModelArgument(argument: unknown): Promise<OperatorProgram> {
  const path = resolve(String(argument))
  if (await isCompiledModel(path))
    throw new UnsupportedError(
      `'${path}' is a compiled model, which can only be run (longzhou infer); give the model that it was compiled from`,
    )
  return readModel(path)
}
