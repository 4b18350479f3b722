/** Slots and attributes of operators as a ProgramDesc has them. */
import { FormatError } from '../../../common/errors.ts'
import type { AttributeSpec } from '../program/operator.ts'
import type { AttributeValue } from '../program/program.ts'
import { dtypeOfVarType, VAR_TYPE, type AttributeDesc, type AttributeTypeName, type SlotDesc } from './program-desc.ts'

export const slot = (name: string, ...variables: readonly string[]): SlotDesc => ({ name, variables })

const types: Readonly<Record<AttributeSpec['kind'], AttributeTypeName>> = {
  bool: 'boolean',
  int: 'int',
  float: 'float',
  value: 'float',
  string: 'string',
  dtype: 'int',
  bools: 'booleans',
  ints: 'ints',
  floats: 'floats',
  strings: 'strings',
}

/** The type that attributes of a kind have in the file, unless the operator has another. */
export function typeFor(spec: AttributeSpec): AttributeTypeName {
  return types[spec.kind]
}

/** A value of an operation as an attribute of the file. */
export function attributeDesc(name: string, type: AttributeTypeName, value: AttributeValue): AttributeDesc {
  const items = typeof value === 'object' ? value : [value]
  const numbers = (): number[] => items.map(Number)
  switch (type) {
    case 'int':
      return { name, type, value: typeof value === 'string' ? numberOfDtype(value) : clampInt(Number(value)) }
    case 'long':
      return { name, type, value: Number(value) }
    case 'float':
      return { name, type, value: Number(value) }
    case 'string':
      return { name, type, value: String(value) }
    case 'boolean':
      return { name, type, value: Boolean(value) }
    case 'ints':
      return { name, type, value: numbers().map(clampInt) }
    case 'longs':
      return { name, type, value: numbers() }
    case 'floats':
      return { name, type, value: numbers() }
    case 'strings':
      return { name, type, value: items.map(String) }
    case 'booleans':
      return { name, type, value: items.map(Boolean) }
    default:
      throw new FormatError(`attribute '${name}' cannot be written as ${type}`)
  }
}

/** Ends of slices may lie beyond 32 bits; they mean the end. */
function clampInt(value: number): number {
  return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, value))
}

function numberOfDtype(dtype: string): number {
  for (const number of Object.values(VAR_TYPE)) if (dtypeOfVarType(number) === dtype) return number
  return -1
}
