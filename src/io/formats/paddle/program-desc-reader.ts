/**
 * Bytes of a `.pdmodel` -> ProgramDesc. Field numbers are those of framework.proto. The file is data from anywhere: its depth is the schema's,
 * and the number of its parts is bounded by its size.
 */
import { FormatError } from '../../../common/errors.ts'
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

/** Parts (messages) that any file may have, and bytes that each one more must be worth: an empty message takes two. */
const FREE_PARTS = 300_000
const BYTES_PER_PART = 30

/** Counts parts against what the size of the file allows. */
class Budget {
  #left: number

  constructor(fileBytes: number) {
    this.#left = FREE_PARTS + Math.floor(fileBytes / BYTES_PER_PART)
  }

  spend(): void {
    if (--this.#left < 0) throw new FormatError('pdmodel: more parts than a program of this size can have: corrupt')
  }
}

type Read<T> = (reader: WireReader, budget: Budget) => T

function part<T>(reader: WireReader, budget: Budget, read: Read<T>): T {
  budget.spend()
  return read(reader.message(), budget)
}

/** Throws FormatError on anything that is not a whole program. */
export function parseProgramDesc(bytes: Uint8Array): ProgramDesc {
  const budget = new Budget(bytes.length)
  const reader = new WireReader(bytes)
  const blocks: BlockDesc[] = []
  const opVersions = new Map<string, number>()
  let version: Int64 = 0
  while (reader.next()) {
    if (reader.field === 1) blocks.push(part(reader, budget, readBlock))
    else if (reader.field === 4) version = part(reader, budget, readVersion)
    else if (reader.field === 5) readOpVersions(reader.message(), budget, opVersions)
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

function readOpVersions(reader: WireReader, budget: Budget, versions: Map<string, number>): void {
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip()
      continue
    }
    const [name, version] = part(reader, budget, (pair): [string, number] => {
      let op = ''
      let number: Int64 = 0
      while (pair.next()) {
        if (pair.field === 1) op = pair.string()
        else if (pair.field === 2) number = part(pair, budget, readVersion)
        else pair.skip()
      }
      return [op, Number(number)]
    })
    versions.set(name, version)
  }
}

function readBlock(reader: WireReader, budget: Budget): BlockDesc {
  const vars: VarDesc[] = []
  const ops: OpDesc[] = []
  let idx = 0
  let parentIdx = -1
  let forwardBlockIdx = -1
  while (reader.next()) {
    if (reader.field === 1) idx = reader.int32()
    else if (reader.field === 2) parentIdx = reader.int32()
    else if (reader.field === 3) vars.push(part(reader, budget, readVar))
    else if (reader.field === 4) ops.push(part(reader, budget, readOp))
    else if (reader.field === 5) forwardBlockIdx = reader.int32()
    else reader.skip()
  }
  return { idx, parentIdx, vars, ops, forwardBlockIdx }
}

function readVar(reader: WireReader, budget: Budget): VarDesc {
  let name = ''
  let type: VarTypeDesc = { type: VAR_TYPE.denseTensor, lodLevel: 0 }
  let persistable = false
  let needCheckFeed = false
  let isParameter = false
  let stopGradient = false
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) type = part(reader, budget, readVarType)
    else if (reader.field === 3) persistable = reader.bool()
    else if (reader.field === 4) needCheckFeed = reader.bool()
    else if (reader.field === 5) isParameter = reader.bool()
    else if (reader.field === 6) stopGradient = reader.bool()
    else reader.skip()
  }
  return { name, type, persistable, needCheckFeed, isParameter, stopGradient }
}

function readVarType(reader: WireReader, budget: Budget): VarTypeDesc {
  let type: number = VAR_TYPE.denseTensor
  let tensor: TensorDesc | null = null
  let lodLevel = 0
  while (reader.next()) {
    // selected_rows is a tensor description itself; dense tensors and arrays of them hold one.
    if (reader.field === 1) type = reader.int32()
    else if (reader.field === 2) tensor = part(reader, budget, readTensorDesc)
    else if (reader.field === 3 || reader.field === 4) {
      const inner = reader.message()
      while (inner.next()) {
        if (inner.field === 1) tensor = part(inner, budget, readTensorDesc)
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

function readOp(reader: WireReader, budget: Budget): OpDesc {
  const inputs: SlotDesc[] = []
  const outputs: SlotDesc[] = []
  const attributes: AttributeDesc[] = []
  let type = ''
  let isTarget = false
  while (reader.next()) {
    if (reader.field === 1) inputs.push(part(reader, budget, readSlot))
    else if (reader.field === 2) outputs.push(part(reader, budget, readSlot))
    else if (reader.field === 3) type = reader.string()
    else if (reader.field === 4) attributes.push(part(reader, budget, readAttribute))
    else if (reader.field === 5) isTarget = reader.bool()
    else reader.skip()
  }
  return { type, inputs, outputs, attributes, isTarget }
}

function readSlot(reader: WireReader): SlotDesc {
  const variables: string[] = []
  let name = ''
  while (reader.next()) {
    if (reader.field === 1) name = reader.string()
    else if (reader.field === 2) variables.push(reader.string())
    else reader.skip()
  }
  return { name, variables }
}
