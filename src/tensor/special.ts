/** Functions beyond the elementary ones, built from them: gamma, inverse error function, integer arithmetic, ... */
import { isFloat } from '../common/dtype.ts'
import { ArgumentError, DTypeError } from '../common/errors.ts'
import { binary, cast as castNode, constant, detach, iota, reduce, unary, where } from '../graph/build.ts'
import { spread } from '../graph/gradient.ts'
import type { Node } from '../graph/node.ts'
import {
  checkInteger,
  checkTensor,
  constantLike,
  floatNode,
  getDefaultDtype,
  operandNodes,
  type Operand,
} from './promotion.ts'
import { Tensor } from './tensor.ts'

const of = (x: Node, value: number): Node => constantLike(x, value)
const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const div = (a: Node, b: Node): Node => binary('div', a, b)

/** Horner's rule, highest coefficient first. */
function polynomial(x: Node, coefficients: readonly number[]): Node {
  let out = of(x, coefficients[0]!)
  for (const c of coefficients.slice(1)) out = add(mul(out, x), of(x, c))
  return out
}

/** Runs in float64: the terms of these series cancel where the function is small, and the digits of the dtype would be gone. */
function widened(x: Node, body: (wide: Node) => Node): Node {
  return castNode(body(castNode(x, 'float64')), x.dtype)
}

/**
 * Coefficients of Stirling's series, B(2k) / (2k (2k - 1)) for k = 8 ... 1 (Abramowitz & Stegun 6.1.40): at x >= 8 the first term left out
 * is below 1e-16.
 */
const stirling = [-3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12]

/** log |sin(pi x)| of x in (0, 1): exact near 0 and 1. */
function reducedSine(x: Node): Node {
  const distance = binary('min', x, sub(of(x, 1), x))
  return unary('sin', mul(distance, of(x, Math.PI)))
}

/** log gamma of x >= 0.5: shifted to x + 8, where Stirling's series holds. */
function lgammaPositive(x: Node): Node {
  // gamma(x) = gamma(x + 8) / (x (x + 1) ... (x + 7)); large arguments need no shift and the product would overflow.
  const isSmall = binary('lt', x, of(x, 8))
  const safe = where(isSmall, x, of(x, 1))
  let product = safe
  for (let i = 1; i < 8; i++) product = mul(product, add(safe, of(x, i)))
  const z = where(isSmall, add(x, of(x, 8)), x)
  const inverse = unary('reciprocal', z)
  const series = mul(inverse, polynomial(mul(inverse, inverse), stirling))
  const main = sub(mul(sub(z, of(x, 0.5)), unary('log', z)), z)
  const whole = add(add(main, of(x, 0.5 * Math.log(2 * Math.PI))), series)
  return sub(whole, where(isSmall, unary('log', product), of(x, 0)))
}

/** log |gamma(x)|, infinite at 0 and the negative integers, `paddle.lgamma`. */
export function lgamma(x: Tensor): Tensor {
  return new Tensor(widened(floatNode(x, 'lgamma'), lgammaNode))
}

function lgammaNode(x: Node): Node {
  const reflects = binary('lt', x, of(x, 0.5))
  const positive = lgammaPositive(where(reflects, sub(of(x, 1), x), x))
  // gamma(x) gamma(1 - x) = pi / sin(pi x)
  const fraction = sub(x, unary('floor', x))
  const sine = reducedSine(where(reflects, fraction, of(x, 0.5)))
  const reflected = sub(sub(of(x, Math.log(Math.PI)), unary('log', sine)), positive)
  const value = where(reflects, reflected, positive)
  return where(binary('eq', unary('abs', x), of(x, Infinity)), of(x, Infinity), value)
}

/** As `lgamma`, `paddle.gammaln`. */
export function gammaln(x: Tensor): Tensor {
  return lgamma(x)
}

/** The logarithm of the p-dimensional gamma function, for x > (p - 1) / 2, `paddle.multigammaln`. */
export function multigammaln(x: Tensor, p: number): Tensor {
  if (!Number.isInteger(p) || p < 1) throw new ArgumentError(`multigammaln: p must be a positive integer, got ${p}`)
  // One axis of p elements, not p additions: how much is recorded does not depend on p.
  const shifted = (node: Node): Node => {
    const last = node.shape.length
    const place = castNode(iota([...node.shape, p], last, 'int64'), node.dtype)
    const terms = lgammaNode(sub(spread(node, place.shape, [last]), mul(place, of(place, 0.5))))
    return add(reduce('reduceSum', terms, [last]), of(node, (p * (p - 1) * Math.log(Math.PI)) / 4))
  }
  return new Tensor(widened(floatNode(x, 'multigammaln'), shifted))
}

/** Coefficients of the digamma series, B(2k) / (2k) for k = 8 ... 1 (Abramowitz & Stegun 6.3.18). */
const digammaSeries = [-3617 / 8160, 1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12]

function digammaNode(x: Node): Node {
  const reflects = binary('lt', x, of(x, 0.5))
  const y = where(reflects, sub(of(x, 1), x), x)
  // psi(y) = psi(y + 8) - sum of 1 / (y + i)
  let shifts = of(x, 0)
  for (let i = 0; i < 8; i++) shifts = add(shifts, unary('reciprocal', add(y, of(x, i))))
  const z = add(y, of(x, 8))
  const inverse = unary('reciprocal', z)
  const square = mul(inverse, inverse)
  const series = add(mul(inverse, of(x, 0.5)), mul(square, polynomial(square, digammaSeries)))
  const positive = sub(sub(unary('log', z), series), shifts)
  // psi(1 - x) - psi(x) = pi cot(pi x); undefined at 0 and the negative integers.
  const fraction = sub(x, unary('floor', x))
  const angle = where(reflects, fraction, of(x, 0.5))
  const folded = where(binary('gt', angle, of(x, 0.5)), sub(angle, of(x, 1)), angle)
  const radians = mul(folded, of(x, Math.PI))
  const cotangent = div(unary('cos', radians), unary('sin', radians))
  const reflected = sub(positive, mul(cotangent, of(x, Math.PI)))
  const pole = binary('and', reflects, binary('eq', fraction, of(x, 0)))
  const atPole = where(binary('eq', x, of(x, 0)), of(x, -Infinity), of(x, NaN))
  return where(reflects, where(pole, atPole, reflected), positive)
}

/** The derivative of `lgamma`, -Infinity at 0 and NaN at the negative integers, `paddle.digamma`. */
export function digamma(x: Tensor): Tensor {
  return new Tensor(widened(floatNode(x, 'digamma'), digammaNode))
}

/**
 * Giles's polynomials for the inverse error function ("Approximating the erfinv function", GPU Computing Gems 2, 2011, single precision):
 * a start that two steps of Newton's method bring to the precision of the dtype.
 */
const gilesCentre = [
  2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
  0.246640727, 1.50140941,
]
const gilesTail = [
  -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
  1.00167406, 2.83297682,
]

function erfinvNode(y: Node): Node {
  const inside = binary('lt', unary('abs', y), of(y, 1))
  const fixed = where(inside, y, of(y, 0))
  const w = unary('neg', unary('log', mul(sub(of(y, 1), fixed), add(of(y, 1), fixed))))
  const isCentre = binary('lt', w, of(y, 5))
  const centre = polynomial(sub(w, of(y, 2.5)), gilesCentre)
  const tail = polynomial(sub(unary('sqrt', binary('max', w, of(y, 5))), of(y, 3)), gilesTail)
  const start = mul(where(isCentre, centre, tail), fixed)
  // Newton's steps, for the digits of float64.
  const slopeInverse = (x: Node): Node => mul(unary('exp', mul(x, x)), of(y, Math.sqrt(Math.PI) / 2))
  const residual = (x: Node): Node => sub(fixed, unary('erf', x))
  let x = start
  if (y.dtype === 'float64') for (let i = 0; i < 2; i++) x = add(x, mul(residual(x), slopeInverse(x)))
  return where(inside, x, where(binary('eq', unary('abs', y), of(y, 1)), mul(y, of(y, Infinity)), of(y, NaN)))
}

const atLeastFloat32 = (x: Node): Node => (x.dtype === 'float64' ? x : castNode(x, 'float32'))

/** The x with erf(x) = y; infinite at -1 and 1, NaN outside, `paddle.erfinv`. */
export function erfinv(x: Tensor): Tensor {
  return new Tensor(
    castNode(
      withInverseGradient(atLeastFloat32(floatNode(x, 'erfinv'))),
      isFloat(x.dtype) ? x.dtype : getDefaultDtype(),
    ),
  )
}

/** Taylor's polynomial about the value itself: it adds 0, and carries first and second derivatives exactly. */
function withInverseGradient(y: Node): Node {
  const value = detach(erfinvNode(detach(y)))
  if (!y.needsGrad) return value
  const inside = binary('lt', unary('abs', y), of(y, 1))
  const x = where(inside, value, of(y, 0))
  const residual = sub(y, detach(y))
  const slope = mul(unary('exp', mul(x, x)), of(y, Math.sqrt(Math.PI) / 2))
  // Second order: d2x/dy2 = 2 x (dx/dy)^2.
  const first = mul(residual, slope)
  return add(value, where(inside, add(first, mul(x, mul(first, first))), of(y, 0)))
}

/** sin(pi x) / (pi x), 1 at 0, `paddle.sinc`. */
export function sinc(x: Tensor): Tensor {
  const n = floatNode(x, 'sinc')
  const isZero = binary('eq', n, of(n, 0))
  const angle = mul(where(isZero, of(n, 1), n), of(n, Math.PI))
  return new Tensor(where(isZero, of(n, 1), div(unary('sin', angle), angle)))
}

/** The greatest common divisor of integers, `paddle.gcd`: Euclid's algorithm, one step for each that the dtype's largest pair needs. */
export function gcd(x: Tensor, y: Operand): Tensor {
  checkInteger(x, 'gcd')
  const [a, b] = operandNodes('gcd', x, y)
  if (isFloat(a.dtype)) throw new DTypeError(`gcd: takes integers, got ${a.dtype}`)
  const bits = { uint8: 8, int8: 7, int32: 31 }[a.dtype as string] ?? 63
  let [p, q] = [unary('abs', a), unary('abs', b)]
  // Lame: at most log(2^bits) / log(golden ratio) + 1 divisions.
  for (let i = Math.ceil(bits * 1.4405) + 1; i > 0; i--) {
    const done = binary('eq', q, of(q, 0))
    const remainder = where(done, of(q, 0), binary('mod', p, where(done, of(q, 1), q)))
    ;[p, q] = [where(done, p, q), remainder]
  }
  return new Tensor(p)
}

/** The least common multiple of integers, `paddle.lcm`. */
export function lcm(x: Tensor, y: Operand): Tensor {
  const divisor = gcd(x, y).node
  const [a, b] = operandNodes('lcm', x, y)
  const isZero = binary('eq', divisor, of(divisor, 0))
  return new Tensor(unary('abs', mul(binary('floordiv', a, where(isZero, of(divisor, 1), divisor)), b)))
}

/** Mantissa in [0.5, 1) and exponent of 2, `paddle.frexp`. */
export function frexp(x: Tensor): [Tensor, Tensor] {
  const n = floatNode(x, 'frexp')
  const size = unary('abs', n)
  const isPlain = binary('and', binary('gt', size, of(n, 0)), binary('lt', size, of(n, Infinity)))
  const safe = where(isPlain, size, of(n, 1))
  const two = constant(2, n.dtype, n.shape)
  const guess = unary('floor', add(mul(unary('log', safe), of(n, 1 / Math.LN2)), of(n, 1)))
  // The logarithm may be one off next to a power of two; in two factors, so that no power overflows.
  const scaled = (e: Node): Node => {
    const half = unary('floor', mul(e, of(n, 0.5)))
    const down = (k: Node): Node => binary('pow', two, unary('neg', k))
    return mul(mul(safe, down(half)), down(sub(e, half)))
  }
  const first = scaled(guess)
  const up = castNode(binary('ge', first, of(n, 1)), n.dtype)
  const low = castNode(binary('lt', first, of(n, 0.5)), n.dtype)
  const exponent = sub(add(guess, up), low)
  const mantissa = mul(scaled(exponent), unary('sign', n))
  return [new Tensor(where(isPlain, mantissa, n)), new Tensor(where(isPlain, exponent, of(n, 0)))]
}

/** The n-th derivative of `digamma`, for x > 0, `paddle.polygamma`. Throws ArgumentError for an n outside 0 ... 150. */
export function polygamma(x: Tensor, n: number): Tensor {
  checkTensor(x, 'polygamma')
  if (!Number.isInteger(n) || n < 0 || n > largestDerivative)
    throw new ArgumentError(`polygamma: n must be an integer from 0 to ${largestDerivative}, got ${n}`)
  if (n === 0) return digamma(x)
  return new Tensor(widened(floatNode(x, 'polygamma'), (node) => polygammaNode(node, n)))
}

/** Beyond it, the factorials of the series are no float64. */
const largestDerivative = 150

/** Bernoulli numbers B2, B4, ... B16. */
const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510]

function factorial(n: number): number {
  let out = 1
  for (let i = 2; i <= n; i++) out *= i
  return out
}

/** The n-th derivative of digamma for x > 0 (Abramowitz & Stegun 6.4.6 and 6.4.11), NaN elsewhere. */
function polygammaNode(x: Node, n: number): Node {
  const shift = 8 + 2 * n
  const power = (v: Node, k: number): Node => binary('pow', v, of(v, -k))
  let total = of(x, 0)
  for (let i = 0; i < shift; i++) total = add(total, mul(power(add(x, of(x, i)), n + 1), of(x, factorial(n))))
  const z = add(x, of(x, shift))
  let tail = add(mul(power(z, n), of(x, factorial(n - 1))), mul(power(z, n + 1), of(x, factorial(n) / 2)))
  bernoulli.forEach((b, i) => {
    const k = 2 * (i + 1)
    tail = add(tail, mul(power(z, k + n), of(x, (b * factorial(k + n - 1)) / factorial(k))))
  })
  const value = mul(add(total, tail), of(x, n % 2 === 0 ? -1 : 1))
  return where(binary('gt', x, of(x, 0)), value, of(x, NaN))
}
