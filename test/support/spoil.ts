/**
 * Spoiled arguments: a valid call, and the same call with one argument after the other replaced by something hostile (no elements, rank 0, a
 * wrong dtype, NaN, an axis out of range, a dimension beyond 2^31, an alias of another argument, no tensor at all).
 */
import { LongzhouError } from '../../src/common/errors.ts'
import { withMemoryLimit } from '../../src/common/memory.ts'
import { numel } from '../../src/common/shape.ts'
import { topologicalOrder, type Node } from '../../src/graph/node.ts'
import * as lz from '../../src/index.ts'
import { setDevice, Tensor, toTensor } from '../../src/index.ts'
import { submit } from '../../src/tensor/realize.ts'
import { clearRecording, pendingWrites, withdrawWrite } from '../../src/tensor/session.ts'
import { firstDifference } from './backends.ts'
import { sample, type Arguments, type Call } from './calls.ts'

export type Functions = Readonly<Record<string, (...args: Arguments) => unknown>>

/** What the machine seems to have: enough for honest calls, and a tensor with 2^31 elements is refused on every machine. */
const memory = 2 ** 28

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

export interface Spoiled {
  readonly what: string
  run(): unknown
}

type Replace = (what: string, value: (old: unknown, first: unknown) => unknown) => void

/** The hostile values that one argument, or one entry of the options, is replaced by. */
function replacements(argument: unknown, replace: Replace): void {
  if (argument instanceof Tensor) {
    for (const [what, of] of hostileTensors) replace(what, (old) => of(old as Tensor))
    replace('the first argument', (_, first) => first)
  } else if (typeof argument === 'number') {
    for (const n of hostileNumbers) replace(String(n), () => n)
  } else if (Array.isArray(argument) && argument[0] instanceof Tensor) {
    for (const [what, of] of hostileTensors)
      replace(`a list that ends with ${what}`, (old) => [...(old as Tensor[]).slice(0, -1), of((old as Tensor[])[0]!)])
    replace('an empty list', () => [])
  } else if (Array.isArray(argument)) {
    for (const list of hostileLists) replace(`[${list.join()}]`, () => list)
  } else if (typeof argument === 'string') {
    for (const text of ['', 'float', 'i->']) replace(`'${text}'`, () => text)
  }
}

const isOptions = (a: unknown): a is Record<string, unknown> =>
  typeof a === 'object' && a !== null && Object.getPrototypeOf(a) === Object.prototype

/** The call itself, and with each of its arguments and options replaced. */
export function spoil(functions: Functions, [name, make]: Call): Spoiled[] {
  const called = (what: string, args: () => Arguments): Spoiled => ({ what, run: () => functions[name]!(...args()) })
  const out = [called(name, make)]
  make().forEach((argument, i) => {
    const replaceWith = (what: string, value: (old: unknown, first: unknown) => unknown): void => {
      const args = (): Arguments => {
        const all = make()
        return all.map((a, k) => (k === i ? value(a, all[0]) : a))
      }
      out.push(called(`${name}, argument ${i}${what}`, args))
    }
    replacements(argument, (what, value) => replaceWith(`: ${what}`, value))
    if (!isOptions(argument)) return
    for (const [key, entry] of Object.entries(argument)) {
      replacements(entry, (what, value) =>
        replaceWith(`, ${key}: ${what}`, (old, first) => ({
          ...(old as object),
          [key]: value((old as Record<string, unknown>)[key], first),
        })),
      )
    }
  })
  return out
}

const tensorsIn = (value: unknown): Tensor[] =>
  value instanceof Tensor ? [value] : Array.isArray(value) ? value.flatMap(tensorsIn) : []

/** What goes through more elements than this is recorded and never computed. */
const areSmall = (nodes: readonly Node[]): boolean => topologicalOrder(nodes).every((n) => numel(n.shape) <= 4096)

/** What a call gives: its tensors, or the error that it throws. */
async function outcome(s: Spoiled): Promise<Tensor[] | Error> {
  lz.seed(1)
  try {
    return tensorsIn(await withMemoryLimit(memory, () => s.run()))
  } catch (error) {
    return error as Error
  } finally {
    await settleWrites()
    // Nothing is computed that nobody reads: one bad index in a flush would be heard of elsewhere.
    clearRecording(false)
  }
}

/** What a call wrote in place (running statistics) goes out with it: else the next call would hear of an index out of range. */
async function settleWrites(): Promise<void> {
  if (pendingWrites().length === 0) return
  for (const s of pendingWrites()) while (s.pending.length > 0 && !areSmall(s.pending)) withdrawWrite(s)
  submit([])
  await lz.synchronize().catch(() => {})
}

const outcomes = async (list: readonly Spoiled[], device: string): Promise<(Tensor[] | Error)[]> => {
  setDevice(device)
  const out: (Tensor[] | Error)[] = []
  for (const s of list) out.push(await outcome(s))
  return out
}

interface Value {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly numbers: readonly number[]
}

/** A result, and the same in float64: what is computed and read. */
interface Read {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly wide: Tensor
}

const toRead = (tensors: readonly Tensor[]): Read[] =>
  tensors.map((t) => ({ dtype: t.dtype, shape: t.shape, wide: t.astype('float64') }))

const valuesOf = (results: readonly Read[]): Promise<Value[]> =>
  Promise.all(
    results.map(async ({ dtype, shape, wide }) => ({ dtype, shape, numbers: Array.from(await wide.data(), Number) })),
  )

function differs(what: string, a: readonly Value[], b: readonly Value[]): string | null {
  if (a.length !== b.length) return `${b.length} results, not ${a.length}`
  for (const [k, x] of a.entries()) {
    const y = b[k]!
    const kind = (v: Value): string => `${v.dtype}[${v.shape.join()}]`
    if (kind(x) !== kind(y)) return `${kind(y)}, not ${kind(x)}`
    const tolerance = x.dtype === 'float16' || what.includes('float16') ? 4e-3 : 1e-4
    // Beyond the border of an image, 0 times an infinite weight is NaN or nothing: which, is up to the algorithm, in Paddle too.
    const bordered = (v: Value): readonly number[] =>
      what.startsWith('conv') ? v.numbers.map((n) => (Number.isFinite(n) ? n : NaN)) : v.numbers
    const at = firstDifference(bordered(x), bordered(y), tolerance)
    if (at >= 0) return `element ${at} is ${y.numbers[at]}, not ${x.numbers[at]}`
  }
  return null
}

/** The oracle's values of what could be called and is small; the error's name where an index turns out to lie outside. */
async function truth(results: readonly (Tensor[] | Error)[]): Promise<(Value[] | string | null)[]> {
  const out: (Value[] | string | null)[] = []
  for (const r of results) {
    if (r instanceof Error || !areSmall(r.map((t) => t.node))) out.push(null)
    else out.push(await valuesOf(toRead(r)).catch((error: unknown) => (error as Error).constructor.name))
  }
  return out
}

/** Where a device gives another answer than the oracle. */
export async function disagreements(list: readonly Spoiled[], device: string): Promise<string[]> {
  const expectedResults = await outcomes(list, 'reference')
  const expected = await truth(expectedResults)
  const results = await outcomes(list, device)
  // One plan for all calls of a function: a hundred small ones would be planned and compiled one by one.
  const reads = results.map((r, i) => (r instanceof Error || expected[i] === null ? [] : toRead(r)))
  submit(reads.flatMap((r, i) => (Array.isArray(expected[i]) ? r.map(({ wide }) => wide.node) : [])))
  const wrong: string[] = []
  for (const [i, s] of list.entries()) {
    const [wanted, result, before] = [expected[i]!, results[i]!, expectedResults[i]!]
    const kind = (r: Tensor[] | Error): string => (r instanceof Error ? r.constructor.name : `${r.length} tensors`)
    if (kind(result) !== kind(before)) wrong.push(`${s.what}: ${kind(result)}, not ${kind(before)}`)
    if (result instanceof Error || wanted === null) continue
    const got = await valuesOf(reads[i]!).catch((error: unknown) => (error as Error).constructor.name)
    if (typeof got === 'string' || typeof wanted === 'string') {
      if (got !== wanted) wrong.push(`${s.what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`)
      continue
    }
    const difference = differs(s.what, wanted, got)
    if (difference) wrong.push(`${s.what}: ${difference}`)
  }
  return wrong
}

/** What is no list of arguments that a program can tell from a good one by a typed error. */
export async function rawErrors(list: readonly Spoiled[]): Promise<string[]> {
  const results = await outcomes(list, 'reference')
  return list.flatMap((s, i) => {
    const r = results[i]!
    return r instanceof Error && !(r instanceof LongzhouError) ? [`${s.what}: ${r.constructor.name}: ${r.message}`] : []
  })
}
