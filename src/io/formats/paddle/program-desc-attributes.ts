/** Attributes of operators in a ProgramDesc: where each type of value is kept in an `Attr` message, and how it is read and written. */
import { FormatError } from '../../../common/errors.ts'
import type { WireReader } from '../protobuf/wire.ts'
import type { WireWriter } from '../protobuf/wire-writer.ts'
import {
  ATTRIBUTE_TYPES,
  type AttributeDesc,
  type AttributeTypeName,
  type AttributeValues,
  type Int64,
  type ScalarDesc,
} from './program-desc.ts'

interface AttributeField<V> {
  readonly field: number
  /** The value where the field does not occur. */
  readonly empty: () => V
  /** The value after one more occurrence of the field. */
  read(reader: WireReader, before: V | undefined): V
  write(writer: WireWriter, value: V): void
}

function single<V>(
  field: number,
  empty: V,
  read: (reader: WireReader) => V,
  write: (writer: WireWriter, value: V) => void,
): AttributeField<V> {
  return { field, empty: () => empty, read, write }
}

function repeated<E>(
  field: number,
  append: (reader: WireReader, list: E[]) => void,
  write: (writer: WireWriter, element: E) => void,
): AttributeField<readonly E[]> {
  return {
    field,
    empty: () => [],
    read(reader, before) {
      // Made by this function, whose callers see it read-only.
      const list = (before as E[] | undefined) ?? []
      append(reader, list)
      return list
    },
    // Paddle's lists are not packed: proto2's default.
    write(writer, list) {
      for (const element of list) write(writer, element)
    },
  }
}

function appendInt32s(reader: WireReader, list: number[]): void {
  const values: Int64[] = []
  reader.int64Numbers(values)
  for (const v of values) list.push(Number(BigInt.asIntN(32, BigInt(v))))
}

function int32(field: number): AttributeField<number> {
  return single(
    field,
    0,
    (r) => r.int32(),
    (w, v) => w.varint(field, v),
  )
}

function int32s(field: number): AttributeField<readonly number[]> {
  return repeated(field, appendInt32s, (w, v) => w.varint(field, v))
}

function text(field: number): AttributeField<string> {
  return single(
    field,
    '',
    (r) => r.string(),
    (w, v) => w.string(field, v),
  )
}

function texts(field: number): AttributeField<readonly string[]> {
  return repeated(
    field,
    (r, list) => list.push(r.string()),
    (w, v) => w.string(field, v),
  )
}

const FIELDS: { readonly [T in AttributeTypeName]: AttributeField<AttributeValues[T]> } = {
  int: int32(3),
  float: single(
    4,
    0,
    (r) => r.float(),
    (w, v) => w.float(4, v),
  ),
  string: text(5),
  ints: int32s(6),
  floats: repeated(
    7,
    (r, list) => r.floatNumbers(list),
    (w, v) => w.float(7, v),
  ),
  strings: texts(8),
  boolean: single(
    10,
    false,
    (r) => r.bool(),
    (w, v) => w.varint(10, v),
  ),
  booleans: repeated(11, appendBooleans, (w, v) => w.varint(11, v)),
  block: int32(12),
  long: single<Int64>(
    13,
    0,
    (r) => r.int64(),
    (w, v) => w.varint(13, v),
  ),
  blocks: int32s(14),
  longs: repeated<Int64>(
    15,
    (r, list) => r.int64Numbers(list),
    (w, v) => w.varint(15, v),
  ),
  float64s: repeated(
    16,
    (r, list) => r.doubleNumbers(list),
    (w, v) => w.double(16, v),
  ),
  var: text(17),
  vars: texts(18),
  float64: single(
    19,
    0,
    (r) => r.double(),
    (w, v) => w.double(19, v),
  ),
  scalar: single<ScalarDesc>(
    20,
    { type: 'boolean', value: false },
    (r) => readScalar(r.message()),
    (w, v) => w.message(20, (inner) => writeScalar(inner, v)),
  ),
  scalars: repeated<ScalarDesc>(
    21,
    (r, list) => list.push(readScalar(r.message())),
    (w, v) => w.message(21, (inner) => writeScalar(inner, v)),
  ),
}

const typeOfField = new Map<number, AttributeTypeName>(ATTRIBUTE_TYPES.map((type) => [FIELDS[type].field, type]))

function appendBooleans(reader: WireReader, list: boolean[]): void {
  const values: number[] = []
  appendInt32s(reader, values)
  for (const v of values) list.push(v !== 0)
}

type MutableValues = { -readonly [T in AttributeTypeName]?: AttributeValues[T] }

function readInto<T extends AttributeTypeName>(type: T, reader: WireReader, values: Pick<MutableValues, T>): void {
  values[type] = FIELDS[type].read(reader, values[type])
}

export function readAttribute(reader: WireReader): AttributeDesc {
  const values: MutableValues = {}
  let name = ''
  let number = -1
  while (reader.next()) {
    const valueType = typeOfField.get(reader.field)
    if (valueType) readInto(valueType, reader, values)
    else if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) number = reader.int32()
    else reader.skip()
  }
  const type = ATTRIBUTE_TYPES[number]
  if (type === undefined) throw new FormatError(`pdmodel: attribute '${name}' has type ${number}, which is unknown`)
  // A computed key cannot show the compiler that type and value belong together.
  return { name, type, value: values[type] ?? FIELDS[type].empty() } as AttributeDesc
}

export function writeAttribute(writer: WireWriter, attribute: AttributeDesc): void {
  writer.string(1, attribute.name)
  writer.varint(2, ATTRIBUTE_TYPES.indexOf(attribute.type))
  const field = FIELDS[attribute.type] as AttributeField<AttributeDesc['value']>
  field.write(writer, attribute.value)
}

const SCALAR_TYPES: readonly ScalarDesc['type'][] = ['boolean', 'long', 'float64', 'complex']

function readScalar(reader: WireReader): ScalarDesc {
  let type: ScalarDesc['type'] | undefined
  let boolean = false
  let long: Int64 = 0
  let float64 = 0
  let complex: readonly [number, number] = [0, 0]
  while (reader.next()) {
    if (reader.field === 1) type = SCALAR_TYPES[reader.int32() - 1]
    else if (reader.field === 2) boolean = reader.bool()
    else if (reader.field === 3) long = reader.int64()
    else if (reader.field === 4) float64 = reader.double()
    else if (reader.field === 5) complex = readComplex(reader.message())
    else reader.skip()
  }
  switch (type) {
    case 'boolean':
      return { type, value: boolean }
    case 'long':
      return { type, value: long }
    case 'float64':
      return { type, value: float64 }
    case 'complex':
      return { type, value: complex }
    default:
      throw new FormatError('pdmodel: a scalar of an unknown type')
  }
}

function readComplex(reader: WireReader): [re: number, im: number] {
  const value: [number, number] = [0, 0]
  while (reader.next()) {
    if (reader.field === 1 || reader.field === 2) value[reader.field - 1] = reader.double()
    else reader.skip()
  }
  return value
}

function writeScalar(writer: WireWriter, scalar: ScalarDesc): void {
  writer.varint(1, SCALAR_TYPES.indexOf(scalar.type) + 1)
  if (scalar.type === 'complex') {
    const [re, im] = scalar.value
    writer.message(5, (inner) => {
      inner.double(1, re)
      inner.double(2, im)
    })
  } else if (scalar.type === 'float64') writer.double(4, scalar.value)
  else writer.varint(scalar.type === 'long' ? 3 : 2, scalar.value)
}
