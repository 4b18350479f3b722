/**
 * Bytes of a `.pdmodel` -> ProgramDesc. Field numbers are those of framework.proto. The file is data from anywhere: its depth is the schema's,
 * and the number of its parts is bounded by its size.
 */
import { FormatError } from '../../../common/errors.ts'
import { Budget } from '../budget.ts'
import { WireReader } from '../protobuf/wire.ts'
import { readAttribute } from './program-desc-attributes.ts'
import {
  VAR_TYPE,
  type AttributeDesc,
  type BlockDesc,
  type Int64,
  type OpDesc,
  type ProgramDesc,
  type SlotDesc,
  type TensorDesc,
  type VarDesc,
  type VarTypeDesc,
} from './program-desc.ts'

/** What a part (message) takes in memory, about; one name in a slot; and one byte of an attribute so long that it must be a list. */
const PART_BYTES = 250
const NAME_BYTES = 48
const LONG_ATTRIBUTE = 1 << 20
const LIST_FACTOR = 8

/** Charges parts to the memory that the file may take. */
class Parts {
  readonly #budget: Budget
  readonly #file: Uint8Array

  constructor(file: Uint8Array) {
    this.#file = file
    this.#budget = new Budget(file.length, 'pdmodel')
  }

  charge(part: Uint8Array, bytes: number): void {
    this.#budget.charge(bytes, part.byteOffset - this.#file.byteOffset)
  }
}

type Read<T> = (reader: WireReader, parts: Parts, bytes: Uint8Array) => T

function part<T>(reader: WireReader, parts: Parts, read: Read<T>): T {
  const bytes = reader.bytes()
  parts.charge(bytes, PART_BYTES)
  return read(new WireReader(bytes), parts, bytes)
}

/** Throws FormatError on anything that is not a whole program. */
export function parseProgramDesc(bytes: Uint8Array): ProgramDesc {
  const parts = new Parts(bytes)
  const reader = new WireReader(bytes)
  const blocks: BlockDesc[] = []
  const opVersions = new Map<string, number>()
  let version: Int64 = 0
  while (reader.next()) {
    if (reader.field === 1) blocks.push(part(reader, parts, readBlock))
    else if (reader.field === 4) version = part(reader, parts, readVersion)
    else if (reader.field === 5) readOpVersions(reader.message(), parts, opVersions)
    else reader.skip()
  }
  if (blocks.length === 0) throw new FormatError('pdmodel: there is no block: not a Paddle program, or an empty file')
  return { blocks, version, opVersions }
}

function readVersion(reader: WireReader): Int64 {
  let version: Int64 = 0
  while (reader.next()) {
    if (reader.field === 1) version = reader.int64()
    else reader.skip()
  }
  return version
}

function readOpVersions(reader: WireReader, parts: Parts, versions: Map<string, number>): void {
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip()
      continue
    }
    const [name, version] = part(reader, parts, (pair): [string, number] => {
      let op = ''
      let number: Int64 = 0
      while (pair.next()) {
        if (pair.field === 1) op = pair.string()
        else if (pair.field === 2) number = part(pair, parts, readVersion)
        else pair.skip()
      }
      return [op, Number(number)]
    })
    versions.set(name, version)
  }
}

function readBlock(reader: WireReader, parts: Parts): BlockDesc {
  const vars: VarDesc[] = []
  const ops: OpDesc[] = []
  let idx = 0
  let parentIdx = -1
  let forwardBlockIdx = -1
  while (reader.next()) {
    if (reader.field === 1) idx = reader.int32()
    else if (reader.field === 2) parentIdx = reader.int32()
    else if (reader.field === 3) vars.push(part(reader, parts, readVar))
    else if (reader.field === 4) ops.push(part(reader, parts, readOp))
    else if (reader.field === 5) forwardBlockIdx = reader.int32()
    else reader.skip()
  }
  return { idx, parentIdx, vars, ops, forwardBlockIdx }
}

function readVar(reader: WireReader, parts: Parts): VarDesc {
  let name = ''
  let type: VarTypeDesc = { type: VAR_TYPE.denseTensor, lodLevel: 0 }
  let persistable = false
  let needCheckFeed = false
  let isParameter = false
  let stopGradient = false
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) type = part(reader, parts, readVarType)
    else if (reader.field === 3) persistable = reader.bool()
    else if (reader.field === 4) needCheckFeed = reader.bool()
    else if (reader.field === 5) isParameter = reader.bool()
    else if (reader.field === 6) stopGradient = reader.bool()
    else reader.skip()
  }
  return { name, type, persistable, needCheckFeed, isParameter, stopGradient }
}

function readVarType(reader: WireReader, parts: Parts): VarTypeDesc {
  let type: number = VAR_TYPE.denseTensor
  let tensor: TensorDesc | null = null
  let lodLevel = 0
  while (reader.next()) {
    // selected_rows is a tensor description itself; dense tensors and arrays of them hold one.
    if (reader.field === 1) type = reader.int32()
    else if (reader.field === 2) tensor = part(reader, parts, readTensorDesc)
    else if (reader.field === 3 || reader.field === 4) {
      const inner = reader.message()
      while (inner.next()) {
        if (inner.field === 1) tensor = part(inner, parts, readTensorDesc)
        else if (inner.field === 2) lodLevel = inner.int32()
        else inner.skip()
      }
    } else reader.skip()
  }
  return { type, lodLevel, ...(tensor ? { tensor } : {}) }
}

/** The description of a tensor in a program, and before the data of one in a parameter file. */
export function readTensorDesc(reader: WireReader): TensorDesc {
  const dims: Int64[] = []
  let dataType = -1
  while (reader.next()) {
    if (reader.field === 1) dataType = reader.int32()
    else if (reader.field === 2) reader.int64Numbers(dims)
    else reader.skip()
  }
  return { dataType, dims }
}

function readOp(reader: WireReader, parts: Parts): OpDesc {
  const inputs: SlotDesc[] = []
  const outputs: SlotDesc[] = []
  const attributes: AttributeDesc[] = []
  let type = ''
  let isTarget = false
  while (reader.next()) {
    if (reader.field === 1) inputs.push(part(reader, parts, readSlot))
    else if (reader.field === 2) outputs.push(part(reader, parts, readSlot))
    else if (reader.field === 3) type = reader.string()
    else if (reader.field === 4) attributes.push(part(reader, parts, readCharged))
    else if (reader.field === 5) isTarget = reader.bool()
    else reader.skip()
  }
  return { type, inputs, outputs, attributes, isTarget }
}

function readCharged(reader: WireReader, parts: Parts, bytes: Uint8Array): AttributeDesc {
  if (bytes.length > LONG_ATTRIBUTE) parts.charge(bytes, LIST_FACTOR * bytes.length)
  return readAttribute(reader)
}

function readSlot(reader: WireReader, parts: Parts, bytes: Uint8Array): SlotDesc {
  const variables: string[] = []
  let name = ''
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) {
      parts.charge(bytes, NAME_BYTES)
      variables.push(reader.string())
    } else reader.skip()
  }
  return { name, variables }
}
