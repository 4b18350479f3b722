/**
 * The program in a `.nb`: `ProgramDesc` of Paddle Lite's `framework.fbs`, which has the messages of Paddle's own with other numbers of fields.
 * The runtime finds slots and attributes by binary search, so they are written in the order of their names.
 */
import { ArgumentError, FormatError } from '../../../common/errors.ts'
import {
  ATTRIBUTE_TYPES,
  VAR_TYPE,
  type AttributeDesc,
  type BlockDesc,
  type OpDesc,
  type ProgramDesc,
  type SlotDesc,
  type TensorDesc,
  type VarDesc,
  type VarTypeDesc,
} from '../paddle/program-desc.ts'
import type { FlatReader, FlatTable } from './flatbuffer.ts'
import { FlatBuilder, type FlatField, type FlatOffset } from './flatbuffer-builder.ts'

// ---- reading --------------------------------------------------------------------------------------------------------------------

/** Paddle Lite keeps no versions of operators, and of variables neither `is_parameter` nor `stop_gradient`. */
export function readTopology(reader: FlatReader): ProgramDesc {
  const root = reader.root()
  return {
    blocks: root.tables(0).map(readBlock),
    version: root.table(1)?.long(0) ?? 0,
    opVersions: new Map(),
  }
}

function readBlock(block: FlatTable): BlockDesc {
  return {
    idx: block.int(0),
    parentIdx: block.int(1),
    vars: block.tables(2).map(readVar),
    ops: block.tables(3).map(readOp),
    forwardBlockIdx: block.int(4, -1),
  }
}

function readVar(desc: FlatTable): VarDesc {
  const type = desc.table(1)
  const persistable = desc.bool(2)
  const read = type ? readVarType(type) : { type: 0, lodLevel: 0 }
  return {
    name: desc.string(0),
    type: read,
    persistable,
    needCheckFeed: desc.bool(3),
    isParameter: persistable && read.type === VAR_TYPE.denseTensor,
    stopGradient: false,
  }
}

function readVarType(desc: FlatTable): VarTypeDesc {
  const [type, rows] = [desc.int(0), desc.table(1)]
  if (rows) return { type, tensor: readTensor(rows), lodLevel: 0 }
  const holder = desc.table(2) ?? desc.table(3)
  const tensor = holder?.table(0)
  return { type, ...(tensor && { tensor: readTensor(tensor) }), lodLevel: holder?.int(1) ?? 0 }
}

function readTensor(desc: FlatTable): TensorDesc {
  return { dataType: desc.int(0), dims: desc.longs(1) }
}

function readOp(desc: FlatTable): OpDesc {
  return {
    type: desc.string(0),
    inputs: desc.tables(1).map(readSlot),
    outputs: desc.tables(2).map(readSlot),
    attributes: desc.tables(3).map(readAttribute),
    isTarget: desc.bool(4),
  }
}

function readSlot(desc: FlatTable): SlotDesc {
  return { name: desc.string(0), variables: desc.strings(1) }
}

function readAttribute(desc: FlatTable): AttributeDesc {
  const name = desc.string(0)
  const number = desc.int(1)
  const type = ATTRIBUTE_TYPES[number]
  switch (type) {
    case 'int':
      return { name, type, value: desc.int(2) }
    case 'float':
      return { name, type, value: desc.float(3) }
    case 'string':
      return { name, type, value: desc.string(4) }
    case 'ints':
      return { name, type, value: desc.ints(5) }
    case 'floats':
      return { name, type, value: desc.floats(6) }
    case 'strings':
      return { name, type, value: desc.strings(7) }
    case 'boolean':
      return { name, type, value: desc.bool(8) }
    case 'booleans':
      return { name, type, value: desc.bools(9) }
    case 'block':
      return { name, type, value: desc.int(10) }
    case 'long':
      return { name, type, value: desc.long(11) }
    case 'blocks':
      return { name, type, value: desc.ints(12) }
    case 'longs':
      return { name, type, value: desc.longs(13) }
    case 'float64':
      return { name, type, value: desc.double(14) }
    case 'float64s':
      return { name, type, value: desc.doubles(15) }
    default:
      throw new FormatError(`nb: attribute '${name}' is of type ${number}, which Paddle Lite's files do not have`)
  }
}

// ---- writing --------------------------------------------------------------------------------------------------------------------

/** The bytes of the program, as Paddle Lite's `opt` writes them. Throws ArgumentError for attributes that the format cannot hold. */
export function serializeTopology(program: ProgramDesc): Uint8Array {
  const b = new FlatBuilder()
  const blocks = b.offsets(program.blocks.map((block) => writeBlock(b, block)))
  const version = b.table([{ slot: 0, kind: 'long', value: program.version }])
  return b.finish(
    b.table([
      { slot: 0, kind: 'offset', value: blocks },
      { slot: 1, kind: 'offset', value: version },
    ]),
  )
}

function writeBlock(b: FlatBuilder, block: BlockDesc): FlatOffset {
  const vars = b.offsets(block.vars.map((v) => writeVar(b, v)))
  const ops = b.offsets(block.ops.map((op) => writeOp(b, op)))
  return b.table([
    { slot: 0, kind: 'int', value: block.idx },
    { slot: 1, kind: 'int', value: block.parentIdx },
    { slot: 2, kind: 'offset', value: vars },
    { slot: 3, kind: 'offset', value: ops },
    // The default is -1, so that 0 is written and -1 is not.
    ...(block.forwardBlockIdx === -1 ? [] : [{ slot: 4, kind: 'int', value: block.forwardBlockIdx } as const]),
  ])
}

function writeVar(b: FlatBuilder, desc: VarDesc): FlatOffset {
  const name = b.text(desc.name)
  const type = writeVarType(b, desc.type)
  return b.table([
    { slot: 0, kind: 'offset', value: name },
    { slot: 1, kind: 'offset', value: type },
    { slot: 2, kind: 'byte', value: Number(desc.persistable) },
    { slot: 3, kind: 'byte', value: Number(desc.needCheckFeed) },
  ])
}

function writeVarType(b: FlatBuilder, desc: VarTypeDesc): FlatOffset {
  const tensor = writeTensor(b, desc.tensor ?? { dataType: 0, dims: [] })
  const rows = desc.type === VAR_TYPE.selectedRows
  const holder = rows
    ? tensor
    : b.table([
        { slot: 0, kind: 'offset', value: tensor },
        { slot: 1, kind: 'int', value: desc.lodLevel },
      ])
  const slot = rows ? 1 : desc.type === VAR_TYPE.tensorArray ? 3 : 2
  return b.table([
    { slot: 0, kind: 'int', value: desc.type },
    { slot, kind: 'offset', value: holder },
  ])
}

function writeTensor(b: FlatBuilder, desc: TensorDesc): FlatOffset {
  const dims = b.longs(desc.dims)
  return b.table([
    { slot: 0, kind: 'int', value: desc.dataType },
    { slot: 1, kind: 'offset', value: dims },
  ])
}

function writeOp(b: FlatBuilder, op: OpDesc): FlatOffset {
  const type = b.text(op.type)
  const inputs = b.offsets(inOrder(op.inputs).map((slot) => writeSlot(b, slot)))
  const outputs = b.offsets(inOrder(op.outputs).map((slot) => writeSlot(b, slot)))
  const attributes = b.offsets(inOrder(op.attributes).map((attribute) => writeAttribute(b, op, attribute)))
  return b.table([
    { slot: 0, kind: 'offset', value: type },
    { slot: 1, kind: 'offset', value: inputs },
    { slot: 2, kind: 'offset', value: outputs },
    { slot: 3, kind: 'offset', value: attributes },
    { slot: 4, kind: 'byte', value: Number(op.isTarget) },
  ])
}

/** By name, as C++ compares strings. */
export function inOrder<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return items.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
}

function writeSlot(b: FlatBuilder, slot: SlotDesc): FlatOffset {
  const name = b.text(slot.name)
  const variables = b.strings(slot.variables)
  return b.table([
    { slot: 0, kind: 'offset', value: name },
    { slot: 1, kind: 'offset', value: variables },
  ])
}

/** Strings and lists are there also where they are empty, as in files of `opt`; its schema has none of float64. */
function writeAttribute(b: FlatBuilder, op: OpDesc, attribute: AttributeDesc): FlatOffset {
  const { name, type, value } = attribute
  const when = <T extends AttributeDesc['type'], V>(wanted: T, otherwise: V): V =>
    type === wanted ? (value as V) : otherwise
  const fields: FlatField[] = [
    { slot: 0, kind: 'offset', value: b.text(name) },
    { slot: 1, kind: 'int', value: ATTRIBUTE_TYPES.indexOf(type) },
    { slot: 2, kind: 'int', value: when('int', 0) },
    { slot: 3, kind: 'float', value: when('float', 0) },
    { slot: 4, kind: 'offset', value: b.text(when('string', '')) },
    { slot: 5, kind: 'offset', value: b.ints(when<'ints', readonly number[]>('ints', [])) },
    { slot: 6, kind: 'offset', value: b.floats(when<'floats', readonly number[]>('floats', [])) },
    { slot: 7, kind: 'offset', value: b.strings(when<'strings', readonly string[]>('strings', [])) },
    { slot: 8, kind: 'byte', value: Number(when('boolean', false)) },
    { slot: 9, kind: 'offset', value: b.bools(when<'booleans', readonly boolean[]>('booleans', [])) },
    { slot: 10, kind: 'int', value: when('block', 0) },
    { slot: 11, kind: 'long', value: when<'long', number | bigint>('long', 0) },
    { slot: 12, kind: 'offset', value: b.ints(when<'blocks', readonly number[]>('blocks', [])) },
    { slot: 13, kind: 'offset', value: b.longs(when<'longs', readonly (number | bigint)[]>('longs', [])) },
  ]
  if (type === 'float64') fields.push({ slot: 14, kind: 'double', value })
  if (type === 'float64s') fields.push({ slot: 15, kind: 'offset', value: b.doubles(value) })
  if (type === 'var' || type === 'vars' || type === 'scalar' || type === 'scalars')
    throw new ArgumentError(`nb: attribute '${name}' of ${op.type} is a ${type}, which Paddle Lite's files cannot hold`)
  return b.table(fields)
}
