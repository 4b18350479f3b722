/**
 * The red seals that Chinese companies and banks stamp over what they have received: round ones with a name along the rim, a
 * star and a line of text, and oblong ones with one or two lines.
 */
import { createCanvas } from '@napi-rs/canvas'
import type { SKRSContext2D } from '@napi-rs/canvas'
import type { SmallRandom } from '../../common/random.ts'
import { getFace } from './fonts.ts'
import { layInk, nearColour } from './image.ts'
import type { RgbImage } from './image.ts'
import { oblongSeals, roundSeals } from './lexicon.ts'
import { smoothField } from './noise.ts'
import { drawCompany, drawDay, pad2 } from './text.ts'

const RED = [215, 40, 50] as const

/** Stamps a seal somewhere over the image; `opacity` from 0 to 1 is how much ink there is. */
export function stampSeal(random: SmallRandom, image: RgbImage, opacity: number): void {
  const { width, height } = image
  const canvas = createCanvas(width, height)
  const context = canvas.getContext('2d')
  context.translate(random.uniform(0, width), random.uniform(-0.4, 1.4) * height)
  context.rotate(random.normal(0, 0.25))
  context.fillStyle = '#fff'
  context.strokeStyle = '#fff'
  context.textAlign = 'center'
  if (random.chance(0.65)) drawRound(random, context, height * random.uniform(0.9, 2))
  else drawOblong(random, context, height * random.uniform(0.45, 0.8))

  const pixels = context.getImageData(0, 0, width, height).data
  // The ink pad is never evenly wet, and paper takes it in patches.
  const patches = smoothField(random, width, height, height * random.uniform(0.1, 0.5))
  const unevenness = random.uniform(0.2, 0.8)
  const coverage = new Uint8Array(width * height)
  for (let i = 0; i < coverage.length; i++)
    coverage[i] = (pixels[i * 4 + 3] as number) * opacity * (1 - unevenness * (patches[i] as number))
  layInk(image.data, coverage, nearColour(random, RED, 25))
}

function drawRound(random: SmallRandom, context: SKRSContext2D, radius: number): void {
  context.lineWidth = radius * 0.06
  context.beginPath()
  context.arc(0, 0, radius, 0, 2 * Math.PI)
  context.stroke()
  drawStar(context, radius * 0.28)

  const name = [...drawCompany(random)]
  const size = Math.min(radius * 0.3, (radius * 3.4) / name.length)
  const arc = Math.min(1.5 * Math.PI, (name.length * size * 1.3) / (radius * 0.72))
  name.forEach((character, index) => {
    context.save()
    context.rotate(arc * ((index + 0.5) / name.length - 0.5))
    drawText(context, character, size, -radius * 0.65)
    context.restore()
  })
  drawText(context, random.choice(roundSeals), radius * 0.22, radius * 0.62)
}

function drawOblong(random: SmallRandom, context: SKRSContext2D, size: number): void {
  const inscription = random.choice(oblongSeals)
  const { year, month, day } = drawDay(random)
  const halfWidth = Math.max(inscription.length * 0.58, 1.7) * size
  context.lineWidth = size * 0.08
  context.strokeRect(-halfWidth, -1.1 * size, 2 * halfWidth, 2.1 * size)
  drawText(context, inscription, size, -0.12 * size)
  drawText(context, `${year}.${pad2(month)}.${pad2(day)}`, size * 0.5, 0.7 * size)
}

/** Text centred above or below the origin; `drop` is where its baseline lies. */
function drawText(context: SKRSContext2D, text: string, size: number, drop: number): void {
  const face = getFace('song')
  const ems = [...text].map((character) => face.measure(character).advance)
  let x = (-size * ems.reduce((sum, advance) => sum + advance, 0)) / 2
  ;[...text].forEach((character, index) => {
    const advance = (ems[index] as number) * size
    face.select(context, character, size, 700)
    context.fillText(character, x + advance / 2, drop)
    x += advance
  })
}

function drawStar(context: SKRSContext2D, radius: number): void {
  context.beginPath()
  for (let point = 0; point < 10; point++) {
    const angle = (point * Math.PI) / 5 - Math.PI / 2
    const distance = point % 2 === 0 ? radius : radius * 0.382
    context.lineTo(distance * Math.cos(angle), distance * Math.sin(angle))
  }
  context.fill()
}
