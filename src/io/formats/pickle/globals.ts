/**
 * The names that a pickle may mention, and what stands for a call of each. There is no way to add to this table from outside: a name is
 * either here, with its meaning in these lines, or the file is refused.
 */
import { getElement } from '../../../common/dtype.ts'
import { PendingArray, PendingDtype, arrayOf } from './ndarray.ts'
import { brokenPickle, RefusedPickleError } from './errors.ts'
import type { Machine } from './machine.ts'
import { latin1Bytes, LongText, textOf } from './text.ts'
import { PickleTuple } from './values.ts'

/** What a call of the name makes of its arguments, which were checked by nobody yet. */
type Call = (args: readonly unknown[], machine: Machine) => unknown

/** A name that was looked up. It is no value: at the end of the file none may be left. */
export class GlobalRef {
  readonly name: string
  readonly call: Call | undefined

  constructor(name: string, call?: Call) {
    this.name = name
    this.call = call
  }
}

const ndarray = new GlobalRef('numpy.ndarray')

/** `_reconstruct(ndarray, (0,), b'b')`: an empty array, which BUILD fills. */
const reconstruct: Call = (args, machine) => {
  if (args.length !== 3 || args[0] !== ndarray)
    throw machine.refused('REDUCE numpy _reconstruct', 'only numpy.ndarray itself is made, no subclass')
  return machine.made(new PendingArray())
}

/** `dtype('f4', False, True)`. */
const dtype: Call = (args, machine) => {
  const name = textOf(args[0])
  if (name === undefined) throw machine.refused('REDUCE numpy.dtype', 'only simple element types are read')
  return machine.made(new PendingDtype(name, machine.at))
}

/** `_frombuffer(bytes, dtype, shape, 'C')`: arrays in protocol 5. */
const fromBuffer: Call = ([data, type, shape, order], machine) => {
  const array = machine.made(new PendingArray())
  array.value = arrayOf({ data, type, shape, fortran: order === 'F' }, machine)
  return array
}

/** `scalar(dtype, bytes)`: a number that NumPy computed. */
const scalar: Call = ([type, data], machine) => {
  const { dtype, data: element } = arrayOf({ data, type, shape: new PickleTuple([]), fortran: false }, machine, 'int32')
  if (dtype === 'bool') return element[0] !== 0
  return dtype === 'int64' ? machine.integer((element as BigInt64Array)[0]!) : getElement(dtype, element, 0)
}

/** `encode(text, 'latin1')`: how protocol 2 writes bytes. */
const encode: Call = ([text, encoding], machine) => {
  const name = textOf(encoding)
  if ((name !== 'latin1' && name !== 'latin-1') || (typeof text !== 'string' && !(text instanceof LongText)))
    throw machine.refused('REDUCE _codecs.encode', `of text to latin1 only, not to ${String(name)}`)
  machine.budget.charge(text instanceof LongText ? text.bytes.byteLength : text.length, machine.at)
  const bytes = latin1Bytes(text)
  if (!bytes) throw brokenPickle('text with characters beyond latin1 where bytes were expected', machine.at)
  return bytes
}

/** `OrderedDict()`, and Python 2's `OrderedDict([[key, value], ...])`. */
const orderedDict: Call = (args, machine) => {
  const dict = machine.newDict()
  const [pairs = []] = args
  if (!Array.isArray(pairs) || args.length > 1) throw machine.refused('REDUCE collections.OrderedDict', 'of pairs only')
  for (const pair of pairs as unknown[]) {
    const items = pair instanceof PickleTuple ? pair.items : pair
    if (!Array.isArray(items) || items.length !== 2)
      throw machine.refused('REDUCE collections.OrderedDict', 'of pairs only')
    machine.setItem(dict, items[0], items[1])
  }
  return dict
}

/** `tuple((a, b))`: how Paddle writes a tensor inside other values. */
const tuple: Call = ([items], machine) => {
  if (items instanceof PickleTuple) return items
  throw machine.refused('REDUCE builtins.tuple', 'of a tuple only')
}

/** `bytes()`: how protocol 2 writes no bytes. */
const emptyBytes: Call = (args, machine) => {
  if (args.length > 0) throw machine.refused('REDUCE builtins.bytes', 'without arguments only')
  return new Uint8Array(0)
}

const calls: readonly (readonly [modules: readonly string[], name: string, call: Call])[] = [
  [['numpy.core.multiarray', 'numpy._core.multiarray'], '_reconstruct', reconstruct],
  [['numpy.core.multiarray', 'numpy._core.multiarray'], 'scalar', scalar],
  [['numpy.core.numeric', 'numpy._core.numeric'], '_frombuffer', fromBuffer],
  [['numpy'], 'dtype', dtype],
  [['_codecs'], 'encode', encode],
  [['collections'], 'OrderedDict', orderedDict],
  [['builtins', '__builtin__'], 'tuple', tuple],
  [['builtins', '__builtin__'], 'bytes', emptyBytes],
]

/** By module and name, a line each: no dot in a name can make it another one. */
const globals = new Map<string, GlobalRef>([
  ['numpy\nndarray', ndarray],
  ...calls.flatMap(([modules, name, call]) =>
    modules.map((module) => [`${module}\n${name}`, new GlobalRef(`${module}.${name}`, call)] as const),
  ),
])

/** The names that are allowed, sorted, for documentation and tests. */
export const ALLOWED_GLOBALS: readonly string[] = Array.from(globals.values(), (g) => g.name).sort()

/** Looks a name up. Throws RefusedPickleError for all that are not in the table. */
export function findGlobal(opcode: string, module: string, name: string, position: number): GlobalRef {
  const found = globals.get(`${module}\n${name}`)
  if (found) return found
  throw new RefusedPickleError(
    `${opcode} ${printable(`${module}.${name}`)}`,
    position,
    'it is not among the names that data needs, and nothing is executed; save plain dictionaries of tensors',
  )
}

/** A foreign name as it may stand in a message. */
export function printable(name: string): string {
  const short = name.length > 100 ? `${name.slice(0, 100)}...` : name
  return short.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
