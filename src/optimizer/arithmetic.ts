/**
 * The little algebra in which update rules are written: elementwise ops on graph nodes where the second operand is a number of the
 * program, a node of rank 0 or shape [1], or a node of the first one's shape.
 */
import type { DType } from '../common/dtype.ts'
import { sameShape } from '../common/shape.ts'
import { binary, broadcastTo, constant, reduce, unary, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import type { BinaryOp } from '../graph/ops.ts'

export type Factor = Node | number

/** Factors of the step that is being recorded, repeated to the shapes of its parameters. */
let repeated: Map<Factor, Node[]> | null = null

/** Runs `body`, in which a factor is repeated to a shape once: the parameters of a network have few shapes, and a step records all of them. */
export function withSharedFactors<T>(body: () => T): T {
  const before = repeated
  repeated = new Map()
  try {
    return body()
  } finally {
    repeated = before
  }
}

/** The operand in the dtype and shape of `like`. */
function fit(value: Factor, like: Node): Node {
  // Zeros have a sign, which maps do not see.
  if (value === 0) return constant(value, like.dtype, like.shape)
  if (typeof value !== 'number' && sameShape(value.shape, like.shape)) return value
  const known = repeated?.get(value)
  const found = known?.find((n) => n.dtype === like.dtype && sameShape(n.shape, like.shape))
  if (found) return found
  const made = typeof value === 'number' ? constant(value, like.dtype, like.shape) : broadcastTo(value, like.shape)
  if (known) known.push(made)
  else repeated?.set(value, [made])
  return made
}

const operation =
  (op: BinaryOp) =>
  (a: Node, b: Factor): Node =>
    binary(op, a, fit(b, a))

export const add = operation('add')
export const sub = operation('sub')
export const mul = operation('mul')
export const div = operation('div')
export const pow = operation('pow')
export const max = operation('max')
export const min = operation('min')
export const greater = operation('gt')
export const less = operation('lt')
export const lessOrEqual = operation('le')

export const square = (x: Node): Node => binary('mul', x, x)
export const sqrt = (x: Node): Node => unary('sqrt', x)
export const abs = (x: Node): Node => unary('abs', x)
export const sign = (x: Node): Node => unary('sign', x)

/** 1 - x */
export const oneMinus = (x: Node): Node => sub(constant(1, x.dtype, x.shape), x)

/** `a` where the condition holds, `b` elsewhere, in the shape of `like`. */
export function choose(condition: Node, a: Factor, b: Factor, like: Node): Node {
  return where(broadcastTo(condition, like.shape), fit(a, like), fit(b, like))
}

/** decay * average + (1 - decay) * value, written with one constant: a step of many parameters is many nodes. */
export function movingAverage(average: Node, value: Node, decay: number): Node {
  return add(average, mul(sub(value, average), complement(decay, average.dtype)))
}

/** 1 - x as arithmetic in `dtype` gives it: in float32, 1 - 0.999 is 5e-5 off 0.001, and so is Paddle. */
export function complement(x: number, dtype: DType): number {
  return dtype === 'float32' ? Math.fround(1 - Math.fround(x)) : 1 - x
}

/** The sum of all elements, rank 0. */
export function total(x: Node): Node {
  return reduce(
    'reduceSum',
    x,
    x.shape.map((_, i) => i),
  )
}
