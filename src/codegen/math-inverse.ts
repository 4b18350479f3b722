/** Inverse trigonometric functions of f32. */
import * as ir from './builder.ts'
import type { Scope } from './builder.ts'
import type { Expr } from './kernel.ts'
import { copySign, polynomial } from './math-parts.ts'

/** pi in two parts. */
const PI_HIGH = 3.14159274
const PI_LOW = -8.74227766e-8

/** asin(x) = x + x^3 p(x^2) for |x| <= 1/2; the argument is given with its square. */
function arcsineOf(x: Expr, square: Expr): Expr {
  const p = polynomial(square, [0.166667521, 0.0749532208, 0.045467779, 0.0241908319, 0.0421489216])
  return ir.fma(ir.mul(x, square), p, x)
}

/**
 * Both reductions at once: asin of |x| itself up to 1/2, else of sqrt((1 - |x|) / 2), where asin|x| = pi/2 - 2 asin(that).
 * Beyond 1 the square root makes NaN.
 */
function reducedArcsine(scope: Scope, x: Expr): { isSmall: Expr; value: Expr } {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const isSmall = scope.let('isSmall', ir.le(magnitude, 0.5))
  const complement = ir.fma(magnitude, -0.5, 0.5)
  const square = scope.let('square', ir.select(isSmall, ir.mul(x, x), complement))
  const root = scope.let('root', ir.select(isSmall, magnitude, ir.sqrt(square)))
  return { isSmall, value: scope.let('value', arcsineOf(root, square)) }
}

export function arcsine(scope: Scope, x: Expr): Expr {
  const { isSmall, value } = reducedArcsine(scope, x)
  const large = ir.add(ir.fma(value, -2, PI_LOW / 2), PI_HIGH / 2)
  return copySign(ir.select(isSmall, value, large), x)
}

export function arccosine(scope: Scope, x: Expr): Expr {
  const { isSmall, value } = reducedArcsine(scope, x)
  const small = ir.add(ir.sub(PI_LOW / 2, copySign(value, x)), PI_HIGH / 2)
  const twice = scope.let('twice', ir.mul(value, 2))
  const large = ir.select(ir.lt(x, 0), ir.add(ir.sub(PI_LOW, twice), PI_HIGH), twice)
  return ir.select(isSmall, small, large)
}

/** atan(t) = t + t^3 p(t^2) on [0, 1]. */
function arctangentOf(scope: Scope, t: Expr): Expr {
  const square = scope.let('square', ir.mul(t, t))
  const p = polynomial(
    square,
    [
      -0.333333284, 0.199996799, -0.142799437, 0.110588834, -0.0881339163, 0.0674653202, -0.0447560512, 0.0225937683,
      -0.00734242611, 0.00111853168,
    ],
  )
  return scope.let('angle', ir.fma(ir.mul(t, square), p, t))
}

export function arctangent(scope: Scope, x: Expr): Expr {
  const magnitude = scope.let('magnitude', ir.abs(x))
  const isLarge = scope.let('isLarge', ir.gt(magnitude, 1))
  const angle = arctangentOf(scope, scope.let('t', ir.select(isLarge, ir.div(1, magnitude), magnitude)))
  const complement = ir.add(ir.sub(PI_LOW / 2, angle), PI_HIGH / 2)
  return copySign(ir.select(isLarge, complement, angle), x)
}

export function arctangent2(scope: Scope, y: Expr, x: Expr): Expr {
  const [ax, ay] = [scope.let('ax', ir.abs(x)), scope.let('ay', ir.abs(y))]
  const [low, high] = [scope.let('low', ir.min(ax, ay)), scope.let('high', ir.max(ax, ay))]
  // Equal arguments, infinite ones among them, are at 45 degrees; both zero are at 0.
  const ratio = ir.select(ir.eq(low, high), 1, ir.div(low, high))
  const angle = arctangentOf(scope, scope.let('t', ir.select(ir.eq(high, 0), 0, ratio)))
  const steep = ir.select(ir.gt(ay, ax), ir.add(ir.sub(PI_LOW / 2, angle), PI_HIGH / 2), angle)
  const first = scope.let('first', steep)
  const isLeft = ir.lt(ir.bitcast(x, 'i32'), 0)
  const half = ir.select(isLeft, ir.add(ir.sub(PI_LOW, first), PI_HIGH), first)
  const isNumber = ir.and(ir.eq(x, x), ir.eq(y, y))
  return ir.select(isNumber, copySign(half, y), NaN)
}
