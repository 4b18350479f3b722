/**
 * C helpers that join values: the larger and the smaller of two, and all lanes of a vector. On x86 one instruction compares and chooses, which GCC
 * does not make of a comparison and a choice by bits.
 */
import type { ReduceIr, Type } from '../codegen/kernel.ts'
import type { Helpers } from './c-helpers.ts'

/** The second operand where either is NaN, or both are zeros. */
export function extremum(helpers: Helpers, op: 'min' | 'max', type: Type): string {
  const t = helpers.type(type)
  const { scalar, lanes } = type
  const comparison = op === 'min' ? 'a < b' : 'a > b'
  const plain = `return ${lanes === 1 ? `${comparison} ? a : b` : `${helpers.select(type)}(${comparison}, a, b)`};`
  const body = scalar === 'f32' && lanes > 1 ? byInstruction(op, lanes, plain) : ` ${plain} `
  return helpers.define(`${op}_${t}`, `static inline ${t} ${op}_${t}(${t} a, ${t} b) {${body}}`)
}

/** What has the instruction, by lanes. Longer vectors are several registers. */
const features: Readonly<Record<number, string>> = { 4: '__SSE2__', 8: '__AVX2__', 16: '__AVX512F__' }

function byInstruction(op: 'min' | 'max', lanes: number, plain: string): string {
  const feature = features[lanes]
  if (feature === undefined) return ` ${plain} `
  const builtin = `__builtin_ia32_${op}ps`
  const call = { 4: `${builtin}(a, b)`, 8: `${builtin}256(a, b)`, 16: `${builtin}512_mask(a, b, a, -1, 4)` }[lanes]
  return `
#if defined(${feature}) && !defined(__clang__)
  return ${call};
#else
  ${plain}
#endif
`
}

/** Like `extremum`, but a NaN in either operand stays. */
export function nanExtremum(helpers: Helpers, op: 'min' | 'max', type: Type): string {
  const t = helpers.type(type)
  const { scalar, lanes } = type
  const comparison = op === 'min' ? 'b < a' : 'b > a'
  const value =
    lanes === 1
      ? `${comparison} || b != b ? b : a`
      : scalar === 'f32' && features[lanes] !== undefined
        ? `${helpers.select(type)}(b != b, b, ${extremum(helpers, op, type)}(b, a))`
        : `${helpers.select(type)}((${comparison}) | (b != b), b, a)`
  return helpers.define(`nan${op}_${t}`, `static inline ${t} nan${op}_${t}(${t} a, ${t} b) { return ${value}; }`)
}

/** Makes `nanmax_f32` and its like known as reductions of simd loops. */
export function nanReduction(helpers: Helpers, op: 'min' | 'max', type: Type): string {
  const name = nanExtremum(helpers, op, type)
  const infinity = op === 'min' ? '__builtin_inf()' : '-__builtin_inf()'
  helpers.define(
    `reduction_${name}`,
    `#pragma omp declare reduction(${name} : ${helpers.type({ ...type, lanes: 1 })} : omp_out = ${name}(omp_out, omp_in)) initializer(omp_priv = ${infinity})`,
  )
  return name
}

/**
 * Lanes combined in halves: ((0 4) (2 6)) ((1 5) (3 7)). Where the compiler has shuffles, vectors are: lane by lane it would take longer than
 * the loop before it where rows are short.
 */
export function reduceLanes(helpers: Helpers, op: ReduceIr, type: Type): string {
  const { scalar, lanes } = type
  const combine = (a: string, b: string, width = 1): string => {
    if (op === 'add') return `(${a} + ${b})`
    if (op === 'mul') return `(${a} * ${b})`
    const of: Type = { scalar, lanes: width }
    return `${scalar === 'f32' ? nanExtremum(helpers, op, of) : extremum(helpers, op, of)}(${a}, ${b})`
  }
  let parts = Array.from({ length: lanes }, (_, i) => `x[${i}]`)
  while (parts.length > 1) {
    const half = parts.length / 2
    parts = parts.slice(0, half).map((p, i) => combine(p, parts[i + half]!))
  }
  const steps: string[] = []
  let last = 'x'
  const step = (width: number, left: readonly number[], right: readonly number[]): void => {
    const half = (lanesOf: readonly number[]): string =>
      `__builtin_shufflevector(${last}, ${last}, ${lanesOf.join(', ')})`
    const next = `x${steps.length}`
    steps.push(
      `  const ${helpers.type({ scalar, lanes: width })} ${next} = ${combine(half(left), half(right), width)};`,
    )
    last = next
  }
  const from = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i)
  for (let width = lanes / 2; width >= 4; width /= 2) step(width, from(0, width), from(width, width))
  // Vectors of four are the narrowest: their halves meet in all lanes.
  step(4, from(0, 4), [2, 3, 0, 1])
  step(4, from(0, 4), [1, 0, 3, 2])
  const vector = helpers.type(type)
  const name = `reduce_${op}_${vector}`
  const plain = `  return ${parts[0]};`
  const shuffled = `${steps.join('\n')}\n  return ${last}[0];`
  const body =
    lanes < 4
      ? plain
      : `#ifdef __has_builtin\n#if __has_builtin(__builtin_shufflevector)\n${shuffled}\n#endif\n#endif\n${plain}`
  return helpers.define(name, `static inline ${helpers.type({ scalar, lanes: 1 })} ${name}(${vector} x) {\n${body}\n}`)
}
