/**
 * What happens to a receipt between the printer and the recogniser: ink fades and spreads, needles of dot-matrix printers fail,
 * a seal is stamped over it, it is laid crookedly under a lamp, photographed out of focus, and compressed as JPEG.
 * Every effect draws whether and how strongly it acts; `severity` from 0 to 1 scales both.
 */
import sharp from 'sharp'
import { ArgumentError } from '../../common/errors.ts'
import type { SmallRandom } from '../../common/random.ts'
import { blur, layInk, shear } from './image.ts'
import type { RgbImage } from './image.ts'
import { normalWalk, smoothField, smoothstep } from './noise.ts'
import type { LineImage } from './render.ts'
import { stampSeal } from './seal.ts'

// One image is small and many are made at once by several workers: threads and caches inside sharp would only cost.
sharp.concurrency(1)
sharp.cache(false)

/**
 * Puts the ink on the paper and ages the whole.
 *
 * @param severity from 0 (as printed) to 1 (as bad as a clerk would still accept)
 * @throws ArgumentError when the severity lies outside [0, 1]
 */
export async function ageLine(random: SmallRandom, line: LineImage, severity: number): Promise<RgbImage> {
  if (!(severity >= 0 && severity <= 1)) throw new ArgumentError(`ageLine: severity ${severity}; expected 0 to 1.`)
  wearInk(random, line, severity)
  let image = line.paper
  layInk(image.data, line.ink, line.colour)
  if (severity === 0) return image

  const scale = image.height / 32
  if (random.chance(0.28 * severity)) stampSeal(random, image, random.uniform(0.3, 0.4 + 0.25 * severity))
  if (random.chance(0.6 * severity)) image = tilt(random, image, line.clearance, severity)
  if (random.chance(0.5 * severity)) castShadow(random, image, severity)
  if (random.chance(0.3 + 0.5 * severity)) image = defocus(random, image, scale, severity)
  addNoise(random, image, severity)
  if (random.chance(0.3 + 0.5 * severity))
    image = await compress(image, Math.round(random.uniform(92 - 60 * severity, 95)))
  return image
}

/** Fading, bare spots, and the gaps of needle printers, all in the ink alone. */
function wearInk(random: SmallRandom, line: LineImage, severity: number): void {
  const { ink, size } = line
  const { width, height } = line.paper
  if (random.chance(0.55 * severity)) {
    const patches = smoothField(random, width, height, height * random.uniform(0.25, 2))
    const base = 1 - 0.3 * severity * random.uniform()
    const depth = 0.4 * severity * random.uniform()
    for (let i = 0; i < ink.length; i++) ink[i] = (ink[i] as number) * (base - depth * (patches[i] as number))
  }
  if (random.chance(0.25 * severity)) {
    // Bare spots: fine-grained noise above a threshold, so that they have soft edges.
    const spots = smoothField(random, width, height, Math.max(1.2, size * random.uniform(0.06, 0.12)))
    const threshold = 1 - 0.3 * severity * random.uniform(0.4, 1)
    for (let i = 0; i < ink.length; i++) {
      const over = ((spots[i] as number) - threshold) * 8
      if (over > 0) ink[i] = (ink[i] as number) * Math.max(0.1, 1 - over)
    }
  }
  if (random.chance(0.3 * severity)) wearNeedles(random, line, severity)
}

/** A dot-matrix head prints 24 rows of dots to a character: the dots stay visible, and a bent needle leaves a pale row. */
function wearNeedles(random: SmallRandom, line: LineImage, severity: number): void {
  const { ink, size } = line
  const { width, height } = line.paper
  const pitch = size / random.choice([16, 24])
  const depth = 0.45 * severity * random.uniform(0.3, 1)
  const rows = Float32Array.from(
    { length: height },
    (_, y) => 1 - depth * (0.5 + 0.5 * Math.cos((2 * Math.PI * y) / (2 * pitch))),
  )
  const columns = Float32Array.from(
    { length: width },
    (_, x) => 1 - depth * (0.5 + 0.5 * Math.cos((2 * Math.PI * x) / (2 * pitch))),
  )
  const bent = random.integer(0, 2)
  for (let needle = 0; needle < bent; needle++) {
    const row = random.integer(Math.floor((height - size) / 2), Math.ceil((height + size) / 2) - 1)
    rows[row] = (rows[row] as number) * random.uniform(0.1, 0.6)
  }
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) ink[i] = (ink[i] as number) * (rows[y] as number) * (columns[x] as number)
}

/** A small rotation and slant; the rotation is held back so that no end of the line leaves the image. */
function tilt(random: SmallRandom, image: RgbImage, clearance: number, severity: number): RgbImage {
  const steepest = Math.min(0.03 * severity, (0.9 * clearance) / (image.width / 2))
  const slope = random.uniform(-1, 1) * steepest
  // A rotation slants the letters as far as it tilts the line; the rest is italic slant or a skewed scan.
  const slant = slope + random.normal(0, 0.08 * severity)
  return shear(image, Math.max(-0.2, Math.min(0.2, slant)), slope)
}

/** Uneven light, or the soft edge of a shadow or fold across the line. */
function castShadow(random: SmallRandom, image: RgbImage, severity: number): void {
  const { width, height, data } = image
  const depth = random.uniform(0.1, 0.45) * severity
  const edge = random.uniform(0, width)
  const softness = height * random.uniform(0.3, 4)
  const lean = random.uniform(-1.5, 1.5)
  const side = random.choice([-1, 1])
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p += 3) {
      const distance = (side * (x - edge + lean * (y - height / 2))) / softness + 0.5
      const light = 1 - depth * smoothstep(Math.max(0, Math.min(1, distance)))
      data[p] = (data[p] as number) * light
      data[p + 1] = (data[p + 1] as number) * light
      data[p + 2] = (data[p + 2] as number) * light
    }
  }
}

/** A lens out of focus; one time in four a movement along the line. */
function defocus(random: SmallRandom, image: RgbImage, scale: number, severity: number): RgbImage {
  const sigma = scale * random.uniform(0.3, 0.35 + 0.55 * severity)
  return random.chance(0.25) ? blur(image, sigma * 1.5, 0.3 * scale) : blur(image, sigma, sigma)
}

/** The sensor's noise in every pixel and, now and then, specks of dust and toner. */
function addNoise(random: SmallRandom, image: RgbImage, severity: number): void {
  const { data, width, height } = image
  const deviation = severity * random.uniform(0, 13)
  const coloured = random.chance(0.3)
  const normal = normalWalk(random)
  for (let p = 0; p < data.length; p += 3) {
    const shared = deviation * normal()
    data[p] = (data[p] as number) + shared
    data[p + 1] = (data[p + 1] as number) + (coloured ? deviation * normal() : shared)
    data[p + 2] = (data[p + 2] as number) + (coloured ? deviation * normal() : shared)
  }
  if (!random.chance(0.4 * severity)) return
  const specks = Math.round(width * height * 0.004 * severity * random.uniform())
  for (let speck = 0; speck < specks; speck++) {
    const p = random.integer(0, width * height - 1) * 3
    const shade = random.chance(0.7) ? random.integer(20, 120) : 255
    data.fill(shade, p, p + 3)
  }
}

/** A JPEG encoder and decoder, as in scanners and chat programs. */
async function compress(image: RgbImage, quality: number): Promise<RgbImage> {
  const { width, height } = image
  const jpeg = await encodeImage(image, 'jpg', quality)
  const data = await sharp(jpeg).raw().toBuffer()
  return { width, height, data: new Uint8ClampedArray(data.buffer, data.byteOffset, data.length) }
}

/** The image as the bytes of a PNG or JPEG file. */
export async function encodeImage(image: RgbImage, format: 'png' | 'jpg', quality = 92): Promise<Buffer> {
  const { width, height, data } = image
  const raw = sharp(data, { raw: { width, height, channels: 3 } })
  return format === 'png' ? raw.png({ compressionLevel: 6 }).toBuffer() : raw.jpeg({ quality }).toBuffer()
}
