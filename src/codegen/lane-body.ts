/**
 * The body of a vector loop, rewritten for a number of lanes: which values are the same in all lanes, which step from lane to lane, which
 * are vectors; and when the loop must stay scalar.
 */
import { sizeOf } from '../common/dtype.ts'
import {
  add,
  binary,
  bitcast,
  compare,
  constant,
  convert,
  fma,
  gather,
  load,
  mul,
  neg,
  ramp,
  reduceLanes,
  select,
  splat,
  sub,
  typeOf,
  unary,
  variable,
  zip,
  type BufferParameter,
} from './builder.ts'
import type { Expr, Kernel, ReduceIr, ScalarType, Stmt } from './kernel.ts'
import { flatten, Interner, operands, some } from './walk.ts'

export type ForStmt = Extract<Stmt, { kind: 'for' }>

/** What lanes can do in a dialect. */
export interface LaneOptions {
  /** Whether lanes can be stored to bool, uint8, int8, float16 and bfloat16. */
  readonly narrowStores: boolean
  /** Whether lanes can be stored to elements that do not lie side by side. */
  readonly stridedStores: boolean
}

/** What a variable of the body is in the loop over lanes. */
type Binding =
  /** One value for all lanes. */
  | { readonly kind: 'uniform' }
  /** A scalar, the value of the first lane; the next are `stride` apart. */
  | { readonly kind: 'linear'; readonly stride: Expr }
  /** A vector; `stride` where its lanes are known to be that far apart. `guards` where it is a mask made of positions. */
  | { readonly kind: 'lanes'; readonly stride: Expr | null; readonly guards: boolean }

interface Converted {
  /** Declares the lane accumulators. */
  readonly before: Stmt[]
  readonly body: Stmt[]
  /** Joins them. */
  readonly after: Stmt[]
}

/** Thrown where the loop must stay scalar. */
const staysScalar = Symbol('stays scalar')

const zero = constant(0, 'index')
const uniformBinding: Binding = { kind: 'uniform' }

/** The body of one vector loop, rewritten for a number of lanes. */
export class LaneBody {
  private readonly kernel: Kernel
  private readonly loop: ForStmt
  private readonly lanes: number
  private readonly options: LaneOptions
  /** Variables declared in the body. */
  private readonly own: ReadonlySet<string>
  private readonly unique: (name: string) => string
  private readonly written: ReadonlySet<number>
  /** Outer variables that the body accumulates into. */
  private readonly accumulated: ReadonlySet<string>
  private readonly bindings = new Map<string, Binding>()
  private readonly uniform = new Map<Expr, boolean>()
  private readonly vectors = new Map<Expr, Expr>()
  /** Lane accumulators of outer variables. */
  private readonly accumulators = new Map<
    string,
    { readonly lanes: string; readonly op: ReduceIr; readonly scalar: ScalarType }
  >()

  constructor(
    kernel: Kernel,
    loop: ForStmt,
    lanes: number,
    options: LaneOptions,
    own: ReadonlySet<string>,
    unique: (name: string) => string,
  ) {
    this.kernel = kernel
    this.loop = loop
    this.lanes = lanes
    this.options = options
    this.own = own
    this.unique = unique
    const statements = flatten(loop.body)
    this.written = new Set(statements.flatMap((s) => (s.kind === 'store' ? [s.buffer] : [])))
    this.accumulated = new Set(statements.flatMap((s) => (s.kind === 'accumulate' && !own.has(s.name) ? [s.name] : [])))
    this.bind(loop.name, { kind: 'linear', stride: constant(1, 'index') })
  }

  convert(): Converted | null {
    try {
      const body = this.block(this.loop.body)
      const before: Stmt[] = []
      const after: Stmt[] = []
      for (const [name, { lanes, op, scalar }] of this.accumulators) {
        before.push({ kind: 'declare', name: lanes, value: constant(identity(op, scalar), scalar, this.lanes) })
        after.push({
          kind: 'accumulate',
          name,
          op,
          value: reduceLanes(op, variable(lanes, typeOf(scalar, this.lanes))),
        })
      }
      return { before, body, after }
    } catch (e) {
      if (e === staysScalar) return null
      throw e
    }
  }

  private block(statements: readonly Stmt[]): Stmt[] {
    return this.options.stridedStores
      ? joinStores(statements.map((s) => this.statement(s)))
      : statements.map((s) => this.statement(s))
  }

  private statement(s: Stmt): Stmt {
    switch (s.kind) {
      case 'let':
        return this.let(s)
      case 'declare':
        this.bind(s.name, { kind: 'lanes', stride: null, guards: false })
        return { ...s, value: this.vector(s.value) }
      case 'assign':
        if (!this.own.has(s.name)) throw staysScalar
        return { ...s, value: this.vector(s.value) }
      case 'accumulate': {
        const value = this.vector(s.value)
        return { ...s, name: this.own.has(s.name) ? s.name : this.accumulator(s.name, s.op, value.type.scalar), value }
      }
      case 'store':
        return this.store(s)
      case 'for':
        if (!this.isUniform(s.from) || !this.isUniform(s.to)) throw staysScalar
        this.bind(s.name, uniformBinding)
        return { ...s, body: this.block(s.body) }
      case 'if':
        if (!this.isUniform(s.condition)) throw staysScalar
        return { ...s, then: this.block(s.then), else: this.block(s.else) }
      case 'prefetch':
        if (this.stride(s.at) === null) throw staysScalar
        return s
      case 'tiles':
        throw staysScalar
      case 'fail':
      case 'comment':
        return s
      default:
        return s satisfies never
    }
  }

  private let(s: Extract<Stmt, { kind: 'let' }>): Stmt {
    const stride = this.stride(s.value)
    if (this.isUniform(s.value)) this.bind(s.name, uniformBinding)
    else if (s.value.type.scalar === 'index') {
      if (!stride) throw staysScalar
      this.bind(s.name, { kind: 'linear', stride })
    } else {
      const value = this.vector(s.value)
      this.bind(s.name, { kind: 'lanes', stride, guards: this.guards(s.value) })
      return { ...s, value }
    }
    return s
  }

  private store(s: Extract<Stmt, { kind: 'store' }>): Stmt {
    const stride = this.stride(s.at)
    const bytes = sizeOf(this.memory(s.buffer).dtype)
    if (!stride || isConstant(stride, 0) || bytes > 4 || (bytes < 4 && !this.options.narrowStores)) throw staysScalar
    const value = this.vector(s.value)
    if (isConstant(stride, 1)) return { ...s, value }
    if (!this.options.stridedStores || bytes < 2) throw staysScalar
    return { ...s, value, stride }
  }

  private accumulator(name: string, op: ReduceIr, scalar: ScalarType): string {
    let known = this.accumulators.get(name)
    if (!known) this.accumulators.set(name, (known = { lanes: this.unique(`${name}Lanes`), op, scalar }))
    if (known.op !== op) throw staysScalar
    return known.lanes
  }

  private memory(parameter: number): BufferParameter {
    const p = this.kernel.parameters[parameter]
    if (p?.kind !== 'buffer' && p?.kind !== 'scratch') throw staysScalar
    return { parameter, dtype: p.dtype }
  }

  /** Gives a name a meaning; what was found out under an older one is forgotten. */
  private bind(name: string, binding: Binding): void {
    if (this.bindings.has(name)) {
      this.uniform.clear()
      this.vectors.clear()
    }
    this.bindings.set(name, binding)
  }

  /** Whether an expression has one value in all lanes. */
  private isUniform(e: Expr): boolean {
    let known = this.uniform.get(e)
    if (known === undefined) this.uniform.set(e, (known = this.findUniform(e)))
    return known
  }

  private findUniform(e: Expr): boolean {
    if (e.type.lanes > 1) throw staysScalar
    if (e.kind === 'variable') {
      if (this.accumulated.has(e.name)) throw staysScalar
      return (this.bindings.get(e.name) ?? uniformBinding).kind === 'uniform'
    }
    if ((e.kind === 'load' || e.kind === 'gather') && this.written.has(e.buffer)) return false
    return operands(e).every((x) => this.isUniform(x))
  }

  /** How far an integer is from one lane to the next; null where that is not one number. */
  private stride(e: Expr): Expr | null {
    if (this.isUniform(e)) return zero
    switch (e.kind) {
      case 'variable': {
        const b = this.bindings.get(e.name)!
        return b.kind === 'uniform' ? zero : b.stride
      }
      case 'convert':
        return isNatural(e.type.scalar) && isNatural(e.x.type.scalar) ? this.stride(e.x) : null
      case 'unary': {
        const x = e.op === 'neg' ? this.stride(e.x) : null
        return x && neg(x)
      }
      case 'binary':
        return isNatural(e.type.scalar) ? this.binaryStride(e) : null
      default:
        return null
    }
  }

  private binaryStride(e: Extract<Expr, { kind: 'binary' }>): Expr | null {
    if (e.op !== 'add' && e.op !== 'sub' && e.op !== 'mul') return null
    const [a, b] = [this.stride(e.a), this.stride(e.b)]
    if (!a || !b) return null
    if (e.op !== 'mul') return e.op === 'add' ? add(a, b) : sub(a, b)
    if (isConstant(a, 0)) return mul(convert(e.a, 'index'), b)
    return isConstant(b, 0) ? mul(a, convert(e.b, 'index')) : null
  }

  /** The values of all lanes; index lanes are i32. */
  private vector(e: Expr): Expr {
    let made = this.vectors.get(e)
    if (!made) this.vectors.set(e, (made = this.makeVector(e)))
    return made
  }

  private makeVector(e: Expr): Expr {
    const scalar: ScalarType = e.type.scalar === 'index' ? 'i32' : e.type.scalar
    if (scalar === 'i64' || scalar === 'f64') throw staysScalar
    if (this.isUniform(e)) return splat(convert(e, scalar), this.lanes)
    if (e.type.scalar === 'index') {
      const stride = this.stride(e)
      if (stride) return this.steps(e, stride)
    }
    switch (e.kind) {
      case 'variable': {
        if (this.bindings.get(e.name)?.kind !== 'lanes') throw staysScalar
        return variable(e.name, typeOf(scalar, this.lanes))
      }
      case 'unary':
        return unary(e.op, this.vector(e.x))
      case 'binary':
        return binary(e.op, this.vector(e.a), this.vector(e.b))
      case 'compare':
        return compare(e.op, this.vector(e.a), this.vector(e.b))
      case 'select':
        return this.select(e)
      case 'fma':
        return fma(this.vector(e.a), this.vector(e.b), this.vector(e.c))
      case 'convert':
        return convert(this.vector(e.x), scalar)
      case 'bitcast':
        return bitcast(this.vector(e.x), scalar)
      case 'load':
        return this.load(e)
      default:
        throw staysScalar
    }
  }

  /** first, first + stride, ... */
  private steps(first: Expr, stride: Expr): Expr {
    if (isConstant(stride, 1)) return ramp(first, this.lanes)
    const distance = mul(ramp(zero, this.lanes), splat(convert(stride, 'i32'), this.lanes))
    return add(splat(convert(first, 'i32'), this.lanes), distance)
  }

  /**
   * Lanes compute both arms. Where the condition compares positions it may guard memory that does not exist (padding): then the loop
   * stays scalar if an arm loads.
   */
  private select(e: Extract<Expr, { kind: 'select' }>): Expr {
    if (this.isUniform(e.condition)) return select(splat(e.condition, this.lanes), this.vector(e.a), this.vector(e.b))
    const loads = (arm: Expr): boolean => some(arm, (x) => x.kind === 'load' || x.kind === 'gather')
    if ((loads(e.a) || loads(e.b)) && this.guards(e.condition)) throw staysScalar
    return select(this.vector(e.condition), this.vector(e.a), this.vector(e.b))
  }

  /** Whether a mask depends on where a lane is, rather than on what memory holds. */
  private guards(e: Expr): boolean {
    if (e.kind === 'compare')
      return [e.a, e.b].some((x) => isNatural(x.type.scalar) && !this.isUniform(x) && this.stride(x) !== null)
    if (e.kind === 'variable') {
      const b = this.bindings.get(e.name)
      return b?.kind === 'lanes' && b.guards
    }
    return e.type.scalar === 'mask' && operands(e).some((x) => this.guards(x))
  }

  private load(e: Extract<Expr, { kind: 'load' }>): Expr {
    const memory = this.memory(e.buffer)
    const stride = this.stride(e.at)
    if (!stride || sizeOf(memory.dtype) > 4) throw staysScalar
    if (isConstant(stride, 0)) throw staysScalar
    return isConstant(stride, 1) ? load(memory, e.at, this.lanes) : gather(memory, e.at, stride, this.lanes)
  }
}

/** Two stores to every second element, one beside the other, are two stores of neighbours. */
function joinStores(statements: readonly Stmt[]): Stmt[] {
  const joined: Stmt[] = []
  for (const s of statements) {
    const at = isEverySecond(s) ? joined.findLastIndex((x) => isEverySecond(x) && isBeside(x, s)) : -1
    const other = joined[at]
    const between = joined.slice(at + 1)
    if (s.kind !== 'store' || other?.kind !== 'store' || !between.every((x) => isApartFrom(x, s.buffer))) {
      joined.push(s)
      continue
    }
    const { lanes } = s.value.type
    const half = (half: 'low' | 'high', from: Expr): Stmt => ({
      kind: 'store',
      buffer: s.buffer,
      at: from,
      value: zip(other.value, s.value, 1, half, 'all'),
    })
    joined.splice(at, 1)
    joined.push(half('low', other.at), half('high', add(other.at, lanes)))
  }
  return joined
}

type Store = Extract<Stmt, { kind: 'store' }>

function isEverySecond(s: Stmt): s is Store {
  const isWord = (e: Expr): boolean => (e.type.scalar === 'f32' || e.type.scalar === 'i32') && e.type.lanes >= 4
  return s.kind === 'store' && s.stride !== undefined && isConstant(s.stride, 2) && isWord(s.value)
}

/** Whether `next` goes to the elements behind those of `s`, which is as wide. */
function isBeside(s: Store, next: Store): boolean {
  if (s.buffer !== next.buffer || s.value.type.scalar !== next.value.type.scalar) return false
  const terms = new Interner()
  return terms.deep(add(s.at, 1)) === terms.deep(next.at)
}

/** Whether a statement neither reads nor writes a buffer. */
function isApartFrom(s: Stmt, buffer: number): boolean {
  const reads = (e: Expr): boolean => some(e, (x) => (x.kind === 'load' || x.kind === 'gather') && x.buffer === buffer)
  if (s.kind === 'let') return !reads(s.value)
  return s.kind === 'store' && s.buffer !== buffer && !reads(s.value)
}

function isNatural(scalar: ScalarType): boolean {
  return scalar === 'index' || scalar === 'i32'
}

export function isConstant(e: Expr, value: number): boolean {
  return e.kind === 'const' && e.value === value
}

/** The number that changes nothing. */
function identity(op: ReduceIr, scalar: ScalarType): number {
  if (op === 'add') return 0
  if (op === 'mul') return 1
  const isFloat = scalar === 'f32'
  if (op === 'max') return isFloat ? -Infinity : -(2 ** 31)
  return isFloat ? Infinity : 2 ** 31 - 1
}
