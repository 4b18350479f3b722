/**
 * Log-probabilities of the symbols of each sequence, and their gradient over all classes: softmax times what arrives, less what arrives at the
 * symbols themselves, in one array that is written once.
 */
import { sizeOf } from '../../../common/dtype.ts'
import { numel } from '../../../common/shape.ts'
import {
  binary,
  broadcastTo,
  cast,
  constant,
  contract,
  custom,
  detach,
  gather,
  iota,
  reduce,
  reshape,
  scatter,
  tupleOutput,
  unary,
} from '../../../graph/build.ts'
import { spread } from '../../../graph/gradient.ts'
import { isGradEnabled, type CustomGradient, type Node } from '../../../graph/node.ts'

const add = (a: Node, b: Node): Node => binary('add', a, b)
const sub = (a: Node, b: Node): Node => binary('sub', a, b)
const mul = (a: Node, b: Node): Node => binary('mul', a, b)

/**
 * log softmax(x)[t, b, symbols[b, s]] as [T, B, S], of x [T, B, C] and symbols [B, S] in [0, C): a loop over time never sees the classes. Where
 * x was widened from float16 or bfloat16, its gradient is computed in float32 and rounded before it is stored, not after.
 */
export function emissions(x: Node, symbols: Node): Node {
  const [time, batch, classes] = x.shape as [number, number, number]
  const shape = [time, batch, symbols.shape[1]!]
  const row = add(mul(iota(shape, 0, 'int64'), constant(batch, 'int64', shape)), iota(shape, 1, 'int64'))
  const index = add(mul(row, constant(classes, 'int64', shape)), broadcastTo(symbols, shape))
  const most = detach(reduce('reduceMax', x, [2]))
  const total = unary('log', reduce('reduceSum', unary('exp', sub(x, spread(most, x.shape, [2]))), [2]))
  const picked = gather(reshape(x, [numel(x.shape)]), index, 0)
  const y = sub(sub(picked, spread(most, shape, [2])), spread(total, shape, [2]))
  return y.needsGrad ? custom([y], [x, most, total, index, symbols], gradient)[0]! : y
}

/** By the log-probabilities, the logits, their maximum and the logarithm of the sum of exponentials. Nothing goes to the last two. */
const gradient: CustomGradient = (node, given, isAsked) => {
  const [, x, most, total, index, symbols] = node.sources as readonly [Node, Node, Node, Node, Node, Node]
  const g = given.get(0)!
  const over = (n: Node): Node => spread(n, x.shape, [2])
  const sum = reduce('reduceSum', g, [2])
  const softmax = unary('exp', sub(sub(x, over(most)), over(total)))
  const base = mul(over(unary('neg', sum)), softmax)
  const flat = (n: Node): Node => reshape(n, [numel(n.shape)])
  const low = isAsked(x) || isGradEnabled() ? null : lowSource(x)
  if (!low) {
    const dx = reshape(scatter(flat(base), flat(index), flat(g), 0, 'add'), x.shape)
    return [null, dx, null, null, null, null]
  }
  // Rounded sums are not added to: each place that a symbol stands for gets all that it should hold.
  const isSame = binary('eq', across(symbols, 1), across(symbols, 2))
  const atSymbol = contract(g, cast(isSame, g.dtype), { lhs: [0, 1, 3], rhs: [1, 3, 2], out: [0, 1, 2] }, g.shape)
  const here = sub(atSymbol, mul(spread(sum, g.shape, [2]), unary('exp', tupleOutput(node, 0))))
  const dx = scatter(flat(cast(base, low.dtype)), flat(index), flat(cast(here, low.dtype)), 0, 'set')
  return [null, cast(reshape(dx, x.shape), x.dtype), null, null, null, null]
}

/** What x was widened from; null where it was not. */
function lowSource(x: Node): Node | null {
  return x.op === 'cast' && sizeOf(x.sources[0]!.dtype) === 2 ? x.sources[0]! : null
}

/** [B, S] repeated to [B, S, S] along a new axis. */
function across(symbols: Node, axis: 1 | 2): Node {
  const [batch, size] = symbols.shape as [number, number]
  return spread(symbols, [batch, size, size], [axis])
}
