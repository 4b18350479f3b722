/** What is said of a legacy operator that is a renamed row of the operator table, and how it is written down shortly. */
import type { AttributeDesc, AttributeTypeName } from './program-desc.ts'

export interface LegacyAttribute {
  /** Absent: only a tensor can set it. */
  readonly name?: string
  /** Where it is not the one that the kind in the operator table has. */
  readonly type?: AttributeTypeName
  /** Slot of a tensor that sets it, and slot of a list of one-element tensors. */
  readonly tensor?: string
  readonly list?: string
}

/** Legacy names by the names of the row. */
export interface LegacyOperator {
  readonly row: string
  readonly inputs: Readonly<Record<string, string>>
  readonly outputs: Readonly<Record<string, string>>
  readonly attributes: Readonly<Record<string, LegacyAttribute>>
  /** Attributes that have one value only. */
  readonly constants?: readonly AttributeDesc[]
  /** Results that the operator must name though nobody reads them. */
  readonly unused?: readonly string[]
  /** Older operator: programs are written with another one. */
  readonly isRead?: boolean
}

/** `x:X y:Y` as a record. */
function pairs(text: string): Record<string, string> {
  return Object.fromEntries(text.split(' ').flatMap((p) => (p === '' ? [] : [p.split(':') as [string, string]])))
}

export type Attributes = Readonly<Record<string, string | LegacyAttribute>>
type Extras = Pick<LegacyOperator, 'constants' | 'unused' | 'isRead'>

/** Attributes of which only a type or a slot is given keep their name. */
export function operator(
  row: string,
  inputs: string,
  outputs: string,
  attributes: Attributes = {},
  extras: Extras = {},
): LegacyOperator {
  return {
    row,
    inputs: pairs(inputs),
    outputs: pairs(outputs),
    attributes: Object.fromEntries(
      Object.entries(attributes).map(([name, a]) => [name, typeof a === 'string' ? { name: a } : a]),
    ),
    ...extras,
  }
}

/** x -> out. */
export const unary = (row: string, attributes: Attributes = {}, extras: Extras = {}): LegacyOperator =>
  operator(row, 'x:X', 'out:Out', attributes, extras)

/** x, y -> out. */
export const binary = (row: string, constants: readonly AttributeDesc[] = []): LegacyOperator =>
  operator(row, 'x:X y:Y', 'out:Out', {}, { constants })

/** Attributes with the row's own names. */
export const same = (...names: string[]): Attributes => Object.fromEntries(names.map((n) => [n, n]))

/** An attribute that tensors may set. */
export const settable = (name: string, tensor: string, list?: string, type?: AttributeTypeName): LegacyAttribute => ({
  name,
  tensor,
  ...(list === undefined ? {} : { list }),
  ...(type === undefined ? {} : { type }),
})
