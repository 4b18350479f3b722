/**
 * The last pass over what a pickle built: arrays and late text take their places, names without a call are refused, and so are values
 * that contain themselves or that would grow without measure when somebody walks them (lists of one list of one list ...).
 */
import { COST } from './cost.ts'
import { brokenPickle } from './errors.ts'
import { GlobalRef } from './globals.ts'
import type { Machine } from './machine.ts'
import { PendingArray, PendingDtype } from './ndarray.ts'
import { LongText } from './text.ts'
import { PickleTuple, type PickleValue } from './values.ts'

/** Values inside values: more than any state needs, little enough for a walk that calls itself. */
const MAX_DEPTH = 200
/** How many values a walk may meet beyond one for each byte of the file, shared ones counted each time. */
const FREE_VALUES = 1_000_000

export function finish(root: unknown, machine: Machine, fileBytes: number): PickleValue {
  const limit = FREE_VALUES + fileBytes
  /** Values that a walk meets in each container, itself included; 0 while it is being looked at. */
  const sizes = new Map<object, number>()
  const texts = new Map<LongText, string>()

  const leaf = (value: unknown): unknown => {
    if (value instanceof LongText) {
      const text = texts.get(value) ?? machine.decoded(value)
      texts.set(value, text)
      return text
    }
    if (value instanceof PendingArray) {
      if (!value.value) throw brokenPickle('an array that was never filled', machine.at)
      return value.value
    }
    if (value instanceof PendingDtype) throw machine.refused('numpy.dtype', 'an element type is no value by itself')
    if (value instanceof GlobalRef) throw machine.refused(`GLOBAL ${value.name}`, 'a name is no value by itself')
    return value
  }

  const visit = (value: unknown, depth: number): { value: unknown; size: number } => {
    const inside = value instanceof PickleTuple ? value.items : value
    if (!Array.isArray(inside) && !(inside instanceof Map)) return { value: leaf(value), size: 1 }
    const known = sizes.get(value as object)
    if (known === 0) throw machine.refused('a value that contains itself', 'a state is a tree')
    if (known !== undefined) return { value, size: known }
    if (depth > MAX_DEPTH) throw machine.refused('deep nesting', `at most ${MAX_DEPTH} values lie in each other`)
    machine.budget.charge(COST.entry, machine.at)
    sizes.set(value as object, 0)
    let size = 1
    const take = (item: unknown): unknown => {
      const done = visit(item, depth + 1)
      size += done.size
      if (size > limit) throw machine.refused('shared values', `a walk through them meets more than ${limit} values`)
      return done.value
    }
    if (inside instanceof Map) for (const [key, item] of inside) inside.set(key, take(item))
    else for (let i = 0; i < inside.length; i++) (inside as unknown[])[i] = take(inside[i])
    sizes.set(value as object, size)
    return { value, size }
  }
  return visit(root, 0).value as PickleValue
}
