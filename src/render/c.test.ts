import { describe, expect, test } from 'vitest'
import * as ir from '../codegen/builder.ts'
import { KernelBuilder } from '../codegen/builder.ts'
import type { Kernel } from '../codegen/kernel.ts'
import { renderC, renderKernel } from './c.ts'

/** The function alone, under a fixed name. */
function body(kernel: Kernel): string {
  const k = renderKernel(kernel, 32)
  return k.text.replace(k.name, 'k')
}

function scaleAndAdd(title = 'x * 2 + y'): Kernel {
  const k = new KernelBuilder(title)
  const [x, y, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const [n, scale] = [k.index(), k.scalar('f32')]
  k.parallel('block', (block) => {
    const from = k.let('from', ir.mul(block, 1024))
    k.vector('i', from, ir.min(ir.add(from, 1024), n), (i) => {
      k.store(out, i, ir.fma(ir.load(x, i), scale, ir.load(y, i)))
    })
  })
  return k.build()
}

describe('printing kernels', () => {
  test('an elementwise kernel', () => {
    expect(body(scaleAndAdd())).toMatchInlineSnapshot(`
      "void k(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        const f32 *restrict p0 = (const f32 *)args[0];
        const f32 *restrict p1 = (const f32 *)args[1];
        f32 *restrict p2 = (f32 *)args[2];
        const i64 n3 = args[3];
        const f32 s4 = (f32)bits_f64(args[4]);
        for (i64 block = begin; block < end; block++) {
          const i64 from = block * 1024;
          const i64 iTo = min_i64(from + 1024, n3);
          if (iTo - from >= 8) {
            for (i64 iAt1 = from; iAt1 < iTo; iAt1 += 8) {
              const i64 i = min_i64(iAt1, iTo - 8);
              *(f32x8u *)(p2 + i) = *(const f32x8u *)(p0 + i) * splat_f32x8(s4) + *(const f32x8u *)(p1 + i);
            }
          } else {
            if (iTo - from >= 4) {
              for (i64 iAt = from; iAt < iTo; iAt += 4) {
                const i64 i = min_i64(iAt, iTo - 4);
                *(f32x4u *)(p2 + i) = *(const f32x4u *)(p0 + i) * splat_f32x4(s4) + *(const f32x4u *)(p1 + i);
              }
            } else {
              for (i64 i = from; i < iTo; i++) {
                p2[i] = p0[i] * s4 + p1[i];
              }
            }
          }
        }
      }
      "
    `)
  })

  test('a reduction over rows with a maximum that keeps a NaN', () => {
    const k = new KernelBuilder('row max and sum')
    const [x, out] = [k.buffer('bfloat16', 'read'), k.buffer('float32', 'write')]
    const n = k.index()
    k.parallel('row', (row) => {
      const largest = k.declare('largest', ir.f32(-Infinity))
      const sum = k.declare('sum', ir.f32(0))
      k.vector('i', 0, n, (i) => {
        const value = k.let('value', ir.load(x, ir.add(ir.mul(row, n), i)))
        k.accumulate(largest, 'max', value)
        k.accumulate(sum, 'add', value)
      })
      k.store(out, row, ir.div(sum, largest))
    })
    expect(body(k.build())).toMatchInlineSnapshot(`
      "void k(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        const u16 *restrict p0 = (const u16 *)args[0];
        f32 *restrict p1 = (f32 *)args[1];
        const i64 n2 = args[2];
        for (i64 row = begin; row < end; row++) {
          f32 largest = -__builtin_inff();
          f32 sum = 0.0f;
          const i64 iEnd = n2 - n2 % 8;
          if (0 < iEnd) {
            f32x8 largestLanes = splat_f32x8(-__builtin_inff());
            f32x8 sumLanes = splat_f32x8(0.0f);
            for (i64 i = 0; i < iEnd; i += 8) {
              const f32x8 value = from_bfloat16x8(*(const u16x8u *)(p0 + row * n2 + i));
              largestLanes = nanmax_f32x8(largestLanes, value);
              sumLanes += value;
            }
            largest = nanmax_f32(largest, reduce_max_f32x8(largestLanes));
            sum += reduce_add_f32x8(sumLanes);
          }
          const i64 iEnd1 = n2 - (n2 - iEnd) % 4;
          if (iEnd < iEnd1) {
            f32x4 largestLanes1 = splat_f32x4(-__builtin_inff());
            f32x4 sumLanes1 = splat_f32x4(0.0f);
            for (i64 i = iEnd; i < iEnd1; i += 4) {
              const f32x4 value = from_bfloat16x4(*(const u16x4u *)(p0 + row * n2 + i));
              largestLanes1 = nanmax_f32x4(largestLanes1, value);
              sumLanes1 += value;
            }
            largest = nanmax_f32(largest, reduce_max_f32x4(largestLanes1));
            sum += reduce_add_f32x4(sumLanes1);
          }
          for (i64 i = iEnd1; i < n2; i++) {
            const f32 value = from_bfloat16(p0[row * n2 + i]);
            largest = nanmax_f32(largest, value);
            sum += value;
          }
          p1[row] = sum / largest;
        }
      }
      "
    `)
  })

  test('lanes, with a mask and an update in place', () => {
    const k = new KernelBuilder('relu in place')
    const x = k.buffer('float32', 'update')
    k.parallel('i', (i) => {
      const v = k.let('v', ir.load(x, ir.mul(i, 8), 8))
      k.store(x, ir.mul(i, 8), ir.select(ir.gt(v, 0), v, ir.mul(v, 0.1)))
    })
    expect(renderC([k.build()], 32)).toMatchInlineSnapshot(`
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
      typedef f32 f32x8u __attribute__((vector_size(32), aligned(4), may_alias));
      typedef i32 i32x8 __attribute__((vector_size(32)));
      static inline f32x8 select_f32x8(i32x8 m, f32x8 a, f32x8 b) { return (f32x8)((m & (i32x8)a) | (~m & (i32x8)b)); }
      static inline f32x8 splat_f32x8(f32 x) { return (f32x8){x, x, x, x, x, x, x, x}; }

      // relu in place
      void k_c6d06e704fb0ee26(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        f32 *p0 = (f32 *)args[0];
        for (i64 i = begin; i < end; i++) {
          const f32x8 v = *(const f32x8u *)(p0 + i * 8);
          *(f32x8u *)(p0 + i * 8) = select_f32x8(v > splat_f32x8(0.0f), v, v * splat_f32x8(0.1f));
        }
      }
      "
    `)
  })

  test('a gather by index that reports indices out of range', () => {
    const k = new KernelBuilder('gather rows')
    const [table, ids, out] = [k.buffer('float32', 'read'), k.buffer('int64', 'read'), k.buffer('float32', 'write')]
    const [rows, width] = [k.index(), k.index()]
    k.parallel('i', (i) => {
      const id = k.declare('id', ir.convert(ir.load(ids, i), 'index'))
      k.if(ir.or(ir.lt(id, 0), ir.ge(id, rows)), () => {
        k.fail(1)
        k.assign(id, ir.index(0))
      })
      k.vector('j', 0, width, (j) => {
        k.store(out, ir.add(ir.mul(i, width), j), ir.load(table, ir.add(ir.mul(id, width), j)))
      })
    })
    expect(body(k.build())).toMatchInlineSnapshot(`
      "void k(const i64 *args, i64 begin, i64 end, char *scratch, i32 *status) {
        const f32 *restrict p0 = (const f32 *)args[0];
        const i64 *restrict p1 = (const i64 *)args[1];
        f32 *restrict p2 = (f32 *)args[2];
        const i64 n3 = args[3];
        const i64 n4 = args[4];
        for (i64 i = begin; i < end; i++) {
          i64 id = (i64)p1[i];
          if ((id < 0) | (id >= n3)) {
            *status = 1;
            id = 0;
          }
          if (n4 >= 8) {
            for (i64 jAt1 = 0; jAt1 < n4; jAt1 += 8) {
              const i64 j = min_i64(jAt1, n4 - 8);
              *(f32x8u *)(p2 + i * n4 + j) = *(const f32x8u *)(p0 + id * n4 + j);
            }
          } else {
            if (n4 >= 4) {
              for (i64 jAt = 0; jAt < n4; jAt += 4) {
                const i64 j = min_i64(jAt, n4 - 4);
                *(f32x4u *)(p2 + i * n4 + j) = *(const f32x4u *)(p0 + id * n4 + j);
              }
            } else {
              for (i64 j = 0; j < n4; j++) {
                p2[i * n4 + j] = p0[id * n4 + j];
              }
            }
          }
        }
      }
      "
    `)
  })
})

describe('names', () => {
  test('kernels of one structure are one function, whatever their titles', () => {
    const [a, b] = [renderKernel(scaleAndAdd('first'), 32), renderKernel(scaleAndAdd('second'), 32)]
    expect(a.name).toBe(b.name)
    expect(renderC([scaleAndAdd('first'), scaleAndAdd('second')], 32)).toBe(renderC([scaleAndAdd('first')], 32))
  })

  test("C's words and the printer's own names are kept apart from variables", () => {
    const k = new KernelBuilder('names')
    const out = k.buffer('int32', 'write')
    k.parallel('int', (i) => {
      const p0 = k.declare('p0', ir.i32(1))
      k.store(out, i, p0)
    })
    expect(body(k.build())).toMatch(/i32 p0_ = 1;\n *p0\[int_\] = p0_;/)
  })
})

test('constants read back as they were', () => {
  const k = new KernelBuilder('constants')
  const [f, d, i, l] = [
    k.buffer('float32', 'write'),
    k.buffer('float64', 'write'),
    k.buffer('int32', 'write'),
    k.buffer('int64', 'write'),
  ]
  k.parallel('x', (x) => {
    for (const v of [0.1, -0, 1, 1e-45, 3.4028234663852886e38, NaN, -Infinity]) k.store(f, x, ir.f32(v))
    for (const v of [0.1, 5e-324, 1e300, Infinity]) k.store(d, x, ir.f64(v))
    for (const v of [-2147483648, 4294967295]) k.store(i, x, ir.i32(v))
    for (const v of [-(2n ** 63n), 2 ** 31, 2n ** 62n]) k.store(l, x, ir.constant(v, 'i64'))
  })
  const values = [...body(k.build()).matchAll(/= (.*);/g)].slice(5).map((m) => m[1])
  expect(values).toMatchInlineSnapshot(`
    [
      "0.1f",
      "-0.0f",
      "1.0f",
      "1e-45f",
      "3.4028235e+38f",
      "__builtin_nanf("")",
      "-__builtin_inff()",
      "0.1",
      "5e-324",
      "1e+300",
      "__builtin_inf()",
      "-2147483647 - 1",
      "-1",
      "-9223372036854775807LL - 1",
      "2147483648LL",
      "4611686018427387904LL",
    ]
  `)
})
