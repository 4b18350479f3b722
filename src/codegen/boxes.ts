/**
 * Results that are computed box by box, each by a kernel of its own: the gradient of a pool whose windows leave a remainder has coordinates
 * that are affine where windows reach, and zeros elsewhere. In its box it is the kernel of a pool without a remainder.
 */
import { contiguousStrides, type Shape } from '../common/shape.ts'
import { makeNode, type Node } from '../graph/node.ts'
import { PartitionRequest, SplitRequest } from './affine.ts'
import { ExpressionBuilder, type Surroundings } from './expression.ts'
import { copyNest } from './joined.ts'
import type { NestKernel } from './nest.ts'
import { zeros } from './zeros.ts'

export interface Box {
  readonly shape: Shape
  /** Elements before its first one. */
  readonly offset: number
  readonly nest: NestKernel
}

/** The boxes of a sink that `request` cuts first. Throws MaterializeRequest. */
export function boxesOf(sink: Node, request: PartitionRequest, surroundings: Surroundings): Box[] {
  const strides = contiguousStrides(sink.shape)
  const inside = { ...surroundings, isMaterialized: (n: Node): boolean => n !== sink && surroundings.isMaterialized(n) }
  const boxes: Box[] = []
  const build = (start: readonly number[], shape: Shape): void => {
    try {
      const step = shape.map(() => 1)
      const box = makeNode('slice', sink.dtype, shape, [sink], { start, step }, false) as unknown as Node
      const offset = start.reduce((n, s, i) => n + s * strides[i]!, 0)
      const empty = isZero(box, inside) ? zeros(sink.dtype, shape, strides) : null
      boxes.push({ shape, offset, nest: empty ?? copyNest(box, false, inside, strides) })
    } catch (again) {
      if (!(again instanceof PartitionRequest)) throw again
      cut(start, shape, again)
    }
  }
  const cut = (start: readonly number[], shape: Shape, { axis, at }: PartitionRequest): void => {
    build(start, shape.with(axis, at))
    build(start.with(axis, start[axis]! + at), shape.with(axis, shape[axis]! - at))
  }
  cut(
    sink.shape.map(() => 0),
    sink.shape,
    request,
  )
  return boxes
}

/** Whether nothing is left of a box's expression but zero. */
function isZero(box: Node, surroundings: Surroundings): boolean {
  const builder = new ExpressionBuilder(surroundings, new Map())
  try {
    const value = builder.at(
      box,
      box.shape.map((d, i) => builder.axis(`d${i}`, d)),
    )
    return value.kind === 'constant' && Number(value.value) === 0
  } catch (request) {
    if (request instanceof SplitRequest) return false
    throw request
  }
}
