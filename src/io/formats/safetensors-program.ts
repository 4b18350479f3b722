/**
 * Programs as safetensors files: parameters are the tensors, the program itself stands in the metadata, and with it whatever travels with the
 * model. Longzhou's own format: nothing of a program is lost in it.
 */
import { isDType, type HostArray } from '../../common/dtype.ts'
import { FormatError, UnsupportedError } from '../../common/errors.ts'
import { readSafetensors, writeSafetensors } from '../files.ts'
import type { AtomicOptions } from '../atomic.ts'
import type { AttributeValue, ModelParameter, Operation, OperatorProgram, ValueInfo } from './program/program.ts'

/** Where the program stands in a file's metadata. */
const PROGRAM = 'longzhou.program'
const VERSION = 1

interface StoredProgram {
  readonly version: number
  readonly inputs: readonly ValueInfo[]
  readonly outputs: OperatorProgram['outputs']
  readonly operations: readonly Operation[]
  readonly values: readonly ValueInfo[]
  readonly parameters: readonly (Omit<ModelParameter, 'array'> & { readonly name: string })[]
}

/** Numbers that JSON lacks, and integers that it rounds, as `{"$": text}`. */
function encode(_: string, v: unknown): unknown {
  if (typeof v === 'bigint') return { $: `${v}n` }
  if (typeof v === 'number' && !Number.isFinite(v)) return { $: String(v) }
  return Object.is(v, -0) ? { $: '-0' } : v
}

function decode(_: string, v: unknown): unknown {
  if (typeof v !== 'object' || v === null || !('$' in v) || typeof v.$ !== 'string') return v
  const text = v.$
  if (/^-?\d{1,20}n$/.test(text)) return BigInt(text.slice(0, -1))
  if (['NaN', 'Infinity', '-Infinity', '-0'].includes(text)) return Number(text)
  throw new FormatError(`'${text}' is no number`)
}

/** Writes a program, atomically. Throws StorageError. */
export async function writeSafetensorsProgram(
  program: OperatorProgram,
  path: string,
  options: AtomicOptions = {},
): Promise<void> {
  const tensors: Record<string, HostArray> = {}
  for (const [name, { array }] of program.parameters) tensors[name] = array
  const stored: StoredProgram = {
    version: VERSION,
    inputs: program.inputs,
    outputs: program.outputs,
    operations: program.operations,
    values: [...program.values.values()],
    parameters: [...program.parameters].map(([name, { trainable, structuredName }]) => ({
      name,
      trainable,
      ...(structuredName === undefined ? {} : { structuredName }),
    })),
  }
  await writeSafetensors(path, tensors, { ...program.metadata, [PROGRAM]: JSON.stringify(stored, encode) }, options)
}

/** Reads what `writeSafetensorsProgram` wrote. Throws StorageError, FormatError. */
export async function readSafetensorsProgram(path: string): Promise<OperatorProgram> {
  const { tensors, metadata } = await readSafetensors(path)
  const { [PROGRAM]: text, ...rest } = metadata
  if (text === undefined)
    throw new UnsupportedError(
      `'${path}' holds values, not a program; build the network and give them to setStateDict(load(...))`,
    )
  try {
    return { ...parseProgram(text, tensors), metadata: rest }
  } catch (cause) {
    if (!(cause instanceof FormatError || cause instanceof SyntaxError)) throw cause
    throw new FormatError(`'${path}': the program in it is damaged: ${cause.message}`, { cause })
  }
}

/** The program of a metadata entry over tensors. Throws FormatError, SyntaxError. */
export function parseProgram(
  text: string,
  tensors: Readonly<Record<string, HostArray>>,
): Omit<OperatorProgram, 'metadata'> {
  const stored: unknown = JSON.parse(text, decode)
  const root = record(stored, 'the program')
  if (root['version'] !== VERSION)
    throw new FormatError(`it has version ${String(root['version'])}; this build reads ${VERSION}: update longzhou`)
  const parameters = new Map<string, ModelParameter>()
  for (const entry of list(root['parameters'], 'parameters')) {
    const { name, trainable, structuredName } = record(entry, 'a parameter')
    if (typeof name !== 'string' || typeof trainable !== 'boolean') throw new FormatError('a parameter without a name')
    const array = Object.hasOwn(tensors, name) ? tensors[name] : undefined
    if (!array) throw new FormatError(`the tensor '${name}' is missing`)
    parameters.set(name, { array, trainable, ...(typeof structuredName === 'string' ? { structuredName } : {}) })
  }
  const values = list(root['values'], 'values').map(valueInfo)
  return {
    inputs: list(root['inputs'], 'inputs').map(valueInfo),
    outputs: list(root['outputs'], 'outputs').map((o) => {
      const { name, value, axisNames } = record(o, 'an output')
      return { name: string(name, 'an output'), value: string(value, 'an output'), ...namesOfAxes(axisNames) }
    }),
    parameters,
    operations: list(root['operations'], 'operations').map(operation),
    values: new Map(values.map((v) => [v.name, v])),
  }
}

function record(v: unknown, what: string): Record<string, unknown> {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) throw new FormatError(`${what} is no object`)
  return v as Record<string, unknown>
}

function list(v: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(v)) throw new FormatError(`${what} is no list`)
  return v as readonly unknown[]
}

function string(v: unknown, what: string): string {
  if (typeof v !== 'string') throw new FormatError(`${what} is not named`)
  return v
}

function valueInfo(v: unknown): ValueInfo {
  const { name, dtype, shape, axisNames } = record(v, 'a value')
  const sizes = list(shape, 'a shape')
  if (typeof dtype !== 'string' || !isDType(dtype) || !sizes.every((d) => Number.isSafeInteger(d) && Number(d) >= -1))
    throw new FormatError(`the value '${String(name)}' has no dtype and shape`)
  return {
    name: string(name, 'a value'),
    dtype,
    shape: sizes as readonly number[],
    ...namesOfAxes(axisNames, sizes.length),
  }
}

/** As far as they are told; `rank` is that of the value, where it is known. */
function namesOfAxes(v: unknown, rank?: number): { readonly axisNames?: readonly (string | null)[] } {
  if (v === undefined) return {}
  const names = list(v, 'names of axes').map((n) => (n === null ? null : string(n, 'an axis')))
  if (rank !== undefined && names.length !== rank)
    throw new FormatError('a value with names for other axes than it has')
  return { axisNames: names }
}

function operation(v: unknown): Operation {
  const { type, inputs, outputs, attributes, origin } = record(v, 'an operation')
  const slots = (of: unknown): [string, string | readonly string[] | null][] =>
    Object.entries(record(of, 'a slot')).map(([name, held]) => {
      if (held === null || typeof held === 'string') return [name, held]
      return [name, list(held, 'a slot').map((n) => string(n, 'a value'))]
    })
  const results = slots(outputs).map(([name, held]): [string, string | readonly string[]] => {
    if (held === null) throw new FormatError('a result without a name')
    return [name, held]
  })
  return {
    type: string(type, 'an operation'),
    inputs: Object.fromEntries(slots(inputs)),
    outputs: Object.fromEntries(results),
    attributes: Object.fromEntries(
      Object.entries(record(attributes, 'attributes')).map(([name, value]) => [name, attribute(value)]),
    ),
    ...(typeof origin === 'string' ? { origin } : {}),
  }
}

function attribute(v: unknown): AttributeValue {
  const isOne = (x: unknown): boolean => ['boolean', 'number', 'bigint', 'string'].includes(typeof x)
  if (isOne(v)) return v as AttributeValue
  const many = list(v, 'an attribute')
  if (!many.every(isOne)) throw new FormatError('an attribute of another kind')
  return many as AttributeValue
}
