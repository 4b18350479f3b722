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

/**
 * A recurrence: Elman's with either activation, LSTM (gates i, f, c, o), GRU (gates r, z, c). The reset gate of a GRU is behind the product of the
 * state, as in cuDNN, or before it, as in the paper (Cho et al. 2014, equation 8).
 */
export type CellKind = 'tanh' | 'relu' | 'lstm' | 'gru' | 'gruResetBefore'

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
  /** [3 * hidden]: what the cell of an LSTM adds to its gates i, f, o. */
  readonly peephole?: Node | null
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

/** The operands of a product: low where mixed precision computes products so, else of the weight's dtype. */
function factors(x: Node, w: Node): [Node, Node] {
  const [a, b] = underPolicy('rnn.matmul', [x, w] as const)
  return [cast(a, b.dtype), b]
}

/** Inputs x [B, k] times w [n, k], in the dtype of the products. */
function product(x: Node, w: Node): Node {
  const [a, b] = factors(x, w)
  return contract(a, b, { lhs: [0, 1], rhs: [2, 1], out: [0, 2] }, [a.shape[0]!, b.shape[0]!])
}

/** A state h [B, k] times w [n, k], or [k, n] if `stored` so, in the state's dtype: low products are rounded, and the sums behind them are not. */
function stateProduct(h: Node, w: Node, stored: 'nk' | 'kn' = 'nk'): Node {
  const [a, b] = factors(h, w)
  const rhs = stored === 'nk' ? [2, 1] : [1, 2]
  const shape = [a.shape[0]!, b.shape[stored === 'nk' ? 0 : 1]!]
  return cast(contract(a, b, { lhs: [0, 1], rhs, out: [0, 2] }, shape), h.dtype)
}

/** [B, gates * hidden] as one [B, hidden] a gate. */
function gatesOf(x: Node, gates: number): Node[] {
  const [batch, width] = x.shape as [number, number]
  const hidden = width / gates
  const apart = reshape(x, [batch, gates, hidden])
  return Array.from({ length: gates }, (_, g) => reshape(sliceAxis(apart, 1, g, g + 1), [batch, hidden]))
}

/** Rows of the gates from one to another, of so many gates. */
function rowsOf(x: Node, from: number, to: number, gates: number): Node {
  const rows = x.shape[0]! / gates
  return sliceAxis(x, 0, from * rows, to * rows)
}

const elman = (activation: (x: Node) => Node): CellRule => ({
  gates: 1,
  hoistsBias: true,
  step: (projected, [h], w) => [activation(add(projected, stateProduct(h!, w.weightHh)))],
})

const rules: { readonly [K in CellKind]: CellRule } = {
  tanh: elman(tanh),
  relu: elman(relu),
  lstm: {
    gates: 4,
    hoistsBias: true,
    step: (projected, [h, c], w) => {
      const [input, forget, candidate, output] = gatesOf(add(projected, stateProduct(h!, w.weightHh)), 4)
      const seen = (gate: Node, k: number, cell: Node): Node =>
        w.peephole ? add(gate, mul(broadcastTo(rowsOf(w.peephole, k, k + 1, 3), cell.shape), cell)) : gate
      const kept = mul(sigmoid(seen(forget!, 1, c!)), c!)
      const cell = add(kept, mul(sigmoid(seen(input!, 0, c!)), tanh(candidate!)))
      const hidden = mul(sigmoid(seen(output!, 2, cell)), tanh(cell))
      return [w.weightHo ? stateProduct(hidden, w.weightHo, 'kn') : hidden, cell]
    },
  },
  gru: {
    gates: 3,
    hoistsBias: false,
    step: (projected, [h], w) => {
      const [xr, xz, xc] = gatesOf(projected, 3)
      const [hr, hz, hc] = gatesOf(stateProduct(h!, w.weightHh), 3)
      const bias = broadcastTo(rowsOf(w.biasHh, 2, 3, 3), hc!.shape)
      const reset = sigmoid(add(xr!, hr!))
      const update = sigmoid(add(xz!, hz!))
      const candidate = tanh(add(xc!, mul(reset, add(hc!, bias))))
      return [add(mul(sub(h!, candidate), update), candidate)]
    },
  },
  gruResetBefore: {
    gates: 3,
    hoistsBias: true,
    step: (projected, [h], w) => {
      const [xr, xz, xc] = gatesOf(projected, 3)
      const [hr, hz] = gatesOf(stateProduct(h!, rowsOf(w.weightHh, 0, 2, 3)), 2)
      const reset = sigmoid(add(xr!, hr!))
      const update = sigmoid(add(xz!, hz!))
      const candidate = tanh(add(xc!, stateProduct(mul(reset, h!), rowsOf(w.weightHh, 2, 3, 3))))
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

/** Products of the inputs, [.., gates * hidden], with their bias, in their dtype. */
function biased(kind: CellKind, products: Node, w: CellWeights): Node {
  return add(products, broadcastTo(cast(inputBias(kind, w), products.dtype), products.shape))
}

function checkInput(op: string, x: Node, w: CellWeights): void {
  const inner = x.shape[x.shape.length - 1]
  if (inner !== w.weightIh.shape[1])
    throw new ShapeError(
      `${op}: the inputs ${formatShape(x.shape)} have ${inner} features, the layer takes ${w.weightIh.shape[1]}; make it with inputSize ${inner}`,
    )
}

/**
 * Inputs, states and weights of a recurrence: states and weights in one dtype, as mixed precision wants it, else the widest; inputs come first,
 * and as they are, since only products see them. Products are low where mixed precision computes products so, as in Paddle's cells.
 */
export function recurrentOperands(nodes: readonly Node[], op: string): Node[] {
  const given = underPolicy('rnn', nodes)
  const dtype = given.reduce((d, n) => promoteTypes(d, n.dtype, op), given[0]!.dtype)
  return given.map((n, i) => (i === 0 ? nodes[i]! : cast(n, dtype)))
}

/** One step: x [B, input] and states [B, state] give the next states, the output first. */
export function cellStep(kind: CellKind, x: Node, states: readonly Node[], w: CellWeights, op: string): Node[] {
  checkInput(op, x, w)
  return rules[kind].step(cast(biased(kind, product(x, w.weightIh), w), states[0]!.dtype), states, w)
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
  const [inputs, weight] = factors(x, w.weightIh)
  const products = contract(inputs, weight, { lhs, rhs: [n, k], out: [t, b, n] }, [time, batch, rows])
  const { states, outputs } = runLoop(
    (carried, [slice]) => {
      const next = rules[kind].step(cast(slice!, carried[0]!.dtype), carried, w)
      return { states: next, outputs: [next[0]!] }
    },
    initial,
    [biased(kind, products, w)],
    options,
  )
  return { output: outputs[0]!, states }
}
