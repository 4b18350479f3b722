/**
 * Pickles that a reader of data must refuse: calls of functions, objects of classes, values that contain themselves, lies about lengths.
 * Each says by what name it is refused. The calls, if they were made, would leave the file MARKER in the working directory.
 */
import { OPCODES as O } from '../../src/io/formats/pickle/opcodes.ts'

export const MARKER = 'hostile-pickle-was-executed'

export interface HostilePickle {
  readonly name: string
  readonly bytes: Uint8Array
  /** What the error must say. */
  readonly says: string
  /** Whether it asks for more than data (RefusedPickleError), or is a broken file (FormatError). */
  readonly refused: boolean
  /** Byte of what is refused, where it is one instruction. */
  readonly at?: number
}

type Code = number | Uint8Array | string | readonly Code[]

/** Bytes of numbers, of text as it stands, and of both in lists. */
function assemble(...code: readonly Code[]): Uint8Array {
  const parts: Uint8Array[] = []
  const add = (item: Code): void => {
    if (typeof item === 'number') parts.push(Uint8Array.of(item))
    else if (typeof item === 'string') parts.push(new TextEncoder().encode(item))
    else if (item instanceof Uint8Array) parts.push(item)
    else for (const inner of item as readonly Code[]) add(inner)
  }
  code.forEach(add)
  return new Uint8Array(Buffer.concat(parts))
}

const u32 = (value: number): Code => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]
const u64 = (low: number, high: number): Code => [u32(low), u32(high)]
const short = (text: string): Code => [O.SHORT_BINUNICODE, new TextEncoder().encode(text).length, text]
const byGlobal = (module: string, name: string): Code => [O.GLOBAL, `${module}\n${name}\n`]
const byStack = (module: string, name: string): Code => [short(module), short(name), O.STACK_GLOBAL]
const repeat = (count: number, ...code: readonly Code[]): Code => Array.from({ length: count }, () => code).flat()

const touch = `touch ${MARKER}`
const python = `open('${MARKER}', 'w').close()`

/** Functions and classes of Python with which pickles are known to attack, with an argument. */
const functions: readonly (readonly [module: string, name: string, argument: string])[] = [
  ['os', 'system', touch],
  ['posix', 'system', touch],
  ['nt', 'system', touch],
  ['os', 'popen', touch],
  ['os', 'execl', '/bin/sh'],
  ['os', 'remove', MARKER],
  ['os', 'mkdir', MARKER],
  ['subprocess', 'Popen', touch],
  ['subprocess', 'call', touch],
  ['subprocess', 'run', touch],
  ['subprocess', 'check_output', touch],
  ['subprocess', 'getoutput', touch],
  ['commands', 'getoutput', touch],
  ['pty', 'spawn', '/bin/sh'],
  ['builtins', 'eval', python],
  ['builtins', 'exec', python],
  ['builtins', 'compile', python],
  ['builtins', '__import__', 'os'],
  ['builtins', 'getattr', 'system'],
  ['builtins', 'setattr', 'system'],
  ['builtins', 'open', MARKER],
  ['builtins', 'globals', ''],
  ['builtins', 'map', ''],
  ['builtins', 'bytearray', ''],
  ['builtins', 'type', 'x'],
  ['builtins', 'object', ''],
  ['__builtin__', 'eval', python],
  ['__builtin__', 'execfile', MARKER],
  ['__builtin__', 'file', MARKER],
  ['__main__', 'anything', ''],
  ['importlib', 'import_module', 'os'],
  ['runpy', 'run_path', MARKER],
  ['code', 'interact', ''],
  ['pdb', 'run', python],
  ['bdb', 'Bdb', ''],
  ['timeit', 'timeit', python],
  ['cProfile', 'run', python],
  ['doctest', 'debug_script', python],
  ['webbrowser', 'open', 'http://localhost/'],
  ['socket', 'create_connection', 'localhost'],
  ['urllib.request', 'urlopen', 'http://localhost/'],
  ['shutil', 'rmtree', MARKER],
  ['tempfile', 'mktemp', ''],
  ['pickle', 'loads', ''],
  ['_pickle', 'loads', ''],
  ['marshal', 'loads', ''],
  ['types', 'CodeType', ''],
  ['types', 'FunctionType', ''],
  ['ctypes', 'CDLL', 'libc.so.6'],
  ['operator', 'attrgetter', 'system'],
  ['operator', 'methodcaller', 'system'],
  ['functools', 'partial', ''],
  ['functools', 'reduce', ''],
  ['copyreg', '_reconstructor', ''],
  ['copyreg', '__newobj__', ''],
  ['copy_reg', '_reconstructor', ''],
  ['collections', 'defaultdict', ''],
  ['collections', 'Counter', ''],
  ['_io', 'FileIO', MARKER],
  ['_codecs', 'decode', ''],
  ['codecs', 'encode', ''],
  ['numpy', 'load', MARKER],
  ['numpy', 'fromfile', MARKER],
  ['numpy', 'memmap', MARKER],
  ['numpy', 'matrix', ''],
  ['numpy.core.multiarray', 'fromfile', MARKER],
  ['numpy._core.multiarray', 'fromstring', ''],
  ['numpy.testing._private.utils', 'runstring', python],
  ['numpy.f2py.crackfortran', 'myeval', python],
  ['paddle', 'load', MARKER],
  ['paddle.base.core', 'eager', ''],
  ['torch._utils', '_rebuild_tensor_v2', ''],
  ['torch', 'load', MARKER],
  ['sys', 'exit', ''],
  ['signal', 'alarm', ''],
  ['asyncio', 'run', ''],
]

/** A call of each, by both ways to name it. */
function calls(): HostilePickle[] {
  return functions.flatMap(([module, name, argument]) => {
    const call: Code = [short(argument), O.TUPLE1, O.REDUCE, O.STOP]
    const stacked = byStack(module, name)
    return [
      {
        name: `GLOBAL ${module}.${name}, REDUCE`,
        bytes: assemble(O.PROTO, 2, byGlobal(module, name), call),
        says: `GLOBAL ${module}.${name}`,
        refused: true,
        at: 2,
      },
      {
        name: `STACK_GLOBAL ${module}.${name}, REDUCE`,
        bytes: assemble(O.PROTO, 4, stacked, call),
        says: `STACK_GLOBAL ${module}.${name}`,
        refused: true,
        at: 1 + assemble(stacked).length,
      },
    ]
  })
}

/** Case: name, what the error says, and the code between PROTO and STOP; `broken` cases are damaged rather than dangerous. */
type Row = readonly [name: string, says: string, ...code: readonly Code[]]

const ndarray = byGlobal('numpy', 'ndarray')
const reconstruct = byGlobal('numpy.core.multiarray', '_reconstruct')
const ordered: Code = [byGlobal('collections', 'OrderedDict'), O.EMPTY_TUPLE, O.REDUCE]
const b = [O.SHORT_BINBYTES, 1, 'b']
const emptyArray: Code = [reconstruct, ndarray, O.BININT1, 0, O.TUPLE1, b, O.TUPLE3, O.REDUCE]
const dtypeOf = (name: string): Code => [
  byGlobal('numpy', 'dtype'),
  short(name),
  O.NEWFALSE,
  O.NEWTRUE,
  O.TUPLE3,
  O.REDUCE,
]
const state = (shape: Code, dtype: Code, data: Code): Code => [
  O.MARK,
  O.BININT1,
  1,
  shape,
  dtype,
  O.NEWFALSE,
  data,
  O.TUPLE,
]
const bytes = (...values: number[]): Code => [O.SHORT_BINBYTES, values.length, ...values]
const four = bytes(0, 0, 128, 63)
const one: Code = [O.BININT1, 1, O.TUPLE1]

/** What asks for more than data. */
const refusedRows: readonly Row[] = [
  // Instructions that make objects or reach outside.
  ...['os\nsystem\n', '__builtin__\neval\n', 'subprocess\nPopen\n', 'collections\nOrderedDict\n'].map((target): Row => [
    `INST ${target.replaceAll('\n', ' ')}`,
    `INST ${target.trim().replace('\n', '.')}`,
    O.MARK,
    short(touch),
    O.INST,
    target,
  ]),
  ['OBJ', 'OBJ', O.MARK, ndarray, O.OBJ],
  ['NEWOBJ of ndarray', 'NEWOBJ', ndarray, O.EMPTY_TUPLE, O.NEWOBJ],
  ['NEWOBJ of OrderedDict', 'NEWOBJ', byGlobal('collections', 'OrderedDict'), O.EMPTY_TUPLE, O.NEWOBJ],
  ['NEWOBJ_EX', 'NEWOBJ_EX', ndarray, O.EMPTY_TUPLE, O.EMPTY_DICT, O.NEWOBJ_EX],
  ['PERSID', 'PERSID', O.PERSID, 'storage\n'],
  ['BINPERSID', 'BINPERSID', short('storage'), O.BINPERSID],
  ['EXT1', 'EXT1', O.EXT1, 1],
  ['EXT2', 'EXT2', O.EXT2, 1, 0],
  ['EXT4', 'EXT4', O.EXT4, u32(1)],
  ['NEXT_BUFFER', 'NEXT_BUFFER', O.NEXT_BUFFER],
  ['READONLY_BUFFER', 'READONLY_BUFFER', O.READONLY_BUFFER],
  ['EMPTY_SET', 'EMPTY_SET', O.EMPTY_SET],
  ['ADDITEMS', 'ADDITEMS', O.MARK, O.ADDITEMS],
  ['FROZENSET', 'FROZENSET', O.MARK, O.FROZENSET],
  ['INT', 'INT', O.INT, '1\n'],
  ['LONG', 'LONG', O.LONG, '1L\n'],
  ['FLOAT', 'FLOAT', O.FLOAT, '1.5\n'],
  ['STRING', 'STRING', O.STRING, "'a'\n"],
  ['UNICODE', 'UNICODE', O.UNICODE, 'a\n'],
  ['GET', 'GET', O.GET, '0\n'],
  ['PUT', 'PUT', O.NONE, O.PUT, '0\n'],
  // Calls of what is no function.
  ['REDUCE of a text', 'REDUCE', short('os.system'), short(touch), O.TUPLE1, O.REDUCE],
  ['REDUCE of None', 'REDUCE', O.NONE, O.EMPTY_TUPLE, O.REDUCE],
  ['REDUCE of a number', 'REDUCE', O.BININT1, 1, O.EMPTY_TUPLE, O.REDUCE],
  ['REDUCE of a dictionary', 'REDUCE', O.EMPTY_DICT, O.EMPTY_TUPLE, O.REDUCE],
  ['REDUCE of a list', 'REDUCE', O.EMPTY_LIST, O.EMPTY_TUPLE, O.REDUCE],
  ['REDUCE of an array', 'REDUCE', emptyArray, O.EMPTY_TUPLE, O.REDUCE],
  ['REDUCE of ndarray', 'REDUCE numpy.ndarray', ndarray, O.EMPTY_TUPLE, O.REDUCE],
  // States of what is no array.
  ['BUILD of a dictionary', 'BUILD', O.EMPTY_DICT, O.EMPTY_DICT, O.BUILD],
  ['BUILD of an OrderedDict', 'BUILD', ordered, O.EMPTY_DICT, O.BUILD],
  ['BUILD of a list', 'BUILD', O.EMPTY_LIST, O.EMPTY_DICT, O.BUILD],
  ['BUILD of a text', 'BUILD', short('x'), O.EMPTY_DICT, O.BUILD],
  ['BUILD of None', 'BUILD', O.NONE, O.EMPTY_TUPLE, O.BUILD],
  ['BUILD of a name', 'BUILD', ndarray, O.EMPTY_DICT, O.BUILD],
  ['BUILD with __class__', 'BUILD', O.EMPTY_DICT, O.EMPTY_DICT, short('__class__'), short('x'), O.SETITEM, O.BUILD],
  // Allowed names with arguments that they do not take.
  ['_reconstruct of a text', '_reconstruct', reconstruct, short('x'), O.BININT1, 0, O.TUPLE1, b, O.TUPLE3, O.REDUCE],
  ['_reconstruct of dtype', '_reconstruct', reconstruct, byGlobal('numpy', 'dtype'), one, b, O.TUPLE3, O.REDUCE],
  ['_reconstruct without arguments', '_reconstruct', reconstruct, O.EMPTY_TUPLE, O.REDUCE],
  ...['rot13', 'hex', 'zip', 'bz2', 'utf-8', 'unicode_escape', 'idna'].map((codec): Row => [
    `encode to ${codec}`,
    '_codecs.encode',
    byGlobal('_codecs', 'encode'),
    short('x'),
    short(codec),
    O.TUPLE2,
    O.REDUCE,
  ]),
  [
    'encode of a number',
    '_codecs.encode',
    byGlobal('_codecs', 'encode'),
    O.BININT1,
    1,
    short('latin1'),
    O.TUPLE2,
    O.REDUCE,
  ],
  ['OrderedDict of a text', 'OrderedDict', byGlobal('collections', 'OrderedDict'), short('ab'), O.TUPLE1, O.REDUCE],
  [
    'OrderedDict of numbers',
    'OrderedDict',
    byGlobal('collections', 'OrderedDict'),
    O.MARK,
    O.BININT1,
    1,
    O.LIST,
    O.TUPLE1,
    O.REDUCE,
  ],
  ['tuple of a text', 'builtins.tuple', byGlobal('builtins', 'tuple'), short('ab'), O.TUPLE1, O.REDUCE],
  ['bytes of a number', 'builtins.bytes', byGlobal('builtins', 'bytes'), O.BININT, u32(0x7fffffff), O.TUPLE1, O.REDUCE],
  ['dtype of objects', 'Python objects', dtypeOf('O8')],
  ['dtype of objects, with order', 'Python objects', dtypeOf('|O')],
  [
    'dtype of a list',
    'numpy.dtype',
    byGlobal('numpy', 'dtype'),
    O.EMPTY_LIST,
    O.NEWFALSE,
    O.NEWTRUE,
    O.TUPLE3,
    O.REDUCE,
  ],
  ['dtype of a long text', 'numpy.dtype', dtypeOf('f4,(1000000000,)f8')],
  [
    'dtype with fields',
    'BUILD numpy.dtype',
    dtypeOf('V8'),
    O.MARK,
    O.BININT1,
    3,
    short('|'),
    O.NONE,
    short('a'),
    O.EMPTY_DICT,
    O.TUPLE,
    O.BUILD,
  ],
  [
    'an array of a list',
    'Python objects',
    emptyArray,
    state(one, dtypeOf('f4'), [O.EMPTY_LIST, O.NONE, O.APPEND]),
    O.BUILD,
  ],
  // Names that stand where values belong.
  ['a name as the value', 'GLOBAL numpy.ndarray', ndarray],
  ['a name in a list', 'GLOBAL numpy.dtype', O.EMPTY_LIST, byGlobal('numpy', 'dtype'), O.APPEND],
  [
    'a name in a dictionary',
    'GLOBAL _codecs.encode',
    O.EMPTY_DICT,
    short('f'),
    byGlobal('_codecs', 'encode'),
    O.SETITEM,
  ],
  ['an element type as the value', 'numpy.dtype', dtypeOf('f4')],
  ['APPEND to a text', 'APPEND', short('x'), O.NONE, O.APPEND],
  ['APPENDS to a tuple', 'APPEND', O.EMPTY_TUPLE, O.MARK, O.NONE, O.APPENDS],
  ['SETITEM of a list', 'SETITEM', O.EMPTY_LIST, O.NONE, O.NONE, O.SETITEM],
  ['SETITEM of a name', 'SETITEM', ndarray, short('__init__'), O.NONE, O.SETITEM],
  // Names that are nearly allowed.
  ['a name inside a name', 'GLOBAL builtins.tuple.__class__', byGlobal('builtins', 'tuple.__class__')],
  [
    'a module inside a name',
    'STACK_GLOBAL numpy.core.multiarray._reconstruct',
    byStack('numpy', 'core.multiarray._reconstruct'),
  ],
  ['names of other case', 'GLOBAL NumPy.ndarray', byGlobal('NumPy', 'ndarray')],
  ['names with spaces', 'GLOBAL numpy.ndarray ', byGlobal('numpy', 'ndarray ')],
  ['names that look alike', 'GLOBAL \\u043eumpy.ndarray', byGlobal('\u043eumpy', 'ndarray')],
  ['names of prototypes', 'STACK_GLOBAL __proto__.constructor', byStack('__proto__', 'constructor')],
  ['a name of no text', 'STACK_GLOBAL', O.NONE, O.NONE, O.STACK_GLOBAL],
  ['a name of numbers', 'STACK_GLOBAL', O.BININT1, 1, O.BININT1, 2, O.STACK_GLOBAL],
  // Values that contain themselves, or nearly.
  ['a list in itself', 'contains itself', O.EMPTY_LIST, O.BINPUT, 0, O.BINGET, 0, O.APPEND],
  ['a dictionary in itself', 'contains itself', O.EMPTY_DICT, O.BINPUT, 0, short('a'), O.BINGET, 0, O.SETITEM],
  [
    'a tuple in itself',
    'contains itself',
    O.EMPTY_LIST,
    O.BINPUT,
    0,
    O.TUPLE1,
    O.BINPUT,
    1,
    O.POP,
    O.BINGET,
    0,
    O.BINGET,
    1,
    O.APPEND,
  ],
  ['an OrderedDict in itself', 'contains itself', ordered, O.MEMOIZE, short('a'), O.BINGET, 0, O.SETITEM],
  [
    'two lists in each other',
    'contains itself',
    O.EMPTY_LIST,
    O.MEMOIZE,
    O.EMPTY_LIST,
    O.MEMOIZE,
    O.BINGET,
    0,
    O.APPEND,
    O.APPEND,
  ],
  [
    'a thousand million values',
    'shared values',
    O.MARK,
    O.EMPTY_LIST,
    O.MEMOIZE,
    Array.from({ length: 10 }, (_, i): Code => [O.MARK, repeat(10, O.BINGET, i), O.LIST, O.MEMOIZE]),
    O.LIST,
  ],
  ['201 lists', 'deep nesting', repeat(202, O.EMPTY_LIST), repeat(201, O.APPEND)],
  ['100,000 lists', 'deep nesting', repeat(100_000, O.EMPTY_LIST), repeat(99_999, O.APPEND)],
  ['100,000 tuples', 'deep nesting', O.NONE, repeat(100_000, O.TUPLE1)],
  [
    '10,000 dictionaries',
    'deep nesting',
    repeat(10_000, O.EMPTY_DICT, O.BININT1, 0),
    O.NONE,
    repeat(10_000, O.SETITEM),
  ],
]

/** What is damaged, or lies about sizes. */
const brokenRows: readonly Row[] = [
  ['a text of 4 GiB', 'truncated', O.BINUNICODE, u32(0xffffffff), 'x'],
  ['a text of 2^63 bytes', 'truncated', O.BINUNICODE8, u64(0, 0x80000000), 'x'],
  ['bytes of 4 GiB', 'truncated', O.BINBYTES, u32(0xffffffff), 'x'],
  ['bytes of 2^64 - 1', 'truncated', O.BINBYTES8, u64(0xffffffff, 0xffffffff), 'x'],
  ['bytes of 2^53', 'truncated', O.BYTEARRAY8, u64(0, 1 << 21), 'x'],
  ['short bytes beyond the end', 'truncated', O.SHORT_BINBYTES, 200, 'x'],
  ['a short text beyond the end', 'truncated', O.SHORT_BINUNICODE, 200, 'x'],
  ['a string of 4 GiB', 'truncated', O.BINSTRING, u32(0xfffffff0), 'x'],
  ['an integer of 2 GiB', 'truncated', O.LONG4, u32(0x7fffffff), 1],
  ['an integer of 200 bytes', 'an integer of 200 bytes', O.LONG1, 200, new Uint8Array(200)],
  ['a frame of 2^63 bytes', 'truncated', O.FRAME, u64(0, 0x80000000), O.NONE],
  ['a frame beyond the end', 'truncated', O.FRAME, u64(1000, 0), O.NONE],
  ['text that is not UTF-8', 'not UTF-8', O.SHORT_BINUNICODE, 2, 0xc3, 0x28],
  ['a global without end', 'name without end', O.GLOBAL, 'numpy'],
  ['a global of 100,000 characters', 'name without end', O.GLOBAL, 'x'.repeat(100_000), '\nname\n'],
  ['protocol 6', 'protocol 6', O.PROTO, 6, O.NONE],
  ['protocol 0', 'protocol 0', O.PROTO, 0, O.NONE],
  ['an unknown instruction', '0x00 is no instruction', 0x00],
  ['another unknown instruction', '0xff is no instruction', 0xff],
  ...(
    [
      'POP',
      'APPEND',
      'SETITEM',
      'TUPLE1',
      'TUPLE2',
      'TUPLE3',
      'REDUCE',
      'BUILD',
      'DUP',
      'STACK_GLOBAL',
      'MEMOIZE',
    ] as const
  ).map((name): Row => [`${name} on nothing`, 'the stack is empty', O[name]]),
  ...(['TUPLE', 'LIST', 'DICT', 'APPENDS', 'SETITEMS', 'POP_MARK'] as const).map((name): Row => [
    `${name} without a mark`,
    'no mark',
    O.NONE,
    O[name],
  ]),
  ['BINPUT on nothing', 'the stack is empty', O.BINPUT, 0],
  ['reaching below a mark', 'the stack is empty', O.NONE, O.MARK, O.TUPLE1],
  ['nothing at the end', 'the stack is empty'],
  ['two values at the end', 'left on the stack', O.NONE, O.NONE],
  ['a mark at the end', 'the stack is empty', O.NONE, O.MARK],
  ['a key without a value', 'a key without a value', O.MARK, short('a'), O.DICT],
  ['a list as a key', 'whose key', O.EMPTY_DICT, O.EMPTY_LIST, O.NONE, O.SETITEM],
  ['an array as a key', 'whose key', O.EMPTY_DICT, emptyArray, O.NONE, O.SETITEM],
  ['a memo entry that is not there', 'memo entry 7', O.BINGET, 7],
  ['a memo entry far away', 'memo entry 4294967295', O.LONG_BINGET, u32(0xffffffff)],
  ['a memo of 4 G entries', 'memo entry 4294967295', O.NONE, O.LONG_BINPUT, u32(0xffffffff)],
  ['REDUCE without a tuple', 'without a tuple', byGlobal('collections', 'OrderedDict'), O.NONE, O.REDUCE],
  ['BUILD without a tuple', 'without a tuple', emptyArray, O.EMPTY_DICT, O.BUILD],
  ['an array that is not filled', 'never filled', emptyArray],
  [
    'an array that is filled twice',
    'filled twice',
    emptyArray,
    state(one, dtypeOf('f4'), four),
    O.BUILD,
    state(one, dtypeOf('f4'), four),
    O.BUILD,
  ],
  [
    'an array with too few bytes',
    'the data is truncated',
    emptyArray,
    state([O.BININT1, 2, O.TUPLE1], dtypeOf('f4'), four),
    O.BUILD,
  ],
  ['an array with too many bytes', 'foreign bytes', emptyArray, state(O.EMPTY_TUPLE, dtypeOf('f2'), four), O.BUILD],
  [
    'an array of 2^93 elements',
    'more elements than can be addressed',
    emptyArray,
    state([repeat(3, O.BININT, u32(0x7fffffff)), O.TUPLE3], dtypeOf('f4'), four),
    O.BUILD,
  ],
  [
    'an array of negative size',
    'usable shape',
    emptyArray,
    state([O.BININT, u32(0xffffffff), O.TUPLE1], dtypeOf('f4'), four),
    O.BUILD,
  ],
  [
    'an array of half a row',
    'usable shape',
    emptyArray,
    state([O.BINFLOAT, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0, O.TUPLE1], dtypeOf('f4'), four),
    O.BUILD,
  ],
  [
    'an array of 33 axes',
    '33 axes',
    emptyArray,
    state([O.MARK, repeat(33, O.BININT1, 1), O.TUPLE], dtypeOf('f4'), four),
    O.BUILD,
  ],
  ['an array without an element type', 'without an element type', emptyArray, state(one, short('f4'), four), O.BUILD],
  ['an array without bytes', 'without bytes', emptyArray, state(one, dtypeOf('f4'), O.NONE), O.BUILD],
  ['an array with a short state', 'not known', emptyArray, O.EMPTY_TUPLE, O.BUILD],
  [
    'an array of complex numbers',
    'not supported',
    emptyArray,
    state(one, dtypeOf('c8'), bytes(0, 0, 0, 0, 0, 0, 0, 0)),
    O.BUILD,
  ],
  ['an array of text', 'not supported', emptyArray, state(one, dtypeOf('U1'), four), O.BUILD],
  ['an array of dates', 'not supported', emptyArray, state(one, dtypeOf('M8'), bytes(0, 0, 0, 0, 0, 0, 0, 0)), O.BUILD],
  ['an element type with a short state', 'not known', dtypeOf('f4'), O.EMPTY_TUPLE, O.BUILD],
  [
    'an element type of unknown order',
    'byte order',
    dtypeOf('f4'),
    O.MARK,
    O.BININT1,
    3,
    short('!'),
    O.NONE,
    O.NONE,
    O.NONE,
    O.TUPLE,
    O.BUILD,
  ],
  [
    'bytes beyond latin1',
    'beyond latin1',
    byGlobal('_codecs', 'encode'),
    short('键'),
    short('latin1'),
    O.TUPLE2,
    O.REDUCE,
  ],
  [
    'many bytes beyond latin1',
    'beyond latin1',
    byGlobal('_codecs', 'encode'),
    O.BINUNICODE,
    u32(600),
    '键'.repeat(200),
    short('latin1'),
    O.TUPLE2,
    O.REDUCE,
  ],
  [
    'a number without bytes',
    'the data is truncated',
    byGlobal('numpy.core.multiarray', 'scalar'),
    dtypeOf('f8'),
    four,
    O.TUPLE2,
    O.REDUCE,
  ],
  [
    'one MB as a thousand arrays',
    'more than the',
    O.BINBYTES,
    u32(1 << 20),
    new Uint8Array(1 << 20),
    O.MEMOIZE,
    O.POP,
    O.MARK,
    repeat(1000, emptyArray, state([O.BININT, u32(1 << 20), O.TUPLE1], dtypeOf('u1'), [O.BINGET, 0]), O.BUILD),
    O.LIST,
  ],
  [
    'one MB of text as a thousand bytes',
    'more than the',
    O.BINUNICODE,
    u32(1 << 20),
    'x'.repeat(1 << 20),
    O.MEMOIZE,
    O.POP,
    O.MARK,
    repeat(1000, byGlobal('_codecs', 'encode'), O.BINGET, 0, short('latin1'), O.TUPLE2, O.REDUCE),
    O.LIST,
  ],
  ['three million lists', 'more than the', O.MARK, new Uint8Array(3 << 20).fill(O.EMPTY_LIST), O.LIST],
  ['three million nothings', 'more than the', O.MARK, new Uint8Array(3 << 20).fill(O.NONE), O.LIST],
  ['three million marks', 'more than the', new Uint8Array(3 << 20).fill(O.MARK)],
  ['three million memo entries', 'more than the', O.NONE, new Uint8Array(3 << 20).fill(O.MEMOIZE)],
]

const rows = (list: readonly Row[], refused: boolean): HostilePickle[] =>
  list.map(([name, says, ...code]) => ({ name, says, refused, bytes: assemble(O.PROTO, 4, code, O.STOP) }))

/** Files that are no pickles of protocol 2 or newer at all. */
const foreign: readonly HostilePickle[] = [
  { name: 'nothing', bytes: new Uint8Array(0), says: 'not a pickle', refused: false },
  { name: 'protocol 0', bytes: assemble("cos\nsystem\n(S'", touch, "'\ntR."), says: 'GLOBAL', refused: true, at: 0 },
  { name: 'protocol 1', bytes: assemble('}q\u0000.'), says: 'EMPTY_DICT', refused: true, at: 0 },
  { name: 'a program of two bytes', bytes: Uint8Array.of(O.PROTO, 4), says: 'truncated', refused: false },
  { name: 'half a header', bytes: Uint8Array.of(O.PROTO), says: 'truncated', refused: false },
  { name: 'no end', bytes: Uint8Array.of(O.PROTO, 4, O.NONE), says: 'truncated', refused: false },
  {
    name: 'a second pickle',
    bytes: assemble(O.PROTO, 4, O.NONE, O.STOP, O.PROTO, 4, O.NONE, O.STOP),
    says: '4 bytes follow',
    refused: false,
  },
  { name: 'a ZIP file', bytes: assemble('PK\u0003\u0004 and so on.'), says: 'PERSID', refused: true, at: 0 },
  { name: 'a page', bytes: assemble('<html></html>'), says: 'not a pickle', refused: false },
]

/** All of them, fresh. */
export function hostilePickles(): HostilePickle[] {
  return [...calls(), ...rows(refusedRows, true), ...rows(brokenRows, false), ...foreign]
}
