/**
 * Paddle Lite's `.nb`, meta version 2 (what `opt` 2.7 to 2.12 write): a head, the program, and the parameters one after another.
 * The container only: what makes a program one that Paddle Lite runs is up to who writes it.
 *
 *     u16 2 | char[16] version of opt | u64 bytes of the program | program (FlatBuffer)
 *     u16 0 | u16 bytes of meta data, 0 | u16 bytes of the next two, 6 | u16 parameters | u32 bytes of the largest tensor
 *     per parameter: u32 4 + bytes | u32 4 | ParamDesc (FlatBuffer)
 */
import type { HostArray } from '../../../common/dtype.ts'
import { joinBytes } from '../../../common/bytes.ts'
import { sizeOf } from '../../../common/dtype.ts'
import { ArgumentError, FormatError, UnsupportedError } from '../../../common/errors.ts'
import { isAddressable, numel } from '../../../common/shape.ts'
import { bytesOf, fromBytes } from '../../host-array.ts'
import { Budget } from '../budget.ts'
import { dtypeOfVarType, varTypeOf, type ProgramDesc } from '../paddle/program-desc.ts'
import { FlatReader } from './flatbuffer.ts'
import { FlatBuilder } from './flatbuffer-builder.ts'
import { inOrder, readTopology, serializeTopology } from './topology.ts'

const META_VERSION = 2
const VERSION_BYTES = 16
const HEAD_BYTES = 2 + VERSION_BYTES + 8
const PARAMS_HEAD_BYTES = 12
const MAX_RANK = 32
/** `ParamDesc.variable` is a union; 1 is a tensor, the only one. */
const TENSOR = 1

export interface NaiveBuffer {
  /** Version of Paddle Lite that the file says it was made by, such as `v2.12`; another one than the runtime's only makes it warn. */
  readonly optVersion: string
  readonly program: ProgramDesc
  readonly parameters: Readonly<Record<string, HostArray>>
}

/**
 * Reads a `.nb`; parameters lie in memory of their own.
 * Throws FormatError for damage, for other meta versions (older files), and for element types that there are no tensors of.
 */
export function parseNaiveBuffer(bytes: Uint8Array): NaiveBuffer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < HEAD_BYTES) throw truncated(HEAD_BYTES, 0, bytes)
  const meta = view.getUint16(0, true)
  if (meta !== META_VERSION)
    throw new FormatError(
      meta < META_VERSION
        ? `nb: meta version ${meta} is of Paddle Lite before 2.7; convert the model again with opt 2.12`
        : `nb: not a .nb file, or of an unknown meta version (${meta})`,
    )
  const budget = new Budget(bytes.byteLength, 'nb')
  const topologyBytes = Number(view.getBigUint64(2 + VERSION_BYTES, true))
  const params = HEAD_BYTES + topologyBytes
  if (params + PARAMS_HEAD_BYTES > bytes.byteLength) throw truncated(topologyBytes, HEAD_BYTES, bytes)
  const topology = new FlatReader(bytes.subarray(HEAD_BYTES, params), 'nb: program', budget)
  return {
    optVersion: readVersion(bytes.subarray(2, 2 + VERSION_BYTES)),
    program: readTopology(topology),
    parameters: readParameters(bytes, view, params, budget),
  }
}

function truncated(length: number, at: number, bytes: Uint8Array): FormatError {
  return new FormatError(`nb: truncated: ${length} bytes at ${at} of ${bytes.byteLength}`)
}

/** What stands behind the end of the text is left over from the memory of `opt`. */
function readVersion(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder('latin1').decode(bytes.subarray(0, end < 0 ? bytes.byteLength : end))
}

function readParameters(bytes: Uint8Array, view: DataView, start: number, budget: Budget): Record<string, HostArray> {
  const [version, metaBytes, headerBytes] = [0, 2, 4].map((offset) => view.getUint16(start + offset, true))
  if (version !== 0 || metaBytes !== 0 || headerBytes !== 6)
    throw new FormatError(`nb: parameters of an unknown layout (${version}, ${metaBytes}, ${headerBytes})`)
  const count = view.getUint16(start + 6, true)
  const parameters = new Map<string, HostArray>()
  let at = start + PARAMS_HEAD_BYTES
  for (let i = 0; i < count; i++) {
    if (at + 8 > bytes.byteLength) throw truncated(8, at, bytes)
    const end = at + 4 + view.getUint32(at, true)
    const from = at + 4 + view.getUint32(at + 4, true)
    if (end > bytes.byteLength || from > end || from < at + 8) throw truncated(end - at, at, bytes)
    const [name, array] = readParameter(new FlatReader(bytes.subarray(from, end), `nb: parameter ${i}`, budget))
    if (parameters.has(name)) throw new FormatError(`nb: two parameters are named '${name}'`)
    parameters.set(name, array)
    at = end
  }
  if (at !== bytes.byteLength) throw new FormatError(`nb: ${bytes.byteLength - at} bytes after the last parameter`)
  return Object.fromEntries(parameters)
}

function readParameter(reader: FlatReader): [string, HostArray] {
  const param = reader.root()
  const name = param.string(1)
  const tensor = param.table(3)
  if (param.byte(2) !== TENSOR || !tensor) throw reader.corrupt(`'${name}' is no tensor`, param.at)
  const dtype = dtypeOfVarType(tensor.int(3))
  if (dtype === undefined)
    throw new UnsupportedError(`nb: '${name}' has elements of type ${tensor.int(3)}: not supported`)
  const shape = tensor.longs(2).map(Number)
  const data = tensor.bytes(4)
  if (shape.length > MAX_RANK || !isAddressable(shape) || numel(shape) * sizeOf(dtype) !== data.byteLength)
    throw reader.corrupt(`'${name}' is ${dtype}[${shape.join(', ')}] in ${data.byteLength} bytes`, param.at)
  reader.charge(data.byteLength, param.at)
  return [name, fromBytes(dtype, shape, data.slice())]
}

/**
 * The bytes of a `.nb`. Equal content gives equal bytes, which are those of `opt` but for what it leaves uninitialised.
 * Throws ArgumentError for attributes and arrays that the format cannot hold.
 */
export function serializeNaiveBuffer(model: NaiveBuffer): Uint8Array {
  const topology = serializeTopology(model.program)
  const named = inOrder(Object.entries(model.parameters).map(([name, array]) => ({ name, array })))
  if (named.length > 0xffff) throw new ArgumentError(`nb: ${named.length} parameters; a file holds at most 65535`)
  const version = new TextEncoder().encode(model.optVersion)
  if (version.byteLength >= VERSION_BYTES)
    throw new ArgumentError(`nb: the version '${model.optVersion}' is longer than ${VERSION_BYTES - 1} bytes`)
  const head = new Uint8Array(HEAD_BYTES)
  const headView = new DataView(head.buffer)
  headView.setUint16(0, META_VERSION, true)
  head.set(version, 2)
  headView.setBigUint64(2 + VERSION_BYTES, BigInt(topology.byteLength), true)

  const paramsHead = new DataView(new ArrayBuffer(PARAMS_HEAD_BYTES))
  paramsHead.setUint16(4, 6, true)
  paramsHead.setUint16(6, named.length, true)
  paramsHead.setUint32(8, Math.max(0, ...named.map(({ array }) => array.data.byteLength)), true)
  const parts = [head, topology, new Uint8Array(paramsHead.buffer)]
  for (const { name, array } of named) {
    const param = serializeParameter(name, array)
    const sizes = new DataView(new ArrayBuffer(8))
    sizes.setUint32(0, 4 + param.byteLength, true)
    sizes.setUint32(4, 4, true)
    parts.push(new Uint8Array(sizes.buffer), param)
  }
  return joinBytes(parts)
}

function serializeParameter(name: string, array: HostArray): Uint8Array {
  const b = new FlatBuilder()
  const text = b.text(name)
  const lod = b.longs([])
  const dims = b.longs(array.shape)
  const data = b.bytes(bytesOf(array))
  const tensor = b.table([
    { slot: 1, kind: 'offset', value: lod },
    { slot: 2, kind: 'offset', value: dims },
    { slot: 3, kind: 'int', value: varTypeOf(array.dtype) },
    { slot: 4, kind: 'offset', value: data },
  ])
  return b.finish(
    b.table([
      { slot: 1, kind: 'offset', value: text },
      { slot: 2, kind: 'byte', value: TENSOR },
      { slot: 3, kind: 'offset', value: tensor },
    ]),
  )
}
