/** Elements of images and volumes at points between them, and what resizing shares with it. Images are rows of channels, [N * sizes, C]; points have coordinates in elements. */
import { binary, cast, gather, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { constantLike } from '../../tensor/promotion.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)

export const plus = (x: Node, v: number): Node => add(x, constantLike(x, v))
export const times = (x: Node, v: number): Node => mul(x, constantLike(x, v))
export const clamped = (x: Node, low: number, high: number): Node =>
  binary('min', binary('max', x, constantLike(x, low)), constantLike(x, high))

/** Weights of the four neighbours at distances t + 1, t, 1 - t, 2 - t (Keys 1981, a = -0.75). */
export function cubicWeights(t: Node): Node[] {
  const a = -0.75
  const c = (v: number): Node => constantLike(t, v)
  const near = (d: Node): Node => add(mul(mul(sub(mul(c(a + 2), d), c(a + 3)), d), d), c(1))
  const far = (d: Node): Node => sub(mul(add(mul(sub(mul(c(a), d), c(5 * a)), d), c(8 * a)), d), c(4 * a))
  return [far(add(t, c(1))), near(t), near(sub(c(1), t)), far(sub(c(2), t))]
}

/** A size times a factor, cut. Factors that float32 holds come from files that have them in it, and are multiplied in it: 10 times its 0.7 is 7. */
export function resizedBy(size: number, scale: number): number {
  return Math.floor(Math.fround(scale) === scale ? Math.fround(size * scale) : size * scale)
}

export interface Images {
  readonly rows: Node
  readonly sizes: readonly number[]
  /** The image of each point, int64. */
  readonly image: Node
}

/** The rows at integer coordinates, one vector an axis; 0 where they lie outside. */
export function rowsAt({ rows, sizes, image }: Images, corner: readonly Node[]): Node {
  let index = image
  let inside: Node | null = null
  corner.forEach((c, i) => {
    const last = sizes[i]! - 1
    const here = binary('and', binary('ge', c, constantLike(c, 0)), binary('le', c, constantLike(c, last)))
    inside = inside ? binary('and', inside, here) : here
    index = add(times(index, sizes[i]!), cast(clamped(c, 0, last), 'int64'))
  })
  const picked = gather(rows, index, 0)
  return where(spread(inside!, picked.shape, [1]), picked, constantLike(picked, 0))
}

/** Terms of a sum over neighbours: of each axis their distances below the point and weights. */
function terms(
  images: Images,
  floors: readonly Node[],
  weights: readonly (readonly Node[])[],
  first: number,
  place: (coordinate: Node, axis: number) => Node,
): Node[] {
  const taps = weights[0]!.length
  return Array.from({ length: taps ** floors.length }, (_, k) => {
    const tap = floors.map((__, i) => Math.floor(k / taps ** i) % taps)
    const weight = tap.map((t, i) => weights[i]![t]!).reduce(mul)
    const values = rowsAt(
      images,
      tap.map((t, i) => place(t + first === 0 ? floors[i]! : plus(floors[i]!, t + first), i)),
    )
    return mul(values, spread(weight, values.shape, [1]))
  })
}

/** The elements around each point times their weights; their sum is the linear interpolation. */
export function linearTerms(images: Images, coordinates: readonly Node[]): Node[] {
  const floors = coordinates.map((c) => unary('floor', c))
  const weights = coordinates.map((c, i) => {
    const share = sub(c, floors[i]!)
    return [sub(constantLike(share, 1), share), share]
  })
  return terms(images, floors, weights, 0, (c) => c)
}

/** Cubic convolution of the four elements around each point on each axis; `place` brings those outside inside. */
export function cubicRows(
  images: Images,
  coordinates: readonly Node[],
  place: (coordinate: Node, axis: number) => Node,
): Node {
  const floors = coordinates.map((c) => unary('floor', c))
  const weights = coordinates.map((c, i) => cubicWeights(sub(c, floors[i]!)))
  return terms(images, floors, weights, -1, place).reduce(add)
}
