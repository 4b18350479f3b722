/**
 * Reads pickles of protocols 2 to 5 as data. Instructions are decoded here and followed by machine.ts; those that make objects, call
 * anything but the names of globals.ts, or reach outside the file end the reading with a RefusedPickleError. Nothing in a file can turn
 * that off, and no option does. Source of the format: PEP 307, 3154 and 574, Python's `pickletools`.
 */
import type { NumpyReadOptions } from '../../numpy-array.ts'
import { COST } from './cost.ts'
import { brokenPickle, RefusedPickleError } from './errors.ts'
import { finish } from './finish.ts'
import { findGlobal, printable } from './globals.ts'
import { Machine } from './machine.ts'
import { OPCODES as O, opcodeName, whyRefused } from './opcodes.ts'
import { decodeText, LONG_TEXT, LongText } from './text.ts'
import type { PickleValue } from './values.ts'

const MAX_NAME = 512
/** Bytes of an integer: more than any field of a state has. */
const MAX_INTEGER = 64

export type PickleReadOptions = NumpyReadOptions

/**
 * The value of a pickle. Integers beyond 2^53 are bigints; arrays lie in memory of their own; a value that the file shares is shared.
 * Takes at most 4 times the file and 64 MiB of memory, the file included.
 *
 * Throws RefusedPickleError (a FormatError) that names what was refused and where; FormatError for broken files and beyond limits.
 */
export function readPickle(bytes: Uint8Array, options: PickleReadOptions = {}): PickleValue {
  const cursor = new Cursor(bytes)
  const machine = new Machine(bytes.byteLength, options.uint16)
  const first = bytes[0]
  if (first !== O.PROTO) {
    // Protocol 0 and 1 have no header: where the file begins like one, say so.
    const name = first === undefined ? undefined : opcodeName(first)
    throw name && bytes.includes(O.STOP)
      ? new RefusedPickleError(
          name,
          0,
          'it does not begin with PROTO: protocols 0 and 1 are not read, nor are foreign files',
        )
      : brokenPickle('not a pickle: it does not begin with PROTO', 0)
  }
  for (;;) {
    machine.at = cursor.at
    const code = cursor.u8()
    if (code === O.STOP) break
    follow(code, cursor, machine)
  }
  const result = machine.result()
  if (cursor.at !== bytes.byteLength)
    throw brokenPickle(`${bytes.byteLength - cursor.at} bytes follow the end of the pickle`, cursor.at)
  return finish(result, machine, bytes.byteLength)
}

/** One instruction. */
function follow(code: number, cursor: Cursor, machine: Machine): void {
  switch (code) {
    case O.PROTO: {
      const version = cursor.u8()
      if (version < 2 || version > 5) throw brokenPickle(`protocol ${version}; 2 to 5 are read`, machine.at)
      return
    }
    case O.FRAME:
      return cursor.skipFrame()
    case O.MARK:
      return machine.mark()
    case O.POP:
      return machine.drop()
    case O.POP_MARK:
      return void machine.popMark()
    case O.DUP:
      return machine.push(machine.top())

    case O.NONE:
      return machine.push(null)
    case O.NEWTRUE:
      return machine.push(true)
    case O.NEWFALSE:
      return machine.push(false)
    case O.BININT:
      return machine.push(cursor.u32() | 0)
    case O.BININT1:
      return machine.push(cursor.u8())
    case O.BININT2:
      return machine.push(cursor.u16())
    case O.LONG1:
      return machine.push(machine.integer(signedInteger(cursor.slice(cursor.u8()), machine)))
    case O.LONG4:
      return machine.push(machine.integer(signedInteger(cursor.slice(cursor.u32()), machine)))
    case O.BINFLOAT:
      return machine.push(cursor.f64())

    case O.SHORT_BINUNICODE:
      return machine.push(text(cursor.slice(cursor.u8()), machine))
    case O.BINUNICODE:
      return machine.push(text(cursor.slice(cursor.u32()), machine))
    case O.BINUNICODE8:
      return machine.push(text(cursor.slice(cursor.u64()), machine))
    case O.SHORT_BINSTRING:
      return machine.push(latin1Text(cursor.slice(cursor.u8()), machine))
    case O.BINSTRING:
      return machine.push(latin1Text(cursor.slice(cursor.u32()), machine))
    case O.SHORT_BINBYTES:
      return machine.push(machine.made(cursor.slice(cursor.u8())))
    case O.BINBYTES:
      return machine.push(machine.made(cursor.slice(cursor.u32())))
    case O.BINBYTES8:
    case O.BYTEARRAY8:
      return machine.push(machine.made(cursor.slice(cursor.u64())))

    case O.EMPTY_LIST:
      return machine.push(machine.newList())
    case O.LIST:
      return machine.push(machine.newList(machine.popMark()))
    case O.APPEND:
      return machine.append([machine.pop()])
    case O.APPENDS:
      return machine.append(machine.popMark())
    case O.EMPTY_TUPLE:
      return machine.push(machine.newTuple([]))
    case O.TUPLE:
      return machine.push(machine.newTuple(machine.popMark()))
    case O.TUPLE1:
    case O.TUPLE2:
    case O.TUPLE3: {
      const items = Array.from({ length: code - O.TUPLE1 + 1 }, () => machine.pop())
      return machine.push(machine.newTuple(items.reverse()))
    }
    case O.EMPTY_DICT:
      return machine.push(machine.newDict())
    case O.DICT: {
      const items = machine.popMark()
      machine.push(machine.newDict())
      return machine.setItems(items)
    }
    case O.SETITEM: {
      const value = machine.pop()
      return machine.setItems([machine.pop(), value])
    }
    case O.SETITEMS:
      return machine.setItems(machine.popMark())

    case O.BINGET:
      return machine.get(cursor.u8())
    case O.LONG_BINGET:
      return machine.get(cursor.u32())
    case O.BINPUT:
      return machine.put(cursor.u8())
    case O.LONG_BINPUT:
      return machine.put(cursor.u32())
    case O.MEMOIZE:
      return machine.memoize()

    case O.GLOBAL:
      return machine.push(findGlobal('GLOBAL', cursor.line(), cursor.line(), machine.at))
    case O.STACK_GLOBAL: {
      const name = machine.pop()
      const module = machine.pop()
      if (typeof module !== 'string' || typeof name !== 'string')
        throw machine.refused('STACK_GLOBAL', 'the name is not text of ordinary length')
      return machine.push(findGlobal('STACK_GLOBAL', module, name, machine.at))
    }
    case O.REDUCE:
      return machine.reduce()
    case O.BUILD:
      return machine.build()
    default:
      throw refusedInstruction(code, cursor, machine)
  }
}

function refusedInstruction(code: number, cursor: Cursor, machine: Machine): Error {
  const name = opcodeName(code)
  if (name === undefined)
    return brokenPickle(`byte 0x${code.toString(16).padStart(2, '0')} is no instruction`, machine.at)
  const target = name === 'INST' ? ` ${printable(`${cursor.line()}.${cursor.line()}`)}` : ''
  return machine.refused(name + target, whyRefused(name))
}

function text(bytes: Uint8Array, machine: Machine): string | LongText {
  if (bytes.byteLength >= LONG_TEXT) return machine.made(new LongText(bytes))
  machine.budget.charge(COST.text + 2 * bytes.byteLength, machine.at)
  return decodeText(bytes, machine.at)
}

/** Python 2's strings are bytes; Paddle reads them as latin1. Long ones are the data of arrays. */
function latin1Text(bytes: Uint8Array, machine: Machine): string | Uint8Array {
  if (bytes.byteLength >= LONG_TEXT) return machine.made(bytes)
  machine.budget.charge(COST.text + bytes.byteLength, machine.at)
  return String.fromCharCode(...bytes)
}

/** Two's complement, little-endian. */
function signedInteger(bytes: Uint8Array, machine: Machine): bigint {
  if (bytes.byteLength > MAX_INTEGER)
    throw brokenPickle(`an integer of ${bytes.byteLength} bytes (at most ${MAX_INTEGER})`, machine.at)
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).reverse()
  return bytes.byteLength === 0 ? 0n : BigInt.asIntN(8 * bytes.byteLength, BigInt(`0x${digits.join('')}`))
}

/** Takes fields one after another; every one that would lie outside the file is a FormatError. */
class Cursor {
  at = 0
  private readonly bytes: Uint8Array
  private readonly view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Where the next `length` bytes begin. */
  private take(length: number): number {
    const start = this.at
    if (length > this.bytes.byteLength - start)
      throw brokenPickle(`truncated: ${length} bytes are needed, ${this.bytes.byteLength - start} are left`, start)
    this.at = start + length
    return start
  }

  u8(): number {
    return this.view.getUint8(this.take(1))
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true)
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true)
  }

  u64(): number {
    const start = this.take(8)
    return this.view.getUint32(start, true) + this.view.getUint32(start + 4, true) * 2 ** 32
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), false)
  }

  slice(length: number): Uint8Array {
    const start = this.take(length)
    return this.bytes.subarray(start, start + length)
  }

  /** Frames only tell a reader of streams how much to fetch; a length beyond the file is still a lie. */
  skipFrame(): void {
    const length = this.u64()
    if (length > this.bytes.byteLength - this.at)
      throw brokenPickle(`truncated: a frame of ${length} bytes, ${this.bytes.byteLength - this.at} are left`, this.at)
  }

  /** Text up to the end of the line. */
  line(): string {
    const start = this.at
    const length = this.bytes.subarray(start, start + MAX_NAME).indexOf(0x0a)
    if (length < 0) throw brokenPickle(`a name without end, or of more than ${MAX_NAME} bytes`, start)
    this.at = start + length + 1
    return decodeText(this.bytes.subarray(start, start + length), start)
  }
}
