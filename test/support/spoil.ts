/**
 * Spoiled arguments: a valid call, and the same call with one argument after the other replaced by something hostile (no elements, rank 0, a
 * wrong dtype, NaN, an axis out of range, a dimension beyond 2^31, an alias of another argument, no tensor at all).
 */
import * as lz from '../../src/index.ts'
import { Tensor, toTensor } from '../../src/index.ts'
import { sample, type Arguments } from './calls.ts'

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
  readonly name: string
  args(): Arguments
}

/** The call itself, and with each of its arguments replaced. */
export function spoil(name: string, make: () => Arguments): Spoiled[] {
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
