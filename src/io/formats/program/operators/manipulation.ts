/** Shapes: reshaping, axes, joining and cutting. */
import { FormatError } from '../../../../common/errors.ts'
import { stridedSlice } from '../../../../tensor/brackets.ts'
import { meshgrid } from '../../../../tensor/creation.ts'
import { concat, flip, repeatInterleave, roll, split, stack, unbind } from '../../../../tensor/manipulation.ts'
import {
  broadcastTensors,
  expand,
  expandAs,
  flatten,
  reshape,
  squeeze,
  tile,
  transpose,
  unsqueeze,
} from '../../../../tensor/shaping.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { hostTensor } from '../host-values.ts'
import { int, ints, variable, type Operator, type OperatorCall } from '../operator.ts'

/** Sizes are at hand, whatever device computes. */
function sizes(dtype: 'int32' | 'int64'): Operator {
  return {
    inputs: ['input'],
    outputs: ['out'],
    attributes: {},
    run(call) {
      const { shape } = call.tensor('input')
      return hostTensor(shape, [shape.length], dtype)
    },
  }
}

/** 0 copies the size of the same axis of x. */
function reshaped(call: OperatorCall): Tensor {
  const x = call.tensor('x')
  const shape = call.numbers('shape').map((d, i) => (d === 0 && x.size > 0 ? (x.shape[i] ?? 0) : d))
  return reshape(x, shape)
}

/** Axes of one element only are taken away; none given: all of them. */
function squeezed(call: OperatorCall): Tensor {
  const axes = call.numbers('axis')
  return axes.length === 0 ? squeeze(call.tensor('x')) : squeeze(call.tensor('x'), axes)
}

/** -1 keeps the size of the axis. */
function expanded(call: OperatorCall): Tensor {
  return expand(call.tensor('x'), call.numbers('shape'))
}

/** x without the axes that a slice has taken one element of. */
function decreased(call: OperatorCall, x: Tensor): Tensor {
  const axes = call.numbers('decrease_axis')
  if (axes.length === 0) return x
  if (axes.some((a) => x.shape[a] !== 1))
    throw new FormatError(
      `operator '${call.type}': decrease_axis [${axes.join(', ')}] of a slice of [${x.shape.join(', ')}]`,
    )
  return squeeze(x, axes)
}

function sections(call: OperatorCall): readonly Tensor[] {
  const [x, axis] = [call.tensor('x'), call.number('axis')]
  const given = call.numbers('sections')
  return split(x, given, axis)
}

const pieces = (
  attributes: Operator['attributes'],
  input: string,
  f: (call: OperatorCall) => readonly Tensor[],
): Operator => ({
  inputs: [input],
  outputs: ['out*'],
  attributes,
  run: (call) => ({ out: f(call) }),
})

export const manipulation = {
  shape: sizes('int32'),
  shape64: sizes('int64'),
  numel: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {},
    run: (call) => hostTensor([call.tensor('x').size], []),
  },
  reshape: { inputs: ['x'], outputs: ['out'], attributes: { shape: variable(ints()) }, run: reshaped },
  squeeze: { inputs: ['x'], outputs: ['out'], attributes: { axis: variable(ints([])) }, run: squeezed },
  unsqueeze: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: variable(ints([])) },
    run: (call) => unsqueeze(call.tensor('x'), call.numbers('axis')),
  },
  flatten: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { start_axis: int(1), stop_axis: int(1) },
    run: (call) => flatten(call.tensor('x'), call.number('start_axis'), call.number('stop_axis')),
  },
  transpose: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { perm: ints() },
    run: (call) => transpose(call.tensor('x'), call.numbers('perm')),
  },
  concat: {
    inputs: ['x*'],
    outputs: ['out'],
    attributes: { axis: variable(int(0)) },
    run: (call) => concat(call.list('x'), call.number('axis')),
  },
  stack: {
    inputs: ['x*'],
    outputs: ['out'],
    attributes: { axis: int(0) },
    run: (call) => stack(call.list('x'), call.number('axis')),
  },
  split: pieces({ sections: variable(ints()), axis: variable(int(0)) }, 'x', sections),
  split_with_num: pieces({ num: int(), axis: variable(int(0)) }, 'x', (call) =>
    split(call.tensor('x'), call.number('num'), call.number('axis')),
  ),
  unbind: pieces({ axis: int(0) }, 'input', (call) => unbind(call.tensor('input'), call.number('axis'))),
  unstack: pieces({ axis: int(0), num: int(0) }, 'x', (call) => unbind(call.tensor('x'), call.number('axis'))),
  meshgrid: pieces({}, 'inputs*', (call) => meshgrid(call.list('inputs'))),
  broadcast_tensors: pieces({}, 'input*', (call) => broadcastTensors(call.list('input'))),
  slice: {
    inputs: ['input'],
    outputs: ['out'],
    attributes: {
      starts: variable(ints()),
      ends: variable(ints()),
      axes: ints(),
      infer_flags: ints([]),
      decrease_axis: ints([]),
    },
    run(call) {
      const [starts, ends] = [call.numbers('starts'), call.numbers('ends')]
      return decreased(call, stridedSlice(call.tensor('input'), call.numbers('axes'), starts, ends, null))
    },
  },
  strided_slice: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: {
      starts: variable(ints()),
      ends: variable(ints()),
      strides: variable(ints()),
      axes: ints(),
    },
    run: (call) =>
      stridedSlice(
        call.tensor('x'),
        call.numbers('axes'),
        call.numbers('starts'),
        call.numbers('ends'),
        call.numbers('strides'),
      ),
  },
  expand: { inputs: ['x'], outputs: ['out'], attributes: { shape: variable(ints()) }, run: expanded },
  expand_as: {
    inputs: ['x', 'y?'],
    outputs: ['out'],
    attributes: { target_shape: ints([]) },
    run(call) {
      const like = call.optional('y')
      return like ? expandAs(call.tensor('x'), like) : expand(call.tensor('x'), call.numbers('target_shape'))
    },
  },
  tile: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { repeat_times: variable(ints()) },
    run: (call) => tile(call.tensor('x'), call.numbers('repeat_times')),
  },
  flip: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { axis: ints() },
    run: (call) => flip(call.tensor('x'), call.numbers('axis')),
  },
  roll: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { shifts: variable(ints()), axis: ints([]) },
    run(call) {
      const axes = call.numbers('axis')
      return roll(call.tensor('x'), call.numbers('shifts'), axes.length > 0 ? axes : undefined)
    },
  },
  repeat_interleave: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { repeats: int(), axis: int() },
    run: (call) => repeatInterleave(call.tensor('x'), call.number('repeats'), call.number('axis')),
  },
} satisfies Record<string, Operator>
