/**
 * Small C functions and types that printed kernels call: vector types, selection by bits, low-precision conversions, maxima that keep
 * a NaN. Each is printed only where it is used. Names hold an underscore or a lane count, which names of variables never do.
 */
import type { DType } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import type { Expr, ScalarType, Type } from '../codegen/kernel.ts'

export const baseTypes = `typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned u32;
typedef long long i64;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
`

/** C types of registers; a scalar mask is 0 or 1, a lane of a mask 0 or -1. */
export const cScalars: Readonly<Record<ScalarType, string>> = {
  index: 'i64',
  i32: 'i32',
  i64: 'i64',
  f32: 'f32',
  f64: 'f64',
  mask: 'i32',
}

/** C types of elements in memory. float16 and bfloat16 are bits: compilers differ in whether they know the types. */
export const cElements: Readonly<Record<DType, string>> = {
  bool: 'u8',
  uint8: 'u8',
  int8: 'i8',
  int32: 'i32',
  int64: 'i64',
  float16: 'u16',
  bfloat16: 'u16',
  float32: 'f32',
  float64: 'f64',
}

const widths: Readonly<Record<string, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  i64: 8,
  u64: 8,
  f64: 8,
}

const scalarHelpers: Readonly<Record<string, { needs: readonly string[]; text: string }>> = {
  f32_bits: {
    needs: [],
    text: 'static inline u32 f32_bits(f32 x) { u32 r; __builtin_memcpy(&r, &x, 4); return r; }',
  },
  bits_f32: {
    needs: [],
    text: 'static inline f32 bits_f32(u32 x) { f32 r; __builtin_memcpy(&r, &x, 4); return r; }',
  },
  f64_bits: {
    needs: [],
    text: 'static inline u64 f64_bits(f64 x) { u64 r; __builtin_memcpy(&r, &x, 8); return r; }',
  },
  bits_f64: {
    needs: [],
    text: 'static inline f64 bits_f64(u64 x) { f64 r; __builtin_memcpy(&r, &x, 8); return r; }',
  },
  // bfloat16 is the high half of a float32; rounding is to nearest even, and a NaN stays one.
  from_bfloat16: {
    needs: ['bits_f32'],
    text: 'static inline f32 from_bfloat16(u16 x) { return bits_f32((u32)x << 16); }',
  },
  to_bfloat16: {
    needs: ['f32_bits'],
    text: `static inline u16 to_bfloat16(f32 x) {
  u32 u = f32_bits(x);
  u32 rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return (u16)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
}`,
  },
  // By integer arithmetic, which every compiler turns into vectors (gcc 12 converts _Float16 one by one): multiplying by 2^112
  // moves the exponent's bias and makes subnormals normal.
  from_float16: {
    needs: ['bits_f32', 'f32_bits'],
    text: `static inline f32 from_float16(u16 x) {
  u32 magnitude = ((u32)x & 0x7fffu) << 13;
  u32 finite = f32_bits(bits_f32(magnitude) * 0x1p112f);
  u32 special = magnitude | 0x7f800000u;
  return bits_f32((magnitude >= 0x0f800000u ? special : finite) | ((u32)x & 0x8000u) << 16);
}`,
  },
  to_float16: {
    needs: ['bits_f32', 'f32_bits'],
    text: `static inline u16 to_float16(f32 x) {
  u32 u = f32_bits(x), magnitude = u & 0x7fffffffu;
  u32 subnormal = f32_bits(bits_f32(magnitude) + 0.5f) - 0x3f000000u;
  u32 normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
  u32 finite = magnitude < 0x38800000u ? subnormal : normal;
  u32 large = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return (u16)((magnitude >= 0x477ff000u ? large : finite) | (u >> 16 & 0x8000u));
}`,
  },
  // Every tile has 16 rows of 64 bytes. The registers belong to the thread, and cost the system time while they are in use.
  tiles_begin: {
    needs: [],
    text: `static inline void tiles_begin(void) {
  u8 shape[64] __attribute__((aligned(64))) = {1};
  for (int i = 0; i < 8; i++) shape[16 + 2 * i] = 64, shape[48 + i] = 16;
  __asm__ volatile("ldtilecfg %0" : : "m"(shape));
}`,
  },
  tiles_end: { needs: [], text: 'static inline void tiles_end(void) { __asm__ volatile("tilerelease"); }' },
  mulhi_i32: {
    needs: [],
    text: 'static inline i32 mulhi_i32(i32 a, i32 b) { return (i32)(((u64)(u32)a * (u32)b) >> 32); }',
  },
}

/** The helpers that one kernel uses, dependencies first. */
export class Helpers {
  readonly texts = new Map<string, string>()

  /** Notes a helper, once; returns its name. */
  define(name: string, text: string): string {
    if (!this.texts.has(name)) this.texts.set(name, text)
    return name
  }

  /** A helper of fixed text. */
  scalar(name: string): string {
    const helper = scalarHelpers[name]
    if (!helper) throw new InternalError(`no C helper is called ${name}`)
    for (const need of helper.needs) this.scalar(need)
    return this.define(name, helper.text)
  }

  /** The C type of a register type. */
  type(type: Type): string {
    return this.lanesOf(cScalars[type.scalar], type.lanes)
  }

  lanesOf(element: string, lanes: number): string {
    if (lanes === 1) return element
    const name = `${element}x${lanes}`
    return this.define(name, `typedef ${element} ${name} __attribute__((vector_size(${widths[element]! * lanes})));`)
  }

  /** A vector as it lies in memory: aligned like its elements. */
  memory(element: string, lanes: number): string {
    return this.memoryOf(element, lanes, widths[element]!)
  }

  /** One or several elements in memory at an address that `alignment` bytes divide. */
  memoryOf(element: string, lanes: number, alignment: number): string {
    const size = widths[element]!
    const name = `${element}x${lanes}u${alignment === size ? '' : alignment}`
    const vector = lanes === 1 ? '' : `vector_size(${size * lanes}), `
    return this.define(name, `typedef ${element} ${name} __attribute__((${vector}aligned(${alignment}), may_alias));`)
  }

  /** A function on lanes made of one on scalars; `inputs` are the C types of the elements it takes. */
  private lanewise(name: string, lanes: number, result: string, inputs: readonly string[], element: string): string {
    const names = ['a', 'b']
    const parameters = inputs.map((t, i) => `${this.lanesOf(t, lanes)} ${names[i]}`).join(', ')
    const vector = this.lanesOf(result, lanes)
    return this.define(
      `${name}x${lanes}`,
      `static inline ${vector} ${name}x${lanes}(${parameters}) {
  ${vector} r;
  #pragma omp simd
  for (int i = 0; i < ${lanes}; i++) r[i] = ${element};
  return r;
}`,
    )
  }

  /** floor, ceil, round, trunc, sqrt of f32 lanes. */
  builtin(builtin: string, lanes: number): string {
    return this.lanewise(`${builtin}_f32`, lanes, 'f32', ['f32'], `__builtin_${builtin}f(a[i])`)
  }

  splat(type: Type): string {
    const { lanes } = type
    const element = cScalars[type.scalar]
    const vector = this.lanesOf(element, lanes)
    const copies = new Array<string>(lanes).fill('x').join(', ')
    // Lanes of a mask are 0 or -1.
    const name = type.scalar === 'mask' ? `splat_maskx${lanes}` : `splat_${vector}`
    const body = type.scalar === 'mask' ? `x = -x; return (${vector}){${copies}};` : `return (${vector}){${copies}};`
    return this.define(name, `static inline ${vector} ${name}(${element} x) { ${body} }`)
  }

  ramp(lanes: number): string {
    const vector = this.lanesOf('i32', lanes)
    const steps = Array.from({ length: lanes }, (_, i) => i).join(', ')
    return this.define(
      `ramp_${vector}`,
      `static inline ${vector} ramp_${vector}(i32 base) { return base + (${vector}){${steps}}; }`,
    )
  }

  /** condition ? a : b by bits: gcc has no `?:` on vectors in C, and makes a blend of this. */
  select(type: Type): string {
    const vector = this.type(type)
    const mask = this.lanesOf('i32', type.lanes)
    return this.define(
      `select_${vector}`,
      `static inline ${vector} select_${vector}(${mask} m, ${vector} a, ${vector} b) { return (${vector})((m & (${mask})a) | (~m & (${mask})b)); }`,
    )
  }

  abs(type: Type): string {
    const t = cScalars[type.scalar]
    return this.define(`abs_${t}`, `static inline ${t} abs_${t}(${t} x) { return x < 0 ? -x : x; }`)
  }

  /** Division of data must not trap: by zero it gives zero, and the smallest number by -1 wraps. */
  quotient(op: 'div' | 'rem', type: Type): string {
    const t = cScalars[type.scalar]
    const special = op === 'div' ? '-a' : '0'
    const scalar = this.define(
      `${op}_${t}`,
      `static inline ${t} ${op}_${t}(${t} a, ${t} b) { return b == 0 ? 0 : b == -1 ? ${special} : a ${op === 'div' ? '/' : '%'} b; }`,
    )
    if (type.lanes === 1) return scalar
    return this.lanewise(scalar, type.lanes, t, [t, t], `${scalar}(a[i], b[i])`)
  }

  /** Lanes of a low-precision dtype from memory. */
  loadBits(dtype: 'float16' | 'bfloat16', lanes: number): string {
    const convert = this.scalar(`from_${dtype}`)
    if (dtype === 'float16') return this.halfConversion(convert, lanes, 'u16', 'f32', 'vcvtph2ps %1, %0')
    const [words, wide, floats] = [this.lanesOf('u16', lanes), this.lanesOf('u32', lanes), this.lanesOf('f32', lanes)]
    const name = `${convert}x${lanes}`
    const value = `(${floats})(__builtin_convertvector(a, ${wide}) << 16)`
    return this.define(name, `static inline ${floats} ${name}(${words} a) { return ${value}; }`)
  }

  /** Lanes to a low-precision dtype: as the scalar helpers, bit by bit, with whole vectors. */
  storeBits(dtype: 'float16' | 'bfloat16', lanes: number): string {
    const convert = this.scalar(`to_${dtype}`)
    if (dtype === 'float16') return this.halfConversion(convert, lanes, 'f32', 'u16', 'vcvtps2ph $0, %1, %0')
    const [words, wide, floats] = [this.lanesOf('u16', lanes), this.lanesOf('u32', lanes), this.lanesOf('f32', lanes)]
    const name = `${convert}x${lanes}`
    return this.define(
      name,
      `static inline ${words} ${name}(${floats} a) {
  ${wide} u = (${wide})a, high = u >> 16, nan = (${wide})(a != a);
  ${wide} rounded = (u + 0x7fffu + (high & 1u)) >> 16;
  return __builtin_convertvector((nan & (high | 0x40u)) | (~nan & rounded), ${words});
}`,
    )
  }

  /** float16 by the instruction where the compiler has it for so many lanes, else by the scalar helper. */
  private halfConversion(scalar: string, lanes: number, from: string, to: string, instruction: string): string {
    const [source, target] = [this.lanesOf(from, lanes), this.lanesOf(to, lanes)]
    const plain = this.lanewise(scalar, lanes, to, [from], `${scalar}(a[i])`)
    if (lanes < 4 || lanes > 16) return plain
    const [condition, register] = lanes === 16 ? ['defined(__AVX512F__)', 'v'] : ['defined(__F16C__)', 'x']
    const name = `half_${plain}`
    return this.define(
      name,
      `static inline ${target} ${name}(${source} a) {
#if ${condition}
  ${target} r;
  __asm__("${instruction}" : "=${register}"(r) : "${register}"(a));
  return r;
#else
  return ${plain}(a);
#endif
}`,
    )
  }

  /** A number or vector that the compiler takes for a value of its own from here on, and not for what lies in memory or for a product, where one register holds it. */
  held(type: Type): string {
    const vector = this.type(type)
    const bytes = widths[cScalars[type.scalar]]! * type.lanes
    const name = `held_${vector}`
    const registers: readonly [bytes: number, where: string, register: string][] = [
      [64, '__AVX512F__', 'v'],
      [32, '__AVX512VL__', 'v'],
      [32, '__AVX__', 'x'],
      [16, '__AVX512VL__', 'v'],
      [16, '__SSE2__', 'x'],
      [16, '__aarch64__', 'w'],
    ]
    const own = registers.filter(([size]) => size === Math.max(bytes, 16))
    const cases = own.map(
      ([, where, register], n) => `#${n === 0 ? 'if' : 'elif'} defined(${where})\n  __asm__("" : "+${register}"(a));`,
    )
    return this.define(
      name,
      `static inline ${vector} ${name}(${vector} a) {
${[...cases, ...(cases.length > 0 ? ['#endif'] : [])].join('\n')}
  return a;
}`,
    )
  }

  gather(dtype: DType, type: Type): string {
    const element = cElements[dtype]
    const vector = this.type(type)
    const low = dtype === 'float16' || dtype === 'bfloat16' ? this.scalar(`from_${dtype}`) : ''
    const lanes = Array.from({ length: type.lanes }, (_, i) => `${low}(x[${i === 0 ? '0' : `${i} * stride`}])`)
    const name = `gather_${dtype}x${type.lanes}`
    return this.define(
      name,
      `static inline ${vector} ${name}(const ${element} *x, i64 stride) { return (${vector}){${lanes.join(', ')}}; }`,
    )
  }

  /**
   * Lanes 0, 2, 4, ... from memory: two loads that read nothing behind the last one, and one shuffle where the compiler has it. Elements of
   * 16 bits stay what they are.
   */
  everySecond(dtype: 'float32' | 'int32' | 'float16' | 'bfloat16', type: Type): string {
    const { lanes } = type
    const element = cElements[dtype]
    const vector = this.lanesOf(element, lanes)
    const memory = this.memory(element, lanes)
    const picks = Array.from({ length: lanes }, (_, i) => (2 * i < lanes ? 2 * i : 2 * i + 1))
    const singles = Array.from({ length: lanes }, (_, i) => `x[${2 * i}]`)
    const name = `every_second_${dtype}x${lanes}`
    return this.define(
      name,
      `static inline ${vector} ${name}(const ${element} *x) {
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
  return __builtin_shufflevector((${vector})*(const ${memory} *)x, (${vector})*(const ${memory} *)(x + ${lanes - 1}), ${picks.join(', ')});
#endif
#endif
  return (${vector}){${singles.join(', ')}};
}`,
    )
  }

  /** Lanes of two vectors by turns. */
  zip({ type, run, span, half }: Extract<Expr, { kind: 'zip' }>): string {
    const { lanes } = type
    const vector = this.type(type)
    const mask = this.lanesOf('i32', lanes)
    const size = span === 'four' ? 4 : lanes
    const first = half === 'low' ? 0 : size / 2
    // Of the lanes of a, then b: the place in its span, which of the two it comes from, and how far from there.
    const picks = Array.from({ length: lanes }, (_, i) => {
      const [at, turn] = [i % size, Math.floor((i % size) / run)]
      return i - at + first + Math.floor(turn / 2) * run + (at % run) + (turn % 2) * lanes
    }).join(', ')
    const name = `zip${run}_${span}_${half}_${vector}`
    return this.define(
      name,
      `#ifdef __clang__
static inline ${vector} ${name}(${vector} a, ${vector} b) { return __builtin_shufflevector(a, b, ${picks}); }
#else
static inline ${vector} ${name}(${vector} a, ${vector} b) { return __builtin_shuffle(a, b, (${mask}){${picks}}); }
#endif`,
    )
  }
}
