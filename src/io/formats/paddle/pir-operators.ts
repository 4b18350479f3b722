/**
 * What Paddle's PIR dialect adds to the operator table: which operands and attributes an operator has follows from its row, and what does not
 * stands here. Attribute types are those of Paddle 3.0 (version 1), which newer ones read too.
 */
import { slotName, type AttributeSpec, type Operator } from '../program/operator.ts'

interface PirDetails {
  /** Lists of integers and integers that have 64 bits. */
  readonly long?: readonly string[]
  /** Variable attributes that are tensors to PIR, absent where they are not given. */
  readonly optional?: readonly string[]
  /** Whether the operator says where it is computed: the default place (0) or the CPU (1). */
  readonly place?: 0 | 1
}

const anyPlace: PirDetails = { place: 0 }
const interpolation: PirDetails = { optional: ['out_size', 'size_tensor', 'scale_tensor'] }
const axisLong: PirDetails = { long: ['axis'] }

const details: Readonly<Record<string, PirDetails>> = {
  all: axisLong,
  amax: axisLong,
  amin: axisLong,
  any: axisLong,
  arange: anyPlace,
  assign_value: anyPlace,
  assign_value_: anyPlace,
  bicubic_interp: interpolation,
  bilinear_interp: interpolation,
  embedding: { long: ['padding_idx'] },
  eye: anyPlace,
  full: { place: 1 },
  full_batch_size_like: anyPlace,
  full_int_array: { place: 1, long: ['value'] },
  full_like: anyPlace,
  linear_interp: interpolation,
  linspace: anyPlace,
  nearest_interp: interpolation,
  nll_loss: { long: ['ignore_index'] },
  roll: axisLong,
  slice: { long: ['axes', 'infer_flags', 'decrease_axis'] },
  trilinear_interp: interpolation,
}

const none: PirDetails = {}

/** The particulars of an operator. */
export function pirDetails(type: string): PirDetails {
  return details[type] ?? none
}

/** One operand of an operator: a slot of its row, or a variable attribute. */
export interface PirOperand {
  readonly name: string
  readonly isList: boolean
  readonly isOptional: boolean
  readonly attribute?: AttributeSpec
}

/** Operands in PIR's order: slots, then variable attributes. */
export function pirOperands(type: string, row: Operator): PirOperand[] {
  const { optional = [] } = pirDetails(type)
  return [
    ...row.inputs.map((slot) => ({ name: slotName(slot), isList: slot.endsWith('*'), isOptional: slot.endsWith('?') })),
    ...Object.entries(row.attributes)
      .filter(([, spec]) => spec.variable)
      .map(([name, attribute]) => ({
        name,
        isList: name === 'size_tensor',
        isOptional: optional.includes(name),
        attribute,
      })),
  ]
}

/** Names of operators that only hand on their first operand. */
export const handsOn: ReadonlySet<string> = new Set([
  'share_data',
  'share_data_',
  'memcpy_d2h',
  'memcpy_h2d',
  'assign_out_',
])
