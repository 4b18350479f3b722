/**
 * Reverse-mode differentiation: a table of vector-Jacobian products, one row an op, and a walk over the graph. The rules emit
 * ordinary nodes, so gradients of gradients come by themselves.
 */
import { isFloat, sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import type { Shape } from '../common/shape.ts'
import { numel } from '../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  constantValue,
  contract,
  cumulate,
  expand,
  flip,
  gather,
  iota,
  pad,
  param,
  permute,
  reduce,
  reshape,
  scan,
  tupleOutput,
  scanResiduals,
  scatter,
  slice,
  substitute,
  unary,
  where,
} from './build.ts'
import { topologicalOrder, type Node, type NodeOf } from './node.ts'
import type { OpName } from './ops.ts'
import { addAt, rowSums, sumOf, unslice } from './picked.ts'

/** Gradients of the sources given that of the node; null where there is none. */
type Rule<K extends OpName> = (node: NodeOf<K>, g: Node) => (Node | null)[]

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const div = (a: Node, b: Node): Node => binary('div', a, b)
const neg = (a: Node): Node => unary('neg', a)
const square = (a: Node): Node => mul(a, a)
const like = (x: Node, value: number): Node => constant(value, x.dtype, x.shape)
const times = (x: Node, value: number): Node => mul(x, like(x, value))
/** 1 + x, 1 - x */
const onePlus = (x: Node): Node => add(like(x, 1), x)
const oneMinus = (x: Node): Node => sub(like(x, 1), x)

/** A unary rule from the derivative, given x and y = f(x). */
const derivative =
  (d: (x: Node, y: Node) => Node) =>
  (node: Node, g: Node): Node[] => [mul(g, d(node.sources[0]!, node))]

/** The gradient flows to the first source where the comparison holds, to the second elsewhere (Paddle's maximum and minimum). */
const chosen =
  (comparison: 'gt' | 'lt') =>
  (node: Node, g: Node): Node[] => {
    const [a, b] = node.sources as [Node, Node]
    const first = binary(comparison, a, b)
    return [where(first, g, like(g, 0)), where(first, like(g, 0), g)]
  }

/** Every element that attains the extremum receives the gradient, as Paddle's `max` and `min`. */
const extremum = (node: Node & { attributes: { axes: readonly number[] } }, g: Node): Node[] => {
  const x = node.sources[0]!
  const { axes } = node.attributes
  return [where(binary('eq', x, spread(node, x.shape, axes)), spread(g, x.shape, axes), like(x, 0))]
}

/** Whether a choice is x where x > 0, else 0. Its result is above 0 where x is, so that x need not be kept for the gradient. */
function isRectifier(n: NodeOf<'where'>): boolean {
  const [condition, x, other] = n.sources as [Node, Node, Node]
  if (condition.op !== 'gt' || condition.sources[0] !== x || constantValue(other) !== 0) return false
  return constantValue(condition.sources[1]!) === 0
}

/** Puts back the axes that a reduction removed. */
export function spread(reduced: Node, shape: Shape, axes: readonly number[]): Node {
  return expand(
    reshape(
      reduced,
      shape.map((d, i) => (axes.includes(i) ? 1 : d)),
    ),
    shape,
  )
}

export const gradientRules: { readonly [K in OpName]?: Rule<K> } = {
  neg: (_, g) => [neg(g)],
  abs: derivative((x) => unary('sign', x)),
  exp: derivative((_, y) => y),
  expm1: derivative((_, y) => onePlus(y)),
  log: derivative((x) => unary('reciprocal', x)),
  log1p: derivative((x) => unary('reciprocal', onePlus(x))),
  sqrt: (y, g) => [div(times(g, 0.5), y as Node)],
  rsqrt: derivative((_, y) => times(mul(y, square(y)), -0.5)),
  reciprocal: derivative((_, y) => neg(square(y))),
  sin: derivative((x) => unary('cos', x)),
  cos: derivative((x) => neg(unary('sin', x))),
  tan: derivative((_, y) => onePlus(square(y))),
  asin: derivative((x) => unary('rsqrt', oneMinus(square(x)))),
  acos: derivative((x) => neg(unary('rsqrt', oneMinus(square(x))))),
  atan: derivative((x) => unary('reciprocal', onePlus(square(x)))),
  sinh: derivative((x) => unary('cosh', x)),
  cosh: derivative((x) => unary('sinh', x)),
  tanh: derivative((_, y) => oneMinus(square(y))),
  asinh: derivative((x) => unary('rsqrt', onePlus(square(x)))),
  acosh: derivative((x) => unary('rsqrt', sub(square(x), like(x, 1)))),
  atanh: derivative((x) => unary('reciprocal', oneMinus(square(x)))),
  erf: derivative((x) => times(unary('exp', neg(square(x))), 2 / Math.sqrt(Math.PI))),
  sigmoid: derivative((_, y) => mul(y, oneMinus(y))),

  add: (_, g) => [g, g],
  sub: (_, g) => [g, neg(g)],
  mul: (n, g) => [mul(g, n.sources[1]!), mul(g, n.sources[0]!)],
  div: (n, g) => {
    const [, b] = n.sources as [Node, Node]
    const toNumerator = div(g, b)
    return [toNumerator, neg(mul(toNumerator, n as Node))]
  },
  pow: (n, g) => {
    const [a, b] = n.sources as [Node, Node]
    const positive = binary('gt', a, like(a, 0))
    const logarithm = where(positive, unary('log', where(positive, a, like(a, 1))), like(a, 0))
    return [mul(g, mul(b, binary('pow', a, sub(b, like(b, 1))))), mul(g, mul(n as Node, logarithm))]
  },
  atan2: (n, g) => {
    const [a, b] = n.sources as [Node, Node]
    const scaled = div(g, add(square(a), square(b)))
    return [mul(scaled, b), neg(mul(scaled, a))]
  },
  mod: (n, g) => [g, neg(mul(g, binary('floordiv', n.sources[0]!, n.sources[1]!)))],
  max: chosen('gt'),
  min: chosen('lt'),
  where: (n, g) => {
    const condition = isRectifier(n) ? binary('gt', n as Node, like(n as Node, 0)) : n.sources[0]!
    return [null, where(condition, g, like(g, 0)), where(condition, like(g, 0), g)]
  },
  cast: (n, g) => {
    const { dtype } = n.sources[0]!
    if (!isFloat(dtype)) return [null]
    // What was widened for this cast's sake is what it was before.
    const isWidened = g.op === 'cast' && g.sources[0]!.dtype === dtype && sizeOf(dtype) < sizeOf(g.dtype)
    return [isWidened ? g.sources[0]! : cast(g, dtype)]
  },

  reshape: (n, g) => [reshape(g, n.sources[0]!.shape)],
  permute: (n, g) => {
    const inverse = new Array<number>(n.attributes.order.length)
    n.attributes.order.forEach((a, i) => (inverse[a] = i))
    return [permute(g, inverse)]
  },
  expand: (n, g) => {
    const from = n.sources[0]!.shape
    const axes = n.shape.flatMap((d, i) => (d !== from[i] ? [i] : []))
    return [reshape(reduce('reduceSum', g, axes), from)]
  },
  pad: (n, g) => {
    const { low } = n.attributes
    return [
      slice(
        g,
        low,
        n.sources[0]!.shape.map((d, i) => low[i]! + d),
      ),
    ]
  },
  slice: (n, g) => [unslice(g, n.sources[0]!.shape, n.attributes.start, n.attributes.step)],
  flip: (n, g) => [flip(g, n.attributes.axes)],
  window: (n, g) => {
    // Overlapping windows add up: a contraction with ones whose output axis is windowed.
    const { axis, taps, stride, dilation } = n.attributes
    const letters = n.shape.map((_, i) => i)
    const out = [
      ...letters.slice(0, axis),
      { position: axis, tap: axis + 1, stride, dilation, padding: 0 },
      ...letters.slice(axis + 2),
    ]
    return [contract(g, constant(1, g.dtype, [taps]), { lhs: letters, rhs: [axis + 1], out }, n.sources[0]!.shape)]
  },

  reduceSum: (n, g) => [spread(g, n.sources[0]!.shape, n.attributes.axes)],
  reduceMax: extremum,
  reduceMin: extremum,
  reduceProd: (n, g) => {
    // The product of the other elements, without division: of those before times of those behind.
    const x = n.sources[0]!
    const { axes } = n.attributes
    if (numel(x.shape) === 0) return [like(x, 0)]
    const order = [...x.shape.keys()].sort((a, b) => Number(axes.includes(a)) - Number(axes.includes(b)) || a - b)
    const moved = permute(x, order)
    const last = n.shape.length
    const flat = reshape(moved, [...n.shape, numel(axes.map((a) => x.shape[a]!))])
    const others = mul(
      productBefore(cumulate('prod', flat, last), last),
      flip(productBefore(cumulate('prod', flip(flat, [last]), last), last), [last]),
    )
    const inverse = order.map((_, i) => order.indexOf(i))
    return [mul(spread(g, x.shape, axes), permute(reshape(others, moved.shape), inverse))]
  },
  cumulate: (n, g) => {
    const x = n.sources[0]!
    const { axis, kind } = n.attributes
    const fromEnd = (v: Node): Node => flip(cumulate('sum', flip(v, [axis]), axis), [axis])
    if (kind === 'sum') return [fromEnd(g)]
    if (kind === 'prod') return [cumulativeProductGradient(x, n as Node, g, axis)]
    // The running extremum stands at the last position that attained it.
    const position = iota(x.shape, axis, 'int64')
    const here = where(binary('eq', x, n as Node), position, like(position, 0))
    const source = cumulate('max', here, axis)
    return [addAt(x.shape, source, g, axis)]
  },
  contract: (n, g) => {
    const [lhs, rhs] = n.sources as [Node, Node]
    const spec = n.attributes
    return [
      contract(g, rhs, { lhs: spec.out, rhs: spec.rhs, out: spec.lhs }, lhs.shape),
      contract(lhs, g, { lhs: spec.lhs, rhs: spec.out, out: spec.rhs }, rhs.shape),
    ]
  },
  gather: (n, g) => {
    const [x, index] = n.sources as [Node, Node]
    // Rows that are picked often add up many gradients: too many for the digits of float16 and bfloat16.
    const wide = sizeOf(g.dtype) < 4 ? 'float32' : g.dtype
    return [cast(rowSums(x.shape, index, cast(g, wide), n.attributes.axis), g.dtype), null]
  },
  barrier: (_, g) => [g, null],
  scatter: (n, g) => {
    const [, index, updates] = n.sources as [Node, Node, Node]
    const { axis, mode } = n.attributes
    return [mode === 'add' ? g : scatter(g, index, like(updates, 0), axis, 'set'), null, gather(g, index, axis)]
  },
}

/** Of running products those that end before each element: 1 for the first. */
function productBefore(products: Node, axis: number): Node {
  const only = (size: number): number[] => products.shape.map((_, i) => (i === axis ? size : 0))
  const stop = products.shape.map((d, i) => (i === axis ? d - 1 : d))
  const shifted = pad(slice(products, only(0), stop), only(1), only(0))
  const first = iota(products.shape, axis, 'int32')
  return where(binary('eq', first, like(first, 0)), like(products, 1), shifted)
}

/**
 * Of y = running products: dx[k] = y[k - 1] * s[k] with s[k] = g[k] + x[k + 1] s[k + 1], a loop from the end. No division: right to all
 * orders also where elements are 0.
 */
function cumulativeProductGradient(x: Node, y: Node, g: Node, axis: number): Node {
  const length = x.shape[axis]!
  if (numel(x.shape) === 0) return like(x, 0)
  const order = [axis, ...[...x.shape.keys()].filter((a) => a !== axis)]
  const steps = permute(g, order)
  const shape = steps.shape.slice(1)
  const only = (node: Node, size: number): number[] => node.shape.map((_, i) => (i === 0 ? size : 0))
  const moved = permute(x, order)
  const next = pad(slice(moved, only(moved, 1), moved.shape), only(moved, 0), only(moved, 1))
  const carry = param(0, x.dtype, shape)
  const given = param(1, x.dtype, shape)
  const factor = param(2, x.dtype, shape)
  const sum = add(given, mul(factor, carry))
  const body = { params: [carry, given, factor], outputs: [sum, sum] }
  const [, sums] = scan(body, [constant(0, x.dtype, shape)], [steps, next], [], length, true)
  return mul(
    productBefore(y, axis),
    permute(
      sums!,
      order.map((_, i) => order.indexOf(i)),
    ),
  )
}

/** Where the walk ends: at variables, and at tensors that autograd was told to ignore. What has forgotten its past is neither. */
function isGradientLeaf(node: Node): boolean {
  return !node.needsGrad || (node.sources.length === 0 && !node.released) || node.op === 'detach'
}

export interface DifferentiateOptions {
  /** Sees every node on the way that is no variable. */
  readonly visit?: (node: Node) => void
  /** Ends the walk at the targets. Default false. */
  readonly stop?: boolean
}

/**
 * Gradients of `outputs` weighted by `seeds`. Owners on the way (variables, hooks, retained gradients) receive theirs.
 * Returns the gradient of each of `targets`, null where no differentiable path leads there.
 */
export function differentiate(
  outputs: readonly Node[],
  seeds: readonly Node[],
  targets: readonly Node[] = [],
  options: DifferentiateOptions = {},
): (Node | null)[] {
  const cotangents = new Map<Node, Node>()
  const results = new Map<Node, Node>()
  const wanted = new Set(targets)
  const tupleCotangents = new Map<Node, Map<number, Node>>()
  const ends = (node: Node): boolean => isGradientLeaf(node) || (options.stop === true && wanted.has(node))
  const send = (to: Node, g: Node | null): void => {
    if (!g || !to.needsGrad) return
    const known = cotangents.get(to)
    cotangents.set(to, known ? sumOf(known, g) : g)
  }
  outputs.forEach((o, i) => send(o, seeds[i]!))
  const order = topologicalOrder(outputs, ends).filter((n) => n.needsGrad)
  order.sort((a, b) => b.id - a.id)
  for (const node of order) {
    if (!ends(node)) options.visit?.(node)
    if (isTuple(node)) {
      const given = tupleCotangents.get(node)
      if (!given) continue
      const gradients = tupleGradient(node, given, (n) => n.owner !== null || wanted.has(n))
      gradients.forEach((g, i) => send(node.sources[i]!, g))
      continue
    }
    let g = cotangents.get(node)
    if (!g) continue
    cotangents.delete(node)
    if (node.owner) g = node.owner.receiveGradient(g)
    if (wanted.has(node)) results.set(node, g)
    if (node.op === 'output' && !ends(node)) {
      const tuple = node.sources[0]!
      const given = tupleCotangents.get(tuple) ?? new Map<number, Node>()
      tupleCotangents.set(tuple, given)
      const known = given.get(node.attributes.index)
      given.set(node.attributes.index, known ? add(known, g) : g)
      continue
    }
    if (ends(node)) continue
    const rule = gradientRules[node.op] as Rule<OpName> | undefined
    if (!rule) throw new InternalError(`${node.op} needs a gradient and has no rule`)
    rule(node as NodeOf<OpName>, g).forEach((gs, i) => send(node.sources[i]!, gs))
  }
  return targets.map((t) => results.get(t) ?? null)
}

type Tuple = NodeOf<'scan' | 'custom' | 'attention' | 'attentionGradient'>

function isTuple(node: Node): node is Tuple & Node {
  return node.op === 'scan' || node.op === 'custom' || node.op === 'attention' || node.op === 'attentionGradient'
}

function tupleGradient(
  node: Tuple & Node,
  given: ReadonlyMap<number, Node>,
  isAsked: (source: Node) => boolean,
): readonly (Node | null)[] {
  switch (node.op) {
    case 'scan':
      return scanGradient(node, given)
    case 'custom':
      return node.attributes.gradient(node, given, isAsked)
    case 'attention':
      return node.attributes.gradient(node, given, isAsked)
    case 'attentionGradient':
      return node.attributes.gradient(node, given, isAsked)
  }
}

/** Whether two nodes are one value: one node, or equal casts of one. */
const isSameValue = (a: Node, b: Node): boolean =>
  a === b || (a.op === 'cast' && b.op === 'cast' && a.dtype === b.dtype && a.sources[0] === b.sources[0])

/**
 * The gradient of a loop is a loop that runs the other way. It carries the gradients of the carries; what it stacks are the
 * gradients of the sequences. A constant of the loop that meets a contraction (a recurrent weight) is not accumulated step by
 * step: both operands of its gradient are stacked, and one contraction over time and batch follows.
 */
function scanGradient(loop: NodeOf<'scan'>, given: ReadonlyMap<number, Node>): (Node | null)[] {
  const { body, carries: nCarries, sequences: nSequences, length, reverse } = loop.attributes
  const saved = scanResiduals({ params: body.params, outputs: body.outputs }, nCarries)
  const own = body.outputs.length - saved.length
  if (own < nCarries) throw new InternalError('scan: the residuals are not the last outputs')
  const carryParams = body.params.slice(0, nCarries)
  const sequenceParams = body.params.slice(nCarries, nCarries + nSequences)
  const constantParams = body.params.slice(nCarries + nSequences)

  // Cotangents inside one step: of the next carries (carried), and of the stacked outputs (slices of what was given).
  const outputs: Node[] = []
  const seeds: Node[] = []
  const newCarries: Node[] = []
  const carryStarts: Node[] = []
  const floatCarries = carryParams.flatMap((p, i) => (isFloat(p.dtype) ? [i] : []))
  for (const i of floatCarries) {
    const p = param(i, carryParams[i]!.dtype, carryParams[i]!.shape)
    newCarries.push(p)
    outputs.push(body.outputs[i]!)
    seeds.push(p)
    carryStarts.push(given.get(i) ?? constant(0, p.dtype, p.shape))
  }
  const slices: Node[] = []
  const stacks: Node[] = []
  for (const [index, g] of given) {
    if (index < nCarries) continue
    const p = param(slices.length, g.dtype, g.shape.slice(1))
    slices.push(p)
    stacks.push(g)
    outputs.push(body.outputs[index]!)
    seeds.push(p)
  }

  // Inside the step: constants that meet contractions are told apart from the others.
  const hoisted: { constant: number; contraction: NodeOf<'contract'>; side: 0 | 1 }[] = []
  const order = topologicalOrder(outputs)
  const contractions = order.filter((n): n is NodeOf<'contract'> => n.op === 'contract' && n.needsGrad)
  for (const c of contractions) {
    c.sources.forEach((s, side) => {
      const at = constantParams.indexOf(s)
      if (at >= 0 && loop.sources[nCarries + nSequences + at]!.needsGrad)
        hoisted.push({ constant: at, contraction: c, side: side as 0 | 1 })
    })
  }
  const onlyHoisted = constantParams.map(
    (p, i) =>
      hoisted.some((h) => h.constant === i) && order.every((n) => n.op === 'contract' || !n.sources.includes(p)),
  )
  const direct = constantParams.flatMap((p, i) =>
    isFloat(p.dtype) && !onlyHoisted[i] && loop.sources[nCarries + nSequences + i]!.needsGrad ? [i] : [],
  )
  const liveHoists = hoisted.filter((h) => onlyHoisted[h.constant])

  const targets = [
    ...floatCarries.map((i) => carryParams[i]!),
    ...sequenceParams,
    ...direct.map((i) => constantParams[i]!),
    ...liveHoists.map((h) => h.contraction as Node),
  ]
  const local = differentiate(outputs, seeds, targets)
  const zeroLike = (p: Node): Node => constant(0, p.dtype, p.shape)
  const dCarries = local.slice(0, floatCarries.length).map((g, i) => g ?? zeroLike(newCarries[i]!))
  const dSequences = local.slice(floatCarries.length, floatCarries.length + nSequences)
  const dDirect = local.slice(floatCarries.length + nSequences, floatCarries.length + nSequences + direct.length)
  const dHoisted = local.slice(floatCarries.length + nSequences + direct.length)

  const accumulators = direct.map((i) => param(i, constantParams[i]!.dtype, constantParams[i]!.shape))
  const accumulated = accumulators.map((a, i) => (dDirect[i] ? add(a, dDirect[i]) : a))
  const stackedSequences = dSequences.flatMap((g, i) => (g ? [{ at: i, g }] : []))
  const operands = liveHoists.flatMap((h, i) =>
    dHoisted[i] ? [{ ...h, g: dHoisted[i], other: h.contraction.sources[1 - h.side]! }] : [],
  )
  // The gradient of a sequence that is added to a product (the inputs' part of the gates) is that of the product, too: one stack is enough.
  const stackedOnce: Node[] = []
  for (const n of [...stackedSequences.map((s) => s.g), ...operands.flatMap((o) => [o.g, o.other])])
    if (!stackedOnce.some((known) => isSameValue(known, n))) stackedOnce.push(n)
  const newOutputs = [...dCarries, ...accumulated, ...stackedOnce]

  // What the forward loop saved replaces what it computed; carries are read from their stack.
  const savedParams = saved.map((s, i) => (i < nCarries ? s : param(i, s.dtype, s.shape)))
  const replaced = substitute(newOutputs, new Map(saved.map((s, i) => [s, savedParams[i]!])))
  const newBody = {
    params: [...newCarries, ...accumulators, ...sequenceParams, ...savedParams, ...slices, ...constantParams],
    outputs: replaced,
  }
  const results = scan(
    newBody,
    [...carryStarts, ...accumulators.map(zeroLike)],
    [
      ...loop.sources.slice(nCarries, nCarries + nSequences),
      ...saved.map((_, i) => tupleOutput(loop as Node, own + i)),
      ...stacks,
    ],
    loop.sources.slice(nCarries + nSequences),
    length,
    !reverse,
  )

  const gradients: (Node | null)[] = loop.sources.map(() => null)
  floatCarries.forEach((i, k) => (gradients[i] = results[k]!))
  direct.forEach((i, k) => (gradients[nCarries + nSequences + i] = results[floatCarries.length + k]!))
  const stackOf = (n: Node): Node =>
    results[floatCarries.length + direct.length + stackedOnce.findIndex((known) => isSameValue(known, n))]!
  for (const s of stackedSequences) gradients[nCarries + s.at] = stackOf(s.g)
  for (const o of operands) {
    const [g, other] = [stackOf(o.g), stackOf(o.other)]
    const { lhs, rhs, out } = o.contraction.attributes
    const time = -1
    const shape = constantParams[o.constant]!.shape
    const whole =
      o.side === 0
        ? contract(g, other, { lhs: [time, ...out], rhs: [time, ...rhs], out: lhs }, shape)
        : contract(other, g, { lhs: [time, ...lhs], rhs: [time, ...out], out: rhs }, shape)
    const i = nCarries + nSequences + o.constant
    gradients[i] = gradients[i] ? add(gradients[i], whole) : whole
  }
  return gradients
}

/** A seed of ones: what `backward` starts from. */
export function ones(node: Node): Node {
  return broadcastTo(constant(1, node.dtype), node.shape)
}
