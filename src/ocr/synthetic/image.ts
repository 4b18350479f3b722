/** Images as rows of pixels, and the few operations on them that ageing needs. */
import type { SmallRandom } from '../../common/random.ts'

export type Colour = readonly [red: number, green: number, blue: number]

/** An RGB image, 8 bits a channel: `data` holds height x width x 3 values. */
export interface RgbImage {
  width: number
  height: number
  data: Uint8ClampedArray
}

/** A colour near the given one: each channel moves by up to `spread`. */
export function nearColour(random: SmallRandom, colour: Colour, spread: number): Colour {
  const near = (value: number) => Math.min(255, Math.max(0, value + random.integer(-spread, spread)))
  return [near(colour[0]), near(colour[1]), near(colour[2])]
}

/** Lays a transparent ink over the pixels: where `coverage` is 255 they are multiplied by the ink's colour, where 0 they stay. */
export function layInk(data: Uint8ClampedArray, coverage: Uint8Array, colour: Colour): void {
  const [red, green, blue] = [(255 - colour[0]) / 65025, (255 - colour[1]) / 65025, (255 - colour[2]) / 65025]
  for (let i = 0, p = 0; i < coverage.length; i++, p += 3) {
    const share = coverage[i] as number
    if (share === 0) continue
    data[p] = (data[p] as number) * (1 - share * red)
    data[p + 1] = (data[p + 1] as number) * (1 - share * green)
    data[p + 2] = (data[p + 2] as number) * (1 - share * blue)
  }
}

/** Luminance (Rec. 601), one value a pixel. */
export function toGrey(image: RgbImage): Uint8Array {
  const grey = new Uint8Array(image.width * image.height)
  const { data } = image
  for (let i = 0, p = 0; i < grey.length; i++, p += 3)
    grey[i] = 0.299 * (data[p] as number) + 0.587 * (data[p + 1] as number) + 0.114 * (data[p + 2] as number) + 0.5
  return grey
}

/** Blurs with a Gaussian of two different widths (in pixels), the edges repeated. */
export function blur(image: RgbImage, sigmaX: number, sigmaY: number): RgbImage {
  const { width, height } = image
  const rows = new Uint8ClampedArray(image.data.length)
  const result = new Uint8ClampedArray(image.data.length)
  for (let y = 0; y < height; y++) convolve(image.data, rows, y * width * 3, 3, width, sigmaX)
  for (let x = 0; x < width; x++) convolve(rows, result, x * 3, width * 3, height, sigmaY)
  return { width, height, data: result }
}

/** One line of pixels, `count` of them `step` values apart, through a Gaussian of 2 * radius + 1 taps. */
function convolve(
  from: Uint8ClampedArray,
  to: Uint8ClampedArray,
  start: number,
  step: number,
  count: number,
  sigma: number,
): void {
  const radius = Math.ceil(sigma * 2.5)
  const taps = Float32Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma + 1e-9)),
  )
  const sum = taps.reduce((total, tap) => total + tap, 0)
  for (let i = 0; i < count; i++) {
    let red = 0
    let green = 0
    let blue = 0
    for (let t = -radius; t <= radius; t++) {
      const at = start + Math.min(count - 1, Math.max(0, i + t)) * step
      const tap = taps[t + radius] as number
      red += tap * (from[at] as number)
      green += tap * (from[at + 1] as number)
      blue += tap * (from[at + 2] as number)
    }
    const at = start + i * step
    to[at] = red / sum
    to[at + 1] = green / sum
    to[at + 2] = blue / sum
  }
}

/**
 * Moves the pixels by a small affine map around the image's centre, with bilinear interpolation and the edges repeated:
 * `slant` shifts each row sideways by so many pixels a pixel of height, `slope` each column downwards a pixel of width.
 */
export function shear(image: RgbImage, slant: number, slope: number): RgbImage {
  const { width, height, data } = image
  const result = new Uint8ClampedArray(data.length)
  const [centreX, centreY] = [(width - 1) / 2, (height - 1) / 2]
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p += 3) {
      const sourceY = Math.min(height - 1, Math.max(0, y - slope * (x - centreX)))
      const sourceX = Math.min(width - 1, Math.max(0, x + slant * (y - centreY)))
      const left = Math.floor(sourceX)
      const top = Math.floor(sourceY)
      const fx = sourceX - left
      const fy = sourceY - top
      const a = (top * width + left) * 3
      const b = left + 1 < width ? a + 3 : a
      const c = top + 1 < height ? a + width * 3 : a
      const d = c + b - a
      const [wa, wb, wc, wd] = [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
      for (let k = 0; k < 3; k++)
        result[p + k] =
          wa * (data[a + k] as number) +
          wb * (data[b + k] as number) +
          wc * (data[c + k] as number) +
          wd * (data[d + k] as number)
    }
  }
  return { width, height, data: result }
}
