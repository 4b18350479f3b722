/** The .npz format of NumPy: a ZIP archive with one .npy file for each array (`np.savez`, `np.savez_compressed`). */
import type { HostArray } from '../common/dtype.ts'
import { FormatError } from '../common/errors.ts'
import { parseNpy, serializeNpy } from './npy.ts'
import type { NpyReadOptions } from './npy.ts'
import { unzip, zip, type UnzipOptions } from './zip.ts'

const SUFFIX = '.npy'

export interface NpzWriteOptions {
  /** Deflate the members, as `np.savez_compressed`. Default false. */
  readonly compress?: boolean
}

export type NpzReadOptions = NpyReadOptions & UnzipOptions

/** The arrays of a .npz file by name (without `.npy`). Throws FormatError that names the member at fault. */
export function parseNpz(bytes: Uint8Array, options: NpzReadOptions = {}): Record<string, HostArray> {
  const arrays: [string, HostArray][] = []
  for (const [member, content] of unzip(bytes, options)) {
    if (!member.endsWith(SUFFIX)) throw new FormatError(`npz: member '${member}' is not a .npy file`)
    try {
      arrays.push([member.slice(0, -SUFFIX.length), parseNpy(content, options)])
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause
      throw new FormatError(`npz: member '${member}': ${cause.message}`, { cause })
    }
  }
  return Object.fromEntries(arrays)
}

/** The bytes of a .npz file with these arrays. */
export function serializeNpz(arrays: Readonly<Record<string, HostArray>>, options: NpzWriteOptions = {}): Uint8Array {
  const members = Object.entries(arrays).map(([name, array]) => [name + SUFFIX, serializeNpy(array)] as const)
  return zip(new Map(members), options.compress)
}
