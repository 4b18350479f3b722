import { expect, test } from 'vitest'
import type { DType } from '../../common/dtype.ts'
import { withKernels } from './lite-kernels.ts'
import { varTypeOf, VAR_TYPE, type OpDesc, type ProgramDesc, type VarDesc } from './paddle/program-desc.ts'

const variable = (name: string, dtype: DType): VarDesc => ({
  name,
  type: { type: VAR_TYPE.denseTensor, tensor: { dataType: varTypeOf(dtype), dims: [-1, 3] }, lodLevel: 0 },
  persistable: false,
  needCheckFeed: false,
  isParameter: false,
  stopGradient: true,
})
const op = (type: string, inputs: Record<string, string>): OpDesc => ({
  type,
  inputs: Object.entries(inputs).map(([name, v]) => ({ name, variables: [v] })),
  outputs: [{ name: 'Out', variables: ['out'] }],
  attributes: [],
  isTarget: false,
})
const program = (one: OpDesc, dtypes: Record<string, DType>): ProgramDesc => ({
  blocks: [
    {
      idx: 0,
      parentIdx: -1,
      vars: Object.entries(dtypes).map(([name, d]) => variable(name, d)),
      ops: [one],
      forwardBlockIdx: -1,
    },
  ],
  version: 0,
  opVersions: new Map(),
})
/** `type(operands) -> result` of each operator, with the kernel that is named. */
const summary = ({ blocks }: ProgramDesc): string[] =>
  blocks[0]!.ops.map((o) => {
    const kernel = o.attributes.find((a) => a.name === '__@kernel_type_attr@__')?.value
    const held = (slots: OpDesc['inputs']): string => slots.flatMap((s) => s.variables).join(', ')
    return `${o.type}(${held(o.inputs)}) -> ${held(o.outputs)}${kernel === undefined ? '' : ` by ${String(kernel)}`}`
  })

test('kernels of the host are named for integers, and floats keep the choice of the device', () => {
  const equal = op('equal', { X: 'x', Y: 'y' })
  const made = (dtype: DType): string[] => summary(withKernels(program(equal, { x: dtype, y: dtype, out: 'bool' })))
  expect(made('int64')).toEqual(['equal(x, y) -> out by equal/int64/1/1/2'])
  expect(made('float32')).toEqual(['equal(x, y) -> out'])
  const gather = program(op('gather', { X: 'x', Index: 'i' }), { x: 'float32', i: 'int64', out: 'float32' })
  expect(summary(withKernels(gather))).toEqual(['gather(x, i) -> out by gather/int64int32/1/1/1'])
})

test('where there are kernels for floats only, integers are cast, and back, each once', () => {
  const made = withKernels(program(op('elementwise_sub', { X: 'x', Y: 'x' }), { x: 'int64', out: 'int64' }))
  expect(summary(made)).toEqual([
    'cast(x) -> x.float32',
    'elementwise_sub(x.float32, x.float32) -> out.float32',
    'cast(out.float32) -> out',
  ])
  const cast = made.blocks[0]!.ops.at(-1)!
  expect(cast.attributes.map((a) => [a.name, a.value])).toEqual([
    ['in_dtype', VAR_TYPE.float32],
    ['out_dtype', VAR_TYPE.int64],
  ])
  expect(made.blocks[0]!.vars.find((v) => v.name === 'out.float32')?.type.tensor).toEqual({
    dataType: VAR_TYPE.float32,
    dims: [-1, 3],
  })
})

test('embeddings are looked up by int64', () => {
  const lookup = program(op('lookup_table_v2', { W: 'w', Ids: 'i' }), { w: 'float32', i: 'int32', out: 'float32' })
  expect(summary(withKernels(lookup))).toEqual(['cast(i) -> i.int64', 'lookup_table_v2(w, i.int64) -> out'])
})
