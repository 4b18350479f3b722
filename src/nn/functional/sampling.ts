/** Elements of images and volumes at points between them. Images are rows of channels, [N * sizes, C]; points have coordinates in elements. */
import { binary, cast, gather, unary, where } from '../../graph/build.ts'
import { spread } from '../../graph/gradient.ts'
import type { Node } from '../../graph/node.ts'
import { constantLike } from '../../tensor/promotion.ts'
import { cubicWeights } from './interpolate.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)

export const plus = (x: Node, v: number): Node => add(x, constantLike(x, v))
export const times = (x: Node, v: number): Node => mul(x, constantLike(x, v))
export const clamped = (x: Node, low: number, high: number): Node =>
  binary('min', binary('max', x, constantLike(x, low)), constantLike(x, high))

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
    const share = binary('sub', c, floors[i]!)
    return [binary('sub', constantLike(share, 1), share), share]
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
  const weights = coordinates.map((c, i) => cubicWeights(binary('sub', c, floors[i]!)))
  return terms(images, floors, weights, -1, place).reduce(add)
}
