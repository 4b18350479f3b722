/**
 * The recurrences of SimpleRNN, LSTM and GRU over graph nodes. The products of the inputs are one contraction over all time steps, outside
 * the loop; a step multiplies only the state by its weight. Inside everything is time-major, [T, B, ..]: batch-first inputs are read
 * where they lie, by the letters of the contraction.
 */
import { ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { binary, broadcastTo, cast, contract, pad, reshape, sliceAxis, unary, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { underPolicy } from '../../tensor/autocast.ts'
import { constantLike, promoteTypes } from '../../tensor/promotion.ts'
import { runLoop, type LoopOptions } from '../../tensor/loop.ts'

/** A recurrence: Elman's with either activation, LSTM (gates i, f, c, o), GRU (gates r, z, c). */
export type CellKind = 'tanh' | 'relu' | 'lstm' | 'gru'

/** The weights of one direction of one layer, with rows gate after gate. */
export interface CellWeights {
  /** [gates * hidden, input] */
  readonly weightIh: Node
  /** [gates * hidden, state] */
  readonly weightHh: Node
  /** [gates * hidden] */
  readonly biasIh: Node
  readonly biasHh: Node
  /** [hidden, projection]: what the output of an LSTM is multiplied by. */
  readonly weightHo?: Node | null
}

interface CellRule {
  readonly gates: number
  /** Whether the recurrent bias is added with the input's, once for all steps; a GRU needs part of it inside. */
  readonly hoistsBias: boolean
  /** From the input's part of the gates [B, gates * hidden] and the states: the next states, the output first. */
  readonly step: (projected: Node, states: readonly Node[], weights: CellWeights) => Node[]
}

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)
const sigmoid = (x: Node): Node => unary('sigmoid', x)
const tanh = (x: Node): Node => unary('tanh', x)
const relu = (x: Node): Node => {
  const zero = constantLike(x, 0)
  return where(binary('gt', x, zero), x, zero)
}

/** x [.., k] times w [n, k], transposed where `w` is stored [k, n]. */
function product(x: Node, w: Node, stored: 'nk' | 'kn' = 'nk'): Node {
  const inner = x.shape.length - 1
  const letters = x.shape.map((_, i) => i)
  const rhs = stored === 'nk' ? [inner + 1, inner] : [inner, inner + 1]
  const out = [...letters.slice(0, -1), inner + 1]
  return contract(x, w, { lhs: letters, rhs, out }, [...x.shape.slice(0, -1), w.shape[stored === 'nk' ? 0 : 1]!])
}

/** [B, gates * hidden] as one [B, hidden] a gate. */
function gatesOf(x: Node, gates: number): Node[] {
  const [batch, width] = x.shape as [number, number]
  const hidden = width / gates
  const apart = reshape(x, [batch, gates, hidden])
  return Array.from({ length: gates }, (_, g) => reshape(sliceAxis(apart, 1, g, g + 1), [batch, hidden]))
}

const elman = (activation: (x: Node) => Node): CellRule => ({
  gates: 1,
  hoistsBias: true,
  step: (projected, [h], w) => [activation(add(projected, product(h!, w.weightHh)))],
})

const rules: { readonly [K in CellKind]: CellRule } = {
  tanh: elman(tanh),
  relu: elman(relu),
  lstm: {
    gates: 4,
    hoistsBias: true,
    step: (projected, [h, c], w) => {
      const [input, forget, candidate, output] = gatesOf(add(projected, product(h!, w.weightHh)), 4)
      const cell = add(mul(sigmoid(forget!), c!), mul(sigmoid(input!), tanh(candidate!)))
      const hidden = mul(sigmoid(output!), tanh(cell))
      return [w.weightHo ? product(hidden, w.weightHo, 'kn') : hidden, cell]
    },
  },
  gru: {
    gates: 3,
    hoistsBias: false,
    step: (projected, [h], w) => {
      const [xr, xz, xc] = gatesOf(projected, 3)
      const [hr, hz, hc] = gatesOf(product(h!, w.weightHh), 3)
      const size = hc!.shape[1]!
      const bias = broadcastTo(sliceAxis(w.biasHh, 0, 2 * size, 3 * size), hc!.shape)
      const reset = sigmoid(add(xr!, hr!))
      const update = sigmoid(add(xz!, hz!))
      const candidate = tanh(add(xc!, mul(reset, add(hc!, bias))))
      return [add(mul(sub(h!, candidate), update), candidate)]
    },
  },
}

/** Number of gates: the rows of the weights are that many times the hidden size. */
export const gateCount = (kind: CellKind): number => rules[kind].gates

/** The part of the bias that needs no state. */
function inputBias(kind: CellKind, w: CellWeights): Node {
  if (rules[kind].hoistsBias) return add(w.biasIh, w.biasHh)
  const rows = w.biasHh.shape[0]!
  const outside = (rows / rules[kind].gates) * (rules[kind].gates - 1)
  return add(w.biasIh, pad(sliceAxis(w.biasHh, 0, 0, outside), [0], [rows - outside]))
}

function checkInput(op: string, x: Node, w: CellWeights): void {
  const inner = x.shape[x.shape.length - 1]
  if (inner !== w.weightIh.shape[1])
    throw new ShapeError(
      `${op}: the inputs ${formatShape(x.shape)} have ${inner} features, the layer takes ${w.weightIh.shape[1]}; make it with inputSize ${inner}`,
    )
}

/** Inputs, states and weights of a recurrence in one dtype: as mixed precision wants it, else the widest. */
export function recurrentOperands(nodes: readonly Node[], op: string): Node[] {
  const given = underPolicy('rnn', nodes)
  const dtype = given.reduce((d, n) => promoteTypes(d, n.dtype, op), given[0]!.dtype)
  return given.map((n) => cast(n, dtype))
}

/** One step: x [B, input] and states [B, state] give the next states, the output first. */
export function cellStep(kind: CellKind, x: Node, states: readonly Node[], w: CellWeights, op: string): Node[] {
  checkInput(op, x, w)
  const projected = product(x, w.weightIh)
  return rules[kind].step(add(projected, broadcastTo(inputBias(kind, w), projected.shape)), states, w)
}

export interface RecurrenceOptions extends LoopOptions {
  /** Inputs are [T, B, input] instead of [B, T, input]. */
  readonly timeMajor: boolean
}

/**
 * A whole sequence through one direction of one layer: outputs [T, B, output] in the order of time, and the last states (the first in time
 * for `reverse`).
 */
export function recurrence(
  kind: CellKind,
  x: Node,
  initial: readonly Node[],
  w: CellWeights,
  options: RecurrenceOptions,
  op: string,
): { readonly output: Node; readonly states: Node[] } {
  checkInput(op, x, w)
  const [time, batch] = options.timeMajor ? [x.shape[0]!, x.shape[1]!] : [x.shape[1]!, x.shape[0]!]
  const rows = w.weightIh.shape[0]!
  const [t, b, k, n] = [0, 1, 2, 3]
  const lhs = options.timeMajor ? [t, b, k] : [b, t, k]
  const products = contract(x, w.weightIh, { lhs, rhs: [n, k], out: [t, b, n] }, [time, batch, rows])
  const projected = add(products, broadcastTo(inputBias(kind, w), products.shape))
  const { states, outputs } = runLoop(
    (carried, [slice]) => {
      const next = rules[kind].step(slice!, carried, w)
      return { states: next, outputs: [next[0]!] }
    },
    initial,
    [projected],
    options,
  )
  return { output: outputs[0]!, states }
}
