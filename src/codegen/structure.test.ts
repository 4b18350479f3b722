import { expect, test } from 'vitest'
import type { Expr, Kernel, Parameter, Stmt, TileWindow, Type } from './kernel.ts'
import { structureOf } from './structure.ts'

const f32: Type = { scalar: 'f32', lanes: 4 }
const at: Expr = { kind: 'const', type: { scalar: 'index', lanes: 1 }, value: 3 }
const x: Expr = { kind: 'variable', type: f32, name: 'x' }

/** One expression of each kind. */
const expressions: { readonly [K in Expr['kind']]: Extract<Expr, { kind: K }> } = {
  const: { kind: 'const', type: f32, value: 1.5 },
  parameter: { kind: 'parameter', type: f32, index: 1 },
  variable: { kind: 'variable', type: f32, name: 'v' },
  unary: { kind: 'unary', type: f32, op: 'neg', x },
  binary: { kind: 'binary', type: f32, op: 'add', a: x, b: x },
  compare: { kind: 'compare', type: f32, op: 'lt', a: x, b: x },
  select: { kind: 'select', type: f32, condition: x, a: x, b: x },
  fma: { kind: 'fma', type: f32, a: x, b: x, c: x },
  convert: { kind: 'convert', type: f32, x },
  bitcast: { kind: 'bitcast', type: f32, x },
  load: { kind: 'load', type: f32, buffer: 1, at },
  splat: { kind: 'splat', type: f32, x },
  pairs: { kind: 'pairs', type: f32, buffer: 1, at },
  dot: { kind: 'dot', type: f32, a: x, b: x, c: x },
  gather: { kind: 'gather', type: f32, buffer: 1, at, stride: at },
  zip: { kind: 'zip', type: f32, a: x, b: x, run: 1, span: 'four', half: 'low' },
  ramp: { kind: 'ramp', type: f32, base: at },
  reduceLanes: { kind: 'reduceLanes', type: f32, op: 'add', x },
  call: { kind: 'call', type: f32, fn: 'exp', args: [x] },
}

const comment: Stmt = { kind: 'comment', text: 'note' }

const window: TileWindow = { table: 4, tableAt: at, taps: at, block: at, part: at, pair: at }

/** One statement of each kind. */
const statements: { readonly [K in Stmt['kind']]: Extract<Stmt, { kind: K }> } = {
  let: { kind: 'let', name: 'v', value: x },
  declare: { kind: 'declare', name: 'v', value: x },
  assign: { kind: 'assign', name: 'v', value: x },
  accumulate: { kind: 'accumulate', name: 'v', op: 'add', value: x },
  store: { kind: 'store', buffer: 1, at, value: x, stride: at },
  for: { kind: 'for', loop: 'vector', name: 'i', from: at, to: at, step: 2, unroll: 4, body: [comment] },
  if: { kind: 'if', condition: x, then: [comment], else: [comment] },
  tiles: {
    kind: 'tiles',
    parts: 1,
    target: 1,
    at,
    a: 2,
    aAt: at,
    b: 3,
    bAt: at,
    steps: at,
    accumulate: x,
    window,
    stream: { buffer: 5, ahead: at, split: { operand: 'a', at, when: x } },
  },
  prefetch: { kind: 'prefetch', buffer: 1, at },
  fail: { kind: 'fail', code: 1 },
  comment,
}

const parameters: readonly Parameter[] = [
  { kind: 'buffer', dtype: 'float32', access: 'read' },
  { kind: 'scratch', dtype: 'float32' },
  { kind: 'scalar', type: 'f32' },
]

/** All values that differ from `value` in one number or word, however deep it lies. */
function variants(value: unknown): unknown[] {
  if (typeof value === 'number') return [value + 1]
  if (typeof value === 'string') return [`${value}?`]
  if (Array.isArray(value)) return value.flatMap((v, i) => variants(v).map((w) => value.with(i, w)))
  return Object.entries(value as object).flatMap(([key, v]) =>
    // Kinds and scalars choose what else is there, and are told apart below.
    key === 'kind' ? [] : variants(v).map((w) => ({ ...(value as object), [key]: w })),
  )
}

const keyOf = (body: readonly Stmt[], given: readonly Parameter[] = []): string =>
  structureOf({ title: 'k', parameters: given, body } as Kernel)
const keyOfValue = (value: Expr): string => keyOf([{ kind: 'let', name: 'v', value }])

test.each(Object.values(expressions))('every field of an expression $kind counts', (e) => {
  const others = variants(e) as Expr[]
  expect(others.length).toBeGreaterThan(0)
  for (const other of others) expect(keyOfValue(other), JSON.stringify(other)).not.toBe(keyOfValue(e))
})

test.each(Object.values(statements))('every field of a statement $kind counts', (s) => {
  const others = variants(s) as Stmt[]
  expect(others.length).toBeGreaterThan(0)
  for (const other of others) expect(keyOf([other]), JSON.stringify(other)).not.toBe(keyOf([s]))
})

test('kinds and parameters count, titles do not', () => {
  const keys = [...Object.values(expressions).map(keyOfValue), ...Object.values(statements).map((s) => keyOf([s]))]
  expect(new Set(keys).size).toBe(keys.length)
  for (const other of variants(parameters) as Parameter[][])
    expect(keyOf([], other), JSON.stringify(other)).not.toBe(keyOf([], parameters))
  expect(structureOf({ title: 'other', parameters, body: [comment] } as Kernel)).toBe(keyOf([comment], parameters))
})
