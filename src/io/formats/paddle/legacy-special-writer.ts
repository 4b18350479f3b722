/** Rows of the operator table that the legacy format says in another way. */
import { isFloat, type DType } from '../../../common/dtype.ts'
import { FormatError } from '../../../common/errors.ts'
import { slotNames, type AttributeValue, type Operation } from '../program/program.ts'
import { attributeDesc, slot } from './legacy-attributes.ts'
import type { LegacyWriting } from './legacy-writer.ts'
import { varTypeOf, type AttributeDesc, type SlotDesc } from './program-desc.ts'
import { dropoutWord } from './words.ts'

export type SpecialWriter = (operation: Operation, writing: LegacyWriting) => void

const operand = (o: Operation, name: string): string => {
  const [held] = slotNames(o.inputs[name])
  if (held === undefined) throw new FormatError(`operator '${o.type}' lacks its operand '${name}'`)
  return held
}

const result = (o: Operation, name = 'out'): string => {
  const [held] = slotNames(o.outputs[name])
  if (held === undefined) throw new FormatError(`operator '${o.type}' lacks its result '${name}'`)
  return held
}

const bool = (name: string, value: boolean): AttributeDesc => ({ name, type: 'boolean', value })
const int = (name: string, value: number): AttributeDesc => ({ name, type: 'int', value })

function numbers(value: AttributeValue): number[] {
  return (typeof value === 'object' ? [...value] : [value]).map(Number)
}

/** No axes: over everything. */
function reduction(operation: Operation, writing: LegacyWriting): void {
  if (slotNames(operation.inputs['axis']).length > 0)
    throw new FormatError(`the legacy operator 'reduce_${operation.type}' takes no value as 'axis'`)
  const axes = numbers(writing.attribute(operation, 'axis'))
  const dtype = operation.attributes['dtype']
  const to = typeof dtype === 'string' && dtype !== '' ? varTypeOf(dtype as DType) : -1
  writing.emit(
    `reduce_${operation.type}`,
    [slot('X', operand(operation, 'x'))],
    [slot('Out', result(operation))],
    [
      { name: 'dim', type: 'ints', value: axes.length > 0 ? axes : [0] },
      bool('keep_dim', Boolean(writing.attribute(operation, 'keepdim'))),
      bool('reduce_all', axes.length === 0),
      int('in_dtype', -1),
      int('out_dtype', to),
    ],
  )
}

function full(operation: Operation, writing: LegacyWriting): void {
  const out = result(operation)
  const { dtype, shape } = writing.info(out)
  writing.fill(out, Number(writing.attribute(operation, 'value')), dtype, shape)
}

/** A value that is known is an attribute: Paddle Lite takes no other. */
function fullWithTensor(operation: Operation, writing: LegacyWriting): void {
  const out = result(operation)
  const { dtype } = writing.info(out)
  const value = operand(operation, 'value')
  const known = writing.constantIn(value)
  const names = slotNames(operation.inputs['shape'])
  const inputs: SlotDesc[] = known === undefined ? [slot('ValueTensor', value)] : []
  const isList = names.length > 1 || (names.length === 1 && writing.info(names[0]!).shape.length === 0)
  if (names.length > 0) inputs.push(slot(isList ? 'ShapeTensorList' : 'ShapeTensor', ...names))
  const shape = names.length > 0 ? writing.info(out).shape : numbers(writing.attribute(operation, 'shape'))
  writing.fill(out, known ?? null, dtype, shape, inputs)
}

/** An array of given numbers, `values` or the integers of a shape. */
function assignValue(attribute: string): SpecialWriter {
  return (operation, writing) => {
    const out = result(operation)
    const { dtype } = writing.info(out)
    const values = numbers(writing.attribute(operation, attribute))
    const shape = attribute === 'value' ? [values.length] : numbers(writing.attribute(operation, 'shape'))
    const lists: readonly AttributeDesc[] = [
      { name: 'bool_values', type: 'ints', value: dtype === 'bool' ? values : [] },
      { name: 'fp32_values', type: 'floats', value: isFloat(dtype) ? values : [] },
      { name: 'int32_values', type: 'ints', value: dtype === 'int32' ? values : [] },
      { name: 'int64_values', type: 'longs', value: dtype === 'int64' ? values : [] },
    ]
    if (dtype === 'float32' || dtype === 'int32' || dtype === 'int64' || dtype === 'bool')
      writing.emit(
        'assign_value',
        [],
        [slot('Out', out)],
        [{ name: 'shape', type: 'ints', value: shape }, int('dtype', varTypeOf(dtype)), ...lists],
      )
    else throw new FormatError(`the legacy operator 'assign_value' makes no ${dtype}`)
  }
}

/** Bounds as tensors of the dtype that comes out. */
function range(type: string, slots: Readonly<Record<string, string>>, withDtype: boolean): SpecialWriter {
  return (operation, writing) => {
    const out = result(operation)
    const { dtype } = writing.info(out)
    const inputs = Object.entries(slots).map(([name, own]) => {
      const [held] = slotNames(operation.inputs[name])
      if (held !== undefined) return slot(own, held)
      const value = Number(writing.attribute(operation, name))
      return slot(own, writing.constant(`${out}.${name}`, value, own === 'Num' ? 'int32' : dtype))
    })
    writing.emit(type, inputs, [slot('Out', out)], withDtype ? [int('dtype', varTypeOf(dtype))] : [])
  }
}

function split(operation: Operation, writing: LegacyWriting): void {
  const inputs = [slot('X', operand(operation, 'x'))]
  const axes = slotNames(operation.inputs['axis'])
  const sections = slotNames(operation.inputs['sections'])
  if (axes.length > 0) inputs.push(slot('AxisTensor', ...axes))
  if (sections.length > 0) inputs.push(slot('SectionsTensorList', ...sections))
  const isEven = operation.type === 'split_with_num'
  writing.emit(
    'split',
    inputs,
    [slot('Out', ...slotNames(operation.outputs['out']))],
    [
      int('num', isEven ? Number(writing.attribute(operation, 'num')) : 0),
      {
        name: 'sections',
        type: 'ints',
        value: isEven
          ? []
          : sections.length > 0
            ? sections.map(() => -1)
            : numbers(writing.attribute(operation, 'sections')),
      },
      int('axis', axes.length > 0 ? 0 : Number(writing.attribute(operation, 'axis'))),
    ],
  )
}

function triangle(operation: Operation, writing: LegacyWriting): void {
  writing.emit(
    'tril_triu',
    [slot('X', operand(operation, 'x'))],
    [slot('Out', result(operation))],
    [int('diagonal', Number(writing.attribute(operation, 'diagonal'))), bool('lower', operation.type === 'tril')],
  )
}

/** The legacy operator gives int32. */
function longShape(operation: Operation, writing: LegacyWriting): void {
  const out = result(operation)
  const short = writing.temporary(`${out}.int32`, 'int32', writing.info(out).shape)
  writing.emit('shape', [slot('Input', operand(operation, 'input'))], [slot('Out', short)], [])
  writing.emit(
    'cast',
    [slot('X', short)],
    [slot('Out', out)],
    [int('in_dtype', varTypeOf('int32')), int('out_dtype', varTypeOf('int64'))],
  )
}

function dropout(operation: Operation, writing: LegacyWriting): void {
  const out = result(operation)
  const [mask] = slotNames(operation.outputs['mask'])
  const seed = slotNames(operation.inputs['seed_tensor'])
  if (slotNames(operation.inputs['p']).length > 0)
    throw new FormatError("the legacy operator 'dropout' takes no value as 'p'")
  writing.emit(
    'dropout',
    [slot('X', operand(operation, 'x')), ...(seed.length > 0 ? [slot('Seed', ...seed)] : [])],
    [slot('Out', out), slot('Mask', mask ?? writing.temporary(`${out}.mask`, 'uint8', writing.info(out).shape))],
    [
      attributeDesc('dropout_prob', 'float', writing.attribute(operation, 'p')),
      { name: 'dropout_implementation', type: 'string', value: dropoutWord(writing.attribute(operation, 'mode')) },
      attributeDesc('is_test', 'boolean', writing.attribute(operation, 'is_test')),
      attributeDesc('seed', 'int', writing.attribute(operation, 'seed')),
      attributeDesc('fix_seed', 'boolean', writing.attribute(operation, 'fix_seed')),
    ],
  )
}

export const specialWriters: Readonly<Record<string, SpecialWriter>> = {
  ...Object.fromEntries(
    ['sum', 'mean', 'max', 'min', 'prod', 'any', 'all', 'amax', 'amin'].map((row) => [row, reduction]),
  ),
  full,
  full_with_tensor: fullWithTensor,
  full_int_array: assignValue('value'),
  assign_value: assignValue('values'),
  assign_value_: assignValue('values'),
  arange: range('range', { start: 'Start', end: 'End', step: 'Step' }, false),
  linspace: range('linspace', { start: 'Start', stop: 'Stop', number: 'Num' }, true),
  split,
  split_with_num: split,
  tril: triangle,
  triu: triangle,
  shape64: longShape,
  dropout,
}
