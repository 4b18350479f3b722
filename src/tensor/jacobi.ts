/**
 * Jacobi's rotations, half of the columns against the other half in each step: in n - 1 steps of a round-robin tournament every two columns meet
 * once (Brent & Luk, SIAM J. Sci. Stat. Comput. 6, 1985). A step is a handful of elementwise operations on whole matrices, so the method runs
 * on every device; a fixed number of sweeps suffices, since it converges quadratically.
 */
import { binary, broadcastTo, constant, pad, reduce, reshape, sliceAxis, unary, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { runLoop } from './loop.ts'
import { concatNodes } from './manipulation.ts'
import { units } from './matrices.ts'
import { constantLike } from './promotion.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const div = (a: Node, b: Node): Node => binary('div', a, b)

/** Sweeps over all pairs. Random matrices of 200 columns take 8 to 9 in float64; the rest is for worse ones. */
const SWEEPS = 12

/** The distance of 1 to the next number of a dtype, as far as decompositions are concerned. */
export const epsilonOf = (dtype: Node['dtype']): number => (dtype === 'float64' ? 2 ** -52 : 2 ** -23)

interface Angles {
  readonly cosine: Node
  readonly sine: Node
}

/**
 * The rotation that makes [[alpha, gamma], [gamma, beta]] diagonal, by the smaller of the two angles (Golub & Van Loan, section 8.5.2); none
 * where gamma is not above `floor`.
 */
function anglesOf(alpha: Node, beta: Node, gamma: Node, floor: Node): Angles {
  const one = constantLike(gamma, 1)
  const isDone = binary('le', unary('abs', gamma), floor)
  const doubled = where(isDone, one, add(gamma, gamma))
  const theta = div(sub(beta, alpha), doubled)
  const size = div(one, add(unary('abs', theta), unary('sqrt', add(mul(theta, theta), one))))
  const signed = where(binary('ge', theta, constantLike(theta, 0)), size, unary('neg', size))
  const tangent = where(isDone, constantLike(gamma, 0), signed)
  const cosine = unary('rsqrt', add(mul(tangent, tangent), one))
  return { cosine, sine: mul(tangent, cosine) }
}

/** The halves of [b, n, n] along an axis rotated against each other, by angles [b, n / 2]. */
function rotated(x: Node, { cosine, sine }: Angles, axis: 1 | 2): Node {
  const [b, h] = cosine.shape as [number, number]
  const left = sliceAxis(x, axis, 0, h)
  const right = sliceAxis(x, axis, h, 2 * h)
  const place = axis === 1 ? [b, h, 1] : [b, 1, h]
  const c = broadcastTo(reshape(cosine, place), left.shape)
  const s = broadcastTo(reshape(sine, place), left.shape)
  return concatNodes([sub(mul(c, left), mul(s, right)), add(mul(s, left), mul(c, right))], axis)
}

/** The next round of the tournament: the first stays, the others move on by one, so that each half faces new partners. */
function nextRound(x: Node, axis: 1 | 2): Node {
  const h = x.shape[axis]! / 2
  if (h === 1) return x
  const ranges = [
    [0, 1],
    [h, h + 1],
    [1, h - 1],
    [h + 1, 2 * h],
    [h - 1, h],
  ] as const
  return concatNodes(
    ranges.filter(([from, to]) => to > from).map(([from, to]) => sliceAxis(x, axis, from, to)),
    axis,
  )
}

/** One element a step: what makes the loop run as often as it has to. After whole sweeps all stand where they stood. */
const rounds = (width: number): Node => constant(0, 'int32', [SWEEPS * (width - 1)])

/** [b, m, n] with zeros added up to an even number of columns, and rows. */
function padded(x: Node, rows: boolean): Node {
  const extra = x.shape[2]! % 2
  return pad(x, [0, 0, 0], [0, rows ? extra : 0, extra])
}

const identity = (b: number, n: number, dtype: Node['dtype']): Node =>
  broadcastTo(reshape(units(n, dtype), [1, n, n]), [b, n, n])

/** Elements of [b, h, h] on the diagonal, [b, h]. */
function diagonalOf(x: Node): Node {
  return reduce('reduceSum', mul(x, identity(x.shape[0]!, x.shape[1]!, x.dtype)), [2])
}

/** V with V^T x V diagonal for symmetric x [b, n, n], and that diagonal [b, n]. */
export function symmetricJacobi(x: Node): { readonly values: Node; readonly vectors: Node } {
  const [b, n] = x.shape as [number, number]
  const start = padded(x, true)
  const width = start.shape[1]!
  const h = width / 2
  const { states } = runLoop(
    ([a, v]) => {
      const diagonal = diagonalOf(a!)
      const alpha = sliceAxis(diagonal, 1, 0, h)
      const beta = sliceAxis(diagonal, 1, h, width)
      const gamma = diagonalOf(sliceAxis(sliceAxis(a!, 1, 0, h), 2, h, width))
      const size = add(unary('abs', alpha), unary('abs', beta))
      const angles = anglesOf(alpha, beta, gamma, mul(size, constantLike(size, epsilonOf(x.dtype) / 8)))
      const turned = rotated(rotated(a!, angles, 2), angles, 1)
      return { states: [nextRound(nextRound(turned, 2), 1), nextRound(rotated(v!, angles, 2), 2)], outputs: [] }
    },
    [start, identity(b, width, x.dtype)],
    [rounds(width)],
  )
  const vectors = sliceAxis(sliceAxis(states[1]!, 1, 0, n), 2, 0, n)
  return { values: sliceAxis(diagonalOf(states[0]!), 1, 0, n), vectors }
}

/** V orthogonal with orthogonal columns in x V for x [b, m, n] (Hestenes's one-sided method), and that product. */
export function oneSidedJacobi(x: Node): { readonly product: Node; readonly vectors: Node } {
  const [b, , n] = x.shape as [number, number, number]
  const start = padded(x, false)
  const width = start.shape[2]!
  const h = width / 2
  const { states } = runLoop(
    ([w, v]) => {
      const left = sliceAxis(w!, 2, 0, h)
      const right = sliceAxis(w!, 2, h, width)
      const inner = (p: Node, q: Node): Node => reduce('reduceSum', mul(p, q), [1])
      const [alpha, beta] = [inner(left, left), inner(right, right)]
      const lengths = mul(unary('sqrt', alpha), unary('sqrt', beta))
      const angles = anglesOf(alpha, beta, inner(left, right), mul(lengths, constantLike(lengths, epsilonOf(x.dtype))))
      return { states: [nextRound(rotated(w!, angles, 2), 2), nextRound(rotated(v!, angles, 2), 2)], outputs: [] }
    },
    [start, identity(b, width, x.dtype)],
    [rounds(width)],
  )
  const vectors = sliceAxis(sliceAxis(states[1]!, 1, 0, n), 2, 0, n)
  return { product: sliceAxis(states[0]!, 2, 0, n), vectors }
}
