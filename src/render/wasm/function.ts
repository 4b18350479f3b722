/**
 * One kernel as one function: statements, variables in locals, and values that a statement needs twice. The function takes the address
 * of the arguments (64-bit words in the order of the parameters), the range of the parallel loop, private memory, and where to put a
 * fault code.
 */
import { InternalError } from '../../common/errors.ts'
import type { CallIr, Expr, Kernel, Parameter, Stmt } from '../../codegen/kernel.ts'
import { isAtom, operands } from '../../codegen/walk.ts'
import { CodeWriter } from './code.ts'
import { groupsOf, reduceOpcode, scalarShape, valueType, vectorShape, type Emitter } from './emitter.ts'
import type { FunctionType } from './encoder.ts'
import { lowerKernel } from './lower.ts'
import type { ValueType } from './opcodes.ts'
import { emitConstant, emitScalar, emitStore } from './scalars.ts'
import { emitVector, emitVectorStore } from './vectors.ts'

export const kernelType: FunctionType = { parameters: ['i32', 'i32', 'i32', 'i32', 'i32'], results: [] }
const argumentsLocal = 0
const beginLocal = 1
const endLocal = 2
const scratchLocal = 3
const statusLocal = 4
const wordBytes = 8

export interface FunctionOptions {
  readonly relaxedSimd: boolean
  /** Numbers of the imported functions. */
  readonly callees: ReadonlyMap<CallIr, number>
  readonly withText: boolean
}

/** Compiles a kernel whose vector loops have been turned into lanes. */
export function compileFunction(kernel: Kernel, options: FunctionOptions): CodeWriter {
  const compiler = new FunctionCompiler(lowerKernel(kernel), options)
  return compiler.compile()
}

class FunctionCompiler implements Emitter {
  readonly code: CodeWriter
  readonly parameters: readonly Parameter[]
  readonly relaxedSimd: boolean
  private readonly kernel: Kernel
  private readonly callees: ReadonlyMap<CallIr, number>
  /** Local of each parameter. */
  private readonly parameterLocals: number[] = []
  /** Locals of each variable, one for each group of lanes. */
  private readonly variables = new Map<string, readonly number[]>()
  /** Of the statement being compiled: uses of each expression, locals of values that are known, and locals to give back. */
  private uses = new Map<Expr, number>()
  private known = new Map<Expr, (number | undefined)[]>()
  private temporaries: number[] = []

  constructor(kernel: Kernel, options: FunctionOptions) {
    this.kernel = kernel
    this.parameters = kernel.parameters
    this.relaxedSimd = options.relaxedSimd
    this.callees = options.callees
    this.code = new CodeWriter(kernelType.parameters, options.withText)
  }

  compile(): CodeWriter {
    this.parameters.forEach((p, i) => this.parameterLocals.push(this.loadParameter(p, i)))
    this.block(this.kernel.body)
    return this.code
  }

  value(e: Expr, group: number): void {
    if (e.kind === 'variable') return this.code.get(this.local(e.name, group))
    if (e.kind === 'parameter') return this.code.get(this.parameterLocals[e.index]!)
    const g = groupOf(e, group)
    const known = this.known.get(e)?.[g]
    if (known !== undefined) return this.code.get(known)
    this.compute(e, g)
    if (this.isShared(e)) this.code.tee(this.remember(e, g))
  }

  keep(e: Expr, group: number): void {
    const g = groupOf(e, group)
    if (isAtom(e) || this.known.get(e)?.[g] !== undefined) return
    this.compute(e, g)
    this.code.set(this.remember(e, g))
  }

  isShared(e: Expr): boolean {
    return (this.uses.get(e) ?? 0) > 1 && e.kind !== 'const'
  }

  branch(emit: () => void): void {
    const before = this.known
    this.known = new Map([...before].map(([e, locals]) => [e, [...locals]]))
    emit()
    this.known = before
  }

  temporary(type: ValueType): number {
    const local = this.code.local(type)
    this.temporaries.push(local)
    return local
  }

  callee(fn: CallIr): number {
    const callee = this.callees.get(fn)
    if (callee === undefined) throw new InternalError(`the host function ${fn} is not imported`)
    return callee
  }

  private compute(e: Expr, group: number): void {
    if (e.type.lanes > 1) emitVector(this, e, group)
    else emitScalar(this, e)
  }

  private remember(e: Expr, group: number): number {
    const local = this.temporary(valueType(e))
    const locals = this.known.get(e) ?? []
    locals[group] = local
    this.known.set(e, locals)
    return local
  }

  private local(name: string, group: number): number {
    const local = this.variables.get(name)?.[group]
    if (local === undefined) throw new InternalError(`kernel '${this.kernel.title}' uses ${name} before it is declared`)
    return local
  }

  private loadParameter(p: Parameter, i: number): number {
    if (p.kind === 'scratch') return scratchLocal
    const type = p.kind === 'scalar' ? scalarShape(p.type) : 'i32'
    const local = this.code.local(type)
    this.code.get(argumentsLocal)
    const isFloat = type === 'f32' || type === 'f64'
    this.code.memory(isFloat ? 'f64.load' : `${type}.load`, 2, i * wordBytes)
    if (type === 'f32') this.code.op('f32.demote_f64')
    this.code.set(local)
    return local
  }

  private block(statements: readonly Stmt[]): void {
    const declared: string[] = []
    for (const s of statements) {
      this.statement(s)
      if (s.kind === 'let' || s.kind === 'declare') declared.push(s.name)
    }
    for (const name of declared) this.forget(name)
  }

  private statement(s: Stmt): void {
    switch (s.kind) {
      case 'let':
      case 'declare':
        return this.simple([s.value], () => {
          const locals = this.define(s.name, s.value)
          locals.forEach((local, g) => {
            this.value(s.value, g)
            this.code.set(local)
          })
        })
      case 'assign':
        return this.simple([s.value], () => this.update(s.name, s.value, () => {}))
      case 'accumulate':
        return this.accumulate(s)
      case 'store':
        return this.simple([s.at, s.value], () =>
          s.value.type.lanes > 1 ? emitVectorStore(this, s) : emitStore(this, s),
        )
      case 'for':
        return this.loop(s)
      case 'if':
        this.simple([s.condition], () => this.value(s.condition, 0))
        this.code.block('if')
        this.block(s.then)
        if (s.else.length > 0) {
          this.code.op('else')
          this.block(s.else)
        }
        return this.code.op('end')
      case 'fail':
        this.code.get(statusLocal)
        this.code.i32(s.code)
        return this.code.memory('i32.store', 2, 0)
      case 'tiles':
      case 'prefetch':
      case 'comment':
        return
      default:
        return s satisfies never
    }
  }

  /** A statement over expressions: counts what it needs twice, and gives its temporaries back. */
  private simple(roots: readonly Expr[], emit: () => void): void {
    this.uses = countUses(roots)
    emit()
    this.known = new Map()
    for (const local of this.temporaries) this.code.release(local)
    this.temporaries = []
  }

  private define(name: string, value: Expr): readonly number[] {
    const type = valueType(value)
    const locals = Array.from({ length: groupsOf(value) }, () => this.code.local(type))
    this.variables.set(name, locals)
    return locals
  }

  private forget(name: string): void {
    for (const local of this.variables.get(name) ?? []) this.code.release(local)
    this.variables.delete(name)
  }

  /** Computes all groups before it sets the first: the value may read the variable. */
  private update(name: string, value: Expr, join: (group: number) => void): void {
    const groups = groupsOf(value)
    for (let g = 0; g < groups; g++) {
      this.value(value, g)
      join(g)
    }
    for (let g = groups - 1; g >= 0; g--) this.code.set(this.local(name, g))
  }

  private accumulate(s: Extract<Stmt, { kind: 'accumulate' }>): void {
    const { type } = s.value
    const shape = type.lanes > 1 ? vectorShape(type.scalar) : scalarShape(type.scalar)
    const variable: Expr = { kind: 'variable', type, name: s.name }
    if (shape === 'i32' || shape === 'i64') {
      const value: Expr = { kind: 'binary', type, op: s.op, a: variable, b: s.value }
      return this.simple([value], () => this.update(s.name, value, () => {}))
    }
    this.simple([s.value], () =>
      this.update(s.name, s.value, (g) => {
        this.value(variable, g)
        this.code.op(reduceOpcode(s.op, shape))
      }),
    )
  }

  /** Tests before the first iteration, then at the end of each. */
  private loop(s: Extract<Stmt, { kind: 'for' }>): void {
    const { code } = this
    const i = code.local('i32')
    this.variables.set(s.name, [i])
    const owned: number[] = [i]
    let end = (): void => code.get(endLocal)
    if (s.loop === 'parallel') {
      code.get(beginLocal)
      code.set(i)
    } else {
      end = this.loopEnd(s.to, owned)
      this.simple([s.from], () => {
        this.value(s.from, 0)
        code.set(i)
      })
    }
    code.get(i)
    end()
    code.op('i32.lt_s')
    code.block('if')
    code.block('loop')
    this.block(s.body)
    code.get(i)
    code.i32(s.step)
    code.op('i32.add')
    code.tee(i)
    end()
    code.op('i32.lt_s')
    code.branchIf(0)
    code.op('end')
    code.op('end')
    this.variables.delete(s.name)
    for (const local of owned) code.release(local)
  }

  /** How to push the end of a loop, computed once. */
  private loopEnd(to: Expr, owned: number[]): () => void {
    if (to.kind === 'const') return () => emitConstant(this, to.value, 'index')
    if (to.kind === 'parameter') return () => this.value(to, 0)
    const local = this.code.local('i32')
    owned.push(local)
    this.simple([to], () => {
      this.value(to, 0)
      this.code.set(local)
    })
    return () => this.code.get(local)
  }
}

/** The groups of a splat are alike. */
function groupOf(e: Expr, group: number): number {
  return e.type.lanes === 1 || e.kind === 'splat' ? 0 : group
}

/** How often each expression is needed: by how many others, or groups of others. */
function countUses(roots: readonly Expr[]): Map<Expr, number> {
  const uses = new Map<Expr, number>()
  const visit = (e: Expr, times: number): void => {
    const seen = uses.get(e) ?? 0
    uses.set(e, seen + times)
    if (seen > 0) return
    for (const x of operands(e)) {
      const repeats = e.type.lanes > 1 && e.kind !== 'splat' && (x.type.lanes === 1 || x.kind === 'splat')
      visit(x, repeats ? groupsOf(e) : 1)
    }
  }
  for (const e of roots) visit(e, 1)
  return uses
}
