/**
 * The machine that a pickle is a program for, without the instructions that would execute anything: a stack, a memo, and values.
 * Instructions that call (REDUCE, BUILD) do so for the names of globals.ts only; read.ts decodes the instructions.
 */
import type { NumpyReadOptions } from '../../numpy-array.ts'
import { Budget } from '../budget.ts'
import { COST } from './cost.ts'
import { brokenPickle, RefusedPickleError } from './errors.ts'
import { GlobalRef } from './globals.ts'
import { buildArray, buildDtype, PendingArray, PendingDtype } from './ndarray.ts'
import { decodeText, LongText } from './text.ts'
import { PickleTuple, type PickleKey, type PickleValue } from './values.ts'

export class Machine {
  /** Byte of the instruction that is being followed. */
  at = 0
  readonly budget: Budget
  readonly uint16: NumpyReadOptions['uint16']
  private readonly stack: unknown[] = []
  private readonly marks: number[] = []
  private readonly memo: unknown[] = []
  private highest = 0

  constructor(fileBytes: number, uint16: NumpyReadOptions['uint16']) {
    this.budget = new Budget(fileBytes, 'pickle')
    this.uint16 = uint16
  }

  refused(what: string, why: string): RefusedPickleError {
    return new RefusedPickleError(what, this.at, why)
  }

  // ---- the stack --------------------------------------------------------------------------------------------------------------

  push(value: unknown): void {
    this.stack.push(value)
    if (this.stack.length > this.highest) {
      this.highest = this.stack.length
      this.budget.charge(COST.slot, this.at)
    }
  }

  pop(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw brokenPickle('the stack is empty', this.at)
    return this.stack.pop()
  }

  top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw brokenPickle('the stack is empty', this.at)
    return this.stack.at(-1)
  }

  mark(): void {
    this.marks.push(this.stack.length)
    this.budget.charge(COST.slot, this.at)
  }

  /** What was pushed since the last mark, which is removed. */
  popMark(): unknown[] {
    const mark = this.marks.pop()
    if (mark === undefined) throw brokenPickle('there is no mark on the stack', this.at)
    return this.stack.splice(mark)
  }

  /** POP: a value, or a mark that has nothing above it. */
  drop(): void {
    if (this.marks.at(-1) === this.stack.length) this.marks.pop()
    else this.pop()
  }

  /** STOP: the one value that is left. */
  result(): unknown {
    const value = this.pop()
    if (this.stack.length > 0 || this.marks.length > 0) throw brokenPickle('values are left on the stack', this.at)
    return value
  }

  // ---- the memo ---------------------------------------------------------------------------------------------------------------

  /** Picklers number their memo from 0 upwards; far jumps are refused, because a list with holes costs what a full one does. */
  put(index: number): void {
    const value = this.top()
    if (index > this.memo.length + 64) throw brokenPickle(`memo entry ${index} after ${this.memo.length}`, this.at)
    this.budget.charge(COST.memo * Math.max(0, index + 1 - this.memo.length), this.at)
    while (this.memo.length < index) this.memo.push(undefined)
    this.memo[index] = value
  }

  memoize(): void {
    this.put(this.memo.length)
  }

  get(index: number): void {
    const value = this.memo[index]
    if (value === undefined) throw brokenPickle(`memo entry ${index} does not exist`, this.at)
    this.push(value)
  }

  // ---- values -----------------------------------------------------------------------------------------------------------------

  made<T extends object>(value: T): T {
    this.budget.charge(COST.object, this.at)
    return value
  }

  /** A number where it is exact, else a bigint. */
  integer(value: bigint): number | bigint {
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    this.budget.charge(COST.object, this.at)
    return value
  }

  newList(items: unknown[] = []): unknown[] {
    this.budget.charge(COST.list + items.length * COST.slot, this.at)
    return items
  }

  newTuple(items: readonly unknown[]): PickleTuple {
    this.budget.charge(COST.tuple + items.length * COST.slot, this.at)
    return new PickleTuple(items as readonly PickleValue[])
  }

  newDict(): Map<PickleKey, unknown> {
    this.budget.charge(COST.dict, this.at)
    return new Map()
  }

  append(items: readonly unknown[]): void {
    const list = this.top()
    if (!Array.isArray(list)) throw this.refused('APPEND', 'to a list only')
    this.budget.charge(items.length * COST.slot, this.at)
    for (const item of items) list.push(item)
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.top()
    if (!(dict instanceof Map)) throw this.refused('SETITEM', 'in a dictionary only')
    if (items.length % 2 !== 0) throw brokenPickle('a key without a value', this.at)
    for (let i = 0; i < items.length; i += 2) this.setItem(dict as Map<PickleKey, unknown>, items[i], items[i + 1])
  }

  setItem(dict: Map<PickleKey, unknown>, key: unknown, value: unknown): void {
    const plain = key instanceof LongText ? this.decoded(key) : key
    if (typeof plain === 'object' && plain !== null)
      throw brokenPickle('a dictionary whose key is neither text nor a number', this.at)
    this.budget.charge(COST.entry, this.at)
    dict.set(plain as PickleKey, value)
  }

  /** The string of a text. */
  decoded(text: LongText): string {
    this.budget.charge(COST.text + 2 * text.bytes.byteLength, this.at)
    return decodeText(text.bytes, this.at)
  }

  // ---- calls ------------------------------------------------------------------------------------------------------------------

  reduce(): void {
    const args = this.pop()
    const callable = this.pop()
    if (!(callable instanceof GlobalRef) || !callable.call)
      throw this.refused(
        callable instanceof GlobalRef ? `REDUCE ${callable.name}` : 'REDUCE',
        'what it calls is not a function that data needs',
      )
    if (!(args instanceof PickleTuple)) throw brokenPickle('REDUCE without a tuple of arguments', this.at)
    this.push(callable.call(args.items, this))
  }

  build(): void {
    const state = this.pop()
    const target = this.top()
    const known = target instanceof PendingDtype || target instanceof PendingArray
    if (!known) throw this.refused('BUILD', 'it sets the state of an object; only NumPy arrays have one here')
    if (!(state instanceof PickleTuple)) throw brokenPickle('BUILD without a tuple', this.at)
    if (target instanceof PendingDtype) buildDtype(target, state, this)
    else buildArray(target, state, this)
  }
}
