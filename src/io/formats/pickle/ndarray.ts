/** NumPy's arrays in pickles: an element type and an array are each made empty and filled by BUILD. */
import type { HostArray } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { arrayFromNumpy, numpyElementSizes, type NumpyReadOptions } from '../../numpy-array.ts'
import { brokenPickle, RefusedPickleError } from './errors.ts'
import type { Machine } from './machine.ts'
import { latin1Bytes, LongText } from './text.ts'
import { PickleTuple } from './values.ts'

/** `numpy.dtype('f4')`, with the byte order that BUILD gives it. */
export class PendingDtype {
  readonly name: string
  order: string

  constructor(name: string, position: number) {
    const [, order = '', type = ''] = /^([<>|=]?)([a-zA-Z]\d{0,3})$/.exec(name) ?? []
    if (type.startsWith('O'))
      throw new RefusedPickleError('an array of Python objects', position, 'only arrays of numbers are read')
    if (type === '') throw new RefusedPickleError('numpy.dtype', position, 'only simple element types are read')
    this.name = type
    this.order = order || '<'
  }

  get descr(): string {
    return this.order + this.name
  }
}

/** An array that BUILD has not filled yet, or has. */
export class PendingArray {
  value: HostArray | undefined
}

/** `(3, '<', None, None, None, -1, -1, 0)`: version, byte order, then what only structured types have. */
export function buildDtype(dtype: PendingDtype, state: PickleTuple, machine: Machine): void {
  const [version, order, subarray, names, fields] = state.items
  if (typeof version !== 'number' || state.items.length < 5)
    throw brokenPickle('a state of numpy.dtype that is not known', machine.at)
  if (subarray !== null || names !== null || fields !== null)
    throw machine.refused('BUILD numpy.dtype', 'structured element types are not read')
  if (order !== '<' && order !== '>' && order !== '|' && order !== '=')
    throw brokenPickle('a byte order that is not known', machine.at)
  dtype.order = order
}

/** `(1, shape, dtype, is_fortran, bytes)`; version 0 lacks the first. */
export function buildArray(array: PendingArray, state: PickleTuple, machine: Machine): void {
  if (array.value) throw brokenPickle('an array that is filled twice', machine.at)
  const items = state.items.length === 5 ? state.items.slice(1) : state.items
  if (items.length !== 4) throw brokenPickle('a state of numpy.ndarray that is not known', machine.at)
  const [shape, type, fortran, data] = items as readonly unknown[]
  array.value = arrayOf({ data, type, shape, fortran: fortran === true || fortran === 1 }, machine)
}

interface ArrayParts {
  readonly data: unknown
  readonly type: unknown
  readonly shape: unknown
  readonly fortran: boolean
}

/** Makes the array, in memory of its own, after shape, element type and bytes were checked against each other. */
export function arrayOf(
  { data, type, shape, fortran }: ArrayParts,
  machine: Machine,
  uint16: NumpyReadOptions['uint16'] = machine.uint16,
): HostArray {
  if (!(type instanceof PendingDtype)) throw brokenPickle('an array without an element type', machine.at)
  if (Array.isArray(data)) throw machine.refused('an array of Python objects', 'only arrays of numbers are read')
  const sizes = shape instanceof PickleTuple ? shape.items : undefined
  if (!sizes?.every(isSize)) throw brokenPickle('an array without a usable shape', machine.at)
  const { descr } = type
  try {
    const bytes = rawBytes(data, machine)
    const { stored, kept } = numpyElementSizes(descr, { uint16 })
    const copies = descr.startsWith('>') || fortran ? bytes.byteLength : 0
    machine.budget.charge((bytes.byteLength / stored) * kept + copies, machine.at)
    const array = arrayFromNumpy({ descr, fortran, shape: sizes }, bytes, { uint16 })
    // Never a view of the file: another array may be made of the same bytes, and the file's buffer is let go.
    return array.data.buffer === bytes.buffer ? { ...array, data: array.data.slice() } : array
  } catch (cause) {
    if (!(cause instanceof FormatError) || cause.message.startsWith('pickle: ')) throw cause
    throw new FormatError(`pickle: array at byte ${machine.at}: ${cause.message}`, { cause })
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** Python 2 wrote bytes as text; both are taken. */
function rawBytes(data: unknown, machine: Machine): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (typeof data === 'string' || data instanceof LongText) {
    machine.budget.charge(data instanceof LongText ? data.bytes.byteLength : data.length, machine.at)
    const bytes = latin1Bytes(data)
    if (bytes) return bytes
  }
  throw brokenPickle('an array without bytes', machine.at)
}
