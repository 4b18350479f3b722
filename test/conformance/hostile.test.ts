/**
 * Hostile input: every public function of tensors, one argument after the other spoiled. What comes out is a right answer (the backends
 * agree with the oracle, and with each other about what is refused) or a typed error that says so; never a crash or a raw TypeError.
 */
import { describe, expect, it } from 'vitest'
import { LongzhouError } from '../../src/common/errors.ts'
import { numel } from '../../src/common/shape.ts'
import * as lz from '../../src/index.ts'
import { setDevice, Tensor, toTensor } from '../../src/index.ts'
import { submit } from '../../src/tensor/realize.ts'
import { firstDifference, judged } from '../support/backends.ts'
import { calls, sample, type Arguments } from '../support/calls.ts'

type Function_ = (...args: Arguments) => unknown
const functions = lz as unknown as Readonly<Record<string, Function_>>

const size = 2 ** 31 + 11

/** In place of a tensor. Made anew each time: some functions keep what they get. */
const hostileTensors: readonly (readonly [string, (x: Tensor) => unknown])[] = [
  ['rank 0', () => toTensor(2.5)],
  ['no elements', () => lz.zeros([0])],
  ['no rows', (x) => lz.zeros([0, ...x.shape.slice(1)], x.dtype)],
  ['no columns', (x) => lz.zeros([...x.shape.slice(0, -1), 0], x.dtype)],
  ['one axis more', (x) => x.unsqueeze(0)],
  ['one column more', (x) => (x.ndim > 0 ? lz.concat([x, x.slice([-1], [0], [1])], -1) : x)],
  ['bool', (x) => sample(x.shape, 'bool')],
  ['uint8', (x) => sample(x.shape, 'uint8')],
  ['int8', (x) => sample(x.shape, 'int8')],
  ['int64', (x) => sample(x.shape, 'int64')],
  ['float16', (x) => sample(x.shape, 'float16')],
  ['float64', (x) => sample(x.shape, 'float64')],
  ['NaN', (x) => lz.full(x.shape, NaN)],
  ['infinity', (x) => lz.full(x.shape, -Infinity)],
  ['flipped', (x) => (x.ndim > 0 ? x.flip([0]) : x)],
  ['a dimension beyond 2^31', (x) => lz.zeros([size, ...x.shape.slice(1)], x.dtype)],
  ['an array', () => [1, 2, 3]],
  ['null', () => null],
  ['a string', () => 'tensor'],
]
const hostileNumbers = [0, -1, -2, 1.5, 5, -5, 2 ** 31, 2 ** 53, NaN, Infinity]
const hostileLists: readonly (readonly number[])[] = [
  [],
  [0],
  [-1],
  [0, 0],
  [1, -1],
  [1.5],
  [9],
  [-9, 0, 0, 0],
  [2 ** 33],
  [NaN],
]

interface Spoiled {
  readonly what: string
  readonly name: string
  args(): Arguments
}

/** The call itself, and with each of its arguments replaced. */
function spoil(name: string, make: () => Arguments): Spoiled[] {
  const out: Spoiled[] = [{ what: name, name, args: make }]
  const replaced = (i: number, what: string, value: (old: unknown, all: Arguments) => unknown): void => {
    out.push({
      what: `${name}, argument ${i}: ${what}`,
      name,
      args: () => {
        const args = make()
        return args.map((a, k) => (k === i ? value(a, args) : a))
      },
    })
  }
  const example = make()
  example.forEach((argument, i) => {
    if (argument instanceof Tensor) {
      for (const [what, of] of hostileTensors) replaced(i, what, (old) => of(old as Tensor))
      replaced(i, 'the first argument', (_, all) => all[0])
    } else if (typeof argument === 'number') {
      for (const n of hostileNumbers) replaced(i, String(n), () => n)
    } else if (Array.isArray(argument) && argument[0] instanceof Tensor) {
      for (const [what, of] of hostileTensors)
        replaced(i, `a list that ends with ${what}`, (old) => [
          ...(old as Tensor[]).slice(0, -1),
          of((old as Tensor[])[0]!),
        ])
      replaced(i, 'an empty list', () => [])
    } else if (Array.isArray(argument)) {
      for (const list of hostileLists) replaced(i, `[${list.join()}]`, () => list)
    } else if (typeof argument === 'string') {
      for (const text of ['', 'float', 'i->']) replaced(i, `'${text}'`, () => text)
    }
  })
  return out
}

const tensorsIn = (value: unknown): Tensor[] =>
  value instanceof Tensor ? [value] : Array.isArray(value) ? value.flatMap(tensorsIn) : []

/** What a call gives: its tensors, or the error that it throws. */
async function outcome(s: Spoiled): Promise<Tensor[] | Error> {
  lz.seed(1)
  try {
    return tensorsIn(await functions[s.name]!(...s.args()))
  } catch (error) {
    return error as Error
  }
}

const outcomes = async (list: readonly Spoiled[], device: string): Promise<(Tensor[] | Error)[]> => {
  setDevice(device)
  const out: (Tensor[] | Error)[] = []
  for (const s of list) out.push(await outcome(s))
  return out
}

/** Shapes beyond this are recorded and never computed. */
const isSmall = (tensors: readonly Tensor[]): boolean => tensors.every((t) => numel(t.shape) <= 4096)

interface Value {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly numbers: readonly number[]
}

const valuesOf = (tensors: readonly Tensor[]): Promise<Value[]> =>
  Promise.all(
    tensors.map(async (t) => ({
      dtype: t.dtype,
      shape: t.shape,
      numbers: [await t.astype('float64').data()].flatMap((d) => Array.from(d, Number)),
    })),
  )

function differs(a: readonly Value[], b: readonly Value[]): string | null {
  if (a.length !== b.length) return `${b.length} results, not ${a.length}`
  for (const [k, x] of a.entries()) {
    const y = b[k]!
    const kind = (v: Value): string => `${v.dtype}[${v.shape.join()}]`
    if (kind(x) !== kind(y)) return `${kind(y)}, not ${kind(x)}`
    const tolerance = x.dtype === 'float16' ? 4e-3 : 1e-4
    const at = firstDifference(x.numbers, y.numbers, tolerance)
    if (at >= 0) return `element ${at} is ${y.numbers[at]}, not ${x.numbers[at]}`
  }
  return null
}

/** The oracle's values of what could be called and is small; the error's name where an index turns out to lie outside. */
async function truth(results: readonly (Tensor[] | Error)[]): Promise<(Value[] | string | null)[]> {
  const out: (Value[] | string | null)[] = []
  for (const r of results) {
    if (r instanceof Error || !isSmall(r)) out.push(null)
    else out.push(await valuesOf(r).catch((error: unknown) => (error as Error).constructor.name))
  }
  return out
}

/** Where a device gives another answer than the oracle. */
async function disagreements(list: readonly Spoiled[], device: string): Promise<string[]> {
  const expectedResults = await outcomes(list, 'reference')
  const expected = await truth(expectedResults)
  const results = await outcomes(list, device)
  const together = results.map((r, i) => (r instanceof Error || !Array.isArray(expected[i]) ? [] : r))
  submit(together.flatMap((r) => r.map((t) => t.astype('float64').node)))
  submit(together.flatMap((r) => r.map((t) => t.node)))
  const wrong: string[] = []
  for (const [i, s] of list.entries()) {
    const [wanted, result, before] = [expected[i]!, results[i]!, expectedResults[i]!]
    const kind = (r: Tensor[] | Error): string => (r instanceof Error ? r.constructor.name : `${r.length} tensors`)
    if (kind(result) !== kind(before)) wrong.push(`${s.what}: ${kind(result)}, not ${kind(before)}`)
    if (result instanceof Error || wanted === null) continue
    const got = await valuesOf(result).catch((error: unknown) => (error as Error).constructor.name)
    if (typeof got === 'string' || typeof wanted === 'string') {
      if (got !== wanted) wrong.push(`${s.what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`)
      continue
    }
    const difference = differs(wanted, got)
    if (difference) wrong.push(`${s.what}: ${difference}`)
  }
  return wrong
}

/** What is no list of arguments that a program can tell from a good one by a typed error. */
async function rawErrors(list: readonly Spoiled[]): Promise<string[]> {
  const results = await outcomes(list, 'reference')
  return list.flatMap((s, i) => {
    const r = results[i]!
    return r instanceof Error && !(r instanceof LongzhouError) ? [`${s.what}: ${r.constructor.name}: ${r.message}`] : []
  })
}

const text = (lines: readonly string[]): string => lines.slice(0, 60).join('\n')

/** Not functions of tensors: the session, the generator, and what autograd's own tests cover. */
const apart = new Set(
  'backward grad noGrad enableGrad isGradEnabled devices getDevice isCompiledWithCuda registerDevice setDevice realize synchronize defaultGenerator getDefaultDtype setDefaultDtype getRngState setRngState seed isDType'.split(
    ' ',
  ),
)

describe('hostile arguments', () => {
  it('the table of calls names every public function of tensors', () => {
    const named = new Set(calls.map(([name]) => name))
    const missing = Object.keys(functions).filter((name) => {
      const f = functions[name]
      const isClass = typeof f === 'function' && /^class\b/.test(Function.prototype.toString.call(f))
      return typeof f === 'function' && !isClass && !named.has(name) && !apart.has(name)
    })

    expect(missing).toEqual([])
  })

  const groups = [0, 1, 2, 3, 4, 5].map((k) => calls.filter((_, i) => i % 6 === k))

  it.each(groups.map((g, k) => [k, g] as const))('give an answer or a typed error (%i)', async (_, group) => {
    const spoiled = group.flatMap(([name, args]) => spoil(name, args))

    expect(text(await rawErrors(spoiled))).toBe('')
  })

  it.each(groups.map((g, k) => [k, g] as const))('give the same answer on wasm (%i)', async (_, group) => {
    const spoiled = group.flatMap(([name, args]) => spoil(name, args))

    expect(text(await disagreements(spoiled, 'wasm'))).toBe('')
  })

  it.each(judged)('valid ones give the same answer on %s', async (device) => {
    const valid = calls.map(([name, args]): Spoiled => ({ what: name, name, args }))

    expect(text(await disagreements(valid, device))).toBe('')
  })
})
