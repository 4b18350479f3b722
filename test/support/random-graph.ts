/** Random graphs over the op table, for comparing backends with the reference: fused any way the compiler likes, the numbers must agree. */
import { SmallRandom } from '../../src/common/random.ts'
import { numel } from '../../src/common/shape.ts'
import * as g from '../../src/graph/build.ts'
import type { Node } from '../../src/graph/node.ts'
import type { BinaryOp, UnaryOp } from '../../src/graph/ops.ts'
import { fromHost, type Tensor } from '../../src/tensor/tensor.ts'

const unaries: UnaryOp[] = [
  'neg',
  'abs',
  'sign',
  'floor',
  'tanh',
  'sigmoid',
  'sin',
  'cos',
  'erf',
  'exp',
  'expm1',
  'atan',
]
const binaries: BinaryOp[] = ['add', 'sub', 'mul', 'max', 'min', 'atan2']

export interface RandomGraph {
  readonly leaves: readonly { shape: number[]; data: Float32Array }[]
  /** Builds the graph over leaves that live on the current device; the roots, sources first. */
  build(leaves: readonly Tensor[]): Node[]
  describe(): string
}

/** A graph of about `size` ops drawn from `seed`. The same seed gives the same graph on every device. */
export function randomGraph(seed: number, size: number): RandomGraph {
  const random = new SmallRandom(seed, 0)
  const leaves = Array.from({ length: below(random, 1, 4) }, () => {
    const shape = Array.from({ length: below(random, 0, 4) }, () => below(random, 1, 6))
    return { shape, data: Float32Array.from({ length: numel(shape) }, () => random.uniform(-2, 2)) }
  })
  const steps = Array.from({ length: size }, () => below(random, 0, 1 << 30))
  const log: string[] = []
  return {
    leaves,
    describe: () => `seed ${seed}: leaves ${leaves.map((l) => `[${l.shape.join()}]`).join(' ')}; ${log.join('; ')}`,
    build(tensors) {
      log.length = 0
      const nodes: Node[] = tensors.map((t) => t.node)
      steps.forEach((s, i) => {
        const r = new SmallRandom(s, i)
        const pick = (): Node => nodes[Math.max(0, nodes.length - 1 - Math.floor(r.uniform(0, 1) ** 2 * nodes.length))]!
        const made = step(r, pick)
        if (!made || numel(made.shape) > 4096) return
        nodes.push(made)
        log.push(
          `${nodes.length - 1}=${made.op}[${made.shape.join()}](${made.sources.map((x) => nodes.indexOf(x)).join()})`,
        )
      })
      const ends = nodes.filter((n) => !nodes.some((m) => m.sources.includes(n)) && n.op !== 'buffer')
      return [...new Set([...ends, nodes[nodes.length - 1]!])].filter((n) => n.op !== 'buffer')
    },
  }
}

export function leafTensors(graph: RandomGraph): Tensor[] {
  return graph.leaves.map((l) => fromHost({ dtype: 'float32', shape: l.shape, data: l.data }))
}

function step(r: SmallRandom, pick: () => Node): Node | null {
  const x = pick()
  const rank = x.shape.length
  const axis = rank > 0 ? below(r, 0, rank) : 0
  switch (below(r, 0, 18)) {
    case 0:
    case 1:
      return g.unary(r.choice(unaries), x)
    case 2:
    case 3: {
      const y = broadcastable(x, pick())
      return y && g.binary(r.choice(binaries), x, y)
    }
    case 4: {
      const y = broadcastable(x, pick())
      return (
        y &&
        g.where(
          g.binary(r.choice(['lt', 'ge', 'eq', 'ne']), x, y),
          x,
          g.constant(r.choice([0, 1, -0.3]), 'float32', x.shape),
        )
      )
    }
    case 5:
      return g.reshape(x, factors(r, numel(x.shape)))
    case 6:
      return g.permute(x, shuffled(r, rank))
    case 7:
      return g.flip(
        x,
        x.shape.flatMap((_, i) => (r.chance(0.5) ? [i] : [])),
      )
    case 8:
      return g.pad(
        x,
        x.shape.map(() => below(r, 0, 3)),
        x.shape.map(() => below(r, 0, 3)),
      )
    case 9: {
      const start = x.shape.map((d) => below(r, 0, d))
      const stop = x.shape.map((d, i) => below(r, start[i]!, d) + 1)
      return g.slice(
        x,
        start,
        stop,
        x.shape.map(() => below(r, 1, 3)),
      )
    }
    case 10:
      return rank === 0 ? null : g.window(x, axis, below(r, 1, x.shape[axis]! + 1), below(r, 1, 3))
    case 11:
    case 12: {
      if (rank === 0) return null
      const axes = x.shape.flatMap((_, i) => (r.chance(0.5) ? [i] : []))
      return g.reduce(r.choice(['reduceSum', 'reduceMax', 'reduceMin']), x, axes.length ? axes : [axis])
    }
    case 13: {
      // A softmax-like row computation.
      if (rank === 0) return null
      const spread = (v: Node): Node => g.expand(v, x.shape)
      const e = g.unary('exp', g.binary('sub', x, spread(g.reduceKeep('reduceMax', x, [axis]))))
      return g.binary('div', e, spread(g.reduceKeep('reduceSum', e, [axis])))
    }
    case 14: {
      if (rank === 0) return null
      const y = pick()
      const k = y.shape.indexOf(x.shape[axis]!)
      if (k < 0) return null
      const lhs = x.shape.map((_, i) => (i === axis ? 100 : i))
      const rhs = y.shape.map((_, i) => (i === k ? 100 : 50 + i))
      const out = [...lhs, ...rhs].filter((l) => l !== 100)
      const order = shuffled(r, out.length)
      const sizes = new Map([
        ...lhs.map((l, i): [number, number] => [l, x.shape[i]!]),
        ...rhs.map((l, i): [number, number] => [l, y.shape[i]!]),
      ])
      const letters = order.map((o) => out[o]!)
      return g.contract(
        x,
        y,
        { lhs, rhs, out: letters },
        letters.map((l) => sizes.get(l)!),
      )
    }
    case 15: {
      if (rank === 0) return null
      const length = [below(r, 1, 5)]
      const index = g.binary('mod', g.iota(length, 0, 'int64'), g.constant(x.shape[axis]!, 'int64', length))
      return g.gather(x, index, axis)
    }
    case 16:
      return rank === 0 ? null : g.cumulate(r.choice(['sum', 'max']), x, axis)
    default: {
      if (rank === 0) return null
      const order = g.argsort(x, axis, r.chance(0.5))
      return g.cast(order, 'float32')
    }
  }
}

function broadcastable(x: Node, y: Node): Node | null {
  if (y.shape.length > x.shape.length) return null
  const offset = x.shape.length - y.shape.length
  return y.shape.every((d, i) => d === 1 || d === x.shape[i + offset]) ? g.broadcastTo(y, x.shape) : null
}

function factors(r: SmallRandom, n: number): number[] {
  const shape: number[] = []
  let rest = n
  while (rest > 1 && shape.length < 4) {
    const divisors = Array.from({ length: rest }, (_, i) => i + 1).filter((d) => rest % d === 0)
    const d = r.choice(divisors)
    shape.push(d)
    rest /= d
  }
  if (rest > 1) shape.push(rest)
  return shape
}

function shuffled(r: SmallRandom, n: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = below(r, 0, i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}

/** An integer from `low` to `high`, the latter excluded. */
function below(r: SmallRandom, low: number, high: number): number {
  return r.integer(low, Math.max(low, high - 1))
}
