/** The manifest of a compiled model as a file: whether there is one, and its text. What it says is checked by manifest.ts. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../../common/errors.ts'
import { codeOf, withStorageErrors } from '../../io/storage-error.ts'

export const manifestName = 'manifest.json'
export const manifestFormat = 'longzhou-compiled-model'

/** A manifest that is larger is none: the largest part of a real one is the dictionary of a recogniser. */
const largestManifest = 64 << 20

/** Whether a value is a manifest of ours, whole or not. */
export function isOurs(value: unknown): value is { readonly version?: unknown } {
  return typeof value === 'object' && value !== null && 'format' in value && value.format === manifestFormat
}

export async function readManifestText(directory: string): Promise<string> {
  const path = join(directory, manifestName)
  return withStorageErrors('reading', path, async () => {
    const { size: bytes } = await stat(path)
    if (bytes > largestManifest) throw new FormatError(`'${path}' has ${bytes} bytes: that is no manifest`)
    return readFile(path, 'utf8')
  })
}

/** Whether a path is a directory with a manifest of a compiled model, whole or not. */
export async function isCompiledModel(path: string): Promise<boolean> {
  try {
    return isOurs(JSON.parse(await readManifestText(path)))
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof FormatError) return false
    const cause = codeOf((error as Error).cause)
    if (cause === 'ENOENT' || cause === 'ENOTDIR') return false
    throw error
  }
}
