import { describe, expect, test } from 'vitest'
import { fromBfloat16Bits, fromFloat16Bits, toBfloat16Bits, toFloat16Bits } from '../../common/dtype.ts'
import { erf } from '../../common/erf.ts'
import { IndexOutOfRangeError } from '../../common/errors.ts'
import * as ir from '../../codegen/builder.ts'
import { KernelBuilder } from '../../codegen/builder.ts'
import type { BinaryIr, CallIr, CompareIr, Expr, Kernel, UnaryIr } from '../../codegen/kernel.ts'
import { mathUnary } from '../../codegen/math.ts'
import { vectorize } from '../../codegen/vectorize.ts'
import { verifyKernel } from '../../codegen/verify.ts'
import { laneOptions } from '../../render/wasm.ts'
import { WasmBackend } from './backend.ts'
import { arrayOf, noise, runKernel } from './test-support.ts'

const relaxed = new WasmBackend()
const plain = new WasmBackend({ relaxedSimd: false })

/** Builds, verifies also what the vectoriser makes of it, and counts the vector stores, loads and accumulations there. */
function build(k: KernelBuilder): Kernel {
  const kernel = k.build()
  verifyKernel(vectorize(kernel, laneOptions))
  return kernel
}

function isVectorized(kernel: Kernel): boolean {
  return JSON.stringify(vectorize(kernel, laneOptions), (_, v) => (typeof v === 'bigint' ? String(v) : v)).includes(
    '"lanes":4',
  )
}

test('this engine has relaxed SIMD, so that both ways are tested', () => {
  expect(relaxed.relaxedSimd).toBe(true)
})

test.each([4, 8])('blocks of 4 x 4 in rows of %i lanes are turned', (lanes) => {
  const k = new KernelBuilder('turned')
  const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  k.parallel('i', () => {
    const rows = Array.from({ length: 4 }, (_, n) => ir.load(x, n * lanes, lanes))
    ir.transposeFours(k, rows).forEach((row, n) => k.store(out, n * lanes, row))
  })
  const [given, got] = [arrayOf('float32', 4 * lanes, (i) => i), arrayOf('float32', 4 * lanes, () => 0)]
  runKernel(relaxed, k.build(), [given, got], 1)
  const expected = Array.from({ length: 4 * lanes }, (_, i) => {
    const [row, lane] = [Math.floor(i / lanes), i % lanes]
    return (lane % 4) * lanes + lane - (lane % 4) + row
  })
  expect([...got]).toEqual(expected)
})

test('sixteen rows of sixteen lanes are turned', () => {
  const k = new KernelBuilder('turned')
  const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  k.parallel('i', () => {
    const rows = Array.from({ length: 16 }, (_, n) => ir.load(x, n * 16, 16))
    ir.transposeSixteen(k, rows).forEach((row, n) => k.store(out, n * 16, row))
  })
  const [given, got] = [arrayOf('float32', 256, (i) => i), arrayOf('float32', 256, () => 0)]
  runKernel(relaxed, k.build(), [given, got], 1)
  expect([...got]).toEqual(Array.from({ length: 256 }, (_, i) => (i % 16) * 16 + Math.floor(i / 16)))
})

test.each([4, 8, 16])('two rows of %i lanes are joined by turns', (lanes) => {
  const k = new KernelBuilder('joined')
  const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  k.parallel('i', () => {
    const [a, b] = [ir.load(x, 0, lanes), ir.load(x, lanes, lanes)]
    k.store(out, 0, ir.zip(a, b, 1, 'low', 'all'))
    k.store(out, lanes, ir.zip(a, b, 1, 'high', 'all'))
  })
  const [given, got] = [arrayOf('float32', 2 * lanes, (i) => i), arrayOf('float32', 2 * lanes, () => 0)]
  runKernel(relaxed, k.build(), [given, got], 1)
  expect([...got]).toEqual(Array.from({ length: 2 * lanes }, (_, i) => (i >> 1) + (i % 2) * lanes))
})

describe.each([
  ['relaxed SIMD', relaxed],
  ['plain SIMD', plain],
])('kernels with %s', (_, backend) => {
  test.each([0, 1, 3, 4, 5, 17, 100])(
    'elementwise over %i columns, with broadcast, gathered and transposed operands',
    (columns) => {
      const k = new KernelBuilder('elementwise')
      const [x, row, column, out] = [
        k.buffer('float32', 'read'),
        k.buffer('float32', 'read'),
        k.buffer('float32', 'read'),
        k.buffer('float32', 'write'),
      ]
      const [n, strideX, scale] = [k.index(), k.index(), k.scalar('f32')]
      k.parallel('i', (i) => {
        const start = k.let('start', ir.mul(i, n))
        k.vector('j', 0, n, (j) => {
          const value = k.let('value', ir.fma(ir.load(x, ir.add(ir.mul(j, strideX), i)), scale, ir.load(row, i)))
          k.store(out, ir.add(start, j), ir.max(ir.sub(value, ir.load(column, j)), 0))
        })
      })
      const kernel = build(k)
      expect(isVectorized(kernel)).toBe(true)
      const rows = 3
      const random = noise(columns)
      const [a, b, c] = [rows * columns, rows, columns].map((size) => arrayOf('float32', size, random)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ]
      const result = new Float32Array(rows * columns)
      runKernel(backend, kernel, [a, b, c, result, columns, rows, 1.5], rows)
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          const expected = Math.max(a[j * rows + i]! * 1.5 + b[i]! - c[j]!, 0)
          expect(result[i * columns + j]).toBeCloseTo(expected, 5)
        }
      }
    },
  )

  test.each([1, 2, 7, 16, 23, 64, 101])('sums, products, extrema and their NaN over %i elements', (n) => {
    const k = new KernelBuilder('reduce')
    const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
    const size = k.index()
    k.parallel('row', (r) => {
      const ops = ['add', 'mul', 'max', 'min'] as const
      const starts = [0, 1, -Infinity, Infinity]
      const accumulators = ops.map((op, i) => k.declare(op, ir.f32(starts[i]!)))
      k.vector('j', 0, size, (j) => {
        const value = k.let('value', ir.load(x, ir.add(ir.mul(r, size), j)))
        ops.forEach((op, i) => k.accumulate(accumulators[i]!, op, value))
      })
      accumulators.forEach((a, i) => k.store(out, ir.add(ir.mul(r, 4), i), a))
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const random = noise(n)
    const data = arrayOf('float32', n * 2, () => random() + 1) as Float32Array
    data[n + (n >> 1)] = NaN
    const result = new Float32Array(8)
    runKernel(backend, kernel, [data, result, n], 2)
    const first = [...data.subarray(0, n)]
    const sum = first.reduce((a, b) => a + b)
    const product = first.reduce((a, b) => a * b)
    expect(result[0]).toBeCloseTo(sum, 3)
    expect(result[1]! / product).toBeCloseTo(1, 4)
    expect(result[2]).toBe(Math.max(...first))
    expect(result[3]).toBe(Math.min(...first))
    expect([...result.subarray(4)]).toEqual([NaN, NaN, NaN, NaN])
  })

  test('columns are summed by an outer vector loop', () => {
    const k = new KernelBuilder('column sums')
    const [x, out] = [k.buffer('bfloat16', 'read'), k.buffer('float32', 'write')]
    const [rows, columns] = [k.index(), k.index()]
    k.parallel('block', () => {
      k.vector('j', 0, columns, (j) => {
        const sum = k.declare('sum', ir.f32(0))
        const largest = k.declare('largest', ir.f32(-Infinity))
        k.loop('i', 0, rows, 1, (i) => {
          const value = k.let('value', ir.load(x, ir.add(ir.mul(i, columns), j)))
          k.accumulate(sum, 'add', value)
          k.accumulate(largest, 'max', value)
        })
        k.store(out, j, ir.mul(sum, largest))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const data = arrayOf('bfloat16', 5 * 11, (i) => toBfloat16Bits(((i * 7) % 13) - 6))
    const result = new Float32Array(11)
    runKernel(backend, kernel, [data, result, 5, 11], 1)
    for (let j = 0; j < 11; j++) {
      const column = Array.from({ length: 5 }, (_, i) => fromBfloat16Bits(Number(data[i * 11 + j])))
      expect(result[j]).toBe(column.reduce((a, b) => a + b) * Math.max(...column))
    }
  })

  test.each(['float16', 'bfloat16'] as const)('every %s is read and written as in the plain code', (dtype) => {
    const [from, to] = dtype === 'float16' ? [fromFloat16Bits, toFloat16Bits] : [fromBfloat16Bits, toBfloat16Bits]
    const k = new KernelBuilder(dtype)
    const [x, wide, back] = [k.buffer(dtype, 'read'), k.buffer('float32', 'write'), k.buffer(dtype, 'write')]
    const n = k.index()
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const value = k.let('value', ir.load(x, i))
        k.store(wide, i, value)
        k.store(back, i, value)
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const size = 65536 - 1
    const bits = arrayOf(dtype, size, (i) => i)
    const [floats, again] = [new Float32Array(size), new Uint16Array(size)]
    runKernel(backend, kernel, [bits, floats, again, size], 1)
    const wrong = [...floats.keys()].filter(
      (i) =>
        !Object.is(floats[i], from(i)) || (Number.isNaN(from(i)) ? !Number.isNaN(from(again[i]!)) : again[i] !== i),
    )
    expect(wrong).toEqual([])

    const store = new KernelBuilder(`to ${dtype}`)
    const [source, target] = [store.buffer('float32', 'read'), store.buffer(dtype, 'write')]
    const count = store.index()
    store.parallel('b', () => store.vector('i', 0, count, (i) => store.store(target, i, ir.load(source, i))))
    const edges = [
      0,
      -0,
      1,
      65504,
      65519.996,
      65520,
      1e9,
      -1e9,
      2 ** -24,
      2 ** -25,
      2 ** -25 * 1.0001,
      2 ** -14,
      6.1e-5,
      1e-40,
      Infinity,
      -Infinity,
      NaN,
      3.4e38,
      1.00390625,
      1.01171875,
    ]
    const random = noise(5)
    const values = Float32Array.from([
      ...edges,
      ...Array.from({ length: 3001 }, () => random() * 10 ** (random() * 10)),
    ])
    const rounded = new Uint16Array(values.length)
    runKernel(backend, build(store), [values, rounded, values.length], 1)
    const bad = [...values.keys()].filter((i) =>
      Number.isNaN(values[i]) ? !Number.isNaN(from(rounded[i]!)) : rounded[i] !== to(values[i]!),
    )
    expect(bad.map((i) => values[i])).toEqual([])
  })

  test.each(['bool', 'uint8', 'int8', 'int32'] as const)('%s is loaded, computed and stored by lanes', (dtype) => {
    const k = new KernelBuilder(dtype)
    const [x, out, mask] = [k.buffer(dtype, 'read'), k.buffer(dtype, 'write'), k.buffer('bool', 'write')]
    const [n, stride] = [k.index(), k.index()]
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const [a, b] = [ir.load(x, i), ir.load(x, ir.mul(i, stride))]
        k.store(out, i, dtype === 'bool' ? ir.and(a, b) : ir.sub(ir.mul(a, b), 1))
        k.store(mask, i, ir.and(ir.lt(a, b), ir.not(ir.eq(b, 1))))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const data = arrayOf(dtype, 100, (i) => (dtype === 'bool' ? ((i * 5) % 3) & 1 : i * 37))
    const [result, flags] = [arrayOf(dtype, 33, () => 0), new Uint8Array(33)]
    runKernel(backend, kernel, [data, result, flags, 33, 3], 1)
    for (let i = 0; i < 33; i++) {
      const [a, b] = [Number(data[i]), Number(data[i * 3])]
      const expected = arrayOf(dtype, 1, () => (dtype === 'bool' ? a & b : a * b - 1))
      expect(result[i]).toBe(expected[0])
      expect(flags[i]).toBe(a < b && b !== 1 ? 1 : 0)
    }
  })

  test('int64 and float64 arithmetic, with division that cannot trap', () => {
    const k = new KernelBuilder('wide')
    const [x, y, out, halves] = [
      k.buffer('int64', 'read'),
      k.buffer('int64', 'read'),
      k.buffer('int64', 'write'),
      k.buffer('float64', 'write'),
    ]
    const [n, big, third] = [k.index(), k.scalar('i64'), k.scalar('f64')]
    const ops: BinaryIr[] = ['add', 'sub', 'mul', 'div', 'rem', 'min', 'max', 'and', 'or', 'xor', 'shl', 'shr', 'ushr']
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const [a, b] = [k.let('a', ir.load(x, i)), k.let('b', ir.load(y, i))]
        ops.forEach((op, o) => k.store(out, ir.add(ir.mul(i, 14), o), ir.binary(op, a, b)))
        k.store(out, ir.add(ir.mul(i, 14), 13), ir.add(ir.abs(ir.neg(a)), big))
        k.store(halves, i, ir.mul(ir.convert(a, 'f64'), third))
      })
    })
    const xs = BigInt64Array.from([7n, -7n, 2n ** 62n, -(2n ** 63n), 0n, 123456789012n])
    const ys = BigInt64Array.from([3n, 3n, 5n, -1n, 0n, 60n])
    const [result, floats] = [new BigInt64Array(6 * 14), new Float64Array(6)]
    const large = 2n ** 53n + 1n
    runKernel(backend, build(k), [xs, ys, result, floats, 6, large, 1 / 3], 1)
    const wrap = (v: bigint) => BigInt.asIntN(64, v)
    xs.forEach((a, i) => {
      const b = ys[i]!
      const expected = [
        a + b,
        a - b,
        a * b,
        b === 0n ? 0n : a / b,
        b === 0n ? 0n : a % b,
        a < b ? a : b,
        a > b ? a : b,
        a & b,
        a | b,
        a ^ b,
        a << (b & 63n),
        a >> (b & 63n),
        BigInt.asUintN(64, a) >> (b & 63n),
        wrap(a < 0n ? -a : a) + large,
      ].map(wrap)
      expect([...result.subarray(i * 14, i * 14 + 14)]).toEqual(expected)
      expect(floats[i]).toBe(Number(a) * (1 / 3))
    })
  })

  test('int32 arithmetic in lanes and alone', () => {
    const k = new KernelBuilder('narrow')
    const [x, y, out] = [k.buffer('int32', 'read'), k.buffer('int32', 'read'), k.buffer('int32', 'write')]
    const n = k.index()
    const ops: BinaryIr[] = [
      'add',
      'sub',
      'mul',
      'div',
      'rem',
      'min',
      'max',
      'and',
      'or',
      'xor',
      'shl',
      'shr',
      'ushr',
      'mulhi',
    ]
    const extra = [
      (a: Expr) => ir.shl(a, 3),
      (a: Expr) => ir.ushr(a, 3),
      (a: Expr) => ir.abs(a),
      (a: Expr) => ir.neg(a),
      (a: Expr) => ir.not(a),
      (a: Expr) => ir.div(a, 7),
    ]
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const [a, b] = [k.let('a', ir.load(x, i)), k.let('b', ir.load(y, i))]
        ops.forEach((op, o) => k.store(out, ir.add(ir.mul(n, o), i), ir.binary(op, a, b)))
        extra.forEach((f, o) => k.store(out, ir.add(ir.mul(n, o + ops.length), i), f(a)))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const xs = Int32Array.from([7, -7, 2 ** 31 - 1, -(2 ** 31), 0, 123456789, -5])
    const ys = Int32Array.from([3, 3, 5, -1, 0, 30, -2147483648])
    const result = new Int32Array(7 * 20)
    runKernel(backend, kernel, [xs, ys, result, 7], 1)
    xs.forEach((a, i) => {
      const b = ys[i]!
      const high = Number((BigInt(a >>> 0) * BigInt(b >>> 0)) >> 32n) | 0
      const expected = [
        (a + b) | 0,
        (a - b) | 0,
        Math.imul(a, b),
        b === 0 ? 0 : (a / b) | 0,
        b === 0 ? 0 : (a % b) | 0,
        Math.min(a, b),
        Math.max(a, b),
        a & b,
        a | b,
        a ^ b,
        a << b,
        a >> b,
        (a >>> b) | 0,
        high,
        a << 3,
        a >>> 3,
        Math.abs(a) | 0,
        -a | 0,
        ~a,
        (a / 7) | 0,
      ]
      expect(expected.map((_, o) => result[o * 7 + i])).toEqual(expected)
    })
  })

  test('float arithmetic in lanes and alone, NaN and signed zeros included', () => {
    const unary: [UnaryIr, (v: number) => number][] = [
      ['neg', (v) => -v],
      ['abs', Math.abs],
      ['floor', Math.floor],
      ['ceil', Math.ceil],
      ['trunc', Math.trunc],
      ['sqrt', Math.sqrt],
      ['round', (v) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v))],
    ]
    const binary: [BinaryIr, (a: number, b: number) => number][] = [
      ['add', (a, b) => a + b],
      ['sub', (a, b) => a - b],
      ['mul', (a, b) => a * b],
      ['div', (a, b) => a / b],
      ['min', (a, b) => (a < b ? a : b)],
      ['max', (a, b) => (a > b ? a : b)],
    ]
    const comparisons: [CompareIr, (a: number, b: number) => boolean][] = [
      ['eq', (a, b) => a === b],
      ['ne', (a, b) => a !== b],
      ['lt', (a, b) => a < b],
      ['le', (a, b) => a <= b],
      ['gt', (a, b) => a > b],
      ['ge', (a, b) => a >= b],
    ]
    const k = new KernelBuilder('floats')
    const [x, y, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'write')]
    const n = k.index()
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const [a, b] = [k.let('a', ir.load(x, i)), k.let('b', ir.load(y, i))]
        const results = [...unary.map(([op]) => ir.unary(op, a)), ...binary.map(([op]) => ir.binary(op, a, b))]
        for (const [op] of comparisons) results.push(ir.convert(ir.compare(op, a, b), 'f32'))
        for (const [op] of comparisons) results.push(ir.select(ir.compare(op, a, b), a, b))
        results.push(ir.convert(ir.convert(a, 'i32'), 'f32'), ir.bitcast(ir.or(ir.bitcast(a, 'i32'), 1), 'f32'))
        results.forEach((value, o) => k.store(out, ir.add(ir.mul(n, o), i), value))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const xs = Float32Array.from([1.5, -2.5, 0, -0, NaN, Infinity, 3.25, -0.5, 7, 0.75, -1e-3])
    const ys = Float32Array.from([2, -2.5, -0, 0, 1, -Infinity, NaN, 0.5, 7, -3, 1e20])
    const result = new Float32Array(xs.length * 27)
    runKernel(backend, kernel, [xs, ys, result, xs.length], 1)
    const bits = new Int32Array(1)
    const float = new Float32Array(bits.buffer)
    xs.forEach((a, i) => {
      const b = ys[i]!
      float[0] = a
      bits[0]! |= 1
      const truncated = Number.isNaN(a) ? 0 : a === Infinity ? 2 ** 31 : Math.trunc(a) + 0
      const expected = [
        ...unary.map(([, f]) => f(a)),
        ...binary.map(([, f]) => f(a, b)),
        ...comparisons.map(([, f]) => Number(f(a, b))),
        ...comparisons.map(([, f]) => (f(a, b) ? a : b)),
        truncated,
        float[0]!,
      ].map(Math.fround)
      expect(expected.map((_, o) => result[o * xs.length + i])).toEqual(expected)
    })
  })

  test('host functions, and their expansions in lanes', () => {
    const fns: [CallIr, (v: number) => number][] = [
      ['exp', Math.exp],
      ['log', Math.log],
      ['tanh', Math.tanh],
      ['sin', Math.sin],
      ['erf', erf],
      ['log1p', Math.log1p],
      ['atan', Math.atan],
    ]
    const k = new KernelBuilder('math')
    const [x, out, wide] = [k.buffer('float32', 'read'), k.buffer('float32', 'write'), k.buffer('float64', 'write')]
    const n = k.index()
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const value = k.let('value', ir.load(x, i))
        fns.forEach(([fn], o) => k.store(out, ir.add(ir.mul(n, o), i), mathUnary(k, fn as 'exp', value)))
      })
      k.vector('i', 0, n, (i) => {
        fns.forEach(([fn], o) => k.store(wide, ir.add(ir.mul(n, o), i), ir.call(fn, ir.convert(ir.load(x, i), 'f64'))))
      })
      k.store(wide, ir.mul(n, fns.length), ir.call('pow', ir.f64(1), ir.f64(NaN)))
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const xs = arrayOf('float32', 23, (i) => i / 7 + 0.01) as Float32Array
    const [result, doubles] = [new Float32Array(23 * fns.length), new Float64Array(23 * fns.length + 1)]
    runKernel(backend, kernel, [xs, result, doubles, 23], 1)
    fns.forEach(([, f], o) => {
      xs.forEach((v, i) => {
        expect(Math.abs(result[o * 23 + i]! - f(v))).toBeLessThan(4e-7 * Math.max(Math.abs(f(v)), 0.1))
        expect(doubles[o * 23 + i]).toBe(f(v))
      })
    })
    expect(doubles[23 * fns.length]).toBe(1)
  })

  test('positions as values: ramps, strided ramps, comparisons and remainders', () => {
    const k = new KernelBuilder('iota')
    const out = k.buffer('float32', 'write')
    const [n, stride] = [k.index(), k.index()]
    k.parallel('row', (row) => {
      const start = k.let('start', ir.mul(row, n))
      k.vector('j', 0, n, (j) => {
        const flat = k.let('flat', ir.add(start, ir.mul(j, stride)))
        const value = ir.select(ir.le(j, row), ir.convert(flat, 'f32'), ir.convert(ir.rem(j, 3), 'f32'))
        k.store(out, ir.add(start, j), ir.add(value, ir.convert(j, 'f32')))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const result = new Float32Array(7 * 7)
    runKernel(backend, kernel, [result, 7, 5], 7)
    for (let row = 0; row < 7; row++) {
      for (let j = 0; j < 7; j++) expect(result[row * 7 + j]).toBe((j <= row ? row * 7 + j * 5 : j % 3) + j)
    }
  })

  test('a guarded load stays scalar and never touches what lies outside', () => {
    const k = new KernelBuilder('pad')
    const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
    const [low, size, n] = [k.index(), k.index(), k.index()]
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const at = k.let('at', ir.sub(i, low))
        const inside = k.let('inside', ir.and(ir.ge(at, 0), ir.lt(at, size)))
        k.store(out, i, ir.select(inside, ir.load(x, ir.mul(at, 100_000_000)), 9))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(false)
    const result = new Float32Array(6)
    runKernel(backend, kernel, [Float32Array.of(5), result, 3, 1, 6], 1)
    expect([...result]).toEqual([9, 9, 9, 5, 9, 9])
  })

  test('where: a condition from memory chooses between lanes', () => {
    const k = new KernelBuilder('where')
    const [c, x, y, out] = [
      k.buffer('bool', 'read'),
      k.buffer('float32', 'read'),
      k.buffer('float32', 'read'),
      k.buffer('float32', 'write'),
    ]
    const [n, which] = [k.index(), k.scalar('i32')]
    k.parallel('b', () => {
      k.vector('i', 0, n, (i) => {
        const chosen = ir.select(ir.ne(ir.load(c, i), 0), ir.load(x, i), ir.load(y, i))
        k.store(out, i, ir.select(ir.eq(which, 1), chosen, ir.neg(ir.load(x, i))))
      })
    })
    const kernel = build(k)
    expect(isVectorized(kernel)).toBe(true)
    const [flags, a, b] = [
      arrayOf('bool', 11, (i) => (i % 3) & 1),
      arrayOf('float32', 11, (i) => i),
      arrayOf('float32', 11, (i) => -i * 2),
    ]
    for (const which of [1, 2]) {
      const result = new Float32Array(11)
      runKernel(backend, kernel, [flags, a, b, result, 11, which], 1)
      expect([...result]).toEqual([...result.keys()].map((i) => Number(which === 2 ? -a[i]! : flags[i] ? a[i] : b[i])))
    }
  })

  test.each([4, 8, 16])('a register tile of vectors of %i lanes multiplies matrices', (lanes) => {
    const [rows, depth, repeats] = [3, 19, 2]
    const k = new KernelBuilder('tile')
    const [a, b, c] = [k.buffer('float32', 'read'), k.buffer('float32', 'read'), k.buffer('float32', 'update')]
    const [n, ldb] = [k.index(), k.index()]
    const packed = k.scratch('float32')
    k.parallel('tile', (tile) => {
      const column = k.let('column', ir.mul(tile, lanes * 2))
      k.vector('q', 0, ir.mul(n, lanes * 2), (q) => {
        const [p, j] = [ir.div(q, lanes * 2), ir.rem(q, lanes * 2)]
        k.store(packed, q, ir.load(b, ir.add(ir.add(ir.mul(p, ldb), column), j)))
      })
      const at = (r: number, v: number) => ir.add(ir.add(ir.mul(ldb, r), column), v * lanes)
      const acc = Array.from({ length: rows }, (_, r) =>
        [0, 1].map((v) => k.declare('acc', ir.load(c, at(r, v), lanes))),
      )
      k.loop('p', 0, n, 1, (p) => {
        const bs = [0, 1].map((v) => k.let('b', ir.load(packed, ir.add(ir.mul(p, lanes * 2), v * lanes), lanes)))
        for (let r = 0; r < rows; r++) {
          const x = k.let('a', ir.load(a, ir.add(ir.mul(n, r), p)))
          acc[r]!.forEach((sum, v) => k.assign(sum, ir.fma(x, bs[v]!, sum)))
        }
      })
      acc.forEach((sums, r) => sums.forEach((sum, v) => k.store(c, at(r, v), sum)))
    })
    const columns = lanes * 2 * repeats
    const random = noise(3)
    const [x, y, z] = [rows * depth, depth * columns, rows * columns].map((s) => arrayOf('float32', s, random)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const expected = z.map((v, q) => {
      const [i, j] = [Math.floor(q / columns), q % columns]
      let sum = v
      for (let p = 0; p < depth; p++) sum += x[i * depth + p]! * y[p * columns + j]!
      return sum
    })
    runKernel(backend, build(k), [x, y, z, depth, columns, 'scratch'], repeats, depth * lanes * 2 * 4)
    z.forEach((v, i) => expect(v).toBeCloseTo(expected[i]!, 4))
  })

  test('vector expressions written by hand: lanes summed, gathered, shifted and compared', () => {
    const k = new KernelBuilder('lanes')
    const [x, out, ints] = [k.buffer('float32', 'read'), k.buffer('float32', 'write'), k.buffer('int32', 'write')]
    k.parallel('b', () => {
      const v = k.let('v', ir.gather(x, 1, 3, 8))
      const positions = k.let('positions', ir.ramp(ir.index(10), 8))
      k.store(out, 0, ir.reduceLanes('add', v))
      k.store(out, 1, ir.reduceLanes('max', ir.select(ir.lt(positions, 15), v, -1)))
      k.store(out, 2, ir.splat(ir.load(x, 2), 8))
      k.store(ints, 0, ir.shl(positions, ir.ramp(ir.index(0), 8)))
      k.store(ints, 8, ir.convert(ir.eq(ir.and(positions, 1), 0), 'i32'))
      k.store(ints, 16, ir.reduceLanes('min', positions))
    })
    const data = arrayOf('float32', 32, (i) => i * 1.5) as Float32Array
    const [floats, integers] = [new Float32Array(10), new Int32Array(17)]
    runKernel(backend, build(k), [data, floats, integers], 1)
    const gathered = Array.from({ length: 8 }, (_, i) => data[1 + i * 3]!)
    expect(floats[0]).toBe(gathered.reduce((a, b) => a + b))
    expect(floats[1]).toBe(gathered[4])
    expect([...floats.subarray(2)]).toEqual(new Array(8).fill(3))
    expect([...integers]).toEqual([...Array.from({ length: 8 }, (_, i) => (10 + i) << i), 1, 0, 1, 0, 1, 0, 1, 0, 10])
  })

  test('nested loops with steps, branches and variables that change', () => {
    const k = new KernelBuilder('collatz')
    const out = k.buffer('int32', 'write')
    const n = k.index()
    k.parallel('i', (i) => {
      const value = k.declare('value', ir.add(ir.convert(i, 'i32'), 1))
      const steps = k.declare('steps', ir.i32(0))
      k.loop('a', 0, 10, 5, (a) => {
        k.loop('t', a, ir.add(a, 5), 1, () => {
          k.if(
            ir.eq(ir.and(value, 1), 0),
            () => k.assign(value, ir.div(value, 2)),
            () => k.assign(value, ir.add(ir.mul(value, 3), 1)),
          )
          k.accumulate(steps, 'add', 1)
        })
      })
      k.store(out, i, ir.add(ir.mul(value, 100), steps))
      k.store(out, ir.add(n, i), value)
    })
    const result = new Int32Array(20)
    runKernel(backend, build(k), [result, 10], 10)
    for (let i = 0; i < 10; i++) {
      let value = i + 1
      for (let t = 0; t < 10; t++) value = value % 2 === 0 ? value / 2 : 3 * value + 1
      expect(result[i]).toBe(value * 100 + 10)
      expect(result[10 + i]).toBe(value)
    }
  })

  test('a fault is reported, and the rest still runs', () => {
    const k = new KernelBuilder('take')
    const [x, at, out] = [k.buffer('float32', 'read'), k.buffer('int64', 'read'), k.buffer('float32', 'write')]
    const size = k.index()
    k.parallel('i', (i) => {
      const p = k.let('p', ir.convert(ir.load(at, i), 'index'))
      k.if(
        ir.and(ir.ge(p, 0), ir.lt(p, size)),
        () => k.store(out, i, ir.load(x, p)),
        () => k.fail(1),
      )
    })
    const result = new Float32Array(4)
    const run = (...indices: bigint[]) =>
      runKernel(backend, build(k), [Float32Array.of(1, 2, 3), BigInt64Array.from(indices), result, 3], 4)
    expect(() => run(2n, 3n, 0n, -1n)).toThrow(IndexOutOfRangeError)
    expect([...result]).toEqual([3, 0, 1, 0])
    run(2n, 1n, 0n, 1n)
    expect([...result]).toEqual([3, 2, 1, 2])
  })
})
