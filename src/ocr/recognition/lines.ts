/**
 * Text lines for a recogniser: images of one height and of many widths. Batches hold lines of similar width, padded on the right to a
 * multiple of 32 pixels, so that little is wasted and few shapes occur.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostArray } from '../../common/dtype.ts'
import { FormatError, StorageError } from '../../common/errors.ts'
import { Dataset, decodeImage } from '../../io/index.ts'
import { readBytes } from '../../io/files.ts'
import { encodeImage } from '../synthetic/age.ts'
import { renderSample } from '../synthetic/dataset.ts'
import type { Family } from '../synthetic/receipts.ts'
import type { Dictionary } from './dictionary.ts'

/** Grey of the padding: the value that normalisation maps to 0. */
export const paddingGrey = 127
const widthStep = 32

/** One line: grey pixels [height, width] and its text. */
export interface TextLine {
  readonly pixels: Uint8Array
  readonly width: number
  readonly height: number
  readonly text: string
}

export interface LineBatch {
  /** uint8 [N, 1, H, W]. */
  readonly images: HostArray
  /** int32 [N, L]: classes, padded with 0. */
  readonly labels: HostArray
  /** int64 [N]: characters of each label. */
  readonly lengths: HostArray
  readonly texts: readonly string[]
}

/** Puts lines of one height into a batch. */
export function collateLines(lines: readonly TextLine[], dictionary: Dictionary): LineBatch {
  const height = lines[0]!.height
  const width = Math.ceil(Math.max(...lines.map((l) => l.width), widthStep) / widthStep) * widthStep
  const labels = lines.map((l) => dictionary.encode(l.text))
  const longest = Math.max(1, ...labels.map((l) => l.length))
  const images = new Uint8Array(lines.length * height * width).fill(paddingGrey)
  const classes = new Int32Array(lines.length * longest)
  lines.forEach((line, n) => {
    for (let y = 0; y < height; y++)
      images.set(line.pixels.subarray(y * line.width, (y + 1) * line.width), (n * height + y) * width)
    classes.set(labels[n]!, n * longest)
  })
  return {
    images: { dtype: 'uint8', shape: [lines.length, 1, height, width], data: images },
    labels: { dtype: 'int32', shape: [lines.length, longest], data: classes },
    lengths: { dtype: 'int64', shape: [lines.length], data: BigInt64Array.from(labels, (l) => BigInt(l.length)) },
    texts: lines.map((l) => l.text),
  }
}

/** Batches of lines of similar width, the widest first. */
export function batchByWidth(lines: readonly TextLine[], batchSize: number, dictionary: Dictionary): LineBatch[] {
  const sorted = [...lines].sort((a, b) => b.width - a.width)
  const batches: LineBatch[] = []
  for (let i = 0; i < sorted.length; i += batchSize)
    batches.push(collateLines(sorted.slice(i, i + batchSize), dictionary))
  return batches
}

/** The synthetic line `index` of a seed, in grey. */
export async function drawLine(seed: number, family: Family, index: number): Promise<TextLine> {
  const s = await renderSample({ seed, index, family, height: 32, channels: 1 })
  return { pixels: s.data, width: s.width, height: s.height, text: s.text }
}

/** Renders lines into memory: held-out sets. */
export async function drawLines(request: {
  readonly seed: number
  readonly family: Family
  readonly count: number
}): Promise<TextLine[]> {
  const lines: TextLine[] = []
  for (let index = 0; index < request.count; index++) lines.push(await drawLine(request.seed, request.family, index))
  return lines
}

export interface WrittenLinesOptions {
  readonly seed: number
  readonly family: Family
  readonly count: number
  /** Folder for the image files; it is made where it is missing. */
  readonly directory: string
}

/** A line as a file and its text. */
export interface LabelledFile {
  readonly file: string
  readonly text: string
}

/** Renders lines to image files, where people can look at them: item i writes file i and gives its name and text. */
export class WrittenLines extends Dataset<LabelledFile> {
  readonly #options: WrittenLinesOptions

  constructor(options: WrittenLinesOptions) {
    super()
    this.#options = options
  }

  get length(): number {
    return this.#options.count
  }

  override workerSource(): { module: string; export: string; args: unknown[] } {
    return { module: import.meta.url, export: 'WrittenLines', args: [this.#options] }
  }

  async getItem(index: number): Promise<LabelledFile> {
    const { seed, family, directory } = this.#options
    const s = await renderSample({ seed, index, family, height: 32, channels: 3 })
    const file = join(directory, `${String(index).padStart(6, '0')}.jpg`)
    await mkdir(directory, { recursive: true })
    await writeFile(
      file,
      await encodeImage(
        {
          width: s.width,
          height: s.height,
          data: new Uint8ClampedArray(s.data.buffer, s.data.byteOffset, s.data.length),
        },
        'jpg',
      ),
    )
    return { file, text: s.text }
  }
}

/** Reads line images from disk in PaddleOCR's labelling: `file<TAB>text`. Images are resized to the height, keeping their ratio. */
export class LabelledLines extends Dataset<TextLine> {
  readonly #entries: readonly LabelledFile[]
  readonly #height: number
  readonly #maxWidth: number

  constructor(entries: readonly LabelledFile[], height = 32, maxWidth = 320) {
    super()
    this.#entries = entries
    this.#height = height
    this.#maxWidth = maxWidth
  }

  /** Reads a label file; paths in it are relative to `directory`. @throws FormatError with the number of the line that has no tab. */
  static async read(labelFile: string, directory: string): Promise<LabelledFile[]> {
    const text = new TextDecoder('utf-8').decode(await readBytes(labelFile))
    return text
      .split(/\r?\n/)
      .filter((line) => line !== '')
      .map((line, i) => {
        const tab = line.indexOf('\t')
        if (tab <= 0)
          throw new FormatError(
            `${labelFile}, line ${i + 1}: expected 'file<TAB>text', got ${JSON.stringify(line.slice(0, 80))}`,
          )
        return { file: join(directory, line.slice(0, tab)), text: line.slice(tab + 1) }
      })
  }

  get length(): number {
    return this.#entries.length
  }

  override workerSource(): { module: string; export: string; args: unknown[] } {
    return { module: import.meta.url, export: 'LabelledLines', args: [this.#entries, this.#height, this.#maxWidth] }
  }

  async getItem(index: number): Promise<TextLine> {
    const { file, text } = this.#entries[index]!
    return { ...(await readLine(file, this.#height, this.#maxWidth)), text }
  }
}

/** Decodes line images into memory. A missing or broken file is named and left out, or ends it (`fail`). Throws StorageError, FormatError. */
export async function loadLines(
  files: readonly LabelledFile[],
  options: { readonly height?: number; readonly maxWidth?: number; readonly onBadSample?: 'skip' | 'fail' } = {},
): Promise<{ lines: TextLine[]; kept: LabelledFile[]; leftOut: string[] }> {
  const { height, maxWidth, onBadSample = 'skip' } = options
  const dataset = new LabelledLines(files, height, maxWidth)
  const lines: TextLine[] = []
  const kept: LabelledFile[] = []
  const leftOut: string[] = []
  for (const [i, file] of files.entries()) {
    try {
      lines.push(await dataset.getItem(i))
      kept.push(file)
    } catch (error) {
      if (onBadSample === 'fail' || !isFileError(error)) throw error
      leftOut.push(error.message)
    }
  }
  return { lines, kept, leftOut }
}

/** Whether a file is missing, unreadable or broken, as opposed to a mistake of the program. */
export function isFileError(error: unknown): error is FormatError | StorageError {
  return error instanceof FormatError || error instanceof StorageError
}

/** Decodes an image file as a grey line of the height, no wider than `maxWidth`. */
export async function readLine(
  image: string | Uint8Array,
  height = 32,
  maxWidth = 320,
): Promise<Omit<TextLine, 'text'>> {
  const decoded = await decodeImage(image, { channels: 1 })
  const [h, w] = decoded.shape as [number, number]
  const pixels = decoded.data as Uint8Array
  const width = Math.min(maxWidth, Math.max(8, Math.round((w * height) / h)))
  if (h === height && w === width) return { pixels, width, height }
  return { pixels: resizeGrey(pixels, w, h, width, height), width, height }
}

/** Bilinear resampling with pixel centres at halves, as OpenCV's INTER_LINEAR. */
export function resizeGrey(source: Uint8Array, w: number, h: number, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) {
    const sy = Math.min(h - 1, Math.max(0, ((y + 0.5) * h) / height - 0.5))
    const y0 = Math.floor(sy)
    const y1 = Math.min(h - 1, y0 + 1)
    for (let x = 0; x < width; x++) {
      const sx = Math.min(w - 1, Math.max(0, ((x + 0.5) * w) / width - 0.5))
      const x0 = Math.floor(sx)
      const x1 = Math.min(w - 1, x0 + 1)
      const top = source[y0 * w + x0]! * (1 - sx + x0) + source[y0 * w + x1]! * (sx - x0)
      const bottom = source[y1 * w + x0]! * (1 - sx + x0) + source[y1 * w + x1]! * (sx - x0)
      out[y * width + x] = Math.round(top * (1 - sy + y0) + bottom * (sy - y0))
    }
  }
  return out
}
