/**
 * Recurrent networks: the cells' equations, and one pass over time in one direction. The input's projection does not depend on the state,
 * so it is one contraction over all steps; the loop is one `scan`.
 */
import { ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { binary, cast, constant, contract, expand, iota, reshape, sliceAxis, unary, where } from '../../graph/build.ts'
import type { Node } from '../../graph/node.ts'
import { constantLike } from '../../tensor/promotion.ts'
import { spreadVector } from './geometry.ts'
import { loop } from './loop.ts'

/** `RNN_TANH` and `RNN_RELU` are the Elman network, `LSTM` and `GRU` have gates. */
export type CellMode = 'RNN_TANH' | 'RNN_RELU' | 'LSTM' | 'GRU'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)

/** Weights of one cell: [gates * hidden, input], [gates * hidden, hidden], and biases of [gates * hidden] or null. */
export interface CellWeights {
  readonly weightIh: Node
  readonly weightHh: Node
  readonly biasIh: Node | null
  readonly biasHh: Node | null
}

interface CellRule {
  readonly gates: number
  /** Number of state tensors: 2 for the LSTM (hidden and cell), else 1. */
  readonly states: 1 | 2
  /** The recurrent bias enters by way of the recurrent product alone; elsewhere it joins the input's projection. */
  readonly keepsBias: boolean
  /** The next states, the hidden one first, from the two projections [batch, gates * hidden]. */
  readonly next: (fromInput: Node, fromHidden: Node, states: readonly Node[]) => Node[]
}

/** The gates of a projection. */
function gatesOf(x: Node, count: number): Node[] {
  const size = x.shape[1]! / count
  return Array.from({ length: count }, (_, i) => sliceAxis(x, 1, i * size, (i + 1) * size))
}

export const cellRules: Readonly<Record<CellMode, CellRule>> = {
  RNN_TANH: { gates: 1, states: 1, keepsBias: false, next: (x, h) => [unary('tanh', add(x, h))] },
  RNN_RELU: {
    gates: 1,
    states: 1,
    keepsBias: false,
    next: (x, h) => {
      const z = add(x, h)
      return [where(binary('gt', z, constantLike(z, 0)), z, constantLike(z, 0))]
    },
  },
  // i, f, c, o: c' = f * c + i * tanh(c~), h' = o * tanh(c')
  LSTM: {
    gates: 4,
    states: 2,
    keepsBias: false,
    next: (x, h, states) => {
      const [i, f, g, o] = gatesOf(add(x, h), 4) as [Node, Node, Node, Node]
      const cell = add(mul(unary('sigmoid', f), states[1]!), mul(unary('sigmoid', i), unary('tanh', g)))
      return [mul(unary('sigmoid', o), unary('tanh', cell)), cell]
    },
  },
  // r, z, c: h' = z * h + (1 - z) * tanh(x_c + r * h_c)
  GRU: {
    gates: 3,
    states: 1,
    keepsBias: true,
    next: (x, h, states) => {
      const [xr, xz, xc] = gatesOf(x, 3) as [Node, Node, Node]
      const [hr, hz, hc] = gatesOf(h, 3) as [Node, Node, Node]
      const candidate = unary('tanh', add(xc, mul(unary('sigmoid', add(xr, hr)), hc)))
      const z = unary('sigmoid', add(xz, hz))
      return [add(mul(z, binary('sub', states[0]!, candidate)), candidate)]
    },
  },
}

/** x [..., input] times weight [gates, input], plus what biases may join: [..., gates]. */
function inputProjection(mode: CellMode, x: Node, w: CellWeights): Node {
  const last = x.shape.length - 1
  const letters = x.shape.map((_, i) => i)
  const out = [...letters.slice(0, -1), last + 1]
  const shape = [...x.shape.slice(0, -1), w.weightIh.shape[0]!]
  if (x.shape[last] !== w.weightIh.shape[1])
    throw new ShapeError(
      `the input ${formatShape(x.shape)} has ${x.shape[last]} features, the recurrent layer takes ${w.weightIh.shape[1]}`,
    )
  const product = contract(x, w.weightIh, { lhs: letters, rhs: [last + 1, last], out }, shape)
  const biases = [w.biasIh, cellRules[mode].keepsBias ? null : w.biasHh].filter((b) => b !== null)
  if (biases.length === 0) return product
  return add(product, spreadVector(biases.reduce(add), last, shape))
}

/** h [batch, hidden] times weight [gates, hidden]. */
function hiddenProjection(h: Node, weight: Node, bias: Node | null): Node {
  const shape = [h.shape[0]!, weight.shape[0]!]
  const product = contract(h, weight, { lhs: [0, 1], rhs: [2, 1], out: [0, 2] }, shape)
  return bias ? add(product, spreadVector(bias, 1, shape)) : product
}

/** One step of a cell on x [batch, input]: the next states, the hidden one first. */
export function cellStep(mode: CellMode, x: Node, states: readonly Node[], w: CellWeights): Node[] {
  const rule = cellRules[mode]
  const hidden = hiddenProjection(states[0]!, w.weightHh, rule.keepsBias ? w.biasHh : null)
  return rule.next(inputProjection(mode, x, w), hidden, states)
}

/** True at the steps that belong to each sequence: [time, batch]. */
export function stepMask(lengths: Node, steps: number): Node {
  const shape = [steps, lengths.shape[0]!]
  return binary('lt', iota(shape, 0, 'int64'), spreadVector(cast(lengths, 'int64'), 1, shape))
}

export interface RecurrenceResult {
  /** Hidden states of all steps: [time, batch, hidden]. */
  readonly outputs: Node
  readonly states: Node[]
}

/**
 * A cell over time, forwards or backwards: x [time, batch, input]. Where `mask` is false a step leaves the states as they are and its output
 * is 0.
 */
export function recurrence(
  mode: CellMode,
  x: Node,
  states: readonly Node[],
  w: CellWeights,
  options: { readonly reverse: boolean; readonly mask: Node | null },
): RecurrenceResult {
  const rule = cellRules[mode]
  const projected = inputProjection(mode, x, w)
  const bias = rule.keepsBias ? w.biasHh : null
  const { finals, stacks } = loop(
    {
      carries: states,
      sequences: options.mask ? [projected, options.mask] : [projected],
      constants: bias ? [w.weightHh, bias] : [w.weightHh],
      length: x.shape[0]!,
      reverse: options.reverse,
    },
    (carries, [slice, valid], [weight, recurrentBias]) => {
      const next = rule.next(slice!, hiddenProjection(carries[0]!, weight!, recurrentBias ?? null), carries)
      if (!valid) return { carries: next, outputs: [next[0]!] }
      const { shape } = next[0]!
      const here = expand(reshape(valid, [shape[0]!, 1]), shape)
      const zero = constant(0, next[0]!.dtype, shape)
      return {
        carries: next.map((n, i) => where(here, n, carries[i]!)),
        outputs: [where(here, next[0]!, zero)],
      }
    },
  )
  return { outputs: stacks[0]!, states: finals }
}
