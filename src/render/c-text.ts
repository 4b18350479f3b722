/** The smallest pieces of printed C: precedences, names and constants. */
import type { ScalarType } from '../codegen/kernel.ts'

/** A piece of C with the precedence of its outermost operator. */
export interface Text {
  readonly text: string
  readonly precedence: number
}

export const ATOM = 14
export const UNARY = 13
export const operators: Readonly<Record<string, readonly [symbol: string, precedence: number]>> = {
  mul: ['*', 12],
  div: ['/', 12],
  rem: ['%', 12],
  add: ['+', 11],
  sub: ['-', 11],
  shl: ['<<', 10],
  shr: ['>>', 10],
  lt: ['<', 9],
  le: ['<=', 9],
  gt: ['>', 9],
  ge: ['>=', 9],
  eq: ['==', 8],
  ne: ['!=', 8],
  and: ['&', 7],
  xor: ['^', 6],
  or: ['|', 5],
}
export const CONDITIONAL = 2

/** Below this an operand of another operator is put in parentheses even where C needs none: few remember the order of & and ==. */
export const ARITHMETIC = 11

const reserved = new Set(
  (
    'auto break case char const continue default do double else enum extern float for goto if inline int long register restrict return ' +
    'short signed sizeof static struct switch typedef union unsigned void volatile while i8 u8 u16 i32 u32 i64 u64 f32 f64 ' +
    'args begin end scratch status asm typeof linux unix'
  ).split(' '),
)

/** The name of a variable in C: kept, but for C's words and the printer's own names. */
export function variableName(name: string): string {
  return reserved.has(name) || /^[pns]\d+$|^[iuf]\d+x\d+u?$/.test(name) ? `${name}_` : name
}

export const atom = (text: string): Text => ({ text, precedence: ATOM })

export function wrap(t: Text, least: number): string {
  return t.precedence < least ? `(${t.text})` : t.text
}

export function isFloat(scalar: ScalarType): boolean {
  return scalar === 'f32' || scalar === 'f64'
}

export function constantText(value: number | bigint, scalar: ScalarType): Text {
  const negative = typeof value === 'bigint' ? value < 0n : value < 0 || Object.is(value, -0)
  const at = (text: string): Text => ({ text, precedence: negative ? UNARY : ATOM })
  if (isFloat(scalar)) {
    const single = scalar === 'f32'
    const x = Number(value)
    if (Number.isNaN(x)) return atom(single ? '__builtin_nanf("")' : '__builtin_nan("")')
    const sign = negative ? '-' : ''
    if (!Number.isFinite(x)) return at(`${sign}__builtin_inf${single ? 'f' : ''}()`)
    const digits = single ? shortestSingle(Math.abs(x)) : String(Math.abs(x))
    return at(`${sign}${/[.e]/.test(digits) ? digits : `${digits}.0`}${single ? 'f' : ''}`)
  }
  if (scalar === 'i32' || scalar === 'mask') {
    return value === -2147483648 ? { text: '-2147483647 - 1', precedence: ARITHMETIC } : at(String(value))
  }
  if (value === -(2n ** 63n)) return { text: '-9223372036854775807LL - 1', precedence: ARITHMETIC }
  return at(Math.abs(Number(value)) < 2 ** 31 ? String(value) : `${value}LL`)
}

/** The fewest digits that read back as the same float32. */
function shortestSingle(x: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(x.toPrecision(digits)))
    if (Math.fround(Number(text)) === x) return text
  }
  return String(Number(x.toPrecision(9)))
}

/** A string literal that holds the UTF-8 of a text; what is not printable ASCII is written as octal. */
export function stringText(text: string): string {
  const bytes = new TextEncoder().encode(text)
  const written = Array.from(bytes, (b) => {
    const isPlain = b >= 32 && b < 127 && b !== 34 && b !== 92 && b !== 63
    return isPlain ? String.fromCharCode(b) : `\\${b.toString(8).padStart(3, '0')}`
  })
  return `"${written.join('')}"`
}
