/**
 * Kernels are keyed by structure, not by size: another batch, width or length of a program gives the same kernels, and compiles nothing.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { generatePlan, type GeneratedPlan } from '../../src/codegen/generate.ts'
import type { Kernel } from '../../src/codegen/kernel.ts'
import { structureOf } from '../../src/codegen/structure.ts'
import { nn, optimizer, setDevice, toTensor, zeros, type Tensor } from '../../src/index.ts'
import * as lz from '../../src/index.ts'
import { renderC } from '../../src/render/c.ts'
import { hashText } from '../../src/render/hash.ts'
import { renderWasm } from '../../src/render/wasm.ts'
import { compilerCandidates } from '../../src/runtime/compiler.ts'
import { capture } from '../../src/schedule/capture.ts'
import type { Launch, Loop } from '../../src/schedule/plan.ts'
import { pendingWrites } from '../../src/tensor/session.ts'

const capabilities: Capabilities = { vectorBytes: 32, threads: 2, cacheBytes: [32768, 524288, 4194304], blocking: true }

/** The plan of tensors and of the writes recorded with them. */
function planOf(results: Tensor | readonly Tensor[]): GeneratedPlan {
  const list = [results].flat() as Tensor[]
  return generatePlan(
    capture(
      list.map((t) => t.node),
      pendingWrites(),
    ),
    capabilities,
  )
}

const kernelsOf = (results: Tensor | readonly Tensor[]): readonly Kernel[] => planOf(results).kernels

const data = (...shape: number[]): Tensor => toTensor(new Float32Array(shape.reduce((a, b) => a * b, 1))).reshape(shape)
const variable = (...shape: number[]): Tensor => {
  const v = data(...shape)
  v.stopGradient = false
  return v
}

/** Bytes for intermediates of tensors. */
function arenaOf(list: readonly Tensor[]): number {
  const program = capture(
    list.map((t) => t.node),
    [],
  )
  return generatePlan(program, capabilities).plan.arenaBytes
}

/** A result with the gradients of all that it depends on. */
function withGradients(result: Tensor, variables: readonly Tensor[]): Tensor[] {
  return [result, ...lz.grad(result.square().sum(), variables)]
}

type Program = (...sizes: number[]) => Tensor | readonly Tensor[]

/** Programs of some sizes, and pairs of sizes on the same side of what templates tell apart (1, few rows, a few registers, a cache). */
type Sizes = readonly number[]
const programs: readonly (readonly [name: string, program: Program, one: Sizes, other: Sizes])[] = [
  [
    'elementwise with broadcasting',
    (n, m) => lz.exp(data(n!, m!)).add(data(m!)).multiply(data(n!, 1)),
    [3, 17],
    [40, 1000],
  ],
  [
    'a product with bias and relu',
    (n, k, m) => nn.functional.relu(data(n!, k!).matmul(data(k!, m!)).add(data(m!))),
    [24, 64, 80],
    [40, 96, 80],
  ],
  [
    'its gradients',
    (n, k, m) => {
      const [x, w, b] = [variable(n!, k!), variable(k!, m!), variable(m!)]
      return withGradients(nn.functional.relu(x.matmul(w).add(b)), [x, w, b])
    },
    [40, 64, 80],
    [48, 96, 80],
  ],
  // From 65 rows on; those of fewer have another form, which is compiled ahead.
  ['batched products', (b, n) => data(b!, n!, 32).matmul(data(b!, 32, n!)), [2, 80], [6, 104]],
  [
    'softmax and its gradient',
    (n, m) => {
      const x = variable(n!, m!)
      return withGradients(nn.functional.softmax(x), [x])
    },
    [5, 33],
    [64, 700],
  ],
  [
    'layer norm and its gradients',
    (n, m) => {
      const [x, w, b] = [variable(n!, m!), variable(m!), variable(m!)]
      return withGradients(nn.functional.layerNorm(x, m!, { weight: w, bias: b }), [x, w, b])
    },
    [16, 40],
    [64, 256],
  ],
  [
    'reductions over rows, columns and all',
    (n, m) => [data(n!, m!).sum(0), data(n!, m!).max(1), data(n!, m!).mean(), data(n!, m!).argmax(1)],
    [20, 30],
    [64, 99],
  ],
  [
    'a convolution with its gradients',
    (n, h, w) => {
      const [x, k] = [variable(n!, 8, h!, w!), variable(16, 8, 3, 3)]
      return withGradients(nn.functional.conv2d(x, k, null, { padding: 1, stride: 2 }), [x, k])
    },
    [2, 32, 32],
    [3, 32, 96],
  ],
  [
    'pooling',
    (n, w) => {
      const x = variable(n!, 4, 16, w!)
      return withGradients(nn.functional.maxPool2d(x, 2), [x])
    },
    [2, 32],
    [5, 80],
  ],
  [
    'look-ups and their gradient',
    (n, m) => {
      const table = variable(100, 16)
      return withGradients(lz.gather(table, zeros([n! * m!], 'int64').add(toTensor(new BigInt64Array(n! * m!)))), [
        table,
      ])
    },
    [4, 7],
    [9, 31],
  ],
  [
    'cross entropy',
    (n) => {
      const x = variable(n!, 10)
      return withGradients(nn.functional.crossEntropy(x, toTensor(new BigInt64Array(n!))), [x])
    },
    [8],
    [20],
  ],
  [
    'a loop over time',
    (t, n) => {
      const cell = new nn.LSTM(8, 16)
      const x = variable(n!, t!, 8)
      return withGradients((cell(x) as unknown as [Tensor])[0], [x, ...cell.parameters()])
    },
    [5, 14],
    [12, 6],
  ],
]

beforeEach(() => setDevice('null'))

describe('two sizes have one set of kernels', () => {
  it.each(programs)('%s', (_, program, ...sizes) => {
    const [one, other] = sizes.map((s) => kernelsOf(program(...s))) as [Kernel[], Kernel[]]
    const extra = other.filter((k) => !one.some((j) => structureOf(j) === structureOf(k)))

    expect(extra.map((k) => k.title)).toEqual([])
    expect(other.length).toBe(one.length)
  })

  it('numbers of the program that are no structure are arguments', () => {
    const scaled = (factor: number): string[] => kernelsOf(data(9).multiply(factor)).map(structureOf)

    expect(scaled(0.3)).toEqual(scaled(123.75))
  })

  it('what is structure tells kernels apart', () => {
    const structures = [
      data(6, 7).add(data(6, 7)),
      data(6, 7).add(data(7)),
      data(6, 7).add(data(7, 6).transpose([1, 0])),
      data(6, 7).astype('float64').add(1),
      data(6, 7).multiply(data(6, 7)),
    ].map((t) => kernelsOf(t).map(structureOf).join())

    expect(new Set(structures).size).toBe(structures.length)
  })
})

describe('a table of which few rows are looked up', () => {
  it('has no gradient of its size in memory', () => {
    const table = new nn.Embedding(40_000, 64).weight
    const looked = nn.functional.embedding(zeros([4, 16], 'int64'), table)
    const [gradient] = lz.grad(looked.square().sum(), [table])

    expect(arenaOf([table.subtract(gradient!), gradient!.square().sum()])).toBeLessThan(1e6)
  })
})

describe('loops beside each other', () => {
  /** For each loop of a training step's plan whether it runs beside the next. */
  const besideOf = (results: readonly Tensor[]): boolean[] =>
    planOf(results).plan.steps.flatMap((s) => (s.kind === 'loop' ? [s.besideNext] : []))

  it('two directions of a recurrence, and their gradients', () => {
    const cell = new nn.GRU(8, 16, { numLayers: 2, direction: 'bidirect' })
    const x = variable(4, 6, 8)

    expect(besideOf(withGradients((cell(x) as unknown as [Tensor])[0], [x, ...cell.parameters()]))).toEqual(
      Array.from({ length: 4 }, () => [true, false]).flat(),
    )
  })

  it('not layers that read what the one below gives', () => {
    const cell = new nn.GRU(8, 16, { numLayers: 2 })

    expect(besideOf([(cell(data(4, 6, 8)) as unknown as [Tensor])[0]])).toEqual([false, false])
  })

  it('not where one has much more to do', () => {
    const [small, large] = [new nn.GRU(8, 4), new nn.GRU(8, 64)]
    const x = data(4, 6, 8)

    expect(besideOf([small, large].map((cell) => (cell(x) as unknown as [Tensor])[0]))).toEqual([false, false])
  })
})

describe.runIf(compilerCandidates().length > 0)('on cpu', () => {
  let root: string
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'longzhou-structure-'))
    vi.stubEnv('LONGZHOU_CACHE_DIR', root)
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    rmSync(root, { recursive: true })
  })

  it('a training step of another batch and width calls no compiler', async () => {
    setDevice('cpu')
    const model = new nn.Sequential(
      new nn.Conv2D(1, 4, { kernelSize: 3 }),
      new nn.ReLU(),
      new nn.Conv2D(4, 2, { kernelSize: 3 }),
    )
    const adam = new optimizer.Adam({ parameters: model.parameters() })
    const compiled = (): string[] =>
      readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((f) => f.endsWith('.so'))
        .sort()
    const step = async (batch: number, width: number): Promise<string[]> => {
      const loss = model(lz.ones([batch, 1, 12, width]))
        .square()
        .mean()
      loss.backward()
      adam.step()
      adam.clearGrad()
      await loss.item()
      return compiled()
    }
    const before = compiled()
    const [first, second] = [await step(4, 20), await step(6, 24)]

    expect(first.length).toBeGreaterThan(before.length)
    expect(second).toEqual(first)
  })
})

describe('what is printed', () => {
  it('softmax as C', () => {
    const kernels = kernelsOf(nn.functional.softmax(data(5, 33)))

    expect(kernels.map((k) => k.title)).toMatchInlineSnapshot(`
      [
        "reduceMax+sub+exp+reduceSum+div -> float32[2]",
      ]
    `)
    expect(renderC(kernels, 32)).toMatchInlineSnapshot(`
      "typedef signed char i8;
      typedef unsigned char u8;
      typedef unsigned short u16;
      typedef int i32;
      typedef unsigned u32;
      typedef long long i64;
      typedef unsigned long long u64;
      typedef float f32;
      typedef double f64;
      typedef f32 f32x8 __attribute__((vector_size(32)));
      static inline f32x8 splat_f32x8(f32 x) { return (f32x8){x, x, x, x, x, x, x, x}; }
      typedef f32 f32x8u __attribute__((vector_size(32), aligned(4), may_alias));
      typedef i32 i32x8 __attribute__((vector_size(32)));
      static inline f32x8 select_f32x8(i32x8 m, f32x8 a, f32x8 b) { return (f32x8)((m & (i32x8)a) | (~m & (i32x8)b)); }
      static inline f32x8 max_f32x8(f32x8 a, f32x8 b) {
      #if defined(__AVX2__) && !defined(__clang__)
        return __builtin_ia32_maxps256(a, b);
      #else
        return select_f32x8(a > b, a, b);
      #endif
      }
      static inline f32x8 nanmax_f32x8(f32x8 a, f32x8 b) { return select_f32x8(b != b, b, max_f32x8(b, a)); }
      static inline f32 nanmax_f32(f32 a, f32 b) { return b > a || b != b ? b : a; }
      typedef f32 f32x4 __attribute__((vector_size(16)));
      typedef i32 i32x4 __attribute__((vector_size(16)));
      static inline f32x4 select_f32x4(i32x4 m, f32x4 a, f32x4 b) { return (f32x4)((m & (i32x4)a) | (~m & (i32x4)b)); }
      static inline f32x4 max_f32x4(f32x4 a, f32x4 b) {
      #if defined(__SSE2__) && !defined(__clang__)
        return __builtin_ia32_maxps(a, b);
      #else
        return select_f32x4(a > b, a, b);
      #endif
      }
      static inline f32x4 nanmax_f32x4(f32x4 a, f32x4 b) { return select_f32x4(b != b, b, max_f32x4(b, a)); }
      static inline f32 reduce_max_f32x8(f32x8 x) {
      #ifdef __has_builtin
      #if __has_builtin(__builtin_shufflevector)
        const f32x4 x0 = nanmax_f32x4(__builtin_shufflevector(x, x, 0, 1, 2, 3), __builtin_shufflevector(x, x, 4, 5, 6, 7));
        const f32x4 x1 = nanmax_f32x4(__builtin_shufflevector(x0, x0, 0, 1, 2, 3), __builtin_shufflevector(x0, x0, 2, 3, 0, 1));
        const f32x4 x2 = nanmax_f32x4(__builtin_shufflevector(x1, x1, 0, 1, 2, 3), __builtin_shufflevector(x1, x1, 1, 0, 3, 2));
        return x2[0];
      #endif
      #endif
        return nanmax_f32(nanmax_f32(nanmax_f32(x[0], x[4]), nanmax_f32(x[2], x[6])), nanmax_f32(nanmax_f32(x[1], x[5]), nanmax_f32(x[3], x[7])));
      }
      static inline f32x4 splat_f32x4(f32 x) { return (f32x4){x, x, x, x}; }
      typedef f32 f32x4u __attribute__((vector_size(16), aligned(4), may_alias));
      static inline f32 reduce_max_f32x4(f32x4 x) {
      #ifdef __has_builtin
      #if __has_builtin(__builtin_shufflevector)
        const f32x4 x0 = nanmax_f32x4(__builtin_shufflevector(x, x, 0, 1, 2, 3), __builtin_shufflevector(x, x, 2, 3, 0, 1));
        const f32x4 x1 = nanmax_f32x4(__builtin_shufflevector(x0, x0, 0, 1, 2, 3), __builtin_shufflevector(x0, x0, 1, 0, 3, 2));
        return x1[0];
      #endif
      #endif
        return nanmax_f32(nanmax_f32(x[0], x[2]), nanmax_f32(x[1], x[3]));
      }
      static inline f32x8 rint_f32x8(f32x8 a) {
        f32x8 r;
        #pragma omp simd
        for (int i = 0; i < 8; i++) r[i] = __builtin_rintf(a[i]);
        return r;
      }
      static inline i32x8 splat_i32x8(i32 x) { return (i32x8){x, x, x, x, x, x, x, x}; }
      static inline f32 reduce_add_f32x8(f32x8 x) {
      #ifdef __has_builtin
      #if __has_builtin(__builtin_shufflevector)
        const f32x4 x0 = (__builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7));
        const f32x4 x1 = (__builtin_shufflevector(x0, x0, 0, 1, 2, 3) + __builtin_shufflevector(x0, x0, 2, 3, 0, 1));
        const f32x4 x2 = (__builtin_shufflevector(x1, x1, 0, 1, 2, 3) + __builtin_shufflevector(x1, x1, 1, 0, 3, 2));
        return x2[0];
      #endif
      #endif
        return (((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])));
      }
      static inline f32x4 rint_f32x4(f32x4 a) {
        f32x4 r;
        #pragma omp simd
        for (int i = 0; i < 4; i++) r[i] = __builtin_rintf(a[i]);
        return r;
      }
      static inline i32x4 splat_i32x4(i32 x) { return (i32x4){x, x, x, x}; }
      static inline f32 reduce_add_f32x4(f32x4 x) {
      #ifdef __has_builtin
      #if __has_builtin(__builtin_shufflevector)
        const f32x4 x0 = (__builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 2, 3, 0, 1));
        const f32x4 x1 = (__builtin_shufflevector(x0, x0, 0, 1, 2, 3) + __builtin_shufflevector(x0, x0, 1, 0, 3, 2));
        return x1[0];
      #endif
      #endif
        return ((x[0] + x[2]) + (x[1] + x[3]));
      }
      static inline f32 bits_f32(u32 x) { f32 r; __builtin_memcpy(&r, &x, 4); return r; }
      static inline u32 f32_bits(f32 x) { u32 r; __builtin_memcpy(&r, &x, 4); return r; }
      static inline f32 max_f32(f32 a, f32 b) { return a > b ? a : b; }
      static inline i64 min_i64(i64 a, i64 b) { return a < b ? a : b; }

      // reduceMax+sub+exp+reduceSum+div -> float32[2]
      void k_b981a8c78379e867(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        f32 *restrict p0 = (f32 *)args[0];
        const i64 n1 = args[1];
        const i64 n2 = args[2];
        const f32 *restrict p3 = (const f32 *)args[3];
        const i64 n4 = args[4];
        for (i64 p = begin; p < end; p++) {
          f32 acc = -__builtin_inff();
          const i64 at = p * n1;
          const i64 kEnd = n2 - n2 % 8;
          if (0 < kEnd) {
            f32x8 accLanes = splat_f32x8(-__builtin_inff());
            for (i64 k = 0; k < kEnd; k += 8) {
              const f32x8 v = *(const f32x8u *)(p3 + at + k);
              accLanes = nanmax_f32x8(accLanes, v);
            }
            acc = nanmax_f32(acc, reduce_max_f32x8(accLanes));
          }
          const i64 kEnd1 = n2 - (n2 - kEnd) % 4;
          if (kEnd < kEnd1) {
            f32x4 accLanes1 = splat_f32x4(-__builtin_inff());
            for (i64 k = kEnd; k < kEnd1; k += 4) {
              const f32x4 v = *(const f32x4u *)(p3 + at + k);
              accLanes1 = nanmax_f32x4(accLanes1, v);
            }
            acc = nanmax_f32(acc, reduce_max_f32x4(accLanes1));
          }
          for (i64 k = kEnd1; k < n2; k++) {
            const f32 v = p3[at + k];
            acc = nanmax_f32(acc, v);
          }
          f32 acc1 = 0.0f;
          const i64 k1End = n2 - n2 % 8;
          if (0 < k1End) {
            f32x8 acc1Lanes = splat_f32x8(0.0f);
            for (i64 k1 = 0; k1 < k1End; k1 += 8) {
              const f32x8 v1 = *(const f32x8u *)(p3 + at + k1);
              const f32x8 v2 = v1 - splat_f32x8(acc);
              const f32x8 n = rint_f32x8(v2 * splat_f32x8(1.442695f));
              const f32x8 r = n * splat_f32x8(0.00021219444f) + (n * splat_f32x8(-0.6933594f) + v2);
              const f32x8 scaled = (f32x8)((i32x8)(r * r * ((((splat_f32x8(0.0013814993f) * r + splat_f32x8(0.008368705f)) * r + splat_f32x8(0.04166838f)) * r + splat_f32x8(0.1666652f)) * r + splat_f32x8(0.49999994f)) + r + splat_f32x8(1.0f)) + (__builtin_convertvector(n, i32x8) << splat_i32x8(23)));
              const f32x8 exp = select_f32x8(v2 >= splat_f32x8(88.72284f), splat_f32x8(__builtin_inff()), select_f32x8(v2 >= splat_f32x8(-87.33654f), scaled, max_f32x8(splat_f32x8(0.0f), v2)));
              acc1Lanes += exp;
            }
            acc1 += reduce_add_f32x8(acc1Lanes);
          }
          const i64 k1End1 = n2 - (n2 - k1End) % 4;
          if (k1End < k1End1) {
            f32x4 acc1Lanes1 = splat_f32x4(0.0f);
            for (i64 k1 = k1End; k1 < k1End1; k1 += 4) {
              const f32x4 v1 = *(const f32x4u *)(p3 + at + k1);
              const f32x4 v2 = v1 - splat_f32x4(acc);
              const f32x4 n = rint_f32x4(v2 * splat_f32x4(1.442695f));
              const f32x4 r = n * splat_f32x4(0.00021219444f) + (n * splat_f32x4(-0.6933594f) + v2);
              const f32x4 scaled = (f32x4)((i32x4)(r * r * ((((splat_f32x4(0.0013814993f) * r + splat_f32x4(0.008368705f)) * r + splat_f32x4(0.04166838f)) * r + splat_f32x4(0.1666652f)) * r + splat_f32x4(0.49999994f)) + r + splat_f32x4(1.0f)) + (__builtin_convertvector(n, i32x4) << splat_i32x4(23)));
              const f32x4 exp = select_f32x4(v2 >= splat_f32x4(88.72284f), splat_f32x4(__builtin_inff()), select_f32x4(v2 >= splat_f32x4(-87.33654f), scaled, max_f32x4(splat_f32x4(0.0f), v2)));
              acc1Lanes1 += exp;
            }
            acc1 += reduce_add_f32x4(acc1Lanes1);
          }
          for (i64 k1 = k1End1; k1 < n2; k1++) {
            const f32 v1 = p3[at + k1];
            const f32 v2 = v1 - acc;
            const f32 n = __builtin_rintf(v2 * 1.442695f);
            const f32 r = n * 0.00021219444f + (n * -0.6933594f + v2);
            const f32 scaled = bits_f32((i32)f32_bits(r * r * ((((0.0013814993f * r + 0.008368705f) * r + 0.04166838f) * r + 0.1666652f) * r + 0.49999994f) + r + 1.0f) + ((i32)n << 23));
            const f32 exp = v2 >= 88.72284f ? __builtin_inff() : (v2 >= -87.33654f ? scaled : max_f32(0.0f, v2));
            acc1 += exp;
          }
          const i64 at1 = p * n4;
          if (n2 >= 8) {
            for (i64 k2At1 = 0; k2At1 < n2; k2At1 += 8) {
              const i64 k2 = min_i64(k2At1, n2 - 8);
              const f32x8 v3 = *(const f32x8u *)(p3 + at1 + k2);
              const f32x8 v4 = v3 - splat_f32x8(acc);
              const f32x8 n1_ = rint_f32x8(v4 * splat_f32x8(1.442695f));
              const f32x8 r1 = n1_ * splat_f32x8(0.00021219444f) + (n1_ * splat_f32x8(-0.6933594f) + v4);
              const f32x8 scaled1 = (f32x8)((i32x8)(r1 * r1 * ((((splat_f32x8(0.0013814993f) * r1 + splat_f32x8(0.008368705f)) * r1 + splat_f32x8(0.04166838f)) * r1 + splat_f32x8(0.1666652f)) * r1 + splat_f32x8(0.49999994f)) + r1 + splat_f32x8(1.0f)) + (__builtin_convertvector(n1_, i32x8) << splat_i32x8(23)));
              const f32x8 exp1 = select_f32x8(v4 >= splat_f32x8(88.72284f), splat_f32x8(__builtin_inff()), select_f32x8(v4 >= splat_f32x8(-87.33654f), scaled1, max_f32x8(splat_f32x8(0.0f), v4)));
              const f32x8 v5 = exp1 / splat_f32x8(acc1);
              *(f32x8u *)(p0 + at1 + k2) = v5;
            }
          } else {
            if (n2 >= 4) {
              for (i64 k2At = 0; k2At < n2; k2At += 4) {
                const i64 k2 = min_i64(k2At, n2 - 4);
                const f32x4 v3 = *(const f32x4u *)(p3 + at1 + k2);
                const f32x4 v4 = v3 - splat_f32x4(acc);
                const f32x4 n1_ = rint_f32x4(v4 * splat_f32x4(1.442695f));
                const f32x4 r1 = n1_ * splat_f32x4(0.00021219444f) + (n1_ * splat_f32x4(-0.6933594f) + v4);
                const f32x4 scaled1 = (f32x4)((i32x4)(r1 * r1 * ((((splat_f32x4(0.0013814993f) * r1 + splat_f32x4(0.008368705f)) * r1 + splat_f32x4(0.04166838f)) * r1 + splat_f32x4(0.1666652f)) * r1 + splat_f32x4(0.49999994f)) + r1 + splat_f32x4(1.0f)) + (__builtin_convertvector(n1_, i32x4) << splat_i32x4(23)));
                const f32x4 exp1 = select_f32x4(v4 >= splat_f32x4(88.72284f), splat_f32x4(__builtin_inff()), select_f32x4(v4 >= splat_f32x4(-87.33654f), scaled1, max_f32x4(splat_f32x4(0.0f), v4)));
                const f32x4 v5 = exp1 / splat_f32x4(acc1);
                *(f32x4u *)(p0 + at1 + k2) = v5;
              }
            } else {
              for (i64 k2 = 0; k2 < n2; k2++) {
                const f32 v3 = p3[at1 + k2];
                const f32 v4 = v3 - acc;
                const f32 n1_ = __builtin_rintf(v4 * 1.442695f);
                const f32 r1 = n1_ * 0.00021219444f + (n1_ * -0.6933594f + v4);
                const f32 scaled1 = bits_f32((i32)f32_bits(r1 * r1 * ((((0.0013814993f * r1 + 0.008368705f) * r1 + 0.04166838f) * r1 + 0.1666652f) * r1 + 0.49999994f) + r1 + 1.0f) + ((i32)n1_ << 23));
                const f32 exp1 = v4 >= 88.72284f ? __builtin_inff() : (v4 >= -87.33654f ? scaled1 : max_f32(0.0f, v4));
                const f32 v5 = exp1 / acc1;
                p0[at1 + k2] = v5;
              }
            }
          }
        }
      }
      "
    `)
  })

  it('relu(x @ w + b) as one kernel', () => {
    const kernels = kernelsOf(nn.functional.relu(data(16, 64).matmul(data(64, 32)).add(data(32))))

    expect(kernels.map((k) => k.title)).toMatchInlineSnapshot(`
      [
        "matmul+add+gt+where",
      ]
    `)
  })

  it('relu(x + b) as C and as WebAssembly', () => {
    const kernels = kernelsOf(nn.functional.relu(data(16, 32).add(data(32))))
    const wasm = renderWasm(kernels, { relaxedSimd: false })

    expect(kernels.map((k) => k.title)).toMatchInlineSnapshot(`
      [
        "add+gt+where -> float32[2]",
      ]
    `)
    expect(renderC(kernels.slice(-1), 32)).toMatchInlineSnapshot(`
      "typedef signed char i8;
      typedef unsigned char u8;
      typedef unsigned short u16;
      typedef int i32;
      typedef unsigned u32;
      typedef long long i64;
      typedef unsigned long long u64;
      typedef float f32;
      typedef double f64;
      static inline i64 min_i64(i64 a, i64 b) { return a < b ? a : b; }
      typedef f32 f32x8 __attribute__((vector_size(32)));
      typedef f32 f32x8u __attribute__((vector_size(32), aligned(4), may_alias));
      typedef i32 i32x8 __attribute__((vector_size(32)));
      static inline f32x8 splat_f32x8(f32 x) { return (f32x8){x, x, x, x, x, x, x, x}; }
      static inline f32x8 select_f32x8(i32x8 m, f32x8 a, f32x8 b) { return (f32x8)((m & (i32x8)a) | (~m & (i32x8)b)); }
      typedef f32 f32x4 __attribute__((vector_size(16)));
      typedef f32 f32x4u __attribute__((vector_size(16), aligned(4), may_alias));
      typedef i32 i32x4 __attribute__((vector_size(16)));
      static inline f32x4 splat_f32x4(f32 x) { return (f32x4){x, x, x, x}; }
      static inline f32x4 select_f32x4(i32x4 m, f32x4 a, f32x4 b) { return (f32x4)((m & (i32x4)a) | (~m & (i32x4)b)); }

      // add+gt+where -> float32[2]
      void k_700156129591e584(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        f32 *restrict p0 = (f32 *)args[0];
        const i64 n1 = args[1];
        const i64 n2 = args[2];
        const i64 n3 = args[3];
        const i64 n4 = args[4];
        const f32 *restrict p5 = (const f32 *)args[5];
        const f32 *restrict p6 = (const f32 *)args[6];
        for (i64 p = begin; p < end; p++) {
          const i64 from = p % n3 * n1;
          const i64 to = min_i64(from + n1, n2);
          const i64 i = p / n3;
          const i64 at = i * n4;
          if (to - from >= 8) {
            for (i64 kAt1 = from; kAt1 < to; kAt1 += 8) {
              const i64 k = min_i64(kAt1, to - 8);
              const f32x8 v = *(const f32x8u *)(p5 + at + k);
              const f32x8 v1 = *(const f32x8u *)(p6 + k);
              const f32x8 v2 = v + v1;
              const i32x8 v3 = v2 > splat_f32x8(0.0f);
              const f32x8 v4 = select_f32x8(v3, v2, splat_f32x8(0.0f));
              *(f32x8u *)(p0 + at + k) = v4;
            }
          } else {
            if (to - from >= 4) {
              for (i64 kAt = from; kAt < to; kAt += 4) {
                const i64 k = min_i64(kAt, to - 4);
                const f32x4 v = *(const f32x4u *)(p5 + at + k);
                const f32x4 v1 = *(const f32x4u *)(p6 + k);
                const f32x4 v2 = v + v1;
                const i32x4 v3 = v2 > splat_f32x4(0.0f);
                const f32x4 v4 = select_f32x4(v3, v2, splat_f32x4(0.0f));
                *(f32x4u *)(p0 + at + k) = v4;
              }
            } else {
              for (i64 k = from; k < to; k++) {
                const f32 v = p5[at + k];
                const f32 v1 = p6[k];
                const f32 v2 = v + v1;
                const i32 v3 = v2 > 0.0f;
                const f32 v4 = v3 ? v2 : 0.0f;
                p0[at + k] = v4;
              }
            }
          }
        }
      }
      "
    `)
    expect({ bytes: wasm.length, hash: hashText(Buffer.from(wasm).toString('latin1')) }).toMatchInlineSnapshot(`
      {
        "bytes": 505,
        "hash": "6f944aa7bf51563c",
      }
    `)
  })
})

it('a value of low precision is not stored once more in float32 for those who read it so', () => {
  const low = nn.functional.relu(data(64, 64).astype('bfloat16').matmul(data(64, 64).astype('bfloat16')).exp())
  const wide = low.astype('float32')
  const users = [wide.sum(0), wide.sum(1), wide.square().sum(0), wide.exp().sum(1), wide.tanh().sum(0)]
  // Two operands, the product and the shared value, each of two bytes an element.
  expect(arenaOf(users)).toBeLessThanOrEqual(4 * 2 * 64 * 64)
})

it('weights of a recurrence that is trained are packed before its loops, for the forward pass and for the gradient', () => {
  const cell = new nn.LSTM(64, 128)
  const { plan, kernels } = planOf(withGradients(cell(variable(16, 6, 64))[0], cell.parameters()))
  const packs = (launches: readonly (Launch | Loop)[]): string[] =>
    launches.flatMap((l) => (l.kind === 'launch' ? kernels[l.kernel]!.title : [])).filter((t) => t.startsWith('pack'))
  const loops = plan.steps.filter((s) => s.kind === 'loop')
  expect(loops).toHaveLength(2)
  expect(loops.flatMap((l) => packs(l.steps))).toEqual([])
  expect(packs(plan.steps).filter((t) => t.startsWith('pack columns')).length).toBeGreaterThanOrEqual(2)
})
