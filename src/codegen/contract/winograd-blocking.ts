/** What a convolution in Winograd's form keeps in which cache: which steps are one, in what blocks, and how many images go through them at a time. */
import type { Capabilities } from '../capabilities.ts'
import { registerTile, type RegisterTile } from './blocking.ts'

/** A run of images (of the first letter of them) that goes through all steps before the next one. */
export interface Part {
  readonly from: number
  readonly size: number
}

/**
 * Images go through the steps in parts whose panels and sums stay in the nearer caches. A part is no smaller than what is read again
 * for each (the panels of weights, the sums of their gradient), nor than tiles that fill panels of columns; half of that in low precision, of which
 * memory is what is wanted: panels, in float32, would be most of a step's.
 */
export function partsOf(
  images: number,
  perImage: { readonly bytes: number; readonly tiles: number },
  again: number,
  cache: number,
  isLow: boolean,
): Part[] {
  const share = isLow ? 0.5 : 1
  const bytes = Math.max(CACHES * cache, share * again)
  const least = Math.max(1, Math.floor(bytes / perImage.bytes), Math.ceil((share * LEAST_TILES) / perImage.tiles))
  const size = Math.ceil(images / Math.max(1, Math.floor(images / least)))
  const count = Math.ceil(images / size)
  return Array.from({ length: count }, (_, i) => ({ from: i * size, size: Math.min(size, images - i * size) }))
}

/**
 * Bytes of a part's panels and sums over those of a core's second-level cache. It does not know the threads, so that no gradient depends on
 * them. A step of ResNet-18 on two threads takes 0.96, 0.97 and 0.93 of its time without parts for 1, 2 and 4.
 */
const CACHES = 4
/** Tiles of a part at least: two parts of 256 end in panels mostly empty and gain nothing over one of 512 (128 channels of 16x16). */
const LEAST_TILES = 320

/** Panels of rows are as wide as a tile of registers is high, or two of them, so that vectors fill them. */
export function rowPanels(tile: RegisterTile): { readonly width: number; readonly lanes: number } {
  const width = tile.rows % 4 === 0 ? tile.rows : 2 * tile.rows
  return { width, lanes: width % 8 === 0 ? 8 : 4 }
}

/**
 * Share of the second-level cache that a task's own points may fill, where that is small, because the third is near, and where it is large, because
 * the third is far: points beyond it are read from there for each tile of filters. With 1 MB (32 MB behind it, AVX-512 without tiles) convolutions in
 * one task take 0.87 of the time with 512 channels of 4x80, 0.78 with 256 of 8x80, 0.65 with 128 of 16x16; with 2 MB deep layers lost a tenth.
 */
const OWN_SHARE = { small: 2.4, large: 0.35 }
const LARGE_BYTES = 1536 << 10

/** Bytes that a task's own points may take. */
const ownBytes = (l2: number): number => l2 * (l2 < LARGE_BYTES ? OWN_SHARE.small : OWN_SHARE.large)

/** Bytes of all points of `depth` patches of `width` elements. */
const pointBytes = (points: number, depth: number, width: number): number => 4 * points * depth * width

/**
 * The tile of tasks that take tiles through all steps: two vectors side by side, for all numbers of channels and filters. Their kernels are long
 * and take a quarter of a second to compile; higher tiles were no faster (64 and 128 channels of a step of ResNet-18).
 */
export function ownTile(capabilities: Capabilities): RegisterTile {
  const wide = registerTile(capabilities)
  return { ...wide, vectors: 2, columns: 2 * wide.lanes }
}

/**
 * Whether tasks take tiles through all steps. The points of all channels of theirs must fit. `tiles` where their number never changes: where
 * the points and sums of all fit, or are one task's, steps through the cache are as near and use weights for all tiles at once (128 channels of
 * one image of 28x28: 2.5 against 2.9 ms on one thread, 1.7 against 2.1 ms on two).
 */
export function makesOwnTiles(
  size: { readonly points: number; readonly channels: number; readonly filters: number; readonly tiles: number | null },
  capabilities: Capabilities,
): boolean {
  const [, l2] = capabilities.cacheBytes
  const { columns } = ownTile(capabilities)
  const isNear = size.tiles !== null && pointBytes(size.points, size.channels + size.filters, size.tiles) <= l2
  const isOne = size.tiles !== null && size.tiles <= columns
  return !isNear && !isOne && pointBytes(size.points, size.channels, columns) <= ownBytes(l2)
}
