/**
 * Pickle's instructions by number, all of them: those that are not followed are named when they are refused.
 * Source: Python's `pickletools.opcodes`, protocols 0 to 5.
 */
export const OPCODES = {
  PROTO: 0x80,
  FRAME: 0x95,
  STOP: 0x2e,
  MARK: 0x28,
  POP: 0x30,
  POP_MARK: 0x31,
  DUP: 0x32,
  // Plain values.
  NONE: 0x4e,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  LONG1: 0x8a,
  LONG4: 0x8b,
  BINFLOAT: 0x47,
  BINSTRING: 0x54,
  SHORT_BINSTRING: 0x55,
  BINUNICODE: 0x58,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE8: 0x8d,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  BINBYTES8: 0x8e,
  BYTEARRAY8: 0x96,
  // Containers.
  EMPTY_LIST: 0x5d,
  APPEND: 0x61,
  APPENDS: 0x65,
  LIST: 0x6c,
  EMPTY_TUPLE: 0x29,
  TUPLE: 0x74,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  EMPTY_DICT: 0x7d,
  DICT: 0x64,
  SETITEM: 0x73,
  SETITEMS: 0x75,
  // The memo.
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  MEMOIZE: 0x94,
  // Followed for the globals of globals.ts only.
  GLOBAL: 0x63,
  STACK_GLOBAL: 0x93,
  REDUCE: 0x52,
  BUILD: 0x62,
  // Never followed: classes, persistent ids, the extension registry, buffers outside the file, sets.
  INST: 0x69,
  OBJ: 0x6f,
  NEWOBJ: 0x81,
  NEWOBJ_EX: 0x92,
  PERSID: 0x50,
  BINPERSID: 0x51,
  EXT1: 0x82,
  EXT2: 0x83,
  EXT4: 0x84,
  NEXT_BUFFER: 0x97,
  READONLY_BUFFER: 0x98,
  EMPTY_SET: 0x8f,
  ADDITEMS: 0x90,
  FROZENSET: 0x91,
  // Never followed: the text forms of protocol 0.
  INT: 0x49,
  LONG: 0x4c,
  FLOAT: 0x46,
  STRING: 0x53,
  UNICODE: 0x56,
  GET: 0x67,
  PUT: 0x70,
} as const

export type OpcodeName = keyof typeof OPCODES

const names = new Map<number, OpcodeName>(Object.entries(OPCODES).map(([name, code]) => [code, name as OpcodeName]))

/** The name of an instruction; undefined for bytes that are none. */
export function opcodeName(code: number): OpcodeName | undefined {
  return names.get(code)
}

/** Why an instruction is not followed. */
export function whyRefused(name: OpcodeName): string {
  switch (name) {
    case 'INST':
    case 'OBJ':
    case 'NEWOBJ':
    case 'NEWOBJ_EX':
      return 'it makes an object of a class; only dictionaries, lists, tuples, strings, numbers and NumPy arrays are read'
    case 'PERSID':
    case 'BINPERSID':
      return 'it names an object outside the file (as PyTorch files do); save a state dictionary with paddle.save'
    case 'EXT1':
    case 'EXT2':
    case 'EXT4':
      return 'it names an object of the extension registry of another program'
    case 'NEXT_BUFFER':
    case 'READONLY_BUFFER':
      return 'its data lies outside the file; save without buffer_callback'
    case 'EMPTY_SET':
    case 'ADDITEMS':
    case 'FROZENSET':
      return 'sets are not read; save a list'
    default:
      return 'it belongs to protocol 0, which is not read; save with protocol 2 or newer'
  }
}
