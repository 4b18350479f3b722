/** C helpers that multiply by instructions which compilers have to be told of: pairs of bfloat16, tiles, both words of products of integers. */
import type { Helpers } from './c-helpers.ts'

/**
 * c + a * b on pairs of bfloat16. As assembly, because compilers differ in the types that their builtin takes; the instruction is used
 * only where the compiler says that it has it.
 */
export function dot(helpers: Helpers, lanes: number): string {
  const [sums, pairs] = [helpers.lanesOf('f32', lanes), helpers.lanesOf('i32', lanes)]
  return helpers.define(
    `dot_x${lanes}`,
    `static inline ${sums} dot_x${lanes}(${sums} c, ${pairs} a, ${pairs} b) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  return c;
}`,
  )
}

/** Four tiles of 16 x 16 sums: each step multiplies two tiles of rows by two tiles of columns. */
export function tileProduct(helpers: Helpers): string {
  const move = (instruction: string, address: string, operands: string): string =>
    `__asm__ volatile("${instruction.replaceAll('@', address)}" : : ${operands} : "memory");`
  const sums = [0, 1, 2, 3]
  const offset = (tile: number): string => `c + ${(tile >> 1) * 512 + (tile & 1) * 16}`
  const eachSum = (text: (tile: number) => string): string => sums.map((t) => `    ${text(t)}`).join('\n')
  const load = (tile: number, from: string, row: number): string =>
    move(`tileloadd @, %%tmm${tile}`, '(%0,%1,1)', `"r"(${from}), "r"((i64)${row})`)
  return helpers.define(
    'tile_product',
    `static inline void tile_product(f32 *c, const void *a, const void *b, i64 steps, i32 accumulate) {
  if (accumulate) {
${eachSum((t) => load(t, offset(t), 128))}
  } else {
${eachSum((t) => `__asm__ volatile("tilezero %tmm${t}");`)}
  }
  const char *rows = a, *columns = b;
  for (i64 step = 0; step < steps; step++, rows += 2048, columns += 2048) {
    ${load(6, 'columns', 128)}
    ${load(4, 'rows', 64)}
    __asm__ volatile("tdpbf16ps %tmm6, %tmm4, %tmm0");
    ${load(7, 'columns + 64', 128)}
    __asm__ volatile("tdpbf16ps %tmm7, %tmm4, %tmm1");
    ${load(5, 'rows + 1024', 64)}
    __asm__ volatile("tdpbf16ps %tmm6, %tmm5, %tmm2");
    __asm__ volatile("tdpbf16ps %tmm7, %tmm5, %tmm3");
  }
${sums.map((t) => `  ${move(`tilestored %%tmm${t}, @`, '(%0,%1,1)', `"r"(${offset(t)}), "r"((i64)128)`)}`).join('\n')}
}`,
  )
}

export function mulhi(helpers: Helpers, lanes: number): string {
  const scalar = helpers.scalar('mulhi_i32')
  if (lanes === 1) return scalar
  const name = `mulhi_i32x${lanes}`
  const vector = helpers.lanesOf('i32', lanes)
  const pairs = helpers.lanesOf('u64', lanes / 2)
  // x86 multiplies every second lane into 64 bits. Clang knows that from the masks; GCC has to be told.
  const feature = ({ 4: '__SSE2__', 8: '__AVX2__', 16: '__AVX512F__' } as const)[lanes as 4 | 8 | 16]
  const product = lanes === 16 ? '' : `__builtin_ia32_pmuludq${32 * lanes}`
  const told =
    lanes === 16
      ? `  return ${halves(helpers)}(a, b, 1);`
      : `  ${pairs} even = (${pairs})${product}(a, b);
  ${pairs} odd = (${pairs})${product}((${vector})((${pairs})a >> 32), (${vector})((${pairs})b >> 32));
  return (${vector})(even >> 32 | (odd & 0xffffffff00000000u));`
  return helpers.define(
    name,
    `static inline ${vector} ${name}(${vector} a, ${vector} b) {
#if defined(__x86_64__) && defined(${feature}) && defined(__clang__)
  ${pairs} even = ((${pairs})a & 0xffffffffu) * ((${pairs})b & 0xffffffffu);
  ${pairs} odd = ((${pairs})a >> 32) * ((${pairs})b >> 32);
  return (${vector})(even >> 32 | (odd & 0xffffffff00000000u));
#elif defined(__x86_64__) && defined(${feature})
${told}
#else
  ${vector} r;
  #pragma omp simd
  for (int i = 0; i < ${lanes}; i++) r[i] = ${scalar}(a[i], b[i]);
  return r;
#endif
}`,
  )
}

/** The low words of products of 16 lanes of which the high ones are taken too: what both need, compilers compute once. */
export function mullo(helpers: Helpers): string {
  const vector = helpers.lanesOf('i32', 16)
  const half = halves(helpers)
  return helpers.define(
    'mullo_i32x16',
    `static inline ${vector} mullo_i32x16(${vector} a, ${vector} b) {
#if defined(__AVX512F__) && !defined(__clang__)
  return ${half}(a, b, 0);
#else
  return a * b;
#endif
}`,
  )
}

/** The high or low words of products of 16 lanes, of which every second one is multiplied at a time. */
function halves(helpers: Helpers): string {
  const [vector, pairs] = [helpers.lanesOf('i32', 16), helpers.lanesOf('u64', 8)]
  const [zero, floats] = [`(${helpers.lanesOf('i64', 8)}){0}`, helpers.lanesOf('f32', 16)]
  return helpers.define(
    'mulhalf_i32x16',
    `#if defined(__AVX512F__) && !defined(__clang__)
static inline ${vector} mulhalf_i32x16(${vector} a, ${vector} b, i32 high) {
  ${floats} even = (${floats})__builtin_ia32_pmuludq512_mask(a, b, ${zero}, -1);
  ${floats} odd = (${floats})__builtin_ia32_pmuludq512_mask((${vector})((${pairs})a >> 32), (${vector})((${pairs})b >> 32), ${zero}, -1);
  return (${vector})(high ? __builtin_ia32_movshdup512_mask(even, odd, 0x5555) : __builtin_ia32_movsldup512_mask(odd, even, 0xaaaa));
}
#endif`,
  )
}
