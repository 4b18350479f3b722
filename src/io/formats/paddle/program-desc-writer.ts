/** ProgramDesc -> bytes of a `.pdmodel`, fields in the order of their numbers as Paddle writes them. */
import { WireWriter } from '../protobuf/wire-writer.ts'
import { writeAttribute } from './program-desc-attributes.ts'
import {
  VAR_TYPE,
  type BlockDesc,
  type OpDesc,
  type ProgramDesc,
  type SlotDesc,
  type TensorDesc,
  type VarDesc,
} from './program-desc.ts'

export function serializeProgramDesc(program: ProgramDesc): Uint8Array<ArrayBuffer> {
  const writer = new WireWriter()
  for (const block of program.blocks) writer.message(1, (w) => writeBlock(w, block))
  writer.message(4, (w) => w.varint(1, program.version))
  if (program.opVersions.size > 0)
    writer.message(5, (w) => {
      for (const [op, version] of program.opVersions)
        w.message(1, (pair) => {
          pair.string(1, op)
          pair.message(2, (v) => v.varint(1, version))
        })
    })
  return writer.finish()
}

function writeBlock(writer: WireWriter, block: BlockDesc): void {
  writer.varint(1, block.idx)
  writer.varint(2, block.parentIdx)
  for (const variable of block.vars) writer.message(3, (w) => writeVar(w, variable))
  for (const op of block.ops) writer.message(4, (w) => writeOp(w, op))
  writer.varint(5, block.forwardBlockIdx)
}

function writeVar(writer: WireWriter, variable: VarDesc): void {
  writer.string(1, variable.name)
  writer.message(2, (type) => {
    const { type: number, tensor, lodLevel } = variable.type
    type.varint(1, number)
    if (!tensor) return
    if (number === VAR_TYPE.selectedRows) type.message(2, (w) => writeTensorDesc(w, tensor))
    else
      type.message(number === VAR_TYPE.tensorArray ? 4 : 3, (holder) => {
        holder.message(1, (w) => writeTensorDesc(w, tensor))
        holder.varint(2, lodLevel)
      })
  })
  if (variable.persistable) writer.varint(3, true)
  if (variable.needCheckFeed) writer.varint(4, true)
  if (variable.isParameter) writer.varint(5, true)
  if (variable.stopGradient) writer.varint(6, true)
}

/** The description of a tensor in a program, and before the data of one in a parameter file. */
export function writeTensorDesc(writer: WireWriter, tensor: TensorDesc): void {
  writer.varint(1, tensor.dataType)
  for (const dim of tensor.dims) writer.varint(2, dim)
}

function writeOp(writer: WireWriter, op: OpDesc): void {
  for (const slot of op.inputs) writer.message(1, (w) => writeSlot(w, slot))
  for (const slot of op.outputs) writer.message(2, (w) => writeSlot(w, slot))
  writer.string(3, op.type)
  for (const attribute of op.attributes) writer.message(4, (w) => writeAttribute(w, attribute))
  if (op.isTarget) writer.varint(5, op.isTarget)
}

function writeSlot(writer: WireWriter, slot: SlotDesc): void {
  writer.string(1, slot.name)
  for (const variable of slot.variables) writer.string(2, variable)
}
