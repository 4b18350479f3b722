/**
 * Constants and what is counted. Small integers are made where sizes are computed: they are what shapes, bounds and indices are made of, and
 * meet other tensors where these are.
 */
import { allocateHost, isInteger, setElement, type DType, type HostArray } from '../../../../common/dtype.ts'
import { FormatError } from '../../../../common/errors.ts'
import { numel, type Shape } from '../../../../common/shape.ts'
import { arange, eye, full, fullLike, linspace } from '../../../../tensor/creation.ts'
import { broadcastTo, cast, reshape } from '../../../../tensor/shaping.ts'
import { fromHost, type Tensor } from '../../../../tensor/tensor.ts'
import { sequenceMask } from '../../../../nn/functional/common.ts'
import { atHand } from '../host-values.ts'
import { dtype, float, int, ints, variable, type AttributeSpec, type Operator, type OperatorCall } from '../operator.ts'
import { UNDEFINED } from './reduction.ts'

/** More integers than any shape has are data. */
const MOST_SIZES = 64

function isSizes(type: DType, count: number): boolean {
  return isInteger(type) && count <= MOST_SIZES
}

/** An array of given numbers. */
function constant(
  call: OperatorCall,
  type: DType,
  shape: Shape,
  values: readonly (number | bigint | boolean)[],
): Tensor {
  if (numel(shape) !== values.length)
    throw new FormatError(`operator '${call.type}': ${values.length} values for the shape [${shape.join(', ')}]`)
  const data = allocateHost(type, values.length)
  values.forEach((v, i) => {
    if (data instanceof BigInt64Array && typeof v === 'bigint') data[i] = v
    else setElement(type, data, i, Number(v))
  })
  const array: HostArray = { dtype: type, shape: [...shape], data }
  return isSizes(type, values.length) ? atHand(array) : fromHost(array)
}

function filled(call: OperatorCall): Tensor {
  const type = call.dtype('dtype')
  const shape = call.numbers('shape')
  const value = call.value('value')
  const count = numel(shape)
  if (isSizes(type, count)) return constant(call, type, shape, new Array<typeof value>(count).fill(value))
  return full(shape, value, type)
}

const value = (given?: number): AttributeSpec => ({ kind: 'value', ...(given === undefined ? {} : { default: given }) })

/** A dtype that a file may leave open: that of the operand. */
const likeOperand: AttributeSpec = { kind: 'dtype', default: UNDEFINED }

function assigned(call: OperatorCall): Tensor {
  return constant(call, call.dtype('dtype'), call.numbers('shape'), call.numbers('values'))
}

const assignedAttributes = { shape: ints(), dtype: dtype(), values: { kind: 'floats' } } as const

export const creation = {
  full: {
    inputs: [],
    outputs: ['out'],
    attributes: { shape: ints(), value: value(), dtype: dtype('float32') },
    run: filled,
  },
  full_int_array: {
    inputs: [],
    outputs: ['out'],
    attributes: { value: ints(), dtype: dtype('int64') },
    run(call) {
      const values = call.numbers('value')
      return constant(call, call.dtype('dtype'), [values.length], values)
    },
  },
  full_like: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { value: variable(value()), dtype: likeOperand },
    run(call) {
      const x = call.tensor('x')
      const type = call.text('dtype') === UNDEFINED ? x.dtype : call.dtype('dtype')
      return fullLike(x, call.value('value'), type)
    },
  },
  full_with_tensor: {
    inputs: ['value'],
    outputs: ['out'],
    attributes: { shape: variable(ints()), dtype: dtype('float32') },
    run(call) {
      const one = reshape(cast(call.tensor('value'), call.dtype('dtype')), [])
      return broadcastTo(one, call.numbers('shape'))
    },
  },
  full_batch_size_like: {
    inputs: ['input'],
    outputs: ['out'],
    attributes: {
      shape: ints(),
      dtype: dtype(),
      value: value(),
      input_dim_idx: int(0),
      output_dim_idx: int(0),
    },
    run(call) {
      const shape = [...call.numbers('shape')]
      shape[call.number('output_dim_idx')] = call.tensor('input').shape[call.number('input_dim_idx')]!
      return full(shape, call.value('value'), call.dtype('dtype'))
    },
  },
  assign_value: { inputs: [], outputs: ['out'], attributes: assignedAttributes, run: assigned },
  assign_value_: { inputs: ['output'], outputs: ['out'], attributes: assignedAttributes, run: assigned },
  arange: {
    inputs: [],
    outputs: ['out'],
    attributes: {
      start: variable(float(0)),
      end: variable(float()),
      step: variable(float(1)),
      dtype: dtype('int64'),
    },
    run(call) {
      const type = call.dtype('dtype')
      const [start, end, step] = [call.number('start'), call.number('end'), call.number('step')]
      const count = Math.max(0, Math.ceil((end - start) / step))
      if (!isSizes(type, count)) return arange(start, end, step, type)
      const values = Array.from({ length: count }, (_, i) => start + i * step)
      return constant(call, type, [count], values)
    },
  },
  linspace: {
    inputs: [],
    outputs: ['out'],
    attributes: {
      start: variable(float()),
      stop: variable(float()),
      number: variable(int()),
      dtype: dtype('float32'),
    },
    run: (call) => linspace(call.number('start'), call.number('stop'), call.number('number'), call.dtype('dtype')),
  },
  eye: {
    inputs: [],
    outputs: ['out'],
    attributes: { num_rows: variable(int()), num_columns: variable(int(-1)), dtype: dtype('float32') },
    run(call) {
      const rows = call.number('num_rows')
      const columns = call.number('num_columns')
      return eye(rows, columns < 0 ? rows : columns, call.dtype('dtype'))
    },
  },
  sequence_mask: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { max_len: variable(int()), out_dtype: dtype('int64') },
    run(call) {
      const longest = call.number('max_len')
      if (longest < 1) throw new FormatError("operator 'sequence_mask' without its maximum length is not supported")
      return sequenceMask(call.tensor('x'), longest, call.dtype('out_dtype'))
    },
  },
} satisfies Record<string, Operator>
