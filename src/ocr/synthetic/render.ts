/**
 * One line of text on a piece of a printed form: the paper (plain, tinted, ruled, gridded, with a security pattern, inside a
 * table) and, kept apart from it so that ageing can wear it, the ink of the text.
 * Text, printed form and pattern are drawn at once, each into a colour channel of its own of one canvas, and read back once.
 */
import { createCanvas } from '@napi-rs/canvas'
import type { SKRSContext2D } from '@napi-rs/canvas'
import { ArgumentError } from '../../common/errors.ts'
import type { SmallRandom } from '../../common/random.ts'
import { chooseFonts, isLatin } from './fonts.ts'
import type { Face, Typesetting } from './fonts.ts'
import { layInk, nearColour } from './image.ts'
import type { Colour, RgbImage } from './image.ts'
import { normalWalk } from './noise.ts'
import type { Family, Line } from './receipts.ts'

/** A line before it is aged. */
export interface LineImage {
  paper: RgbImage
  /** The text's coverage of each pixel, 0 to 255. */
  ink: Uint8Array
  colour: Colour
  /** The height of the text, in pixels. */
  size: number
  /** The rows free of text above or below it, whichever are fewer. */
  clearance: number
}

export interface RenderOptions {
  family: Family
  /** The image's height in pixels, at least 16. */
  height: number
  /** The greatest width, in heights; text that would be wider is set narrower. By default 10. */
  maxAspect?: number
}

/** A line of low characters (一, -) is placed as if it had letters: these reaches, in ems, are the least. */
const LEAST_ASCENT = 0.8
const LEAST_DESCENT = 0.12

const LAYERS = { text: '#f00', form: '#0f0', pattern: '#00f' }

const INKS: readonly Colour[] = [
  [20, 20, 22],
  [45, 45, 48],
  [70, 70, 74],
  [25, 30, 80],
  [50, 55, 125],
  [70, 45, 110],
  [150, 30, 40],
]
const INK_WEIGHTS = [30, 20, 10, 10, 8, 5, 3]

const PAPERS: readonly Colour[] = [
  [250, 250, 248],
  [238, 236, 230],
  [246, 240, 220],
  [250, 226, 226],
  [222, 236, 248],
  [224, 242, 226],
  [252, 244, 196],
  [216, 214, 210],
]
const PAPER_WEIGHTS = [30, 15, 10, 10, 8, 8, 6, 6]

/** Colours that forms and security patterns are printed in. */
const PRINTS: readonly Colour[] = [
  [200, 90, 90],
  [90, 120, 180],
  [100, 160, 110],
  [180, 150, 90],
  [120, 120, 125],
]

interface Glyph {
  character: string
  face: Face
  x: number
}

/**
 * Draws a line of text.
 *
 * @throws ArgumentError when the height is not a whole number of at least 16 or the text is empty
 */
export function renderLine(random: SmallRandom, line: Line, options: RenderOptions): LineImage {
  const { family, height, maxAspect = 10 } = options
  if (!Number.isInteger(height) || height < 16)
    throw new ArgumentError(`renderLine: height ${height}; expected a whole number of pixels, at least 16.`)
  if (line.text === '') throw new ArgumentError('renderLine: the text is empty; an image needs at least one character.')

  const fonts = chooseFonts(random, family, line.text)
  const { ascent, descent } = reach(line.text, fonts)
  const wanted = line.cells ? random.uniform(0.58, 0.7) : random.uniform(0.6, 0.8)
  const size = height * Math.min(wanted, 0.9 / (ascent + descent))
  const margins = [random.uniform(0.15, 0.6) * height, random.uniform(0.15, 0.6) * height] as const
  const stretch = random.chance(0.2) ? random.uniform(0.75, 0.9) : random.uniform(0.93, 1.04)
  const { glyphs, textWidth } = line.cells
    ? setInCells(line.text, fonts, size, stretch, height * random.uniform(0.8, 1))
    : setRunning(random, line.text, fonts, size * stretch)
  const room = maxAspect * height - margins[0] - margins[1]
  const squeeze = Math.min(1, room / textWidth)
  const width = Math.round(margins[0] + margins[1] + textWidth * squeeze)

  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  context.fillStyle = '#000'
  context.fillRect(0, 0, width, height)
  context.globalCompositeOperation = 'lighter'

  const free = height - (ascent + descent) * size
  const baseline = ascent * size + free * random.uniform(0.25, 0.75)
  drawPattern(random, context, width, height)
  const pitch = line.cells ? (textWidth * squeeze) / glyphs.length : undefined
  drawForm(random, context, {
    width,
    height,
    bottom: baseline + descent * size,
    cellsFrom: margins[0],
    pitch,
    cells: glyphs.length,
  })

  context.fillStyle = LAYERS.text
  const jitter = random.chance(0.3) ? random.uniform(0.005, 0.02) * size : 0
  for (const { character, face, x } of glyphs) {
    if (character === ' ') continue
    face.select(context, character, size, face === fonts.face ? fonts.weight : undefined)
    const hop = Math.max(-free * 0.15, Math.min(free * 0.15, random.normal(0, jitter)))
    context.setTransform(stretch * squeeze, 0, 0, 1, margins[0] + x * squeeze, baseline + hop)
    context.fillText(character, 0, 0)
  }

  const pixels = context.getImageData(0, 0, width, height).data
  const colour = nearColour(random, INKS[random.weighted(INK_WEIGHTS)] as Colour, 12)
  const ink = channel(pixels, 0)
  const paper = makePaper(random, width, height)
  layInk(paper.data, channel(pixels, 2), nearColour(random, random.choice(PRINTS), 20))
  layInk(paper.data, channel(pixels, 1), random.chance(0.4) ? colour : nearColour(random, random.choice(PRINTS), 20))
  return { paper, ink, colour, size, clearance: freeRows(ink, width, height) }
}

/** How far the text's ink reaches above and below its baseline, in ems. */
function reach(text: string, fonts: Typesetting): { ascent: number; descent: number } {
  let [ascent, descent] = [LEAST_ASCENT, LEAST_DESCENT]
  for (const character of text) {
    const metrics = faceFor(fonts, character).measure(character)
    ascent = Math.max(ascent, metrics.ascent)
    descent = Math.max(descent, metrics.descent)
  }
  return { ascent, descent }
}

/** One character after the other, as the fonts' advances and a letter spacing say; `em` is the horizontal size. */
function setRunning(
  random: SmallRandom,
  text: string,
  fonts: Typesetting,
  em: number,
): { glyphs: Glyph[]; textWidth: number } {
  const kind = random.uniform()
  const spacing =
    em * (kind < 0.7 ? random.uniform(0, 0.06) : kind < 0.9 ? random.uniform(0.06, 0.22) : random.uniform(-0.03, 0))
  const glyphs: Glyph[] = []
  let x = 0
  for (const character of text) {
    const face = faceFor(fonts, character)
    glyphs.push({ character, face, x })
    x += face.measure(character).advance * em + spacing
  }
  return { glyphs, textWidth: x - spacing }
}

/** Every character in the middle of a cell `pitch` pixels wide. */
function setInCells(
  text: string,
  fonts: Typesetting,
  size: number,
  stretch: number,
  pitch: number,
): { glyphs: Glyph[]; textWidth: number } {
  const glyphs = [...text].map((character, index) => {
    const face = faceFor(fonts, character)
    return { character, face, x: (index + 0.5) * pitch - (face.measure(character).advance * size * stretch) / 2 }
  })
  return { glyphs, textWidth: pitch * glyphs.length }
}

const faceFor = (fonts: Typesetting, character: string): Face =>
  fonts.latin && isLatin(character) ? fonts.latin : fonts.face

/** Faint patterns under everything: grids, slanted hatching, the waves of security paper. */
function drawPattern(random: SmallRandom, context: SKRSContext2D, width: number, height: number): void {
  const kind = random.weighted([60, 8, 8, 24])
  if (kind === 0) return
  context.strokeStyle = LAYERS.pattern
  context.globalAlpha = random.uniform(0.12, 0.4)
  context.lineWidth = random.uniform(0.4, 0.9) * (height / 32)
  context.beginPath()
  if (kind === 1) {
    const pitch = height * random.uniform(0.18, 0.5)
    for (let x = random.uniform(0, pitch); x < width; x += pitch) segment(context, x, 0, x, height)
    for (let y = random.uniform(0, pitch); y < height; y += pitch) segment(context, 0, y, width, y)
  } else if (kind === 2) {
    const pitch = height * random.uniform(0.1, 0.3)
    const lean = height * random.uniform(-1, 1)
    for (let x = -height; x < width + height; x += pitch) segment(context, x, 0, x + lean, height)
  } else {
    const curves = random.integer(3, 7)
    const wavelength = height * random.uniform(0.8, 3)
    const amplitude = height * random.uniform(0.15, 0.45)
    for (let curve = 0; curve < curves; curve++) {
      const phase = (curve / curves) * 2 * Math.PI
      for (let x = 0; x <= width + 3; x += 3) {
        const y =
          height / 2 +
          amplitude * Math.sin((2 * Math.PI * x) / wavelength + phase) * (1 + 0.3 * Math.sin(x / height + phase))
        if (x === 0) context.moveTo(x, y)
        else context.lineTo(x, y)
      }
    }
  }
  context.stroke()
  context.globalAlpha = 1
}

interface FormPlace {
  width: number
  height: number
  /** Where the text ends at the bottom. */
  bottom: number
  cellsFrom: number
  /** The width of a cell, where each character has one. */
  pitch: number | undefined
  cells: number
}

/** The form's printed lines: an underline, the borders of a table, the walls between the cells of an amount. */
function drawForm(random: SmallRandom, context: SKRSContext2D, place: FormPlace): void {
  const { width, height, bottom, cellsFrom, pitch, cells } = place
  context.strokeStyle = LAYERS.form
  context.globalAlpha = random.uniform(0.5, 1)
  context.lineWidth = random.uniform(0.6, 1.5) * (height / 32)
  context.beginPath()
  if (pitch !== undefined) {
    const [upper, lower] = [height * 0.05, height * 0.95]
    for (let cell = 0; cell <= cells; cell++)
      segment(context, cellsFrom + cell * pitch, upper, cellsFrom + cell * pitch, lower)
    segment(context, cellsFrom, upper, cellsFrom + cells * pitch, upper)
    segment(context, cellsFrom, lower, cellsFrom + cells * pitch, lower)
  } else if (random.chance(0.15)) {
    const y = Math.min(height - 1, bottom + random.uniform(-0.02, 0.08) * height)
    segment(context, random.uniform(0, 0.3) * height, y, width - random.uniform(0, 0.3) * height, y)
  } else if (random.chance(0.2)) {
    const inset = random.uniform(0, 0.06) * height
    if (random.chance(0.7)) segment(context, 0, inset, width, inset)
    if (random.chance(0.8)) segment(context, 0, height - inset, width, height - inset)
    if (random.chance(0.5)) segment(context, inset, 0, inset, height)
    if (random.chance(0.3)) segment(context, width - inset, 0, width - inset, height)
  }
  context.stroke()
  context.globalAlpha = 1
}

function segment(context: SKRSContext2D, fromX: number, fromY: number, toX: number, toY: number): void {
  context.moveTo(fromX, fromY)
  context.lineTo(toX, toY)
}

/** Paper of one colour with the grain of its fibres. */
function makePaper(random: SmallRandom, width: number, height: number): RgbImage {
  const [red, green, blue] = nearColour(random, PAPERS[random.weighted(PAPER_WEIGHTS)] as Colour, 6)
  const grain = random.uniform(0, 4)
  const normal = normalWalk(random)
  const data = new Uint8ClampedArray(width * height * 3)
  for (let p = 0; p < data.length; p += 3) {
    const shade = grain * normal()
    data[p] = red + shade
    data[p + 1] = green + shade
    data[p + 2] = blue + shade
  }
  return { width, height, data }
}

function channel(pixels: Uint8ClampedArray, index: number): Uint8Array {
  const values = new Uint8Array(pixels.length / 4)
  for (let i = 0; i < values.length; i++) values[i] = pixels[i * 4 + index] as number
  return values
}

/** How many rows above and below the ink are free, the smaller of the two. */
function freeRows(ink: Uint8Array, width: number, height: number): number {
  const inked = (row: number) => ink.subarray(row * width, (row + 1) * width).some((value) => value > 16)
  for (let rows = 0; rows < height / 2; rows++) if (inked(rows) || inked(height - 1 - rows)) return rows
  return Math.floor(height / 2)
}
