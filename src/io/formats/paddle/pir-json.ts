/**
 * The JSON of Paddle's PIR programs (`inference.json`, versions 1 to 5) as plain data. Types and attributes carry their dialect by a number:
 * `0` builtin, `1` pd_op, `2` cf, `3` custom_op, `4` pd_dist.
 */
import type { DType } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import type { AttributeValue } from '../program/program.ts'

export const NEWEST_VERSION = 5

/** A result's type. `dtype` is undefined for elements that tensors here do not have. */
export type PirType =
  | { readonly kind: 'tensor'; readonly dtype: DType | undefined; readonly shape: readonly number[] }
  | { readonly kind: 'list'; readonly elements: readonly PirType[] }
  | { readonly kind: 'none' }

export interface PirParameter {
  readonly id: number
  readonly name: string
  readonly type: PirType
  readonly trainable: boolean
  /** Whether its data is in the parameter file. */
  readonly persistable: boolean
}

export interface PirOperation {
  /** With its dialect: `pd_op.conv2d`, `builtin.combine`. */
  readonly name: string
  readonly attributes: ReadonlyMap<string, AttributeValue>
  /** 0: absent. */
  readonly operands: readonly number[]
  readonly results: readonly { readonly id: number; readonly type: PirType }[]
}

export interface PirProgram {
  readonly version: number
  readonly parameters: readonly PirParameter[]
  readonly operations: readonly PirOperation[]
}

const dialects = ['builtin', 'pd_op', 'cf', 'custom_op', 'pd_dist']

const dtypeOfType = new Map<string, DType>([
  ['0.t_bool', 'bool'],
  ['0.t_ui8', 'uint8'],
  ['0.t_i8', 'int8'],
  ['0.t_i32', 'int32'],
  ['0.t_i64', 'int64'],
  ['0.t_f16', 'float16'],
  ['0.t_bf16', 'bfloat16'],
  ['0.t_f32', 'float32'],
  ['0.t_f64', 'float64'],
])

/** The name of a dtype's type. */
export const typeOfDtype: ReadonlyMap<DType, string> = new Map(
  Array.from(dtypeOfType, ([name, dtype]) => [dtype, name]),
)

/** Objects and arrays that any file may have, and bytes that each one more must be worth: an empty one takes three. */
const FREE_NODES = 200_000
const BYTES_PER_NODE = 10

const OPEN_OBJECT = 0x7b
const OPEN_ARRAY = 0x5b

/** JSON of objects and arrays without content takes many times its size in memory. */
function checkNodes(bytes: Uint8Array): void {
  let nodes = 0
  for (const byte of bytes) if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) nodes++
  if (nodes > FREE_NODES + bytes.length / BYTES_PER_NODE)
    throw new FormatError(`pir: ${nodes} objects and arrays in ${bytes.length} bytes: not a program, or corrupt`)
}

type Json = Readonly<Record<string, unknown>>

function corrupt(what: string): FormatError {
  return new FormatError(`pir: ${what}: corrupt, or not a PIR program`)
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(`${what} is not an object`)
  return value as Json
}

function array(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw corrupt(`${what} is not a list`)
  return value
}

function integer(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value)) throw corrupt(`${what} is not an integer`)
  return value as number
}

function string(value: unknown, what: string): string {
  if (typeof value !== 'string') throw corrupt(`${what} is not a text`)
  return value
}

/** Throws FormatError on anything that is not a PIR program of a known version. */
export function parsePirProgram(bytes: Uint8Array): PirProgram {
  checkNodes(bytes)
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new FormatError('pir: not JSON: corrupt, or not a PIR program', { cause })
  }
  const root = object(json, 'the file')
  const base = object(root['base_code'], 'base_code')
  if (base['magic'] !== 'pir') throw corrupt(`its magic word is ${JSON.stringify(base['magic'])} instead of "pir"`)
  const version = integer(base['version'], 'the version')
  if (version < 1 || version > NEWEST_VERSION)
    throw new FormatError(`pir: version ${version} is unknown; 1 to ${NEWEST_VERSION} are known`)
  const regions = array(object(root['program'], 'program')['regions'], 'regions')
  const blocks = array(object(regions[0], 'the region')['blocks'], 'blocks')
  const parameters: PirParameter[] = []
  const operations: PirOperation[] = []
  for (const item of array(object(blocks[0], 'the block')['ops'], 'ops')) {
    const op = object(item, 'an operation')
    if (op['#'] === 'p') parameters.push(parseParameter(op))
    else operations.push(parseOperation(op))
  }
  return { version, parameters, operations }
}

function parseParameter(op: Json): PirParameter {
  const [, , , name] = array(op['A'], 'attributes of a parameter')
  const [persistable, , trainable] = op['OA'] === undefined ? [1, 0, 1] : array(op['OA'], 'flags of a parameter')
  const { id, type } = parseResult(op['O'])
  return {
    id,
    type,
    name: string(name, 'the name of a parameter'),
    persistable: persistable !== 0,
    trainable: trainable !== 0,
  }
}

function parseOperation(op: Json): PirOperation {
  const name = parseName(string(op['#'], 'the name of an operation'))
  const attributes = new Map<string, AttributeValue>()
  for (const item of array(op['A'] ?? [], `attributes of ${name}`)) {
    const entry = object(item, `an attribute of ${name}`)
    const key = string(entry['N'], `the name of an attribute of ${name}`)
    const value = parseAttribute(object(entry['AT'], `attribute '${key}' of ${name}`), `attribute '${key}' of ${name}`)
    if (value !== undefined) attributes.set(key, value)
  }
  const operands = array(op['I'] ?? [], `operands of ${name}`).map((o) =>
    integer(object(o, `an operand of ${name}`)['%'], `an operand of ${name}`),
  )
  const results = op['O'] === undefined ? [] : array(op['O'], `results of ${name}`).map(parseResult)
  return { name, attributes, operands, results }
}

function parseName(name: string): string {
  const [, number, rest] = /^(\d+)\.(.*)$/s.exec(name) ?? []
  const dialect = dialects[Number(number)]
  return dialect && rest ? `${dialect}.${rest}` : name
}

function parseResult(value: unknown): { id: number; type: PirType } {
  const result = object(value, 'a result')
  return { id: integer(result['%'], 'the number of a value'), type: parseType(result['TT']) }
}

/** Lists hold tensors, not lists. */
function parseType(value: unknown, isElement = false): PirType {
  if (value === undefined || value === null) return { kind: 'none' }
  const type = object(value, 'a type')
  if (type['#'] === '0.t_dtensor' || type['#'] === '1.t_selected_rows') {
    const [element, dims] = array(type['D'], 'a tensor type')
    const shape = array(dims, 'the shape of a tensor type').map((d) => integer(d, 'a size'))
    return {
      kind: 'tensor',
      dtype: dtypeOfType.get(string(object(element, 'an element type')['#'], 'an element type')),
      shape,
    }
  }
  if (type['#'] === '0.t_vec' && !isElement)
    return { kind: 'list', elements: array(type['D'], 'a list type').map((t) => parseType(t, true)) }
  return { kind: 'none' }
}

const specials = new Map<unknown, number>([
  ['NaN', NaN],
  ['INF', Infinity],
  ['-INF', -Infinity],
])

/** Undefined for what no operator here needs: places, complex numbers, types. */
function parseAttribute(attribute: Json, what: string): AttributeValue | undefined {
  const data = attribute['D']
  switch (attribute['#']) {
    case '0.a_bool':
      return data === true || data === 1
    case '0.a_i32':
    case '0.a_i64':
    case '0.a_index':
    case '0.a_f32':
    case '0.a_f64':
      return parseNumber(attribute, what)
    case '0.a_str':
    case '0.a_tensorname':
    case '1.a_layout':
      return string(data, what)
    case '1.a_dtype':
      // The dtype that is left open is written as no name.
      return /^[a-z]/.test(string(data, what)) ? string(data, what) : ''
    case '1.a_intarray':
      return array(data, what).map((v) => integer(v, what))
    case '1.a_scalar': {
      const [, value] = array(data, what)
      return typeof value === 'boolean' ? value : parseNumber({ D: value }, what)
    }
    case '0.a_array':
      return parseArray(array(data, what), what)
    default:
      return undefined
  }
}

function parseNumber(attribute: Json, what: string): number {
  const value = specials.get(attribute['VD']) ?? specials.get(attribute['D']) ?? attribute['D']
  if (typeof value !== 'number') throw corrupt(`${what} is not a number`)
  return value
}

function parseArray(items: readonly unknown[], what: string): AttributeValue | undefined {
  const values = items.map((item) => {
    const entry = object(item, what)
    // Lists of lists are no operator's attributes.
    return entry['#'] === '0.a_array' ? undefined : parseAttribute(entry, what)
  })
  const isAll = <T>(is: (v: unknown) => v is T): boolean => values.every(is)
  if (isAll((v): v is number => typeof v === 'number')) return values as number[]
  if (isAll((v): v is boolean => typeof v === 'boolean')) return values as boolean[]
  if (isAll((v): v is string => typeof v === 'string')) return values as string[]
  return undefined
}
