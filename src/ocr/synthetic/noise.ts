/**
 * Noise for paper, ink and scanners: a table of normal numbers, drawn once and read from a random place, because drawing a
 * fresh one for every pixel would cost more than everything else together; and smooth fields for uneven ink and light.
 */
import { SmallRandom } from '../../common/random.ts'

const TABLE_BITS = 16
const TABLE_MASK = (1 << TABLE_BITS) - 1

const table = new Float32Array(1 << TABLE_BITS)
{
  const random = new SmallRandom(0x6e6f6973)
  for (let i = 0; i < table.length; i++) table[i] = random.normal()
}

/** A source of standard normal numbers: each call gives the next of a walk through the table with a random start and stride. */
export function normalWalk(random: SmallRandom): () => number {
  let position = random.integer(0, TABLE_MASK)
  const stride = random.integer(0, TABLE_MASK) | 1 // odd, so that the walk visits the whole table before it repeats
  return () => table[(position = (position + stride) & TABLE_MASK)] as number
}

/**
 * A field of width x height values from [0, 1) that changes smoothly: random values on a lattice of `cell` pixels, with
 * smoothstep interpolation between them (value noise).
 */
export function smoothField(random: SmallRandom, width: number, height: number, cell: number): Float32Array {
  const columns = Math.ceil(width / cell) + 2
  const rows = Math.ceil(height / cell) + 2
  const lattice = Float32Array.from({ length: columns * rows }, () => random.uniform())
  const [shiftX, shiftY] = [random.uniform(), random.uniform()]
  const field = new Float32Array(width * height)
  for (let y = 0; y < height; y++) {
    const v = y / cell + shiftY
    const row = Math.floor(v) * columns
    const fy = smoothstep(v - Math.floor(v))
    for (let x = 0; x < width; x++) {
      const u = x / cell + shiftX
      const column = Math.floor(u)
      const fx = smoothstep(u - column)
      const at = row + column
      const top = mixed(lattice[at] as number, lattice[at + 1] as number, fx)
      const bottom = mixed(lattice[at + columns] as number, lattice[at + columns + 1] as number, fx)
      field[y * width + x] = mixed(top, bottom, fy)
    }
  }
  return field
}

/** 0 at 0, 1 at 1, flat at both ends. */
export const smoothstep = (t: number): number => t * t * (3 - 2 * t)

const mixed = (a: number, b: number, share: number): number => a + (b - a) * share
