/** Picking by index, and writing by index. */
import { indexSample, putAlongAxis, takeAlongAxis, type PutReduction } from '../../../../tensor/along-axis.ts'
import { oneHot } from '../../../../tensor/creation.ts'
import { tril, triu } from '../../../../tensor/diagonal.ts'
import { gather, gatherNd, indexSelect, scatter, scatterNdAdd } from '../../../../tensor/indexing.ts'
import { embedding } from '../../../../nn/functional/common.ts'
import { FormatError } from '../../../../common/errors.ts'
import { bool, int, text, variable, type Operator } from '../operator.ts'

const PUT_REDUCTIONS: readonly PutReduction[] = ['assign', 'add', 'mul', 'multiply', 'amin', 'amax', 'mean']

function reductionOf(word: string): PutReduction {
  const known = PUT_REDUCTIONS.find((r) => r === word)
  if (known === undefined) throw new FormatError(`operator 'put_along_axis': the reduction '${word}' is unknown`)
  return known
}

export const indexing = {
  embedding: {
    inputs: ['x', 'weight'],
    outputs: ['out'],
    attributes: { padding_idx: int(-1), sparse: bool(false) },
    run(call) {
      // -1: no padding row; others were counted from the front when the program was made.
      const padding = call.number('padding_idx')
      return embedding(call.tensor('x'), call.tensor('weight'), padding < 0 ? {} : { paddingIdx: padding })
    },
  },
  gather: {
    inputs: ['x', 'index'],
    outputs: ['out'],
    attributes: { axis: variable(int(0)) },
    run: (call) => gather(call.tensor('x'), call.tensor('index'), call.number('axis')),
  },
  gather_nd: {
    inputs: ['x', 'index'],
    outputs: ['out'],
    attributes: {},
    run: (call) => gatherNd(call.tensor('x'), call.tensor('index')),
  },
  index_select: {
    inputs: ['x', 'index'],
    outputs: ['out'],
    attributes: { axis: int(0) },
    run: (call) => indexSelect(call.tensor('x'), call.tensor('index'), call.number('axis')),
  },
  index_sample: {
    inputs: ['x', 'index'],
    outputs: ['out'],
    attributes: {},
    run: (call) => indexSample(call.tensor('x'), call.tensor('index')),
  },
  take_along_axis: {
    inputs: ['arr', 'indices'],
    outputs: ['out'],
    attributes: { axis: int() },
    run: (call) => takeAlongAxis(call.tensor('arr'), call.tensor('indices'), call.number('axis'), false),
  },
  put_along_axis: {
    inputs: ['arr', 'indices', 'values'],
    outputs: ['out'],
    attributes: { axis: int(), reduce: text('assign'), include_self: bool(true) },
    run(call) {
      const operands = [call.tensor('arr'), call.tensor('indices'), call.tensor('values')] as const
      return putAlongAxis(...operands, call.number('axis'), {
        reduce: reductionOf(call.text('reduce')),
        includeSelf: call.bool('include_self'),
      })
    },
  },
  scatter: {
    inputs: ['x', 'index', 'updates'],
    outputs: ['out'],
    attributes: { overwrite: bool(true) },
    run: (call) => scatter(call.tensor('x'), call.tensor('index'), call.tensor('updates'), call.bool('overwrite')),
  },
  scatter_nd_add: {
    inputs: ['x', 'index', 'updates'],
    outputs: ['out'],
    attributes: {},
    run: (call) => scatterNdAdd(call.tensor('x'), call.tensor('index'), call.tensor('updates')),
  },
  one_hot: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { num_classes: variable(int()) },
    run: (call) => oneHot(call.tensor('x'), call.number('num_classes')),
  },
  tril: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { diagonal: int(0) },
    run: (call) => tril(call.tensor('x'), call.number('diagonal')),
  },
  triu: {
    inputs: ['x'],
    outputs: ['out'],
    attributes: { diagonal: int(0) },
    run: (call) => triu(call.tensor('x'), call.number('diagonal')),
  },
} satisfies Record<string, Operator>
