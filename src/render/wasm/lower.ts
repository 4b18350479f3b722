/**
 * From elements to bytes, and out of loops: a kernel whose loads and stores take byte addresses (a buffer parameter, as an `index`, is
 * its pointer), half-precision memory goes through integer bits, and what a loop does not change is computed before it. Address sums
 * are expanded and regrouped by the loop they depend on, so that little is left in the innermost one: engines compile quickly and do
 * neither. Variables get unique names and equal expressions become one object.
 */
import { sizeOf, type DType } from '../../common/dtype.ts'
import { InternalError } from '../../common/errors.ts'
import type { Expr, Kernel, Parameter, Stmt, Type } from '../../codegen/kernel.ts'
import { Interner, isAtom, mapOperands, operands } from '../../codegen/walk.ts'
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half.ts'

/** A product of factors with an integer coefficient, modulo 2^32; no factors: a constant. */
interface Term {
  readonly coefficient: number
  readonly factors: readonly Expr[]
}

/** A loop whose body is being lowered: what is computed before it. */
interface OpenLoop {
  readonly before: Stmt[]
  readonly hoisted: Map<Expr, Expr>
}

const indexType: Type = { scalar: 'index', lanes: 1 }
/** More terms than this are not multiplied out. */
const maxTerms = 8
/** Names for longer sums stay names. */
const maxInlined = 4

const fromHalf: Partial<Record<DType, (bits: Expr) => Expr>> = { float16: fromFloat16, bfloat16: fromBfloat16 }
const toHalf: Partial<Record<DType, (value: Expr) => Expr>> = { float16: toFloat16, bfloat16: toBfloat16 }

export function memoryDType(parameter: Parameter | undefined): DType {
  if (parameter?.kind !== 'buffer' && parameter?.kind !== 'scratch')
    throw new InternalError('a kernel loads from or stores to a parameter that is no memory')
  return parameter.dtype
}

export function lowerKernel(kernel: Kernel): Kernel {
  const lowering = new Lowering(kernel.parameters)
  return { ...kernel, body: lowering.block(kernel.body) }
}

class Lowering {
  private readonly parameters: readonly Parameter[]
  private readonly interner = new Interner()
  /** What a name of the kernel stands for now. */
  private readonly scope = new Map<string, Expr>()
  /** Number of loops around the definition of each variable; Infinity where its value changes. */
  private readonly variableLevels = new Map<string, number>()
  private readonly levels = new Map<Expr, number>()
  private readonly rewritten = new Map<Expr, Expr>()
  private readonly sums = new Map<Expr, readonly Term[]>()
  private readonly loops: OpenLoop[] = []
  private names = 0

  constructor(parameters: readonly Parameter[]) {
    this.parameters = parameters
  }

  block(statements: readonly Stmt[]): Stmt[] {
    const out: Stmt[] = []
    for (const s of statements) this.statement(s, out)
    return out
  }

  private statement(s: Stmt, out: Stmt[]): void {
    switch (s.kind) {
      case 'let': {
        if (s.value.type.scalar === 'index') {
          const sum = this.rewrite(s.value)
          if (this.isShortSum(sum)) return this.bind(s.name, sum)
        }
        const value = this.expression(s.value)
        if (isAtom(value) && this.level(value) < Infinity) this.bind(s.name, value)
        else out.push({ ...s, name: this.define(s.name, value.type, this.loops.length), value })
        return
      }
      case 'declare': {
        const value = this.expression(s.value)
        out.push({ ...s, name: this.define(s.name, value.type, Infinity), value })
        return
      }
      case 'assign':
      case 'accumulate':
        out.push({ ...s, name: this.target(s.name), value: this.expression(s.value) })
        return
      case 'store': {
        const dtype = memoryDType(this.parameters[s.buffer])
        const value = toHalf[dtype]?.(s.value) ?? s.value
        out.push({ ...s, at: this.hoist(this.address(s.buffer, s.at)), value: this.expression(value) })
        return
      }
      case 'for': {
        const [from, to] = [this.expression(s.from), this.expression(s.to)]
        const loop: OpenLoop = { before: [], hoisted: new Map() }
        this.loops.push(loop)
        const name = this.define(s.name, indexType, this.loops.length)
        const body = this.block(s.body)
        this.loops.pop()
        out.push(...loop.before, { ...s, name, from, to, body })
        return
      }
      case 'if':
        out.push({ ...s, condition: this.expression(s.condition), then: this.block(s.then), else: this.block(s.else) })
        return
      case 'fail':
        out.push(s)
        return
      case 'tiles':
        throw new InternalError('WebAssembly has no tiles: its capabilities do not name them')
      case 'prefetch':
      case 'comment':
        return
      default:
        return s satisfies never
    }
  }

  private define(name: string, type: Type, level: number): string {
    const unique = `${name}.${this.names++}`
    this.variableLevels.set(unique, level)
    this.bind(name, this.interner.intern({ kind: 'variable', type, name: unique }))
    return unique
  }

  /** Gives a name a meaning; expressions rewritten under an older one are forgotten. */
  private bind(name: string, value: Expr): void {
    if (this.scope.has(name)) {
      this.rewritten.clear()
      this.sums.clear()
    }
    this.scope.set(name, value)
  }

  private target(name: string): string {
    const v = this.scope.get(name)
    if (v?.kind !== 'variable') throw new InternalError(`a kernel assigns to ${name}, which is not declared`)
    return v.name
  }

  private expression(e: Expr): Expr {
    return this.hoist(this.rewrite(e))
  }

  /** Names resolved, addresses in bytes, index sums regrouped. */
  private rewrite(e: Expr): Expr {
    const known = this.rewritten.get(e)
    if (known) return known
    const made = this.rewriteOnce(e)
    this.rewritten.set(e, made)
    return made
  }

  private rewriteOnce(e: Expr): Expr {
    switch (e.kind) {
      case 'variable':
        return this.scope.get(e.name) ?? this.interner.intern(e)
      case 'load':
      case 'gather': {
        const dtype = memoryDType(this.parameters[e.buffer])
        const half = fromHalf[dtype]
        const type: Type = half ? { scalar: 'i32', lanes: e.type.lanes } : e.type
        const at = this.address(e.buffer, e.at)
        const raw =
          e.kind === 'load'
            ? { ...e, type, at }
            : { ...e, type, at, stride: this.sum(scale(this.terms(e.stride), sizeOf(dtype))) }
        const bits = this.interner.intern(raw)
        return half ? this.interner.deep(half(bits)) : bits
      }
      case 'pairs':
      case 'dot':
        throw new InternalError(`WebAssembly has no ${e.kind} of bfloat16: its capabilities do not name them`)
      case 'binary':
        if (e.type.scalar === 'index' && (e.op === 'add' || e.op === 'sub' || e.op === 'mul'))
          return this.sum(this.terms(e))
        break
      default:
    }
    return this.interner.intern(mapOperands(e, (x) => this.rewrite(x)))
  }

  /** The byte address of an element, as a sum regrouped by loops. */
  private address(buffer: number, at: Expr): Expr {
    const pointer = this.interner.intern({ kind: 'parameter', type: indexType, index: buffer })
    const bytes = scale(this.terms(at), sizeOf(memoryDType(this.parameters[buffer])))
    return this.sum([{ coefficient: 1, factors: [pointer] }, ...bytes])
  }

  /** An index expression as a sum of products. */
  private terms(e: Expr): readonly Term[] {
    let known = this.sums.get(e)
    if (!known) this.sums.set(e, (known = this.findTerms(e)))
    return known
  }

  private findTerms(e: Expr): readonly Term[] {
    if (e.kind === 'const') return [{ coefficient: Number(BigInt.asIntN(32, BigInt(e.value))), factors: [] }]
    if (e.kind === 'convert' && e.x.type.scalar === 'i32') return this.terms(e.x)
    if (e.kind === 'unary' && e.op === 'neg') return scale(this.terms(e.x), -1)
    if (e.kind === 'binary') {
      if (e.op === 'add') return this.collect([...this.terms(e.a), ...this.terms(e.b)])
      if (e.op === 'sub') return this.collect([...this.terms(e.a), ...scale(this.terms(e.b), -1)])
      if (e.op === 'mul') {
        const [a, b] = [this.terms(e.a), this.terms(e.b)]
        if (a.length * b.length <= maxTerms) return this.collect(a.flatMap((p) => b.map((q) => this.product(p, q))))
        const product: Expr = { kind: 'binary', type: indexType, op: 'mul', a: this.sum(a), b: this.sum(b) }
        return [{ coefficient: 1, factors: [this.interner.intern(product)] }]
      }
    }
    const x = this.rewrite(e)
    return x !== e && !isFactor(x) ? this.terms(x) : [{ coefficient: 1, factors: [x] }]
  }

  /** Whether a name for an index is better replaced by what it stands for, so that addresses can be regrouped through it. */
  private isShortSum(e: Expr): boolean {
    if (this.level(e) === Infinity) return false
    const terms = this.terms(e)
    return terms.length <= maxInlined && terms.every((t) => t.factors.every(isAtom))
  }

  private product(p: Term, q: Term): Term {
    const factors = [...p.factors, ...q.factors].sort((x, y) => this.order(x, y))
    return { coefficient: Math.imul(p.coefficient, q.coefficient), factors }
  }

  /** What changes seldom comes first. */
  private order(x: Expr, y: Expr): number {
    const [p, q] = [this.level(x), this.level(y)]
    return p === q ? this.interner.number(x) - this.interner.number(y) : p - q
  }

  /** Adds up terms of the same factors. */
  private collect(terms: readonly Term[]): Term[] {
    const byFactors = new Map<string, Term>()
    for (const t of terms) {
      const key = t.factors.map((f) => this.interner.number(f)).join()
      const coefficient = (t.coefficient + (byFactors.get(key)?.coefficient ?? 0)) | 0
      byFactors.set(key, { coefficient, factors: t.factors })
    }
    return [...byFactors.values()].filter((t) => t.coefficient !== 0)
  }

  /** ((what changes in outer loops) + what changes in inner loops) + constant. */
  private sum(terms: readonly Term[]): Expr {
    const levelOf = (t: Term): number =>
      t.factors.length === 0 ? Infinity : this.level(t.factors[t.factors.length - 1]!)
    const sorted = this.collect(terms).sort((p, q) => {
      const constants = Number(p.factors.length === 0) - Number(q.factors.length === 0)
      if (constants !== 0) return constants
      const [a, b] = [levelOf(p), levelOf(q)]
      return a === b ? this.order(p.factors[0]!, q.factors[0]!) : a - b
    })
    let total: Expr | null = null
    for (const t of sorted) {
      const subtract: boolean = total !== null && t.factors.length > 0 && t.coefficient < 0
      const value = this.termValue(subtract ? { ...t, coefficient: -t.coefficient } : t)
      total = total === null ? value : this.binary(subtract ? 'sub' : 'add', total, value)
    }
    return total ?? this.constant(0)
  }

  private termValue(t: Term): Expr {
    let value: Expr | null = t.coefficient === 1 && t.factors.length > 0 ? null : this.constant(t.coefficient)
    for (const f of t.factors) value = value === null ? f : this.binary('mul', f, value)
    return value!
  }

  private constant(value: number): Expr {
    return this.interner.intern({ kind: 'const', type: indexType, value: value | 0 })
  }

  private binary(op: 'add' | 'sub' | 'mul', a: Expr, b: Expr): Expr {
    return this.interner.intern({ kind: 'binary', type: indexType, op, a, b })
  }

  /** Number of loops whose variables an expression needs; Infinity where memory, calls or changing variables are in it. */
  private level(e: Expr): number {
    if (e.kind === 'variable') return this.variableLevels.get(e.name) ?? Infinity
    if (e.kind === 'load' || e.kind === 'gather' || e.kind === 'call') return Infinity
    let level = this.levels.get(e)
    if (level === undefined) {
      level = 0
      for (const x of operands(e)) level = Math.max(level, this.level(x))
      this.levels.set(e, level)
    }
    return level
  }

  /** Replaces the largest parts that do not change in the innermost loops by variables set before them. */
  private hoist(e: Expr, depth: number = this.loops.length, done = new Map<Expr, Expr>()): Expr {
    if (isAtom(e)) return e
    const level = this.level(e)
    const isOffset = e.kind === 'binary' && e.op === 'add' && e.type.scalar === 'index' && e.b.kind === 'const'
    if (level >= depth || isOffset) {
      let made = done.get(e)
      if (!made) done.set(e, (made = this.interner.intern(mapOperands(e, (x) => this.hoist(x, depth, done)))))
      return made
    }
    const { before, hoisted } = this.loops[level]!
    const known = hoisted.get(e)
    if (known) return known
    const value = this.hoist(e, level)
    const name = `h.${this.names++}`
    this.variableLevels.set(name, level)
    const variable = this.interner.intern({ kind: 'variable', type: e.type, name })
    before.push({ kind: 'let', name, value })
    hoisted.set(e, variable)
    return variable
  }
}

/** Whether `terms` takes an expression as a whole. */
function isFactor(e: Expr): boolean {
  return e.kind !== 'const' && (e.kind !== 'binary' || (e.op !== 'add' && e.op !== 'sub' && e.op !== 'mul'))
}

function scale(terms: readonly Term[], by: number): Term[] {
  return terms.map((t) => ({ ...t, coefficient: Math.imul(t.coefficient, by) }))
}
