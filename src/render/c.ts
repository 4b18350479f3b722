/**
 * The C dialect: prints kernels as one translation unit that includes nothing. Lanes are GCC/Clang vector types, `vector` loops are
 * simd loops for the compiler to vectorise, and a kernel is
 *
 *     void k_<hash>(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status)
 *
 * with its parameters in order as 64-bit words: pointers, indices and i32/i64 scalars as int64, f32/f64 scalars as the bits of a double.
 * The name is a hash of what is printed, so that kernels of one structure are one function.
 */
import { InternalError } from '../common/errors.ts'
import type { Expr, Kernel, Parameter, ReduceIr, Stmt, TileWindow, Type } from '../codegen/kernel.ts'
import { flatten } from '../codegen/walk.ts'
import { vectorize, type VectorizeOptions } from '../codegen/vectorize.ts'
import { baseTypes, cElements, cScalars, Helpers } from './c-helpers.ts'
import { dot, mulhi, mullo, plainWindow, splitTileProduct, tileProduct } from './c-products.ts'
import { extremum, nanExtremum, nanReduction, reduceLanes } from './c-reductions.ts'
import {
  ARITHMETIC,
  ATOM,
  atom,
  CONDITIONAL,
  constantText,
  isFloat,
  operators,
  type Text,
  UNARY,
  variableName,
  wrap,
} from './c-text.ts'
import { heldVectors } from './c-held.ts'
import { loadsByCondition, outerAccumulations, usesLanes } from './c-loops.ts'
import { needsRegions } from './c-regions.ts'
import { hashText } from './hash.ts'

/** One printed kernel. */
export interface CKernel {
  readonly name: string
  readonly title: string
  readonly text: string
  /** Helper functions and types by name, dependencies first. */
  readonly helpers: ReadonlyMap<string, string>
  /** Whether loops of its own gain from regions of registers (c-regions.ts). */
  readonly needsRegions: boolean
}

/** Prints one kernel, with vectors of `vectorBytes` bytes (a power of two from 16) and of half that for what is left of a loop. */
export function renderKernel(kernel: Kernel, vectorBytes: number): CKernel {
  const vectorized = vectorize(kernel, laneOptions(vectorBytes))
  const printer = new Printer(vectorized)
  const body = printer.kernelBody()
  const name = `k_${hashText([...printer.helpers.texts.values(), body].join('\n'))}`
  const text = `void ${name}(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {\n${body}}\n`
  return { name, title: kernel.title, text, helpers: printer.helpers.texts, needsRegions: needsRegions(vectorized) }
}

/** Prints kernels with the helpers that they need; a kernel that comes twice is printed once. `storage` stands before each: `static `, or nothing. */
export function translationUnit(kernels: readonly CKernel[], storage = ''): string {
  const helpers = new Map<string, string>()
  const functions = new Map<string, string>()
  for (const k of kernels) {
    for (const [name, text] of k.helpers) helpers.set(name, text)
    if (!functions.has(k.name)) functions.set(k.name, `// ${k.title.replace(/[\r\n\\]/g, ' ')}\n${storage}${k.text}`)
  }
  return [
    baseTypes,
    ...[...helpers.values()].map((t) => `${t}\n`),
    ...[...functions.values()].map((t) => `\n${t}`),
  ].join('')
}

export function renderC(kernels: readonly Kernel[], vectorBytes: number): string {
  return translationUnit(kernels.map((k) => renderKernel(k, vectorBytes)))
}

/** Loops of 64-bit elements, and others that are no loops over lanes, are left to the compiler. */
function laneOptions(vectorBytes: number): VectorizeOptions {
  const lanes = [vectorBytes / 4, vectorBytes / 8].filter((n) => n >= 4)
  return { lanes, accumulatorRegisters: 1, narrowStores: true, stridedStores: true, otherwise: 'vector' }
}

class Printer {
  readonly helpers = new Helpers()
  private readonly kernel: Kernel
  private readonly types = new Map<string, Type>()
  private readonly held: ReadonlySet<string>
  /** Operands of which the high words of products are taken. */
  private readonly products = new Set<string>()
  private lines: string[] = []
  private indent = 1

  constructor(kernel: Kernel) {
    this.kernel = kernel
    this.held = heldVectors(kernel)
  }

  kernelBody(): string {
    // Where a buffer is updated in place, another parameter may name the same memory.
    const aliased = this.kernel.parameters.some((p) => p.kind === 'buffer' && p.access === 'update')
    this.kernel.parameters.forEach((p, i) => this.line(this.parameter(p, i, aliased)))
    const usesTiles = flatten(this.kernel.body).some((s) => s.kind === 'tiles')
    if (usesTiles) this.line(`${this.helpers.scalar('tiles_begin')}();`)
    this.block(this.kernel.body)
    if (usesTiles) this.line(`${this.helpers.scalar('tiles_end')}();`)
    return `${this.lines.join('\n')}\n`
  }

  private parameter(p: Parameter, i: number, aliased: boolean): string {
    switch (p.kind) {
      case 'buffer': {
        const type = `${p.access === 'read' ? 'const ' : ''}${cElements[p.dtype]} *`
        return `${type}${aliased ? '' : 'restrict '}p${i} = (${type})args[${i}];`
      }
      case 'scratch': {
        const type = `${cElements[p.dtype]} *`
        return `${type}restrict p${i} = (${type})scratch;`
      }
      case 'index':
        return `const i64 n${i} = args[${i}];`
      case 'scalar': {
        const word = isFloat(p.type) ? `${this.helpers.scalar('bits_f64')}(args[${i}])` : `args[${i}]`
        const cast = p.type === 'f32' || p.type === 'i32' ? `(${cScalars[p.type]})` : ''
        return `const ${cScalars[p.type]} s${i} = ${cast}${word};`
      }
      default:
        return p satisfies never
    }
  }

  private valueOf(name: string, value: Expr): string {
    const text = this.print(value)
    return this.held.has(name) ? `${this.helpers.held(value.type)}(${text})` : text
  }

  private line(text: string): void {
    this.lines.push(`${'  '.repeat(this.indent)}${text}`)
  }

  private block(statements: readonly Stmt[]): void {
    for (const s of statements) this.statement(s)
  }

  private nested(statements: readonly Stmt[]): void {
    this.indent++
    this.block(statements)
    this.indent--
  }

  private statement(s: Stmt): void {
    switch (s.kind) {
      case 'let':
      case 'declare':
        this.types.set(s.name, s.value.type)
        return this.line(
          `${s.kind === 'let' ? 'const ' : ''}${this.helpers.type(s.value.type)} ${variableName(s.name)} = ${this.valueOf(s.name, s.value)};`,
        )
      case 'assign':
        return this.line(`${variableName(s.name)} = ${this.print(s.value)};`)
      case 'accumulate':
        return this.line(this.accumulate(variableName(s.name), s.op, s.value))
      case 'store':
        return s.stride
          ? this.scatter(s.buffer, s.at, s.value, s.stride)
          : this.line(this.store(s.buffer, s.at, s.value))
      case 'for':
        return this.loop(s)
      case 'if':
        this.line(`if (${this.print(s.condition)}) {`)
        this.nested(s.then)
        if (s.else.length > 0) {
          this.line('} else {')
          this.nested(s.else)
        }
        return this.line('}')
      case 'tiles': {
        const [target, a, b] = [this.element(s.target, s.at), this.element(s.a, s.aAt), this.element(s.b, s.bAt)]
        const product = s.parts === 1 ? tileProduct(this.helpers) : splitTileProduct(this.helpers, s.parts)
        const sums = `${target}, ${a}, ${b}, ${this.print(s.steps)}, ${this.print(s.accumulate)}`
        const window = s.window ? this.window(s.window) : plainWindow(this.helpers, s.parts)
        const { stream } = s
        const split = stream?.split
        const ahead = stream ? `${this.element(stream.buffer, stream.ahead)}, 64` : `${a}, 0`
        const words = split?.operand === 'a' ? a : b
        const fresh = split ? `${this.print(split.when)} ? (u32 *)(${words}) : 0` : '0'
        const from = stream && split ? `(const f32 *)(${this.element(stream.buffer, split.at)})` : '0'
        const splits = s.parts === 3 ? `, ${fresh}, ${from}` : ''
        return this.line(`${product}(${sums}, ${window}, ${ahead}${splits});`)
      }
      case 'prefetch':
        return this.line(`__builtin_prefetch(${this.element(s.buffer, s.at)});`)
      case 'fail':
        return this.line(`*status = ${s.code};`)
      case 'comment':
        return this.line(`// ${s.text.replace(/[\r\n\\]/g, ' ')}`)
      default:
        return s satisfies never
    }
  }

  private window(w: TileWindow): string {
    const words = [w.taps, w.block, w.part, w.pair].map((x) => this.print(x))
    return [`(const i32 *)(${this.element(w.table, w.tableAt)})`, ...words].join(', ')
  }

  private accumulate(name: string, op: ReduceIr, value: Expr): string {
    if (op === 'add') return `${name} += ${this.print(value)};`
    if (op === 'mul') return `${name} *= ${this.print(value)};`
    const combine = isFloat(value.type.scalar)
      ? nanExtremum(this.helpers, op, value.type)
      : extremum(this.helpers, op, value.type)
    return `${name} = ${combine}(${name}, ${this.print(value)});`
  }

  private loop(s: Extract<Stmt, { kind: 'for' }>): void {
    const name = variableName(s.name)
    const [from, to] = s.loop === 'parallel' ? ['begin', 'end'] : [this.print(s.from), wrap(this.expression(s.to), 10)]
    if (s.loop === 'vector' && !usesLanes(s.body) && !loadsByCondition(s.body))
      this.line(`#pragma omp simd${this.reductions(s.body)}`)
    if (s.unroll !== undefined) this.line(`#pragma GCC unroll ${s.unroll}`)
    const step = s.step === 1 ? `${name}++` : `${name} += ${s.step}`
    this.line(`for (i64 ${name} = ${from}; ${name} < ${to}; ${step}) {`)
    this.nested(s.body)
    this.line('}')
  }

  /** Clauses for the outer variables that a vector loop accumulates. */
  private reductions(body: readonly Stmt[]): string {
    const found = new Map<string, string[]>()
    for (const [name, op] of outerAccumulations(body)) {
      const type = this.types.get(name)!
      const operator =
        op === 'add' ? '+' : op === 'mul' ? '*' : isFloat(type.scalar) ? nanReduction(this.helpers, op, type) : op
      found.set(operator, [...(found.get(operator) ?? []), variableName(name)])
    }
    return [...found].map(([operator, names]) => ` reduction(${operator}:${names.join(', ')})`).join('')
  }

  private memory(number: number): { readonly element: string; readonly dtype: keyof typeof cElements } {
    const p = this.kernel.parameters[number]
    if (p?.kind !== 'buffer' && p?.kind !== 'scratch') throw new InternalError(`parameter ${number} is no memory`)
    return { element: cElements[p.dtype], dtype: p.dtype }
  }

  /** The address of an element. */
  private element(buffer: number, at: Expr): string {
    return at.kind === 'const' && at.value === 0
      ? `p${buffer}`
      : `p${buffer} + ${wrap(this.expression(at), ARITHMETIC)}`
  }

  private lanesInMemory(buffer: number, at: Expr, lanes: number, read: boolean): string {
    const type = this.helpers.memory(this.memory(buffer).element, lanes)
    return `*(${read ? 'const ' : ''}${type} *)(${this.element(buffer, at)})`
  }

  private store(buffer: number, at: Expr, value: Expr): string {
    const { dtype, element } = this.memory(buffer)
    const { lanes } = value.type
    const x = this.print(value)
    const low = dtype === 'float16' || dtype === 'bfloat16'
    if (lanes === 1) {
      const stored = low ? `${this.helpers.scalar(`to_${dtype}`)}(${x})` : x
      return `p${buffer}[${this.print(at)}] = ${stored};`
    }
    const target = this.lanesInMemory(buffer, at, lanes, false)
    if (low) return `${target} = ${this.helpers.storeBits(dtype, lanes)}(${x});`
    if (element === 'f32' || element === 'i32') return `${target} = ${x};`
    return `${target} = __builtin_convertvector(${x}, ${this.helpers.lanesOf(element, lanes)});`
  }

  /** Lanes to elements that lie apart, one by one. */
  private scatter(buffer: number, at: Expr, value: Expr, stride: Expr): void {
    this.line('{')
    this.indent++
    const { dtype, element } = this.memory(buffer)
    const low = dtype === 'float16' || dtype === 'bfloat16'
    const lanes = low ? this.helpers.lanesOf(element, value.type.lanes) : this.helpers.type(value.type)
    const x = this.print(value)
    const stored = low ? `${this.helpers.storeBits(dtype, value.type.lanes)}(${x})` : x
    this.line(`const ${lanes} lanes_ = ${stored};`)
    this.line(`${element} *const to_ = ${this.element(buffer, at)};`)
    const by = wrap(this.expression(stride), 12)
    for (let i = 0; i < value.type.lanes; i++) this.line(`to_[${i === 0 ? '0' : `${i} * ${by}`}] = lanes_[${i}];`)
    this.indent--
    this.line('}')
  }

  private load(e: Extract<Expr, { kind: 'load' }>): Text {
    const { dtype, element } = this.memory(e.buffer)
    const { lanes } = e.type
    const low = dtype === 'float16' || dtype === 'bfloat16'
    if (lanes === 1) {
      const text = `p${e.buffer}[${this.print(e.at)}]`
      return atom(low ? `${this.helpers.scalar(`from_${dtype}`)}(${text})` : text)
    }
    const source = this.lanesInMemory(e.buffer, e.at, lanes, true)
    if (low) return atom(`${this.helpers.loadBits(dtype, lanes)}(${source})`)
    if (element === 'f32' || element === 'i32') return { text: source, precedence: UNARY }
    return atom(`__builtin_convertvector(${source}, ${this.helpers.type(e.type)})`)
  }

  private print(e: Expr): string {
    return this.expression(e).text
  }

  private call(name: string, ...operands: readonly Expr[]): Text {
    return atom(`${name}(${operands.map((x) => this.print(x)).join(', ')})`)
  }

  private infix(op: string, a: Expr, b: Expr): Text {
    const [symbol, precedence] = operators[op]!
    const arithmetic = precedence >= ARITHMETIC
    const left = wrap(this.expression(a), arithmetic ? precedence : ARITHMETIC)
    const right = wrap(this.expression(b), arithmetic ? precedence + 1 : ARITHMETIC)
    return { text: `${left} ${symbol} ${right}`, precedence }
  }

  private expression(e: Expr): Text {
    switch (e.kind) {
      case 'const':
        return this.constant(e.value, e.type)
      case 'parameter':
        return atom(`${this.kernel.parameters[e.index]!.kind === 'index' ? 'n' : 's'}${e.index}`)
      case 'variable':
        return atom(variableName(e.name))
      case 'unary':
        return this.unary(e)
      case 'binary':
        return this.binary(e)
      case 'compare':
        return this.infix(e.op, e.a, e.b)
      case 'select': {
        if (e.type.lanes > 1) return this.call(this.helpers.select(e.type), e.condition, e.a, e.b)
        const [c, a, b] = [e.condition, e.a, e.b].map((x) => wrap(this.expression(x), CONDITIONAL + 1))
        return { text: `${c} ? ${a} : ${b}`, precedence: CONDITIONAL }
      }
      case 'fma': {
        const c = wrap(this.expression(e.c), 12)
        return { text: `${this.infix('mul', e.a, e.b).text} + ${c}`, precedence: 11 }
      }
      case 'convert':
        return this.convert(e.x, e.type)
      case 'bitcast':
        return this.bitcast(e.x, e.type)
      case 'load':
        return this.load(e)
      case 'pairs': {
        const type = this.helpers.memoryOf('i32', e.type.lanes, 2)
        return { text: `*(const ${type} *)(${this.element(e.buffer, e.at)})`, precedence: UNARY }
      }
      case 'dot':
        return this.call(dot(this.helpers, e.type.lanes), e.c, e.a, e.b)
      case 'zip':
        return this.call(this.helpers.zip(e), e.a, e.b)
      case 'splat':
        return this.call(this.helpers.splat(e.type), e.x)
      case 'gather': {
        const base = this.element(e.buffer, e.at)
        const { dtype } = this.memory(e.buffer)
        if (e.stride.kind === 'const' && e.stride.value === 2) {
          if (dtype === 'float32' || dtype === 'int32')
            return atom(`${this.helpers.everySecond(dtype, e.type)}(${base})`)
          if (dtype === 'float16' || dtype === 'bfloat16') {
            const bits = this.helpers.everySecond(dtype, e.type)
            return atom(`${this.helpers.loadBits(dtype, e.type.lanes)}(${bits}(${base}))`)
          }
        }
        return atom(`${this.helpers.gather(dtype, e.type)}(${base}, ${this.print(e.stride)})`)
      }
      case 'ramp':
        return this.call(this.helpers.ramp(e.type.lanes), e.base)
      case 'reduceLanes':
        return this.call(reduceLanes(this.helpers, e.op, e.x.type), e.x)
      case 'call':
        return this.call(`__builtin_${e.fn}${e.type.scalar === 'f32' ? 'f' : ''}`, ...e.args)
      default:
        return e satisfies never
    }
  }

  private constant(value: number | bigint, type: Type): Text {
    const t = constantText(value, type.scalar)
    if (type.lanes === 1) return t
    return atom(`${this.helpers.splat(type)}(${t.text})`)
  }

  private unary(e: Extract<Expr, { kind: 'unary' }>): Text {
    const { scalar, lanes } = e.type
    const prefix = (symbol: string): Text => ({
      text: `${symbol}${wrap(this.expression(e.x), ATOM)}`,
      precedence: UNARY,
    })
    switch (e.op) {
      case 'neg':
        return prefix('-')
      case 'not':
        return prefix(scalar === 'mask' && lanes === 1 ? '!' : '~')
      case 'abs': {
        if (!isFloat(scalar) && lanes === 1) return this.call(this.helpers.abs(e.type), e.x)
        if (lanes === 1) return this.call(scalar === 'f32' ? '__builtin_fabsf' : '__builtin_fabs', e.x)
        if (scalar === 'i32') {
          const x = this.print(e.x)
          return atom(`${this.helpers.select(e.type)}(${wrap(atom(x), 0)} < 0, -(${x}), ${x})`)
        }
        const bits = this.helpers.lanesOf('i32', lanes)
        const x = wrap(this.expression(e.x), ATOM)
        return { text: `(${this.helpers.type(e.type)})((${bits})${x} & 0x7fffffff)`, precedence: UNARY }
      }
      case 'rounded':
        return this.call(this.helpers.held(e.type), e.x)
      default: {
        // `round` is to nearest even, which is rint under the default rounding mode.
        const builtin = e.op === 'round' ? 'rint' : e.op
        if (lanes > 1) return this.call(this.helpers.builtin(builtin, lanes), e.x)
        return this.call(`__builtin_${builtin}${scalar === 'f32' ? 'f' : ''}`, e.x)
      }
    }
  }

  private operandsText({ a, b }: Extract<Expr, { kind: 'binary' }>): string {
    return `${this.print(a)}, ${this.print(b)}`
  }

  private binary(e: Extract<Expr, { kind: 'binary' }>): Text {
    const { scalar, lanes } = e.type
    switch (e.op) {
      case 'min':
      case 'max':
        return this.call(extremum(this.helpers, e.op, e.type), e.a, e.b)
      case 'mulhi':
        this.products.add(this.operandsText(e))
        return this.call(mulhi(this.helpers, lanes), e.a, e.b)
      case 'mul':
        if (lanes === 16 && scalar === 'i32' && this.products.has(this.operandsText(e)))
          return this.call(mullo(this.helpers), e.a, e.b)
        return this.infix(e.op, e.a, e.b)
      case 'ushr': {
        const unsigned = this.helpers.lanesOf(scalar === 'i32' ? 'u32' : 'u64', lanes)
        const x = `(${unsigned})${wrap(this.expression(e.a), UNARY)}`
        const by = wrap(this.expression(e.b), ARITHMETIC)
        return { text: `(${this.helpers.type(e.type)})(${x} >> ${by})`, precedence: UNARY }
      }
      case 'div':
      case 'rem':
        // Sizes and strides are never zero; data may be.
        if (!isFloat(scalar) && scalar !== 'index' && !(e.b.kind === 'const' && e.b.value !== 0 && e.b.value !== -1)) {
          return this.call(this.helpers.quotient(e.op, e.type), e.a, e.b)
        }
        return this.infix(e.op, e.a, e.b)
      case 'shl':
        if (e.a.kind === 'const' && lanes === 1 && scalar !== 'i32') {
          return { text: `(i64)${this.print(e.a)} << ${wrap(this.expression(e.b), ARITHMETIC)}`, precedence: 10 }
        }
        return this.infix(e.op, e.a, e.b)
      default:
        return this.infix(e.op, e.a, e.b)
    }
  }

  private convert(x: Expr, type: Type): Text {
    const cast = `(${cScalars[type.scalar]})`
    const operand = wrap(this.expression(x), UNARY)
    if (type.lanes === 1) return { text: `${cast}${operand}`, precedence: UNARY }
    const from = x.type.scalar === 'mask' ? `-${operand}` : operand
    if (type.scalar === 'i32' && x.type.scalar === 'mask') return { text: from, precedence: UNARY }
    return atom(`__builtin_convertvector(${from}, ${this.helpers.type(type)})`)
  }

  private bitcast(x: Expr, type: Type): Text {
    if (type.lanes > 1) {
      return { text: `(${this.helpers.type(type)})${wrap(this.expression(x), UNARY)}`, precedence: UNARY }
    }
    if (isFloat(type.scalar)) return this.call(this.helpers.scalar(`bits_${type.scalar}`), x)
    const bits = this.call(this.helpers.scalar(`${x.type.scalar}_bits`), x)
    return { text: `(${cScalars[type.scalar]})${bits.text}`, precedence: UNARY }
  }
}
