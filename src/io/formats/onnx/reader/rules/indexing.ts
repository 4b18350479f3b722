/** Picking by index and writing by index. */
import { isFloat } from '../../../../../common/dtype.ts'
import { fromFront } from '../../../program/inference/known.ts'
import { elementsOf } from '../conversion.ts'
import { always, versions, type Convert, type RuleTable } from '../rule.ts'

/** Rows of a table of weights are an embedding; other picks along an axis take vectors or scalars of positions. */
const gather: Convert = (n) => {
  const axis = n.int('axis', 0)
  const table = n.constant(0)
  const given = n.constant(1)
  const indexRank = given ? given.shape.length : (n.known(1).shape?.length ?? 2)
  const isTable = table && isFloat(table.dtype) && table.shape.length === 2 && axis === 0
  if (isTable && !given && indexRank > 0)
    return n.give('embedding', { x: n.operand(1), weight: n.operand(0) }, { padding_idx: -1, sparse: false })
  if (indexRank > 1) return n.give('onnx.Gather', { x: n.operand(0), index: n.operand(1) }, { axis })
  n.give('gather', { x: n.value(0), index: n.value(1) }, { axis: axis < 0 ? fromFront(axis, n.rank()) : axis })
}

const gatherElements: Convert = (n) =>
  n.give('take_along_axis', { arr: n.operand(0), indices: n.operand(1) }, { axis: n.int('axis', 0) })

const gatherNd: Convert = (n) => {
  const batch = n.int('batch_dims', 0)
  const operands = { x: n.operand(0), index: n.operand(1) }
  if (batch === 0) n.give('gather_nd', operands)
  else n.give('onnx.GatherND', operands, { batch_dims: batch })
}

/** ONNX's words for what happens where something is already. */
const reductions: Readonly<Record<string, string>> = {
  none: 'assign',
  add: 'add',
  mul: 'multiply',
  max: 'amax',
  min: 'amin',
}

const scatterElements: Convert = (n) => {
  const word = n.text('reduction', 'none')
  const reduce = reductions[word] ?? n.refuse(`reduction '${word}'`)
  const inputs = { arr: n.operand(0), indices: n.operand(1), values: n.operand(2) }
  n.give('onnx.ScatterElements', inputs, { axis: n.int('axis', 0), reduce })
}

const scatterNd: Convert = (n) => {
  const word = n.text('reduction', 'none')
  const reduce = reductions[word] ?? n.refuse(`reduction '${word}'`)
  const inputs = { x: n.operand(0), index: n.operand(1), updates: n.operand(2) }
  if (word === 'add') n.give('scatter_nd_add', inputs)
  else n.give('onnx.ScatterND', inputs, { reduce })
}

/** The slices for which a constant vector has true; of the flat tensor without an axis. */
const compress: Convert = (n) => {
  const condition = n.fixed(1, "result's sizes") ?? n.refuse('a condition that is not told')
  const positions = condition.flatMap((v, i) => (v === 0 ? [] : [i]))
  const index = n.make({ dtype: 'int64', shape: [positions.length], data: BigInt64Array.from(positions, BigInt) })
  const axis = n.int('axis')
  const given = n.operand(0)
  const x = axis === undefined ? n.emit('reshape', { x: given }, { shape: [-1] }) : given
  n.give('gather', { x, index }, { axis: axis === undefined ? 0 : fromFront(axis, n.rank()) })
}

/** Values off and on; negative indices count from the end. */
const oneHot: Convert = (n) => {
  const depth = n.fixed(1, 'depth')?.[0] ?? n.refuse('a depth that is not told')
  const inputs = { index: n.operand(0), values: n.operand(2) }
  n.give('onnx.OneHot', inputs, { depth, axis: n.int('axis', -1) })
}

/** Positions of what is not zero, of a constant. */
const nonZero: Convert = (n) => {
  const array = n.constant(0) ?? n.refuse("a result whose shape depends on the input's values")
  const hits = elementsOf(array).flatMap((v, i) => (v === 0 ? [] : [i]))
  const rank = Math.max(array.shape.length, 1)
  const shape = array.shape.length === 0 ? [1] : array.shape
  const data = new BigInt64Array(rank * hits.length)
  hits.forEach((flat, k) => {
    let rest = flat
    for (let axis = rank - 1; axis >= 0; axis--) {
      data[axis * hits.length + k] = BigInt(rest % shape[axis]!)
      rest = Math.floor(rest / shape[axis]!)
    }
  })
  n.bindConstant(0, { dtype: 'int64', shape: [array.shape.length, hits.length], data })
}

export const indexingRules: RuleTable = {
  Compress: always(compress, 'a condition that is constant'),
  Gather: always(gather, 'of a table of weights, positions that are not negative'),
  GatherElements: always(gatherElements),
  GatherND: always(gatherNd),
  NonZero: always(nonZero, 'of a constant'),
  OneHot: always(oneHot, 'a depth that is constant'),
  Scatter: always(scatterElements),
  ScatterElements: versions({ 11: scatterElements }),
  ScatterND: always(scatterNd),
}
