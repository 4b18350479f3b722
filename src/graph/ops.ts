/**
 * The op table: every op that the graph knows, with what the conformance suite, the verifier and the documentation need.
 * Everything else in the public API is a composite of these. Adding an op is one row here, one shape rule (build.ts), one
 * VJP rule (gradient.ts) and, only where it is not a composite, one line per dialect.
 */
export type OpGroup =
  'leaf' | 'unary' | 'binary' | 'ternary' | 'cast' | 'view' | 'reduce' | 'contract' | 'index' | 'control'

/** The dtypes that an op takes. */
export type DTypeClass = 'float' | 'number' | 'integer' | 'logical' | 'any'

export interface OpInfo {
  readonly group: OpGroup
  /** Number of sources; -1 where it varies. */
  readonly arity: number
  readonly takes: DTypeClass
  /** `same` as the first source, or a fixed dtype. */
  readonly gives: 'same' | 'bool' | 'int32' | 'int64' | 'attribute'
  /** Has a gradient that is not zero everywhere. */
  readonly differentiable: boolean
  /** Interval from which tests draw the argument of a unary op, away from poles and kinks. */
  readonly domain?: readonly [number, number]
}

const leaf = { group: 'leaf', arity: 0, takes: 'any', gives: 'attribute', differentiable: false } as const
const view = { group: 'view', arity: 1, takes: 'any', gives: 'same', differentiable: true } as const
const smooth = (low = -2, high = 2) =>
  ({ group: 'unary', arity: 1, takes: 'float', gives: 'same', differentiable: true, domain: [low, high] }) as const
const step = { group: 'unary', arity: 1, takes: 'number', gives: 'same', differentiable: false } as const
const arithmetic = { group: 'binary', arity: 2, takes: 'number', gives: 'same', differentiable: true } as const
const compare = { group: 'binary', arity: 2, takes: 'any', gives: 'bool', differentiable: false } as const
const logic = { group: 'binary', arity: 2, takes: 'logical', gives: 'same', differentiable: false } as const
const shift = { group: 'binary', arity: 2, takes: 'integer', gives: 'same', differentiable: false } as const
const reduce = { group: 'reduce', arity: 1, takes: 'number', gives: 'same', differentiable: true } as const
const arg = { group: 'reduce', arity: 1, takes: 'number', gives: 'int32', differentiable: false } as const

export const opTable = {
  // Leaves: memory, numbers of the program, numbers of the run, coordinates, random numbers, arguments of a scan's body.
  buffer: leaf,
  constant: leaf,
  scalar: leaf,
  iota: leaf,
  random: { ...leaf, arity: 2 },
  param: leaf,
  // Elementwise, one argument.
  neg: { ...step, differentiable: true },
  abs: { ...step, differentiable: true },
  sign: step,
  floor: step,
  ceil: step,
  round: step,
  trunc: step,
  exp: smooth(),
  expm1: smooth(),
  log: smooth(0.2, 3),
  log1p: smooth(-0.7, 3),
  sqrt: smooth(0.2, 3),
  rsqrt: smooth(0.2, 3),
  reciprocal: smooth(0.3, 3),
  sin: smooth(-4, 4),
  cos: smooth(-4, 4),
  tan: smooth(-1.2, 1.2),
  asin: smooth(-0.9, 0.9),
  acos: smooth(-0.9, 0.9),
  atan: smooth(-3, 3),
  sinh: smooth(),
  cosh: smooth(),
  tanh: smooth(-3, 3),
  asinh: smooth(-3, 3),
  acosh: smooth(1.2, 4),
  atanh: smooth(-0.8, 0.8),
  erf: smooth(),
  sigmoid: smooth(-4, 4),
  not: { group: 'unary', arity: 1, takes: 'logical', gives: 'same', differentiable: false },
  // Elementwise, two arguments of one dtype and one shape.
  add: arithmetic,
  sub: arithmetic,
  mul: arithmetic,
  div: arithmetic,
  pow: arithmetic,
  atan2: { ...arithmetic, takes: 'float' },
  /** Remainder with the divisor's sign, as Python's. */
  mod: arithmetic,
  /** Quotient rounded towards minus infinity. */
  floordiv: { ...arithmetic, differentiable: false },
  max: arithmetic,
  min: arithmetic,
  eq: compare,
  ne: compare,
  lt: compare,
  le: compare,
  gt: compare,
  ge: compare,
  and: logic,
  or: logic,
  xor: logic,
  shl: shift,
  shr: shift,
  where: { group: 'ternary', arity: 3, takes: 'any', gives: 'same', differentiable: true },
  cast: { group: 'cast', arity: 1, takes: 'any', gives: 'attribute', differentiable: true },
  // Views: they only rename coordinates.
  reshape: view,
  permute: view,
  expand: view,
  pad: view,
  slice: view,
  flip: view,
  /** Sliding windows: an axis becomes (position, tap), as in im2col. */
  window: view,
  /** The same values as a new variable or a constant: gradients stop here. */
  detach: { ...view, differentiable: false },
  // Reductions remove their axes.
  reduceSum: reduce,
  reduceMax: { ...reduce, takes: 'any' },
  reduceMin: { ...reduce, takes: 'any' },
  reduceProd: reduce,
  argmax: arg,
  argmin: arg,
  /** Running sum, product, maximum or minimum along one axis. */
  cumulate: { ...reduce },
  contract: { group: 'contract', arity: 2, takes: 'number', gives: 'same', differentiable: true },
  // Index ops.
  gather: { group: 'index', arity: 2, takes: 'any', gives: 'same', differentiable: true },
  scatter: { group: 'index', arity: 3, takes: 'any', gives: 'same', differentiable: true },
  argsort: { group: 'index', arity: 1, takes: 'any', gives: 'int64', differentiable: false },
  // Control.
  scan: { group: 'control', arity: -1, takes: 'any', gives: 'attribute', differentiable: true },
  /** The first source, computed again once the second is there: what is made of it is not shared with equal values of before. */
  barrier: { group: 'control', arity: 2, takes: 'any', gives: 'same', differentiable: true },
  /** softmax(scale * Q K^T + mask) V of several heads, tile by tile: the weights are never in memory. */
  attention: { group: 'control', arity: -1, takes: 'float', gives: 'attribute', differentiable: true },
  /** The gradients of an attention by queries, keys and values; computes the weights again. */
  attentionGradient: { group: 'control', arity: -1, takes: 'float', gives: 'attribute', differentiable: true },
  /** Values with a gradient of their own. */
  custom: { group: 'control', arity: -1, takes: 'any', gives: 'attribute', differentiable: true },
  output: { group: 'control', arity: 1, takes: 'any', gives: 'attribute', differentiable: true },
} as const satisfies Record<string, OpInfo>

export type OpName = keyof typeof opTable

type OpsOf<G extends OpGroup> = { [K in OpName]: (typeof opTable)[K]['group'] extends G ? K : never }[OpName]
export type UnaryOp = OpsOf<'unary'>
export type BinaryOp = OpsOf<'binary'>
export type ReduceOp = 'reduceSum' | 'reduceMax' | 'reduceMin' | 'reduceProd' | 'argmax' | 'argmin'
export type CumulateKind = 'sum' | 'prod' | 'max' | 'min'

export function opInfo(op: OpName): OpInfo {
  return opTable[op]
}
