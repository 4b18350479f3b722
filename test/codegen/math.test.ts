/** The expansions, compiled by the C dialect as a loop of scalars and as lanes, against float64. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import koffi from 'koffi'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderKernel, translationUnit } from '../../src/render/c.ts'
import { compileSharedObjectSync } from '../../src/runtime/compiler.ts'
import { kernelFlags } from '../../src/runtime/cpu/flags.ts'
import * as ir from '../../src/codegen/builder.ts'
import { KernelBuilder } from '../../src/codegen/builder.ts'
import type { Expr, Kernel } from '../../src/codegen/kernel.ts'
import { mathArctangent2, mathPower, mathUnary, type MathFunction } from '../../src/codegen/math.ts'

const LANES = 8
type Expand = (k: KernelBuilder, ...x: Expr[]) => Expr

function elementwise(expand: Expand, inputs: number, dtype: 'float32' | 'float64', lanes: number): Kernel {
  const k = new KernelBuilder('test')
  const sources = Array.from({ length: inputs }, () => k.buffer(dtype, 'read'))
  const out = k.buffer(dtype, 'write')
  k.parallel('i', (i) => {
    const body = (at: Expr): void => k.store(out, at, expand(k, ...sources.map((x) => ir.load(x, at, lanes))))
    if (lanes > 1) body(ir.mul(i, lanes))
    else k.vector('j', ir.mul(i, LANES), ir.add(ir.mul(i, LANES), LANES), body)
  })
  return k.build()
}

const unary: readonly MathFunction[] = [
  'exp',
  'expm1',
  'log',
  'log1p',
  'tanh',
  'sigmoid',
  'erf',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'asinh',
  'acosh',
  'atanh',
  'rsqrt',
  'reciprocal',
]
type Name = MathFunction | 'pow' | 'atan2'
const names: readonly Name[] = [...unary, 'pow', 'atan2']

const expandOf = (name: Name): Expand => {
  if (name === 'pow') return (k, x, y) => mathPower(k, x!, y!)
  if (name === 'atan2') return (k, y, x) => mathArctangent2(k, y!, x!)
  return (k, x) => mathUnary(k, name, x!)
}
const arity = (name: Name): number => (name === 'pow' || name === 'atan2' ? 2 : 1)

/** erf to float64 by its series and its continued fraction. */
function erf(x: number): number {
  const a = Math.abs(x)
  if (!(a < 6)) return Number.isNaN(x) ? NaN : Math.sign(x)
  if (a < 2) {
    let term = x
    let sum = x
    for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n++) sum += term *= (2 * x * x) / (2 * n + 1)
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
  }
  let tail = a
  for (let n = 80; n > 0; n--) tail = a + n / 2 / tail
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * tail))
}

const { exp, expm1, log, log1p, tanh, sin, cos, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, atan2 } = Math
const truth: Record<Name, (x: number, y: number) => number> = {
  exp,
  expm1,
  log,
  log1p,
  tanh,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  asinh,
  acosh,
  atanh,
  atan2,
  pow: (x, y) => (x === 1 ? 1 : Math.abs(x) === 1 && !Number.isFinite(y) && !Number.isNaN(y) ? 1 : x ** y),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  erf,
}

type Run = (x: Float32Array | Float64Array, y: Float32Array | Float64Array | null) => Float32Array | Float64Array
const compiled = new Map<string, Run>()
let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'longzhou-math-'))
  const variants = names.flatMap((name) => [
    { key: `${name} f32`, kernel: elementwise(expandOf(name), arity(name), 'float32', 1) },
    { key: `${name} lanes`, kernel: elementwise(expandOf(name), arity(name), 'float32', LANES) },
    { key: `${name} f64`, kernel: elementwise(expandOf(name), arity(name), 'float64', 1) },
  ])
  const rendered = variants.map(({ key, kernel }) => ({ key, kernel, c: renderKernel(kernel, 32) }))
  const path = join(root, 'math.so')
  compileSharedObjectSync(translationUnit(rendered.map((v) => v.c)), path, kernelFlags(false))
  const library = koffi.load(path)
  for (const { key, c, kernel } of rendered) {
    const f = library.func(`void ${c.name}(int64_t *args, int64_t begin, int64_t end, void *scratch, int *status)`)
    compiled.set(key, (x, y) => {
      const out = x instanceof Float32Array ? new Float32Array(x.length) : new Float64Array(x.length)
      const buffers = kernel.parameters.length === 3 ? [x, y!, out] : [x, out]
      f(BigInt64Array.from(buffers.map((b) => koffi.address(b))), 0, x.length / LANES, null, null)
      return out
    })
  }
}, 60_000)
afterAll(() => rmSync(root, { recursive: true }))

let seed = 12345
function uniform(): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0
  return (seed >>> 0) / 2 ** 32
}

const bits = new Int32Array(1)
const float = new Float32Array(bits.buffer)
/** Any float32, with all exponents as likely. */
function anyFloat(): number {
  bits[0] = uniform() * 2 ** 32
  return float[0]!
}

/** Distance in units of the last place of the float32 nearest to what is wanted. */
function ulps(got: number, wanted: number): number {
  if (Number.isNaN(wanted)) return Number.isNaN(got) ? 0 : Infinity
  const rounded = Math.fround(wanted)
  if (got === rounded) return 0
  if (!Number.isFinite(rounded))
    return Math.abs(got) >= 3.4028234e38 && Math.sign(got) === Math.sign(rounded) ? 1 : Infinity
  if (Math.abs(rounded) < 1.1754944e-38) return Math.abs(got) <= 1.1754944e-38 ? 0 : Infinity
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(wanted))) - 23, -149)
  return Math.abs(got - wanted) / unit
}

const edges = [
  0,
  -0,
  1,
  -1,
  2,
  -2,
  0.5,
  -0.5,
  Infinity,
  -Infinity,
  NaN,
  1e-45,
  -1e-45,
  1.17549435e-38,
  3.4028235e38,
  -3.4028235e38,
  88.72284,
  88.7229,
  -87.33654,
  -87.4,
  -103.9,
  89.41598,
  89.41599,
  -1.0000001,
  0.99999994,
  1.0000001,
  -0.99999994,
  3,
  -3,
  16777216,
  16777217,
  8388609,
  2.5,
  -2.5,
  1e10,
  5e-5,
  Math.PI / 4,
  Math.PI,
  Math.PI / 2,
  2 * Math.PI,
  4,
  6,
  10,
  1e-8,
  32768,
].map(Math.fround)

/** Where the functions change the most; float bits at random seldom fall there. */
const ranges: Partial<Record<Name, [number, number]>> = {
  exp: [-104, 90],
  expm1: [-30, 90],
  tanh: [-12, 12],
  sigmoid: [-100, 100],
  erf: [-5, 5],
  sinh: [-91, 91],
  cosh: [-91, 91],
  sin: [-1e5, 1e5],
  cos: [-1e5, 1e5],
  tan: [-1e5, 1e5],
  asin: [-1, 1],
  acos: [-1, 1],
  log1p: [-1, 3],
  log: [0, 4],
  acosh: [1, 5],
  asinh: [-5, 5],
  atanh: [-1, 1],
  atan: [-5, 5],
}

function samples(name: Name, count: number): [Float32Array, Float32Array] {
  const [low, high] = ranges[name] ?? [-20, 20]
  const x = Float32Array.from({ length: count }, (_, i) => (i % 2 ? low + uniform() * (high - low) : anyFloat()))
  const y = Float32Array.from({ length: count }, (_, i) => (i % 3 ? -20 + uniform() * 40 : anyFloat()))
  if (arity(name) === 1) x.set(edges)
  else edges.forEach((a, i) => edges.forEach((b, j) => ((x[i * edges.length + j] = a), (y[i * edges.length + j] = b))))
  // Powers near the limits of the range, where an error of the logarithm shows most.
  if (name === 'pow') {
    for (let i = count / 2; i < count; i++) {
      x[i] = Math.abs(anyFloat()) || 2
      y[i] = ((uniform() * 2 - 1) * 128) / Math.log2(x[i]!)
    }
  }
  return [x, y]
}

const LIMIT: Partial<Record<Name, number>> = { tan: 3.2 }

describe.each(['f32', 'lanes'] as const)('%s', (variant) => {
  test.each(names)('%s is right within a few units in the last place', (name) => {
    const [x, y] = samples(name, 1 << 15)
    const got = compiled.get(`${name} ${variant}`)!(x, y)
    let worst = { error: -1, x: 0, y: 0, got: 0, wanted: 0 }
    x.forEach((v, i) => {
      const wanted = truth[name](v, y[i]!)
      const error = ulps(got[i]!, wanted)
      if (error > worst.error) worst = { error, x: v, y: y[i]!, got: got[i]!, wanted }
    })

    expect({ ...worst, isClose: worst.error < (LIMIT[name] ?? 2.6) }).toMatchObject({ isClose: true })
  })

  test('odd functions keep the sign of zero', () => {
    for (const name of [
      'expm1',
      'log1p',
      'tanh',
      'erf',
      'sin',
      'tan',
      'asin',
      'atan',
      'sinh',
      'asinh',
      'atanh',
    ] as const) {
      const got = compiled.get(`${name} ${variant}`)!(new Float32Array(LANES).fill(-0), null)
      expect([name, got[0]]).toEqual([name, -0])
    }
  })
})

test.each(names)('%s of float64', (name) => {
  const [x, y] = samples(name, 1 << 12).map((v) => Float64Array.from(v)) as [Float64Array, Float64Array]
  const got = compiled.get(`${name} f64`)!(x, y)
  x.forEach((v, i) => {
    const wanted = truth[name](v, y[i]!)
    const same =
      Object.is(got[i]!, wanted) || Math.abs(got[i]! - wanted) <= Math.abs(wanted) * 4e-15 || got[i] === wanted
    expect(same ? '' : `${v} ${y[i]}: ${got[i]} for ${wanted}`).toBe('')
  })
})
