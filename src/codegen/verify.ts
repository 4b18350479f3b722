/**
 * The kernel verifier: what every dialect may rely on. Types agree, variables are declared before they are used and names are not
 * reused while visible, there is exactly one parallel loop and it is outermost, vectors have 32-bit elements, and a vector loop
 * changes outer variables by `accumulate` only.
 */
import type { DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import type { Expr, Kernel, Parameter, ReduceIr, ScalarType, Stmt, Type } from './kernel.ts'
import { windowOperands } from './walk.ts'

/** The type that elements of a dtype have in registers. */
export const registerTypes: Readonly<Record<DType, ScalarType>> = {
  bool: 'i32',
  uint8: 'i32',
  int8: 'i32',
  int32: 'i32',
  int64: 'i64',
  float16: 'f32',
  bfloat16: 'f32',
  float32: 'f32',
  float64: 'f64',
}

export function sameType(a: Type, b: Type): boolean {
  return a.scalar === b.scalar && a.lanes === b.lanes
}

export function formatType(type: Type): string {
  return type.lanes === 1 ? type.scalar : `${type.scalar}x${type.lanes}`
}

interface Variable {
  readonly type: Type
  readonly mutable: boolean
  /** Depth of loops around the declaration. */
  readonly depth: number
}

/** Throws InternalError that names the kernel and the first thing wrong with it. */
export function verifyKernel(kernel: Kernel): void {
  new Verifier(kernel).run()
}

class Verifier {
  private readonly kernel: Kernel
  private readonly variables = new Map<string, Variable>()
  private parallelLoops = 0
  private depth = 0
  /** Depth of the innermost vector loop; 0 for none. */
  private vectorDepth = 0
  private readonly accumulated = new Map<string, ReduceIr>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  run(): void {
    const scratches = this.kernel.parameters.filter((p) => p.kind === 'scratch').length
    this.check(scratches <= 1, `${scratches} scratch parameters, expected one at most`)
    this.block(this.kernel.body)
    this.check(this.parallelLoops === 1, `${this.parallelLoops} parallel loops, expected exactly one`)
  }

  private check(condition: boolean, problem: string): asserts condition {
    if (!condition) throw new InternalError(`kernel '${this.kernel.title}': ${problem}`)
  }

  private same(what: string, found: Type, expected: Type): void {
    this.check(sameType(found, expected), `${what} is ${formatType(found)}, expected ${formatType(expected)}`)
  }

  private block(statements: readonly Stmt[]): void {
    const declared: string[] = []
    for (const s of statements) {
      if (this.depth === 0) {
        const allowed = s.kind === 'let' || s.kind === 'comment' || (s.kind === 'for' && s.loop === 'parallel')
        this.check(allowed, `${s.kind} outside the parallel loop, where only let may stand`)
      }
      this.statement(s)
      if (s.kind === 'let' || s.kind === 'declare') declared.push(s.name)
    }
    for (const name of declared) this.variables.delete(name)
  }

  private declare(name: string, type: Type, mutable: boolean): void {
    this.check(/^[a-zA-Z][a-zA-Z0-9]*$/.test(name), `'${name}' is no name: expected letters and digits`)
    this.check(!this.variables.has(name), `${name} is declared twice`)
    this.variables.set(name, { type, mutable, depth: this.depth })
  }

  private target(name: string, value: Expr): Variable {
    const v = this.variables.get(name)
    this.check(v !== undefined && v.mutable, `${name} is assigned but not declared`)
    this.expression(value)
    this.same(`the value assigned to ${name}`, value.type, v.type)
    return v
  }

  private statement(s: Stmt): void {
    switch (s.kind) {
      case 'let':
      case 'declare':
        this.expression(s.value)
        this.declare(s.name, s.value.type, s.kind === 'declare')
        return
      case 'assign': {
        const v = this.target(s.name, s.value)
        this.check(v.depth >= this.vectorDepth, `a vector loop assigns the outer variable ${s.name}: use accumulate`)
        return
      }
      case 'accumulate': {
        const v = this.target(s.name, s.value)
        const other = this.accumulated.get(s.name) ?? s.op
        this.check(v.depth >= this.vectorDepth || other === s.op, `${s.name} accumulates both ${other} and ${s.op}`)
        this.accumulated.set(s.name, s.op)
        return
      }
      case 'store': {
        const p = this.memory(s.buffer)
        this.check(p.kind === 'scratch' || p.access !== 'read', `parameter ${s.buffer} is read-only but stored to`)
        this.address(s.at)
        if (s.stride) this.address(s.stride)
        this.expression(s.value)
        const expected = { scalar: registerTypes[p.dtype], lanes: s.value.type.lanes }
        this.same(`the value stored to parameter ${s.buffer} (${p.dtype})`, s.value.type, expected)
        return
      }
      case 'for':
        return this.loop(s)
      case 'if':
        this.expression(s.condition)
        this.same('the condition of an if', s.condition.type, { scalar: 'mask', lanes: 1 })
        this.block(s.then)
        this.block(s.else)
        return
      case 'tiles':
        return this.tiles(s)
      case 'prefetch':
        this.memory(s.buffer)
        return this.address(s.at)
      case 'fail':
      case 'comment':
        return
      default:
        return s satisfies never
    }
  }

  private tiles(s: Extract<Stmt, { kind: 'tiles' }>): void {
    const target = this.memory(s.target)
    this.check(target.dtype === 'float32', `tiles of ${target.dtype} sums, expected float32`)
    this.check(target.kind === 'scratch' || target.access === 'update', 'tiles update memory of their own only')
    for (const number of [s.a, s.b]) {
      const { dtype } = this.memory(number)
      this.check(dtype === 'int32' || dtype === 'float32', `pairs for tiles in ${dtype}, expected words of 32 bits`)
    }
    for (const at of [s.at, s.aAt, s.bAt, s.steps]) this.address(at)
    if (s.window) {
      const { dtype } = this.memory(s.window.table)
      this.check(dtype === 'int32' || dtype === 'float32', `offsets of taps in ${dtype}, expected words of 32 bits`)
      for (const at of windowOperands(s.window)) this.address(at)
    }
    if (s.stream) {
      const { dtype } = this.memory(s.stream.buffer)
      this.check(dtype === 'int32' || dtype === 'float32', `a stream for tiles in ${dtype}, expected words of 32 bits`)
      this.address(s.stream.ahead)
      const { split } = s.stream
      if (split) {
        this.check(s.parts === 3, 'only elements of three parts are split')
        this.address(split.at)
        this.expression(split.when)
        this.same('whether tiles split', split.when.type, { scalar: 'mask', lanes: 1 })
      }
    }
    this.expression(s.accumulate)
    this.same('whether tiles accumulate', s.accumulate.type, { scalar: 'mask', lanes: 1 })
  }

  private loop(s: Extract<Stmt, { kind: 'for' }>): void {
    this.address(s.from)
    this.address(s.to)
    this.check(Number.isSafeInteger(s.step) && s.step > 0, `the step of loop ${s.name} is ${s.step}`)
    if (s.loop === 'parallel') {
      this.check(this.depth === 0, `the parallel loop ${s.name} stands inside another loop`)
      this.check(s.step === 1, `the parallel loop ${s.name} has step ${s.step}, expected 1`)
      this.parallelLoops++
    }
    const outer = this.vectorDepth
    this.depth++
    if (s.loop === 'vector') this.vectorDepth = this.depth
    this.declare(s.name, { scalar: 'index', lanes: 1 }, false)
    this.block(s.body)
    this.variables.delete(s.name)
    this.depth--
    this.vectorDepth = outer
  }

  private memory(number: number): Extract<Parameter, { kind: 'buffer' | 'scratch' }> {
    const p = this.kernel.parameters[number]
    this.check(p?.kind === 'buffer' || p?.kind === 'scratch', `parameter ${number} is no memory`)
    return p
  }

  private address(at: Expr): void {
    this.expression(at)
    this.same('an index', at.type, { scalar: 'index', lanes: 1 })
  }

  private expression(e: Expr): void {
    const { scalar, lanes } = e.type
    const narrow = scalar === 'f32' || scalar === 'i32' || scalar === 'mask'
    this.check(lanes === 1 || narrow, `lanes of ${scalar}: vectors have 32-bit elements`)
    this.check(lanes >= 1 && (lanes & (lanes - 1)) === 0, `${lanes} lanes, expected a power of two`)
    switch (e.kind) {
      case 'const':
        return
      case 'parameter': {
        const p = this.kernel.parameters[e.index]
        this.check(p?.kind === 'index' || p?.kind === 'scalar', `parameter ${e.index} is no index and no scalar`)
        return this.same(`parameter ${e.index}`, e.type, { scalar: p.kind === 'index' ? 'index' : p.type, lanes: 1 })
      }
      case 'variable': {
        const v = this.variables.get(e.name)
        this.check(v !== undefined, `${e.name} is used before it is declared`)
        return this.same(e.name, e.type, v.type)
      }
      case 'unary':
        this.operands(e, e.type, e.x)
        return this.check(this.takes(e.op, scalar), `${e.op} of ${scalar}`)
      case 'binary':
        this.operands(e, e.type, e.a, e.b)
        return this.check(this.takes(e.op, scalar), `${e.op} of ${scalar}`)
      case 'compare':
        this.operands(e, e.a.type, e.a, e.b)
        return this.same('a comparison', e.type, { scalar: 'mask', lanes: e.a.type.lanes })
      case 'select':
        this.operands(e, { scalar: 'mask', lanes }, e.condition)
        return this.operands(e, e.type, e.a, e.b)
      case 'fma':
        this.check(isFloat(scalar), `fma of ${scalar}`)
        return this.operands(e, e.type, e.a, e.b, e.c)
      case 'convert':
        this.operands(e, { scalar: e.x.type.scalar, lanes }, e.x)
        return this.check(scalar !== 'mask', 'conversion to a mask: compare with zero')
      case 'bitcast':
        this.operands(e, { scalar: e.x.type.scalar, lanes }, e.x)
        return this.check(
          bits[scalar] !== undefined && bits[scalar] === bits[e.x.type.scalar],
          `bitcast of ${e.x.type.scalar} to ${scalar}`,
        )
      case 'load':
      case 'gather': {
        const p = this.memory(e.buffer)
        this.check(p.kind === 'scratch' || p.access !== 'write', `parameter ${e.buffer} is write-only but loaded from`)
        this.address(e.at)
        if (e.kind === 'gather') this.address(e.stride)
        const wide = p.dtype === 'int64' || p.dtype === 'float64'
        this.check(lanes === 1 || !wide, `lanes of ${p.dtype}`)
        return this.same(`a load of ${p.dtype}`, e.type, { scalar: registerTypes[p.dtype], lanes })
      }
      case 'pairs': {
        const p = this.memory(e.buffer)
        this.check(p.dtype === 'bfloat16' || p.dtype === 'float16', `pairs of ${p.dtype}, expected elements of 16 bits`)
        this.check(p.access !== 'write', `parameter ${e.buffer} is write-only but loaded from`)
        this.address(e.at)
        return this.same('pairs', e.type, { scalar: 'i32', lanes })
      }
      case 'dot':
        this.operands(e, { scalar: 'i32', lanes }, e.a, e.b)
        this.operands(e, { scalar: 'f32', lanes }, e.c)
        return this.same('a dot product', e.type, { scalar: 'f32', lanes })
      case 'zip':
        this.check(lanes >= 4, `zip of ${lanes} lanes, expected four or more`)
        this.check(e.run < 4 || (e.span === 'all' && lanes >= 8), 'a zip in runs of four within four lanes')
        return this.operands(e, e.type, e.a, e.b)
      case 'splat':
        return this.operands(e, { scalar, lanes: 1 }, e.x)
      case 'ramp':
        this.same('a ramp', e.type, { scalar: 'i32', lanes })
        this.check(e.base.type.scalar === 'index' || e.base.type.scalar === 'i32', 'the base of a ramp is no integer')
        return this.operands(e, { scalar: e.base.type.scalar, lanes: 1 }, e.base)
      case 'reduceLanes':
        return this.operands(e, { scalar, lanes: e.x.type.lanes }, e.x)
      case 'call':
        this.check(isFloat(scalar) && lanes === 1, `call of ${e.fn} on ${formatType(e.type)}: calls take one float`)
        return this.operands(e, e.type, ...e.args)
      default:
        return e satisfies never
    }
  }

  private operands(e: Expr, expected: Type, ...operands: readonly Expr[]): void {
    for (const x of operands) {
      this.expression(x)
      this.same(`an operand of ${'op' in e ? e.op : e.kind}`, x.type, expected)
    }
  }

  /** Which operations a type has. */
  private takes(op: string, scalar: ScalarType): boolean {
    if (scalar === 'mask') return op === 'not' || op === 'and' || op === 'or' || op === 'xor'
    if (op === 'mulhi') return scalar === 'i32'
    if (isFloat(scalar)) return !integerOnly.has(op)
    return !floatOnly.has(op)
  }
}

const bits: Partial<Record<ScalarType, number>> = { i32: 32, f32: 32, i64: 64, f64: 64 }
const integerOnly = new Set(['not', 'and', 'or', 'xor', 'shl', 'shr', 'ushr', 'rem'])
const floatOnly = new Set(['floor', 'ceil', 'round', 'trunc', 'sqrt', 'rounded'])

function isFloat(scalar: ScalarType): boolean {
  return scalar === 'f32' || scalar === 'f64'
}
