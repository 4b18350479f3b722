/**
 * Random draws and what is computed of nothing else (the mask of a dropout): a kernel over blocks of the generator, each of whose four words
 * is an element, so that all that Philox makes is used. The loops of other kernels run over elements, and would throw three words away.
 */
import { sizeOf } from '../common/dtype.ts'
import { InternalError } from '../common/errors.ts'
import { contiguousStrides, numel } from '../common/shape.ts'
import type { Node } from '../graph/node.ts'
import { isElementwise, isUniform } from '../schedule/draws.ts'
import { linearize } from './affine.ts'
import * as ir from './builder.ts'
import { emitCast, emitOperation } from './elementwise.ts'
import { ExpressionBuilder, expressionsOf, isProduct, type Expression, type Surroundings } from './expression.ts'
import type { Expr } from './kernel.ts'
import type { NestKernel } from './nest.ts'
import { kernelOf, type WrittenNest } from './nest-kernels.ts'
import { JoinedLoops } from './nest-loops.ts'
import { NestParameters } from './nest-parameters.ts'
import { NestStructure, type NestLayout } from './nest-structure.ts'
import { nestTitle } from './nest-title.ts'
import { emitRandom, emitWords } from './random.ts'

/** Blocks that one parallel iteration takes. */
const chunkBlocks = 1024
/** Operations of a draw. */
const drawWork = 16

/** Whether a node is made elementwise of random draws in its own shape and of numbers: what this kernel computes. */
function isDrawn(sink: Node, isMaterialized: (n: Node) => boolean): boolean {
  let draws = 0
  const seen = new Set<Node>()
  const visit = (node: Node, isSink: boolean): boolean => {
    if (seen.has(node)) return true
    seen.add(node)
    if (!isSink && isMaterialized(node)) return false
    if (node.op === 'random') return ++draws > 0
    if (isUniform(node)) return true
    return isElementwise(node) && node.sources.every((s) => visit(s, false))
  }
  return visit(sink, true) && draws > 0
}

/** The kernel of a sink that is made of random draws alone, or null where it is something else. */
export function buildDraws(sink: Node, surroundings: Surroundings): NestKernel | null {
  const { isMaterialized } = surroundings
  if (!isDrawn(sink, isMaterialized)) return null
  const isSource = (n: Node): boolean => n !== sink && isMaterialized(n)
  const builder = new ExpressionBuilder({ ...surroundings, isMaterialized: isSource }, new Map())
  const coordinates = sink.shape.map((d, i) => builder.axis(`d${i}`, d))
  const expression = builder.at(sink, coordinates, [], true)
  const place = linearize(coordinates, contiguousStrides(sink.shape)).key
  const parts = expressionsOf([expression])
  let isPlain = true
  for (const e of parts) {
    if (e.kind === 'random') isPlain &&= e.at.key === place && e.key.loops.size === 0 && e.offset.loops.size === 0
    else if (e.kind === 'load') isPlain &&= e.loops.size === 0 && e.guards.length === 0
    else if (e.kind !== 'operation' && e.kind !== 'constant' && e.kind !== 'scalar') isPlain = false
  }
  return isPlain ? drawsOf(sink, expression, parts, isSource) : null
}

function drawsOf(
  sink: Node,
  expression: Expression,
  parts: readonly Expression[],
  isSource: (n: Node) => boolean,
): NestKernel {
  const elements = numel(sink.shape)
  const blocks = Math.floor(elements / 4)
  const extent = Math.max(1, Math.ceil(blocks / chunkBlocks))
  const title = `draws ${nestTitle([sink], isSource)}`
  const layout: NestLayout = {
    sinks: [sink],
    // A mask is written as bytes and as words.
    inPlace: sink.dtype === 'bool',
    expressions: [expression],
    parts,
    reductions: [],
    stores: [],
    loops: new JoinedLoops([], [], []),
    outer: [],
    inner: [],
    phases: [],
    column: null,
    tail: null,
    work: { chunk: chunkBlocks, length: elements, chunks: extent, blocks },
    isDrawn: true,
  }
  const { kernel, arguments: given } = kernelOf(new NestStructure(layout), title, () =>
    new DrawsKernel(layout, title).write(),
  )
  return {
    kernel,
    arguments: given,
    extent,
    grain: 1,
    scratchBytes: 0,
    flops: elements * drawWork,
    bytes: elements * sizeOf(sink.dtype),
    domain: 'draws',
    shifted: new Set(),
  }
}

class DrawsKernel {
  readonly #layout: NestLayout
  readonly #ir: ir.KernelBuilder
  readonly #parameters: NestParameters

  constructor(layout: NestLayout, title: string) {
    this.#layout = layout
    this.#ir = new ir.KernelBuilder(title)
    this.#parameters = new NestParameters(this.#ir, layout.inPlace)
  }

  write(): WrittenNest {
    const k = this.#ir
    const { sinks, expressions, parts, work } = this.#layout
    const [expression] = expressions as readonly [Expression]
    // Four masks are one word: bool results are written by blocks, too.
    const isMask = sinks[0]!.dtype === 'bool'
    const parameters = this.#parameters
    const [out] = parameters.sinks(sinks) as [ir.BufferParameter]
    const words = isMask ? parameters.words() : out
    const chunk = parameters.index('chunk', work.chunk, { of: 'chunk' })
    const whole = parameters.index('whole', work.blocks, { of: 'blocks' })
    const count = parameters.index('count', work.chunks, { of: 'chunks' })
    const length = parameters.index('length', work.length, { of: 'length' })
    k.parallel('p', (p) => {
      const from = k.let('from', ir.mul(p, chunk))
      const to = k.let('to', ir.min(ir.add(from, chunk), whole))
      const common = new Map<Expression, Expr>()
      for (const e of parts) if (e.loops.size === 0) this.#value(common, e, () => ir.index(0))
      k.vector('block', from, to, (block) => {
        const drawn = new Map<Expression, readonly Expr[]>()
        for (const e of parts)
          if (e.kind === 'random') drawn.set(e, emitWords(k, common.get(e.key)!, common.get(e.offset)!, block, e.dtype))
        const values = [0, 1, 2, 3].map((word) => {
          const known = new Map(common)
          for (const [e, four] of drawn) known.set(e, four[word]!)
          return this.#value(known, expression, () => ir.index(0))
        })
        if (isMask) {
          const bytes = values.map((v, word) => ir.shl(ir.convert(v, 'i32'), 8 * word))
          k.store(
            words,
            block,
            bytes.reduce((all, b) => ir.or(all, b)),
          )
          return
        }
        const at = k.let('at', ir.mul(block, 4))
        values.forEach((v, word) => k.store(out, ir.add(at, word), v))
      })
      k.if(ir.eq(ir.add(p, 1), count), () => {
        k.loop('i', ir.mul(whole, 4), length, 1, (i) => {
          k.store(
            out,
            i,
            this.#value(new Map(common), expression, () => i),
          )
        })
      })
    })
    return { kernel: k.build(), arguments: parameters.arguments, origins: parameters.origins }
  }

  /** The value of an expression, given some; `at` is the element for draws that are not among them. */
  #value(known: Map<Expression, Expr>, e: Expression, at: () => Expr): Expr {
    const found = known.get(e)
    if (found) return found
    const made = this.#ir.let('v', this.#emit(known, e, at))
    known.set(e, made)
    return made
  }

  #emit(known: Map<Expression, Expr>, e: Expression, at: () => Expr): Expr {
    switch (e.kind) {
      case 'constant':
        return this.#parameters.constant(e.value, e)
      case 'scalar':
        return this.#parameters.scalar(`slot${e.slot}`, e, { kind: 'scalar', slot: e.slot })
      case 'load': {
        const x = ir.load(
          this.#parameters.source(e.source),
          this.#parameters.index('at', e.at.constant, { of: 'offset', form: e.at }),
        )
        return e.dtype === 'bool' ? ir.ne(x, 0) : x
      }
      case 'operation': {
        const args = e.args.map((a) => this.#value(known, a, at))
        if (e.op === 'cast') return emitCast(this.#ir, args[0]!, e.args[0]!.dtype, e.dtype)
        return emitOperation(this.#ir, e.op, e.args[0]!.dtype, args, (n) => isProduct(e.args[n]!))
      }
      case 'random':
        return emitRandom(this.#ir, known.get(e.key)!, known.get(e.offset)!, at(), e.dtype)
      default:
        throw new InternalError(`${e.kind} among random draws`)
    }
  }
}
