/**
 * `manifest.json` of a compiled model: what is in the directory, for whom it was made, and the digests that its files must have. It is parsed as
 * data. The digests tell damage and mixed-up files; who may write to the directory may write the manifest too.
 */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { dtypes, type DType } from '../../common/dtype.ts'
import { FormatError } from '../../common/errors.ts'
import { targetNames } from '../../runtime/ahead/target.ts'
import { withStorageErrors } from '../../io/storage-error.ts'
import { isOurs, manifestFormat as format, manifestName, readManifestText } from './manifest-file.ts'

const version = 1

const name = z.string().regex(/^[a-z][a-z0-9_]*$/)
const size = z.int().min(0)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
// Files lie in the directory itself: no separators, and no leading dot.
const file = z.strictObject({ file: z.string().regex(/^\w[\w.-]*$/), bytes: size, sha256 })
const dtype = z.enum(dtypes as [DType, ...DType[]])
const shape = z.array(size).max(64)

const schema = z.strictObject({
  format: z.literal(format),
  version: z.literal(version),
  /** Of the library, and in front of the names of its functions. */
  name,
  target: z.strictObject({
    name: z.enum(targetNames),
    architecture: z.enum(['x64', 'arm64']),
    features: z.array(z.string()),
    /** Flags that the code was, or must be, compiled with. */
    flags: z.array(z.string()),
    /** What compiled it; absent where C was written. */
    compiler: z.string().optional(),
  }),
  /** The shared library; absent where C was written. */
  library: file.optional(),
  source: file.optional(),
  header: file,
  weights: file.extend({ crc32: z.int().min(0).max(0xffffffff) }),
  /** As the model says: -1 for an axis that it takes at any size. */
  inputs: z.array(z.strictObject({ name: z.string(), dtype, shape: z.array(z.int().min(-1)).max(64) })),
  outputs: z.array(z.strictObject({ name: z.string(), dtype })),
  /** The shapes that it was compiled for, by the numbers that the library gives them. */
  shapes: z.array(z.strictObject({ inputs: z.array(shape), outputs: z.array(shape), arenaBytes: size })).min(1),
  /** Memory for what is computed from weights at loading. */
  constantBytes: size,
  metadata: z.record(z.string(), z.string()),
})

export type Manifest = z.infer<typeof schema>
export type ManifestFile = z.infer<typeof file>

export const manifestHead = { format, version } as const

/** Checks the text of a manifest. Throws FormatError that says what is wrong. */
export function parseManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new FormatError(`the manifest is no JSON: ${(cause as Error).message}`, { cause })
  }
  if (!isOurs(value)) throw new FormatError(`its format is not '${format}'`)
  if (value.version !== version)
    throw new FormatError(
      `the compiled model has version ${String(value.version)}; this build reads ${version}: compile it again`,
    )
  const result = schema.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]!
    throw new FormatError(`the manifest is damaged at ${issue.path.join('.') || 'its top'}: ${issue.message}`)
  }
  const manifest = result.data
  for (const { inputs, outputs } of manifest.shapes) {
    const fits =
      inputs.length === manifest.inputs.length &&
      outputs.length === manifest.outputs.length &&
      inputs.every((s, i) => s.length === manifest.inputs[i]!.shape.length)
    if (!fits) throw new FormatError('the manifest is damaged: its shapes do not fit its inputs and outputs')
  }
  return manifest
}

/** Reads the manifest of a directory. Throws StorageError, FormatError. */
export async function readManifest(directory: string): Promise<Manifest> {
  const text = await readManifestText(directory)
  try {
    return parseManifest(text)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new FormatError(`'${join(directory, manifestName)}': ${cause.message}`, { cause })
  }
}

/** What a manifest says of a file. */
export function describeFile(file: string, bytes: Uint8Array): ManifestFile {
  return { file, bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** Reads a file of the directory and compares it with the manifest. Throws StorageError, FormatError. */
export async function readChecked(directory: string, wanted: ManifestFile): Promise<Uint8Array> {
  const path = join(directory, wanted.file)
  const bytes = await withStorageErrors('reading', path, async () => {
    const { size: found } = await stat(path)
    if (found !== wanted.bytes)
      throw new FormatError(
        `'${path}' has ${found} bytes, its manifest says ${wanted.bytes}: copy the whole directory again`,
      )
    return readFile(path)
  })
  const { sha256 } = describeFile(wanted.file, bytes)
  if (sha256 !== wanted.sha256)
    throw new FormatError(
      `'${path}' is not what its manifest says (its SHA-256 is ${sha256}): copy the whole directory again`,
    )
  return bytes
}
