/**
 * Typed constructors for the kernel IR. Expressions are plain objects made by functions (`add`, `load`, `select`, ...) that check
 * types, widen scalars to lanes, take JS numbers for constants, and fold constant and index arithmetic, so that templates can be
 * written without regard to special cases. `KernelBuilder` collects parameters and statements and keeps names unique.
 */
import type { DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { RecentMap } from '../common/recent-map.ts'
import { foldBinary, foldUnary, normalizeConstant } from './fold.ts'
import type {
  BinaryIr,
  CallIr,
  CompareIr,
  Expr,
  FactorParts,
  Kernel,
  LoopKind,
  Parameter,
  ReduceIr,
  ScalarType,
  Stmt,
  TileStream,
  TileWindow,
  Type,
  UnaryIr,
} from './kernel.ts'
import { retitled, structureOf } from './structure.ts'
import { formatType, registerTypes, sameType, verifyKernel } from './verify.ts'
import { isAtom } from './walk.ts'

/** An expression, or a number that takes the type of the operand beside it. */
export type Operand = Expr | number | bigint

/** A buffer or scratch parameter: its number and the dtype in memory. */
export interface BufferParameter {
  readonly parameter: number
  readonly dtype: DType
}

const types = new Map<ScalarType, Type[]>()

/** One object for equal types: kernels are made of thousands of expressions. */
export function typeOf(scalar: ScalarType, lanes = 1): Type {
  let known = types.get(scalar)
  if (!known) types.set(scalar, (known = []))
  return (known[lanes] ??= { scalar, lanes })
}

/** The type that elements of a dtype have in registers. */
export function registerType(dtype: DType, lanes = 1): Type {
  return typeOf(registerTypes[dtype], lanes)
}

export function constant(value: number | bigint, scalar: ScalarType, lanes = 1): Expr {
  return { kind: 'const', type: typeOf(scalar, lanes), value: normalizeConstant(value, scalar) }
}

export const index = (value: number): Expr => constant(value, 'index')
export const i32 = (value: number, lanes = 1): Expr => constant(value, 'i32', lanes)
export const f32 = (value: number, lanes = 1): Expr => constant(value, 'f32', lanes)
export const f64 = (value: number): Expr => constant(value, 'f64')

export function variable(name: string, type: Type): Expr {
  return { kind: 'variable', type, name }
}

function isExpr(x: Operand): x is Expr {
  return typeof x === 'object'
}

/** The operand as an expression of a type: numbers become constants, scalars are copied to all lanes. */
export function coerce(x: Operand, type: Type): Expr {
  if (!isExpr(x)) return constant(x, type.scalar, type.lanes)
  return x.type.lanes === 1 && type.lanes > 1 ? splat(x, type.lanes) : x
}

/** What operands are brought to: as many lanes as any of them has; the first expression among them decides the type of numbers. */
function commonType(operands: readonly Operand[]): Type {
  let first: Expr | null = null
  let lanes = 1
  for (const x of operands) {
    if (!isExpr(x)) continue
    first ??= x
    lanes = Math.max(lanes, x.type.lanes)
  }
  if (!first)
    throw new InternalError('an operation of the kernel IR needs at least one operand that is no plain number')
  return typeOf(first.type.scalar, lanes)
}

function requireSame(what: string, a: Expr, b: Expr): void {
  if (!sameType(a.type, b.type)) {
    throw new InternalError(`${what} of ${formatType(a.type)} and ${formatType(b.type)}: operands must have one type`)
  }
}

export function unary(op: UnaryIr, x: Expr): Expr {
  return foldUnary({ kind: 'unary', type: x.type, op, x })
}

export function binary(op: BinaryIr, x: Operand, y: Operand): Expr {
  const type = commonType([x, y])
  const [a, b] = [coerce(x, type), coerce(y, type)]
  requireSame(op, a, b)
  return foldBinary({ kind: 'binary', type: a.type, op, a, b })
}

export function compare(op: CompareIr, x: Operand, y: Operand): Expr {
  const type = commonType([x, y])
  const [a, b] = [coerce(x, type), coerce(y, type)]
  requireSame(op, a, b)
  return { kind: 'compare', type: typeOf('mask', a.type.lanes), op, a, b }
}

export const neg = (x: Expr): Expr => unary('neg', x)
export const abs = (x: Expr): Expr => unary('abs', x)
export const floor = (x: Expr): Expr => unary('floor', x)
export const ceil = (x: Expr): Expr => unary('ceil', x)
export const round = (x: Expr): Expr => unary('round', x)
export const trunc = (x: Expr): Expr => unary('trunc', x)
export const sqrt = (x: Expr): Expr => unary('sqrt', x)
export const not = (x: Expr): Expr => unary('not', x)
export const rounded = (x: Expr): Expr => unary('rounded', x)

export const add = (a: Operand, b: Operand): Expr => binary('add', a, b)
export const sub = (a: Operand, b: Operand): Expr => binary('sub', a, b)
export const mul = (a: Operand, b: Operand): Expr => binary('mul', a, b)
export const div = (a: Operand, b: Operand): Expr => binary('div', a, b)
export const rem = (a: Operand, b: Operand): Expr => binary('rem', a, b)
export const min = (a: Operand, b: Operand): Expr => binary('min', a, b)
export const max = (a: Operand, b: Operand): Expr => binary('max', a, b)
export const and = (a: Operand, b: Operand): Expr => binary('and', a, b)
export const or = (a: Operand, b: Operand): Expr => binary('or', a, b)
export const xor = (a: Operand, b: Operand): Expr => binary('xor', a, b)
export const shl = (a: Operand, b: Operand): Expr => binary('shl', a, b)
export const shr = (a: Operand, b: Operand): Expr => binary('shr', a, b)
export const ushr = (a: Operand, b: Operand): Expr => binary('ushr', a, b)
export const mulhi = (a: Operand, b: Operand): Expr => binary('mulhi', a, b)

export const eq = (a: Operand, b: Operand): Expr => compare('eq', a, b)
export const ne = (a: Operand, b: Operand): Expr => compare('ne', a, b)
export const lt = (a: Operand, b: Operand): Expr => compare('lt', a, b)
export const le = (a: Operand, b: Operand): Expr => compare('le', a, b)
export const gt = (a: Operand, b: Operand): Expr => compare('gt', a, b)
export const ge = (a: Operand, b: Operand): Expr => compare('ge', a, b)

export function select(condition: Expr, x: Operand, y: Operand): Expr {
  const common = commonType([x, y])
  const lanes = Math.max(condition.type.lanes, common.lanes)
  const type = typeOf(common.scalar, lanes)
  const [c, a, b] = [coerce(condition, typeOf('mask', lanes)), coerce(x, type), coerce(y, type)]
  requireSame('select', a, b)
  return { kind: 'select', type, condition: c, a, b }
}

/** a * b + c in one rounding where the device can. */
export function fma(x: Operand, y: Operand, z: Operand): Expr {
  const type = commonType([x, y, z])
  const [a, b, c] = [coerce(x, type), coerce(y, type), coerce(z, type)]
  requireSame('fma', a, b)
  requireSame('fma', a, c)
  return { kind: 'fma', type: a.type, a, b, c }
}

export function convert(x: Expr, scalar: ScalarType): Expr {
  if (x.type.scalar === scalar) return x
  if (x.kind === 'const' && scalar !== 'mask') {
    const isInteger = scalar === 'index' || scalar === 'i32' || scalar === 'i64'
    const value = isInteger && typeof x.value === 'number' ? Math.trunc(x.value) : x.value
    if (typeof value === 'bigint' || Number.isSafeInteger(value) || !isInteger) {
      return constant(value, scalar, x.type.lanes)
    }
  }
  return { kind: 'convert', type: typeOf(scalar, x.type.lanes), x }
}

export function bitcast(x: Expr, scalar: ScalarType): Expr {
  if (x.type.scalar === scalar) return x
  return { kind: 'bitcast', type: typeOf(scalar, x.type.lanes), x }
}

export function load(buffer: BufferParameter, at: Operand, lanes = 1): Expr {
  return {
    kind: 'load',
    type: registerType(buffer.dtype, lanes),
    buffer: buffer.parameter,
    at: coerce(at, typeOf('index')),
  }
}

/** Lanes at `at`, `at + stride`, ... */
export function gather(buffer: BufferParameter, at: Operand, stride: Operand, lanes: number): Expr {
  const type = typeOf('index')
  return {
    kind: 'gather',
    type: registerType(buffer.dtype, lanes),
    buffer: buffer.parameter,
    at: coerce(at, type),
    stride: coerce(stride, type),
  }
}

export function splat(x: Expr, lanes: number): Expr {
  if (lanes === 1) return x
  if (x.kind === 'const') return constant(x.value, x.type.scalar, lanes)
  return { kind: 'splat', type: typeOf(x.type.scalar, lanes), x }
}

/** Pairs of neighbours in a 16-bit buffer as i32, from element `at` on. */
export function pairs(buffer: BufferParameter, at: Operand, lanes = 1): Expr {
  return { kind: 'pairs', type: typeOf('i32', lanes), buffer: buffer.parameter, at: coerce(at, typeOf('index')) }
}

/** c + a * b for pairs of bfloat16: two products a lane. */
export function dot(a: Expr, b: Expr, c: Expr): Expr {
  return { kind: 'dot', type: c.type, a, b, c }
}

/** Lanes of a and b by turns, within every four or over all; see the expression of the IR. */
export function zip(a: Expr, b: Expr, run: 1 | 2 | 4, half: 'low' | 'high', span: 'four' | 'all' = 'four'): Expr {
  return { kind: 'zip', type: a.type, a, b, run, span, half }
}

/** Turns 4 x 4 blocks: lane 4 b + j of row i becomes lane 4 b + i of row j. Its own inverse. */
export function transposeFours(scope: Scope, rows: readonly Expr[]): Expr[] {
  const [p, q, r, s] = rows as readonly [Expr, Expr, Expr, Expr]
  const halves = ['low', 'high'] as const
  const pairs = halves.map((half) => [scope.let('z', zip(p, q, 1, half)), scope.let('z', zip(r, s, 1, half))] as const)
  return pairs.flatMap(([a, b]) => halves.map((half) => scope.let('z', zip(a, b, 2, half))))
}

/** Turns 16 vectors of 16 lanes: lane j of vector i becomes lane i of vector j. */
export function transposeSixteen(scope: Scope, rows: readonly Expr[]): Expr[] {
  // Four blocks of four rows each: part b of column j has lanes 4 g + i from row 4 b + i, lane 4 g + j.
  const blocks = [0, 4, 8, 12].map((b) => transposeFours(scope, rows.slice(b, b + 4)))
  const halves = ['low', 'high'] as const
  const columns = [0, 1, 2, 3].map((j) => {
    const [p, q, r, s] = blocks.map((b) => b[j]!) as [Expr, Expr, Expr, Expr]
    return halves.flatMap((half) => {
      const [even, odd] = [scope.let('z', zip(p, r, 4, half, 'all')), scope.let('z', zip(q, s, 4, half, 'all'))]
      return halves.map((quarter) => scope.let('z', zip(even, odd, 4, quarter, 'all')))
    })
  })
  return Array.from({ length: 16 }, (_, i) => columns[i % 4]![Math.floor(i / 4)]!)
}

/** base, base + 1, ... as i32 lanes; just the base for one lane. */
export function ramp(base: Expr, lanes: number): Expr {
  if (lanes === 1) return convert(base, 'i32')
  return { kind: 'ramp', type: typeOf('i32', lanes), base }
}

export function reduceLanes(op: ReduceIr, x: Expr): Expr {
  if (x.type.lanes === 1) return x
  return { kind: 'reduceLanes', type: typeOf(x.type.scalar), op, x }
}

export function call(fn: CallIr, ...args: readonly Expr[]): Expr {
  return { kind: 'call', type: args[0]!.type, fn, args }
}

/** Where expansions put values that they use more than once. */
export interface Scope {
  /** Names a value: the result is cheap to repeat. */
  let(name: string, value: Expr): Expr
}

/**
 * Kernels by structure, found to be in order. New sizes of a program build the same ones again, which then need not be kept beside the first:
 * what plans keep is what collections of garbage have to move.
 */
const built = new RecentMap<string, Kernel>(4096)

/** What `tiles` multiply; see the statement of the IR. */
export interface Products {
  readonly parts: FactorParts
  readonly target: Place
  readonly a: Place
  readonly b: Place
  readonly steps: Expr
  readonly accumulate: Expr
  readonly window: TileWindow | null
  readonly stream: (Omit<TileStream, 'buffer'> & { readonly buffer: BufferParameter }) | null
}

interface Place {
  readonly buffer: BufferParameter
  readonly at: Expr
}

/** Collects the parameters and the statements of one kernel. */
export class KernelBuilder implements Scope {
  private readonly title: string
  private readonly parameters: Parameter[] = []
  private readonly names = new Map<string, number>()
  private readonly blocks: Stmt[][] = [[]]

  constructor(title: string) {
    this.title = title
  }

  buffer(dtype: DType, access: 'read' | 'write' | 'update'): BufferParameter {
    return { parameter: this.parameters.push({ kind: 'buffer', dtype, access }) - 1, dtype }
  }

  /** A size, a stride or an offset. */
  index(): Expr {
    return { kind: 'parameter', type: typeOf('index'), index: this.parameters.push({ kind: 'index' }) - 1 }
  }

  /** A number of the program or of the run. */
  scalar(type: 'i32' | 'i64' | 'f32' | 'f64'): Expr {
    return { kind: 'parameter', type: typeOf(type), index: this.parameters.push({ kind: 'scalar', type }) - 1 }
  }

  /** Private memory of one thread; one a kernel. */
  scratch(dtype: 'float32' | 'float64' | 'int32' | 'int64'): BufferParameter {
    return { parameter: this.parameters.push({ kind: 'scratch', dtype }) - 1, dtype }
  }

  let(name: string, value: Expr): Expr {
    if (isAtom(value)) return value
    const unique = this.unique(name)
    this.emit({ kind: 'let', name: unique, value })
    return variable(unique, value.type)
  }

  /** A variable that `assign` and `accumulate` change. */
  declare(name: string, value: Expr): Expr {
    const unique = this.unique(name)
    this.emit({ kind: 'declare', name: unique, value })
    return variable(unique, value.type)
  }

  assign(target: Expr, value: Operand): void {
    this.emit({ kind: 'assign', name: nameOf(target), value: coerce(value, target.type) })
  }

  accumulate(target: Expr, op: ReduceIr, value: Operand): void {
    this.emit({ kind: 'accumulate', name: nameOf(target), op, value: coerce(value, target.type) })
  }

  /** A mask stored to a bool buffer is stored as 0 or 1. Lanes go to neighbours, or `stride` elements apart. */
  store(buffer: BufferParameter, at: Operand, value: Expr, stride: Operand = 1): void {
    const stored = value.type.scalar === 'mask' ? convert(value, 'i32') : value
    const apart = stride === 1 || value.type.lanes === 1 ? {} : { stride: coerce(stride, typeOf('index')) }
    this.emit({ kind: 'store', buffer: buffer.parameter, at: coerce(at, typeOf('index')), value: stored, ...apart })
  }

  /** Products of 32 x 32 sums; see the statement of the IR. */
  tiles(p: Products): void {
    this.emit({
      kind: 'tiles',
      parts: p.parts,
      target: p.target.buffer.parameter,
      at: p.target.at,
      a: p.a.buffer.parameter,
      aAt: p.a.at,
      b: p.b.buffer.parameter,
      bAt: p.b.at,
      steps: p.steps,
      accumulate: p.accumulate,
      window: p.window,
      stream: p.stream && { ...p.stream, buffer: p.stream.buffer.parameter },
    })
  }

  /** The outermost loop: its range is the runtime's. */
  parallel(name: string, body: (i: Expr) => void): void {
    this.for('parallel', name, 0, 0, 1, body)
  }

  loop(name: string, from: Operand, to: Operand, step: number, body: (i: Expr) => void): void {
    this.for('sequential', name, from, to, step, body)
  }

  /** A sequential loop whose body should be laid out `copies` times: for the innermost loops of templates. */
  unrolled(name: string, from: Operand, to: Operand, copies: number, body: (i: Expr) => void): void {
    this.for('sequential', name, from, to, 1, body, copies)
  }

  /** A loop whose iterations are independent but for `accumulate`. */
  vector(name: string, from: Operand, to: Operand, body: (i: Expr) => void): void {
    this.for('vector', name, from, to, 1, body)
  }

  if(condition: Expr, then: () => void, otherwise: () => void = () => {}): void {
    this.emit({ kind: 'if', condition, then: this.block(then), else: this.block(otherwise) })
  }

  prefetch(buffer: BufferParameter, at: Operand): void {
    this.emit({ kind: 'prefetch', buffer: buffer.parameter, at: coerce(at, typeOf('index')) })
  }

  /** Where a position given by data lies on an axis, negative ones counted from the end, and whether that is outside it. */
  position(given: Expr, size: Expr): { readonly at: Expr; readonly outside: Expr } {
    // Compared before it is narrowed: where an index has 32 bits, 2^32 + 1 would pass for 1.
    const scalar = given.type.scalar === 'i64' ? 'i64' : 'index'
    const i = this.let('i', convert(given, scalar))
    const n = this.let('n', convert(size, scalar))
    const wrapped = this.let('i', select(lt(i, 0), add(i, n), i))
    const outside = this.let('outside', or(lt(wrapped, 0), ge(wrapped, n)))
    return { at: convert(wrapped, 'index'), outside }
  }

  /** Reports a fault (1: index out of range) and goes on. */
  fail(code: number): void {
    this.emit({ kind: 'fail', code })
  }

  comment(text: string): void {
    this.emit({ kind: 'comment', text })
  }

  /** The finished kernel. Throws InternalError where it is malformed. */
  build(): Kernel {
    const kernel = { title: this.title, parameters: this.parameters, body: this.blocks[0]! }
    const structure = structureOf(kernel)
    const same = built.getOrMake(structure, () => {
      verifyKernel(kernel)
      return kernel
    })
    return same.title === this.title ? same : retitled(same, this.title)
  }

  private for(
    loop: LoopKind,
    name: string,
    from: Operand,
    to: Operand,
    step: number,
    body: (i: Expr) => void,
    unroll?: number,
  ): void {
    const unique = this.unique(name)
    const type = typeOf('index')
    const statements = this.block(() => body(variable(unique, type)))
    this.emit({
      kind: 'for',
      loop,
      name: unique,
      from: coerce(from, type),
      to: coerce(to, type),
      step,
      ...(unroll === undefined ? {} : { unroll }),
      body: statements,
    })
  }

  private block(fill: () => void): Stmt[] {
    const statements: Stmt[] = []
    this.blocks.push(statements)
    fill()
    this.blocks.pop()
    return statements
  }

  private emit(statement: Stmt): void {
    this.blocks[this.blocks.length - 1]!.push(statement)
  }

  /** `x`, then `x1`, `x2`, ... */
  private unique(name: string): string {
    let n = this.names.get(name) ?? 0
    let result = n === 0 ? name : `${name}${n}`
    while (n > 0 && this.names.has(result)) result = `${name}${++n}`
    this.names.set(name, n + 1)
    if (result !== name) this.names.set(result, 1)
    return result
  }
}

function nameOf(target: Expr): string {
  if (target.kind !== 'variable') throw new InternalError(`cannot assign to a ${target.kind}: declare a variable`)
  return target.name
}
