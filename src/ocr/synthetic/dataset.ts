/**
 * Synthetic lines as samples and as files. Sample `index` of a seed depends on nothing but the seed, the family and the index,
 * so any number of workers, in any order, makes the same images.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ArgumentError } from '../../common/errors.ts'
import { SmallRandom } from '../../common/random.ts'
import { ageLine, encodeImage } from './age.ts'
import { toGrey } from './image.ts'
import type { RgbImage } from './image.ts'
import { families, generateLine } from './receipts.ts'
import type { Family, Line } from './receipts.ts'
import { renderLine } from './render.ts'
import type { LineKind } from './templates.ts'

export interface SampleRequest {
  seed: number
  index: number
  family: Family
  /** The height of the image in pixels; by default 32. */
  height?: number
  /** The greatest width of the image, in heights; by default 10. */
  maxAspect?: number
  /** 3 for RGB (the default), 1 for grey. */
  channels?: 1 | 3
  /** How badly the line is aged, 0 to 1; by default drawn, more gently for `pretrain` than for the receipts. */
  severity?: number
}

export interface Sample {
  text: string
  kind: LineKind
  width: number
  height: number
  channels: 1 | 3
  /** height x width x channels values from 0 to 255. */
  data: Uint8Array
}

/** The ranges that severity is drawn from. */
const SEVERITIES: Record<Family, readonly [low: number, high: number]> = {
  pretrain: [0, 0.6],
  tune: [0.15, 1],
  heldout: [0.15, 1],
}

/**
 * Makes one sample. It can be called in any thread; a thread reads the fonts on its first call (about 0.3 s).
 *
 * @throws ArgumentError when the family is unknown, or height, severity or index are outside their ranges
 */
export async function renderSample(request: SampleRequest): Promise<Sample> {
  const { channels = 3 } = request
  const { line, image } = await drawSample(request)
  const { width, height, data } = image
  const values = channels === 1 ? toGrey(image) : new Uint8Array(data.buffer, data.byteOffset, data.length)
  return { text: line.text, kind: line.kind, width, height, channels, data: values }
}

async function drawSample(request: SampleRequest): Promise<{ line: Line; image: RgbImage }> {
  const { seed, index, family, height = 32, maxAspect = 10 } = request
  if (!families.includes(family))
    throw new ArgumentError(`Unknown family "${family}"; the families are ${families.join(', ')}.`)
  if (!Number.isInteger(index) || index < 0)
    throw new ArgumentError(`Sample index ${index}; expected a whole number from 0.`)
  // Families must not share contents: the same index would otherwise draw the same names and amounts in each.
  const random = new SmallRandom(Math.imul(seed, families.length) + families.indexOf(family), index)
  const line = generateLine(random, family)
  const rendered = renderLine(random, line, { family, height, maxAspect })
  const severity = request.severity ?? random.uniform(...SEVERITIES[family])
  return { line, image: await ageLine(random, rendered, severity) }
}

export interface WriteRequest extends Omit<SampleRequest, 'index' | 'channels'> {
  /** The folder to write into; it is made when it does not exist. */
  directory: string
  count: number
  /** The index of the first sample, by default 0: several workers can write parts of one set. */
  first?: number
  /** By default `jpg` at quality 92, a tenth of the size of `png`. */
  format?: 'png' | 'jpg'
  /** The name of the file of labels, by default `labels.txt`. */
  labels?: string
  /** Called after each image with how many are written. */
  onProgress?: (written: number) => void
}

/**
 * Writes lines as image files and a file of labels in the form of PaddleOCR's recognition sets: one line an image, its path
 * relative to `directory`, a tab, its text, in UTF-8. The file of labels comes last and at once, so a set with one is complete.
 *
 * @returns the labels, in order
 */
export async function writeLines(request: WriteRequest): Promise<{ path: string; text: string }[]> {
  const { directory, count, first = 0, format = 'jpg', labels = 'labels.txt', onProgress } = request
  const written: { path: string; text: string }[] = []
  for (let index = first; index < first + count; index++) {
    const { line, image } = await drawSample({ ...request, index })
    const path = `images/${request.family}-${String(index).padStart(6, '0')}.${format}`
    if (index === first) await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), await encodeImage(image, format))
    written.push({ path, text: line.text })
    onProgress?.(written.length)
  }
  await mkdir(directory, { recursive: true })
  const temporary = join(directory, `.${labels}.part`)
  await writeFile(temporary, written.map(({ path, text }) => `${path}\t${text}\n`).join(''))
  await rename(temporary, join(directory, labels))
  return written
}
