/** Recurrences: a node a layer, with the gates in ONNX's order. */
import { allocateHost, type HostArray } from '../../../../../common/dtype.ts'
import type { WriteCall, WriteRule, WriteRules } from '../write-call.ts'

interface Cell {
  readonly opType: 'LSTM' | 'GRU' | 'RNN'
  /** Where each of ONNX's gates stands among Paddle's: i, o, f, c of i, f, c, o; z, r, h of r, z, c. */
  readonly gates: readonly number[]
  readonly attributes: Readonly<Record<string, number>>
  readonly activation?: string
  readonly hasPeepholes?: boolean
}

const cells: Readonly<Record<string, Cell>> = {
  LSTM: { opType: 'LSTM', gates: [0, 3, 1, 2], attributes: {} },
  GRU: { opType: 'GRU', gates: [1, 0, 2], attributes: { linear_before_reset: 1 } },
  LSTM_PEEPHOLE: { opType: 'LSTM', gates: [0, 3, 1, 2], attributes: {}, hasPeepholes: true },
  GRU_RESET_BEFORE: { opType: 'GRU', gates: [1, 0, 2], attributes: { linear_before_reset: 0 } },
  RNN_TANH: { opType: 'RNN', gates: [0], attributes: {}, activation: 'Tanh' },
  RNN_RELU: { opType: 'RNN', gates: [0], attributes: {}, activation: 'Relu' },
}

/** Arrays of directions on a new first axis, with their gates in another order. */
function joined(arrays: readonly HostArray[], gates: readonly number[]): HostArray {
  const [first] = arrays
  const block = first!.data.length / gates.length
  const data = allocateHost(first!.dtype, arrays.length * first!.data.length)
  arrays.forEach((array, d) => {
    gates.forEach((g, i) => {
      data.set(array.data.subarray(g * block, (g + 1) * block) as never, (d * gates.length + i) * block)
    })
  })
  return { dtype: first!.dtype, shape: [arrays.length, ...first!.shape], data }
}

/** Input and recurrent biases of each direction, one after the other. */
function joinedBiases(
  input: readonly HostArray[],
  recurrent: readonly HostArray[],
  gates: readonly number[],
): HostArray {
  const [i, r] = [joined(input, gates), joined(recurrent, gates)]
  const size = i.shape[1]!
  const data = allocateHost(i.dtype, 2 * i.data.length)
  input.forEach((_, d) => {
    data.set(i.data.subarray(d * size, (d + 1) * size) as never, 2 * d * size)
    data.set(r.data.subarray(d * size, (d + 1) * size) as never, (2 * d + 1) * size)
  })
  return { dtype: i.dtype, shape: [input.length, 2 * size], data }
}

const rnn: WriteRule = (c) => {
  const cell = cells[c.text('mode')] ?? c.refuse(`mode '${c.text('mode')}'`)
  const layers = c.number('num_layers')
  const directions = c.bool('is_bidirec') ? 2 : 1
  const hidden = c.number('hidden_size')
  const weights = c.parameters('weight_list')
  const count = layers * directions
  const lengths = c.has('sequence_length') ? c.e.cast(c.in('sequence_length'), 'int32') : null
  const initial = c.list('pre_state')
  const last: string[][] = initial.map(() => [])
  let x = c.in('x')
  for (let layer = 0; layer < layers; layer++) {
    const of = (k: number): HostArray[] =>
      Array.from(
        { length: directions },
        (_, d) => weights[(k < 2 ? 0 : 2 * count) + 2 * (layer * directions + d) + (k % 2)]!,
      )
    const w = c.e.array(joined(of(0), cell.gates), `rnn.weight_ih_l${layer}`)
    const r = c.e.array(joined(of(1), cell.gates), `rnn.weight_hh_l${layer}`)
    const b = c.e.array(joinedBiases(of(2), of(3), cell.gates), `rnn.bias_l${layer}`)
    const states = initial.map((s) => (layers === 1 ? s : rows(c, s, layer * directions, directions)))
    const attributes = {
      hidden_size: hidden,
      direction: directions === 2 ? 'bidirectional' : 'forward',
      ...cell.attributes,
      ...(cell.activation === undefined
        ? {}
        : { activations: { kind: 'strings' as const, value: new Array<string>(directions).fill(cell.activation) } }),
    }
    const outputs = 1 + states.length
    // Gates i, f, o as ONNX's i, o, f.
    const peepholes = cell.hasPeepholes
      ? [
          c.e.array(
            joined(weights.slice(4 * count + layer * directions).slice(0, directions), [0, 2, 1]),
            'rnn.peephole',
          ),
        ]
      : []
    const operands = [x, w, r, b, lengths, ...states, ...peepholes]
    const [y, ...finals] = c.e.node(cell.opType, operands, attributes, outputs)
    finals.forEach((f, i) => last[i]!.push(f))
    // [T, directions, B, hidden] to [T, B, directions * hidden].
    const turned = c.e.one('Transpose', [y!], { perm: [0, 2, 1, 3] })
    const isLast = layer === layers - 1
    x = c.e.one('Reshape', [turned, c.e.ints([0, 0, directions * hidden])], {}, isLast ? c.out() : undefined)
  }
  c.outs('state').forEach((out, i) => {
    const parts = last[i]!
    if (parts.length === 1) c.e.one('Identity', parts, {}, out)
    else c.e.one('Concat', parts, { axis: 0 }, out)
  })
}

function rows(c: WriteCall, x: string, from: number, count: number): string {
  return c.e.one('Slice', [x, c.e.ints([from]), c.e.ints([from + count]), c.e.ints([0])])
}

const reverseSequence: WriteRule = (c) => {
  const lengths = c.e.cast(c.in('lengths'), 'int64')
  const attributes = { time_axis: c.number('time_axis'), batch_axis: c.number('batch_axis') }
  c.e.one('ReverseSequence', [c.in('x'), lengths], attributes, c.out())
}

export const recurrentWriters: WriteRules = { rnn, 'onnx.rnn': rnn, 'onnx.ReverseSequence': reverseSequence }
