/**
 * Walks over kernel IR: the operands of an expression, an expression rebuilt with other operands, and expressions made once, so that
 * equal ones are one object.
 */
import type { Expr, Stmt, TileStream, TileWindow } from './kernel.ts'

export function operands(e: Expr): readonly Expr[] {
  switch (e.kind) {
    case 'const':
    case 'parameter':
    case 'variable':
      return []
    case 'unary':
    case 'convert':
    case 'bitcast':
    case 'splat':
    case 'reduceLanes':
      return [e.x]
    case 'binary':
    case 'compare':
    case 'zip':
      return [e.a, e.b]
    case 'select':
      return [e.condition, e.a, e.b]
    case 'fma':
    case 'dot':
      return [e.a, e.b, e.c]
    case 'load':
    case 'pairs':
      return [e.at]
    case 'gather':
      return [e.at, e.stride]
    case 'ramp':
      return [e.base]
    case 'call':
      return e.args
    default:
      return e satisfies never
  }
}

/** The blocks inside a statement. */
export function blocksOf(s: Stmt): readonly (readonly Stmt[])[] {
  if (s.kind === 'for') return [s.body]
  return s.kind === 'if' ? [s.then, s.else] : []
}

/** Statements and all inside them. */
export function flatten(statements: readonly Stmt[]): Stmt[] {
  return statements.flatMap((s) => [s, ...blocksOf(s).flatMap(flatten)])
}

/** The expressions of a statement, without those of the statements inside it. */
export function expressionsOf(s: Stmt): readonly Expr[] {
  switch (s.kind) {
    case 'let':
    case 'declare':
    case 'assign':
    case 'accumulate':
      return [s.value]
    case 'store':
      return s.stride ? [s.at, s.value, s.stride] : [s.at, s.value]
    case 'for':
      return [s.from, s.to]
    case 'if':
      return [s.condition]
    case 'prefetch':
      return [s.at]
    case 'tiles':
      return [s.at, s.aAt, s.bAt, s.steps, s.accumulate].concat(
        s.window ? windowOperands(s.window) : [],
        s.stream ? streamOperands(s.stream) : [],
      )
    case 'fail':
    case 'comment':
      return []
    default:
      return s satisfies never
  }
}

export function windowOperands(w: TileWindow): readonly Expr[] {
  return [w.tableAt, w.taps, w.block, w.part, w.pair]
}

export function streamOperands(s: TileStream): readonly Expr[] {
  return s.split ? [s.ahead, s.split.at, s.split.when] : [s.ahead]
}

/** The same expression over `f` of its operands; the expression itself where none changes. */
export function mapOperands(e: Expr, f: (operand: Expr) => Expr): Expr {
  const old = operands(e)
  if (old.length === 0) return e
  const made = old.map(f)
  return made.every((x, i) => x === old[i]) ? e : withOperands(e, made)
}

function withOperands(e: Expr, to: readonly Expr[]): Expr {
  const [p, q, r] = to as readonly [Expr, Expr, Expr]
  switch (e.kind) {
    case 'const':
    case 'parameter':
    case 'variable':
      return e
    case 'unary':
    case 'convert':
    case 'bitcast':
    case 'splat':
    case 'reduceLanes':
      return { ...e, x: p }
    case 'binary':
    case 'compare':
    case 'zip':
      return { ...e, a: p, b: q }
    case 'select':
      return { ...e, condition: p, a: q, b: r }
    case 'fma':
    case 'dot':
      return { ...e, a: p, b: q, c: r }
    case 'load':
    case 'pairs':
      return { ...e, at: p }
    case 'gather':
      return { ...e, at: p, stride: q }
    case 'ramp':
      return { ...e, base: p }
    case 'call':
      return { ...e, args: to }
    default:
      return e satisfies never
  }
}

/** Whether an expression costs nothing to repeat. */
export function isAtom(e: Expr): boolean {
  return e.kind === 'const' || e.kind === 'parameter' || e.kind === 'variable'
}

/** Whether a predicate holds for the expression or any below it. */
export function some(e: Expr, test: (x: Expr) => boolean): boolean {
  return test(e) || operands(e).some((x) => some(x, test))
}

/** Makes equal expressions one object, given that their operands were interned before. Variables must have unique names. */
export class Interner {
  private readonly known = new Map<string, Expr>()
  private readonly numbers = new Map<Expr, number>()

  intern(e: Expr): Expr {
    if (this.numbers.has(e)) return e
    const key = this.key(e)
    const same = this.known.get(key)
    if (same) return same
    this.known.set(key, e)
    this.numbers.set(e, this.numbers.size)
    return e
  }

  /** Interns an expression and all below it. */
  deep(e: Expr): Expr {
    return this.numbers.has(e) ? e : this.intern(mapOperands(e, (x) => this.deep(x)))
  }

  /** A number that tells interned expressions apart, in order of their making. */
  number(e: Expr): number {
    return this.numbers.get(e)!
  }

  private key(e: Expr): string {
    const below = operands(e).map((x) => this.numbers.get(x))
    return `${e.kind} ${e.type.scalar}${e.type.lanes} ${own(e)} ${below.join(' ')}`
  }
}

/** What tells an expression from others of its kind, type and operands. */
function own(e: Expr): string | number {
  switch (e.kind) {
    case 'const':
      return Object.is(e.value, -0) ? '-0' : `${typeof e.value}${e.value}`
    case 'parameter':
      return e.index
    case 'variable':
      return e.name
    case 'unary':
    case 'binary':
    case 'compare':
    case 'reduceLanes':
      return e.op
    case 'load':
    case 'gather':
    case 'pairs':
      return e.buffer
    case 'call':
      return e.fn
    case 'zip':
      return `${e.run} ${e.span} ${e.half}`
    default:
      return ''
  }
}
