/**
 * Image files to uint8 arrays and back, by `sharp` (libvips), which is loaded when the first image is. Foreign files are bounded in size before
 * they are decoded, and only raster formats are accepted. What a missing or broken file does is the caller's choice.
 */
import { isMainThread } from 'node:worker_threads'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, DeviceError, FormatError, ShapeError, StorageError } from '../common/errors.ts'
import { formatShape } from '../common/shape.ts'
import { readBytes } from './files.ts'
import { bytesOf } from './host-array.ts'

type Sharp = (typeof import('sharp'))['default']
type Channels = 1 | 3 | 4

/** Formats that are decoded. SVG and PDF are programs that draw: they are not for files from strangers. */
const FORMATS = ['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif'] as const

/** Files decoded at a time by `decodeImages`. */
const PARALLEL = 4

/** The default limit of pixels: a page of A3 at 600 dpi, nearly twice. */
export const MAX_PIXELS = 64_000_000

export interface DecodeOptions {
  /** 1 grey, 3 colours, or 4 colours and opacity. Default 3; opacity is dropped without blending, as OpenCV does. */
  readonly channels?: Channels
  /** Order of the colours. Default 'rgb'; PaddleOCR's models were trained on 'bgr'. */
  readonly order?: 'rgb' | 'bgr'
  /** Images with more pixels are refused. Default 64,000,000. */
  readonly maxPixels?: number
}

/** An image in memory, with the name that errors and reports give it. */
export interface NamedImage {
  readonly name: string
  readonly bytes: Uint8Array
}

let loading: Promise<Sharp> | undefined

async function loadSharp(): Promise<Sharp> {
  loading ??= import('sharp').then(
    ({ default: sharp }) => {
      // A loader has a thread for each worker already; a cache of decoded files only costs memory here.
      if (!isMainThread) sharp.concurrency(1)
      sharp.cache(false)
      return sharp
    },
    (cause: unknown) => {
      throw new DeviceError('images need the package sharp, which cannot be loaded here; run `npm install sharp`', {
        cause,
      })
    },
  )
  return loading
}

/**
 * Decodes an image file to uint8 [height, width, channels], upright by its EXIF orientation.
 * Throws StorageError (the file cannot be read), FormatError (no image, broken, truncated, too large) that name the file.
 */
export async function decodeImage(
  input: string | Uint8Array | NamedImage,
  options: DecodeOptions = {},
): Promise<HostArray> {
  const { channels = 3, order = 'rgb', maxPixels = MAX_PIXELS } = options
  const { name, bytes } = await named(input)
  const sharp = await loadSharp()
  const broken = (why: string, cause?: unknown) => new FormatError(`image '${name}' ${why}`, { cause })
  if (bytes.byteLength === 0) throw broken('is empty')
  try {
    const image = sharp(bytes, { limitInputPixels: false, failOn: 'error' })
    const { format, width, height } = await image.metadata()
    if (!(FORMATS as readonly string[]).includes(format)) {
      throw broken(`has format ${format}; supported are ${FORMATS.join(', ')}`)
    }
    if (width * height > maxPixels) {
      throw broken(`has ${width} x ${height} pixels, more than ${maxPixels}; shrink it or raise maxPixels`)
    }
    const pipeline = image.autoOrient().toColourspace(channels === 1 ? 'b-w' : 'srgb')
    const { data, info } = await (channels === 4 ? pipeline.ensureAlpha() : pipeline.removeAlpha())
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const pixels = withChannels(new Uint8Array(data), info.channels, channels)
    if (order === 'bgr' && channels >= 3) swapRedAndBlue(pixels, channels)
    return { dtype: 'uint8', shape: [info.height, info.width, channels], data: pixels }
  } catch (error) {
    if (error instanceof FormatError) throw error
    throw broken(`is no image, or broken: ${(error as Error).message.trim()}`, error)
  }
}

async function named(input: string | Uint8Array | NamedImage): Promise<NamedImage> {
  if (typeof input === 'string') return { name: input, bytes: await readBytes(input) }
  return input instanceof Uint8Array ? { name: 'in memory', bytes: input } : input
}

/** Repeats a single grey channel where colours are wanted. */
function withChannels(pixels: Uint8Array, from: number, to: Channels): Uint8Array {
  if (from === to) return pixels
  const out = new Uint8Array((pixels.length / from) * to).fill(255)
  const colours = Math.min(to, 3)
  for (let i = 0, at = 0; i < out.length; i += to, at += from) {
    for (let c = 0; c < colours; c++) out[i + c] = pixels[from >= 3 ? at + c : at]!
    if (to === 4 && (from === 2 || from === 4)) out[i + 3] = pixels[at + from - 1]!
  }
  return out
}

function swapRedAndBlue(pixels: Uint8Array, channels: number): void {
  for (let i = 0; i < pixels.length; i += channels) {
    const red = pixels[i]!
    pixels[i] = pixels[i + 2]!
    pixels[i + 2] = red
  }
}

export interface SkippedImage {
  readonly name: string
  readonly reason: string
}

export interface DecodedImages {
  readonly images: readonly { readonly name: string; readonly image: HostArray }[]
  /** What was left out: always empty with `onError: 'fail'`. Its length is the count to report. */
  readonly skipped: readonly SkippedImage[]
}

export interface DecodeManyOptions extends DecodeOptions {
  /** What a missing or broken file does: end with its error (the default), or be left out and named in `skipped`. */
  readonly onError?: 'fail' | 'skip'
}

/** Decodes several images, in their order. With 'fail', throws what `decodeImage` throws for the first that fails. */
export async function decodeImages(
  inputs: readonly (string | NamedImage)[],
  options: DecodeManyOptions = {},
): Promise<DecodedImages> {
  const images: DecodedImages['images'][number][] = []
  const skipped: SkippedImage[] = []
  for (let at = 0; at < inputs.length; at += PARALLEL) {
    const group = inputs.slice(at, at + PARALLEL)
    const results = await Promise.allSettled(group.map((input) => decodeImage(input, options)))
    results.forEach((result, i) => {
      const input = group[i]!
      const name = typeof input === 'string' ? input : input.name
      if (result.status === 'fulfilled') {
        images.push({ name, image: result.value })
        return
      }
      const error: unknown = result.reason
      const ofTheFile = error instanceof FormatError || error instanceof StorageError
      if (!ofTheFile || options.onError !== 'skip') throw error
      skipped.push({ name, reason: error.message })
    })
  }
  return { images, skipped }
}

/** PNG of a uint8 array [height, width] or [height, width, 1 | 3 | 4] (RGB order). */
export async function encodePng(image: HostArray): Promise<Uint8Array> {
  return (await rawImage(image, 'encodePng', [1, 3, 4])).png().toBuffer()
}

export interface JpegOptions {
  /** 1 to 100. Default 90. */
  readonly quality?: number
}

/** JPEG of a uint8 array [height, width] or [height, width, 1 | 3] (RGB order). */
export async function encodeJpeg(image: HostArray, { quality = 90 }: JpegOptions = {}): Promise<Uint8Array> {
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new ArgumentError(`encodeJpeg: quality is ${quality}; give an integer from 1 to 100`)
  }
  return (await rawImage(image, 'encodeJpeg', [1, 3])).jpeg({ quality }).toBuffer()
}

async function rawImage(image: HostArray, call: string, allowed: readonly Channels[]) {
  const [height = 0, width = 0, channels = 1] = image.shape
  const rank = image.shape.length
  if (
    image.dtype !== 'uint8' ||
    rank < 2 ||
    rank > 3 ||
    height * width === 0 ||
    !allowed.includes(channels as Channels)
  ) {
    throw new ShapeError(
      `${call}: takes uint8 [height, width] or [height, width, ${allowed.join(' | ')}], not ${image.dtype} ${formatShape(image.shape)}`,
    )
  }
  const sharp = await loadSharp()
  return sharp(bytesOf(image), { raw: { width, height, channels: channels as Channels } })
}
