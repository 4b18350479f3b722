/**
 * Kernels for Paddle Lite's light runtime. Where a file names none it takes the first one of an operator for the device's target, which computes with
 * floats, whatever the dtype. Kernels of the target `host` are in the runtime of every device; they are named here for integers, so that files go on to
 * run everywhere. Where there is none, integers are computed in another dtype. (Names and dtypes: the list of kernels in paddlelite 2.12.)
 */
import type { DType } from '../../common/dtype.ts'
import {
  dtypeOfVarType,
  varTypeOf,
  type BlockDesc,
  type OpDesc,
  type ProgramDesc,
  type SlotDesc,
  type VarDesc,
} from './paddle/program-desc.ts'

const KERNEL = '__@kernel_type_attr@__'

interface HostKernels {
  /** Operands whose dtypes choose; of one that is absent the last named alias is taken. */
  readonly slots: readonly string[]
  /** By dtype, or dtypes joined by a space. */
  readonly aliases: Readonly<Record<string, string>>
  /** target, precision and layout, as numbers. */
  readonly place: string
}

const FLOAT_ANY = '1/1/2'
const FLOAT_NCHW = '1/1/1'
const ANY_NCHW = '1/4/1'

const host = (place: string, slot: string, aliases: Readonly<Record<string, string>>): HostKernels => ({
  slots: [slot],
  aliases,
  place,
})
const byName = { int32: 'int32', int64: 'int64' }
const byDefName = { int32: 'def_int32', int64: 'def_int64' }

const hostKernels: Readonly<Record<string, HostKernels>> = {
  equal: host(FLOAT_ANY, 'X', byName),
  not_equal: host(FLOAT_ANY, 'X', byName),
  less_than: host(FLOAT_ANY, 'X', byName),
  less_equal: host(FLOAT_ANY, 'X', byName),
  greater_equal: host(FLOAT_ANY, 'X', byDefName),
  greater_than: host(FLOAT_ANY, 'X', { ...byDefName, bool: 'def_bool' }),
  cumsum: host(FLOAT_ANY, 'X', byName),
  range: host(FLOAT_ANY, 'Start', byName),
  expand_v2: host(FLOAT_ANY, 'X', byDefName),
  tile: host(FLOAT_NCHW, 'X', { ...byDefName, float32: 'def_float', bool: 'def_bool', int8: 'def_int8' }),
  stack: host(FLOAT_ANY, 'X', { int32: 'int32_def', int64: 'int64_def' }),
  split: host(FLOAT_NCHW, 'X', byName),
  strided_slice: host(FLOAT_NCHW, 'X', byDefName),
  unbind: host(FLOAT_NCHW, 'X', { int64: 'def_int64' }),
  unstack: host(FLOAT_ANY, 'X', { int32: 'unstack_int32' }),
  one_hot_v2: host('1/4/2', 'X', { int32: 'one_hot_v2_int32', int64: 'def' }),
  arg_max: host(ANY_NCHW, 'X', { ...byName, float32: 'fp32', uint8: 'uint8' }),
  argsort: host(FLOAT_ANY, 'X', { float32: 'argsort_fp32', int32: 'argsort_int32', int64: 'argsort_int64' }),
  index_select: host(ANY_NCHW, 'X', { float32: 'fp32', int32: 'int32', int8: 'int8' }),
  meshgrid: host(FLOAT_ANY, 'X', { ...byName, float32: 'float32' }),
  flip: host(ANY_NCHW, 'X', { float32: 'flip_fp32', int64: 'flip_i64' }),
  linspace: host('1/2/2', 'Start', { int32: 'int32' }),
  gather: {
    slots: ['Index', 'Axis'],
    aliases: {
      'int32 int32': 'int32int32',
      'int32 int64': 'int32int64',
      'int64 int32': 'int64int32',
      'int64 int64': 'int64int64',
    },
    place: FLOAT_NCHW,
  },
}

/**
 * What is there for floats only on every target, which are exact for integers up to 2^24, such as sizes, positions and classes. A kernel for floats that
 * only moves elements would keep those of int32, but says that they are floats.
 */
const byFloats = new Set(
  (
    'elementwise_add elementwise_sub elementwise_mul elementwise_div elementwise_floordiv elementwise_max elementwise_min elementwise_pow ' +
    'reduce_sum reduce_max reduce_min reduce_prod reduce_mean scale abs square clip pow pad3d concat slice transpose transpose2'
  ).split(' '),
)
/** Operands of which only one dtype is read. */
const readAs: Readonly<Record<string, Readonly<Record<string, DType>>>> = {
  lookup_table_v2: { Ids: 'int64' },
}
const asFloats: Readonly<Record<string, DType>> = { X: 'float32', Y: 'float32', Input: 'float32' }

/** The program as Paddle Lite's light runtime computes it rightly without further choices. */
export function withKernels(program: ProgramDesc): ProgramDesc {
  return { ...program, blocks: program.blocks.map((block) => new Choosing(block).run()) }
}

class Choosing {
  readonly #block: BlockDesc
  readonly #vars: Map<string, VarDesc>
  readonly #ops: OpDesc[] = []
  /** Casts by value and dtype. */
  readonly #casts = new Map<string, string>()

  constructor(block: BlockDesc) {
    this.#block = block
    this.#vars = new Map(block.vars.map((v) => [v.name, v]))
  }

  run(): BlockDesc {
    for (const op of this.#block.ops) this.#write(op)
    return { ...this.#block, vars: [...this.#vars.values()], ops: this.#ops }
  }

  #write(op: OpDesc): void {
    const kernels = hostKernels[op.type]
    const kernel = kernels && this.#alias(op, kernels)
    if (kernels && kernel !== undefined) {
      const value = `${op.type}/${kernel}/${kernels.place}`
      this.#ops.push({ ...op, attributes: [...op.attributes, { name: KERNEL, type: 'string', value }] })
      return
    }
    const dtype = this.#dtype(op.inputs.find((s) => s.name in asFloats)?.variables[0])
    if (byFloats.has(op.type) && (dtype?.startsWith('int') || dtype === 'bool')) this.#byFloats(op)
    else this.#ops.push({ ...op, inputs: this.#read(op, readAs[op.type] ?? {}) })
  }

  #alias(op: OpDesc, { slots, aliases }: HostKernels): string | undefined {
    const dtypes = slots.map((name) => this.#dtype(op.inputs.find((s) => s.name === name)?.variables[0]) ?? 'int32')
    return aliases[dtypes.join(' ')]
  }

  /** The operator on floats, between casts. */
  #byFloats(op: OpDesc): void {
    const [out] = op.outputs.flatMap((s) => (s.name === 'Out' ? s.variables : []))
    const inputs = this.#read(op, asFloats)
    if (out === undefined) {
      this.#ops.push({ ...op, inputs })
      return
    }
    const made = this.#variable(`${out}.float32`, out, 'float32')
    const outputs = op.outputs.map((s) => (s.name === 'Out' ? { ...s, variables: [made] } : s))
    this.#ops.push({ ...op, inputs, outputs })
    this.#cast(made, out)
  }

  #read(op: OpDesc, wanted: Readonly<Record<string, DType>>): SlotDesc[] {
    return op.inputs.map((s) => {
      const dtype = wanted[s.name]
      return dtype === undefined ? s : { ...s, variables: s.variables.map((v) => this.#as(v, dtype)) }
    })
  }

  #as(name: string, dtype: DType): string {
    if (this.#dtype(name) === dtype) return name
    const key = `${dtype} ${name}`
    const known = this.#casts.get(key)
    if (known !== undefined) return known
    const own = this.#variable(`${name}.${dtype}`, name, dtype)
    this.#cast(name, own)
    this.#casts.set(key, own)
    return own
  }

  #cast(from: string, to: string): void {
    const number = (name: string): number => this.#vars.get(name)?.type.tensor?.dataType ?? -1
    this.#ops.push({
      type: 'cast',
      inputs: [{ name: 'X', variables: [from] }],
      outputs: [{ name: 'Out', variables: [to] }],
      attributes: [
        { name: 'in_dtype', type: 'int', value: number(from) },
        { name: 'out_dtype', type: 'int', value: number(to) },
      ],
      isTarget: false,
    })
  }

  /** A new variable like another one, of another dtype. */
  #variable(base: string, like: string, dtype: DType): string {
    let name = base
    for (let i = 0; this.#vars.has(name); i++) name = `${base}_${i}`
    const { type } = this.#vars.get(like)!
    this.#vars.set(name, {
      name,
      type: { ...type, tensor: { dataType: varTypeOf(dtype), dims: type.tensor?.dims ?? [] } },
      persistable: false,
      needCheckFeed: false,
      isParameter: false,
      stopGradient: true,
    })
    return name
  }

  #dtype(name: string | undefined): DType | undefined {
    const number = name === undefined ? undefined : this.#vars.get(name)?.type.tensor?.dataType
    return number === undefined ? undefined : dtypeOfVarType(number)
  }
}
