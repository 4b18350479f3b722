/** C helpers that multiply by instructions which compilers have to be told of: pairs of bfloat16, tiles, both words of products of integers. */
import { LINES_ASKED, type FactorParts } from '../codegen/kernel.ts'
import type { Helpers } from './c-helpers.ts'

/**
 * c + a * b on pairs of bfloat16; the instruction is used only where the compiler says that it has it. gcc's builtin takes elements of a type that its
 * versions differ in. Through assembly gcc moves the sums of a tile between registers and to memory in the innermost loop: 0.86 of the speed.
 */
export function dot(helpers: Helpers, lanes: number): string {
  const [sums, pairs] = [helpers.lanesOf('f32', lanes), helpers.lanesOf('i32', lanes)]
  return helpers.define(
    `dot_x${lanes}`,
    `static inline ${sums} dot_x${lanes}(${sums} c, ${pairs} a, ${pairs} b) {
#if defined(__clang__)
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  return c;
#else
#if __GNUC__ >= 13
  typedef __bf16 elements __attribute__((vector_size(${4 * lanes})));
#else
  typedef short elements __attribute__((vector_size(${4 * lanes})));
#endif
  return __builtin_ia32_dpbf16ps_v${lanes}sf(c, (elements)a, (elements)b);
#endif
}`,
  )
}

/** Tiles: 0 to 3 are sums of 16 x 16, 4 and 5 rows, 6 and 7 columns. */
const SUMS = [0, 1, 2, 3]

const moveTile = (instruction: string, address: string, operands: string): string =>
  `__asm__ volatile("${instruction.replaceAll('@', address)}" : : ${operands} : "memory");`
const loadTile = (tile: number, from: string, stride: number | string): string =>
  moveTile(`tileloadd @, %%tmm${tile}`, '(%0,%1,1)', `"r"(${from}), "r"((i64)${stride})`)
const sumOffset = (tile: number): string => `c + ${(tile >> 1) * 512 + (tile & 1) * 16}`
const storeSums = SUMS.map(
  (t) => `  ${moveTile(`tilestored %%tmm${t}, @`, '(%0,%1,1)', `"r"(${sumOffset(t)}), "r"((i64)128)`)}`,
).join('\n')
const beginSums = `  if (accumulate) {
${SUMS.map((t) => `    ${loadTile(t, sumOffset(t), 128)}`).join('\n')}
  } else {
${SUMS.map((t) => `    __asm__ volatile("tilezero %tmm${t}");`).join('\n')}
  }`

/**
 * One step of sums: tiles of rows and columns are loaded right before their first use, those that are there from the step before are not. Pairs of
 * columns lie `stride` bytes apart.
 */
function tileStep(parts: FactorParts, rows: string | null, columns: string | null): string {
  const asked = '\n    ahead = ask_ahead(ahead, hop);'.repeat(LINES_ASKED[parts])
  const product = (c: number, a: number, b: number): string =>
    `    __asm__ volatile("tdpbf16ps %tmm${b}, %tmm${a}, %tmm${c}");${asked}`
  return [
    columns && `    ${loadTile(6, columns, 'stride')}`,
    rows && `    ${loadTile(4, rows, 64)}`,
    product(0, 4, 6),
    columns && `    ${loadTile(7, `${columns} + 64`, 'stride')}`,
    product(1, 4, 7),
    rows && `    ${loadTile(5, `${rows} + 1024`, 64)}`,
    product(2, 5, 6),
    product(3, 5, 7),
  ]
    .filter((line) => line !== null)
    .join('\n')
}

/**
 * Where columns of a step begin, and how far their pairs and parts are apart, in words; then the memory that is asked for, and the bytes from one line to the
 * next, or 0 to ask for none. See the statement of the IR.
 */
const WINDOW = 'const i32 *table, i64 taps, i64 block, i64 part, i64 pair'
const AHEAD = 'const void *ahead, i64 hop'

/** The next line; as a number, because what lies behind memory is no pointer. */
function askAhead(helpers: Helpers): void {
  helpers.define(
    'ask_ahead',
    `static inline const void *ask_ahead(const void *ahead, i64 hop) {
  if (hop) __builtin_prefetch(ahead, 0, 2);
  return (const void *)((i64)ahead + hop);
}`,
  )
}

/** What steps count. */
const BEGIN_STEPS = `  const char *rows = a;
  const u32 *words = b;
  const i64 stride = 4 * pair;
  i64 step = 0, tap = 0;`

/** Goes on up to step `end`; `bytes`: of rows in each. */
const eachStep = (
  end: string,
  bytes: number,
  body: string,
): string => `  for (; step < ${end}; step++, rows += ${bytes}) {
    const char *columns = (const char *)(words + table[tap]);
${body}
    if (++tap == taps) {
      tap = 0;
      words += block;
    }
  }`

/** Columns that lie one step behind the other, as the arguments of a window. */
export function plainWindow(helpers: Helpers, parts: FactorParts): string {
  const table = helpers.define('no_taps', 'static const i32 no_taps[1] = {0};')
  return `${table}, 1, ${512 * parts}, 512, 32`
}

/** Four tiles of 16 x 16 sums: each step multiplies two tiles of rows by two tiles of columns. */
export function tileProduct(helpers: Helpers): string {
  askAhead(helpers)
  return helpers.define(
    'tile_product',
    `static inline void tile_product(f32 *c, const void *a, const void *b, i64 steps, i32 accumulate, ${WINDOW}, ${AHEAD}) {
${beginSums}
${BEGIN_STEPS}
${eachStep('steps', 2048, tileStep(1, 'rows', 'columns'))}
  (void)part;
${storeSums}
}`,
  )
}

/** Words of three parts of pairs, whose second elements lie 512 behind the first. */
function splitVectors(helpers: Helpers): string {
  const [floats, words, bits] = ['f32', 'i32', 'u32'].map((t) => helpers.lanesOf(t, 16))
  const [read, write] = [helpers.memory('f32', 16), helpers.memory('i32', 16)]
  // Compilers leave a loop over parts as it is.
  const part = (n: number): string => `  low = (${words})x & -65536;
  high = (${words})y & -65536;
  *(${write} *)(to + i + ${512 * n}) = (${words})((${bits})low >> 16) | high;`
  const rest = `  x -= (${floats})low;
  y -= (${floats})high;`
  return helpers.define(
    'split_vectors',
    `static inline __attribute__((always_inline)) void split_vectors(u32 *to, const f32 *from, i64 begin, i64 end) {
  for (i64 i = begin; i < end; i += 16) {
    ${floats} x = *(const ${read} *)(from + i), y = *(const ${read} *)(from + i + 512);
    ${words} low, high;
${[part(0), rest, part(1), rest, part(2)].join('\n')}
  }
}`,
  )
}

/** The pairs of parts that are multiplied in a step, smallest first: each shares its rows or its columns (null) with the one before. */
const PART_PAIRS: Readonly<Record<2 | 3, readonly (readonly [row: number | null, column: number | null])[]>> = {
  2: [
    [0, 1],
    [null, 0],
    [1, null],
  ],
  3: [
    [0, 2],
    [null, 1],
    [1, null],
    [null, 0],
    [2, null],
    [0, null],
  ],
}

/**
 * The same of elements that are sums of parts. An infinite element has parts that are not numbers, as infinity less infinity, so such sums are computed
 * again in plain float32.
 */
export function splitTileProduct(helpers: Helpers, parts: 2 | 3): string {
  askAhead(helpers)
  const order = PART_PAIRS[parts]
  const rowsOf = (n: number): string => (n === 0 ? 'rows' : `rows + ${2048 * n}`)
  const columnsOf = (n: number): string => (n === 0 ? 'columns' : `columns + ${4 * n} * part`)
  /** `behind` gives what stands behind the four products of each pair of parts. */
  const step = (behind: (pair: number) => string): string =>
    order
      .map(([row, column], pair) => {
        const products = tileStep(parts, row === null ? null : rowsOf(row), column === null ? null : columnsOf(column))
        return products + behind(pair)
      })
      .join('\n')
  /** Of the next step's 32 vectors of words, a share. */
  const someVectors = (pair: number): string => {
    const [from, to] = [pair, pair + 1].map((n) => 16 * Math.floor((32 * n) / order.length))
    return `\n    ${splitVectors(helpers)}(fresh, whole, ${from}, ${to});`
  }
  // The first of three parts is what a number that is none becomes of infinity; of two, which are rounded, also a number near the largest does.
  const whole =
    parts === 3
      ? 'return (bits[0] & 0x7f800000u) == 0x7f800000u ? parts[0] : parts[0] + (parts[1] + parts[2]);'
      : `if ((bits[0] & 0x7fffffffu) != 0x7f800000u) return parts[0] + parts[1];
  if ((bits[1] & 0x7fffffffu) != 0x7f800000u) return parts[0];
  return parts[0] > 0 ? 0x1.ffp127f : -0x1.ffp127f;`
  /** Steps that split what was stored whole, one ahead of the products. Two parts, which take no more room than float32, are stored split. */
  const splitting = (): string => `  if (fresh) {
    ${splitVectors(helpers)}(fresh, whole, 0, 512);
    fresh += 1536;
    whole += 1024;
${eachStep('steps - 1', 6144, `${step(someVectors)}\n    fresh += 1536;\n    whole += 1024;`)}
  }
`
  const element = helpers.define(
    `split_element_${parts}`,
    `static inline f32 split_element_${parts}(const u32 *words, i64 part, i64 half) {
  u32 bits[${parts}];
  f32 parts[${parts}];
  for (int p = 0; p < ${parts}; p++) bits[p] = half ? words[part * p] & 0xffff0000u : words[part * p] << 16;
  __builtin_memcpy(parts, bits, sizeof parts);
  ${whole}
}`,
  )
  const exact = helpers.define(
    `split_tile_exact_${parts}`,
    `static __attribute__((noinline)) void split_tile_exact_${parts}(f32 *c, const f32 *begin, const u32 *a, const u32 *b, i64 steps, ${WINDOW}) {
  for (i64 r = 0; r < 32; r++)
    for (i64 n = 0; n < 32; n++) {
      f32 sum = begin[32 * r + n];
      for (i64 k = 0; k < 32 * steps; k++) {
        const i64 step = k >> 5, pairs = k >> 1 & 15;
        const u32 *columns = b + step / taps * block + table[step % taps];
        sum += ${element}(a + ${512 * parts} * step + 16 * r + pairs, 512, k & 1) * ${element}(columns + pair * pairs + n, part, k & 1);
      }
      c[32 * r + n] = sum;
    }
}`,
  )
  const [sums, words] = [helpers.lanesOf('f32', 16), helpers.lanesOf('i32', 16)]
  const memory = helpers.memory('f32', 16)
  return helpers.define(
    `split_tile_product_${parts}`,
    `static inline void split_tile_product_${parts}(f32 *c, const void *a, const void *b, i64 steps, i32 accumulate, ${WINDOW}, ${AHEAD}${parts === 3 ? ', u32 *fresh, const f32 *whole' : ''}) {
  f32 begin[1024];
  if (accumulate) __builtin_memcpy(begin, c, sizeof begin);
${beginSums}
${BEGIN_STEPS}
${parts === 3 ? splitting() : ''}${eachStep(
      'steps',
      2048 * parts,
      step(() => ''),
    )}
${storeSums}
  ${words} unordered = {0};
  for (i64 i = 0; i < 1024; i += 16) {
    ${sums} sum = *(const ${memory} *)(c + i);
    unordered |= sum != sum;
  }
  i32 any = 0;
  for (i64 i = 0; i < 16; i++) any |= unordered[i];
  if (!any) return;
  if (!accumulate) __builtin_memset(begin, 0, sizeof begin);
  ${exact}(c, begin, a, b, steps, table, taps, block, part, pair);
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
