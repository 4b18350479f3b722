/**
 * Functions whose result's shape depends on the data: nonzero, maskedSelect, unique, ... They are doors: they return promises, read what
 * they need, and give ordinary tensors. Elements are picked on the device, so gradients flow.
 */
import { getElement, type DType, type HostData } from '../common/dtype.ts'
import { DTypeError } from '../common/errors.ts'
import { broadcastShapes, normalizeAxis } from '../common/shape.ts'
import { broadcastTo, cast as castNode, gather as gatherNode, reshape } from '../graph/build.ts'
import { checkTensor } from './promotion.ts'
import { transpose } from './shaping.ts'
import { fromHost, Tensor } from './tensor.ts'

function integers(values: readonly number[], shape: readonly number[], dtype: DType = 'int64'): Tensor {
  if (dtype === 'int32') return fromHost({ dtype, shape, data: Int32Array.from(values) })
  if (dtype !== 'int64') throw new DTypeError(`positions are int64 or int32, not ${dtype}`)
  return fromHost({ dtype, shape, data: BigInt64Array.from(values, BigInt) })
}

/** Flat positions of the elements that are not 0. */
async function truePositions(x: Tensor): Promise<number[]> {
  const data = await new Tensor(castNode(x.node, 'bool')).data()
  const at: number[] = []
  data.forEach((v: number | bigint, i: number) => {
    if (v) at.push(i)
  })
  return at
}

/** Positions of the elements that are not 0, one a row: [n, rank] int64, `paddle.nonzero`. */
export function nonzero(x: Tensor, asTuple?: false): Promise<Tensor>
/** With `asTuple`, a vector of positions for each axis. */
export function nonzero(x: Tensor, asTuple: true): Promise<Tensor[]>
export async function nonzero(x: Tensor, asTuple = false): Promise<Tensor | Tensor[]> {
  checkTensor(x, 'nonzero')
  const at = await truePositions(x)
  const { shape } = x
  const columns: number[][] = shape.map(() => [])
  for (const flat of at) {
    let rest = flat
    for (let a = shape.length - 1; a >= 0; a--) {
      columns[a]!.push(rest % shape[a]!)
      rest = Math.floor(rest / shape[a]!)
    }
  }
  if (asTuple) return columns.map((c) => integers(c, [c.length]))
  return integers(
    at.flatMap((_, i) => columns.map((c) => c[i]!)),
    [at.length, shape.length],
  )
}

/** The elements of x under a mask (broadcast together), as a vector, `paddle.masked_select`. */
export async function maskedSelect(x: Tensor, mask: Tensor): Promise<Tensor> {
  checkTensor(x, 'maskedSelect')
  checkTensor(mask, 'maskedSelect')
  if (mask.dtype !== 'bool')
    throw new DTypeError(`maskedSelect: a mask must be bool, got ${mask.dtype}; compare it with 0 first`)
  // A mask over the first axes only picks slices.
  const covers = mask.ndim > 0 && mask.ndim < x.ndim && mask.shape.every((d, i) => d === x.shape[i])
  if (covers) {
    const at = await truePositions(mask)
    const rows = reshape(x.node, [mask.size, ...x.shape.slice(mask.ndim)])
    return new Tensor(gatherNode(rows, integers(at, [at.length]).node, 0))
  }
  const shape = broadcastShapes(x.shape, mask.shape, 'maskedSelect')
  const at = await truePositions(new Tensor(broadcastTo(mask.node, shape)))
  const size = shape.reduce((a, b) => a * b, 1)
  const flat = reshape(broadcastTo(x.node, shape), [size])
  if (at.length === 0) return new Tensor(broadcastTo(castNode(integers([], [0]).node, x.dtype), [0]))
  return new Tensor(gatherNode(flat, integers(at, [at.length]).node, 0))
}

export interface UniqueOptions {
  /** Also the position of the first occurrence of each. */
  readonly returnIndex?: boolean
  /** Also, for each element of x, the position of its equal in the result. */
  readonly returnInverse?: boolean
  /** Also how often each occurs. */
  readonly returnCounts?: boolean
  /** Compares slices along this axis instead of elements. */
  readonly axis?: number | null
  /** Of the positions: int64 (default) or int32. */
  readonly dtype?: DType
}

type Flags = { readonly returnIndex: true } | { readonly returnInverse: true } | { readonly returnCounts: true }
type UniqueOf<O> = O extends Flags ? Tensor[] : Tensor

/** Rows to compare: the slices of an axis, or single elements. */
async function comparable(
  x: Tensor,
  axis: number | null | undefined,
  op: string,
): Promise<{ count: number; compare: (a: number, b: number) => number; pick: (rows: number[]) => Tensor }> {
  checkTensor(x, op)
  const flat = axis === undefined || axis === null
  const source = flat ? reshape(x.node, [x.size]) : x.node
  const a = flat ? 0 : normalizeAxis(axis, x.ndim, op)
  const order = [a, ...source.shape.map((_, i) => i).filter((i) => i !== a)]
  const count = source.shape[a]!
  const width = count === 0 ? 0 : x.size / count
  const { dtype } = x
  const data: HostData = await (flat ? new Tensor(source) : transpose(new Tensor(source), order)).data()
  const key = (i: number): number | bigint => (dtype === 'int64' ? data[i]! : getElement(dtype, data, i))
  const compare = (p: number, q: number): number => {
    for (let i = 0; i < width; i++) {
      const u = key(p * width + i)
      const v = key(q * width + i)
      // NaN equals NaN and comes last.
      const [nu, nv] = [u !== u, v !== v]
      if (nu || nv) {
        if (nu && nv) continue
        return nu ? 1 : -1
      }
      if (u < v) return -1
      if (u > v) return 1
    }
    return 0
  }
  const pick = (rows: number[]): Tensor =>
    rows.length === 0 ? new Tensor(source) : new Tensor(gatherNode(source, integers(rows, [rows.length]).node, a))
  return { count, compare, pick }
}

/** The results asked for, from the group of each row and the first row of each group. */
function grouped(
  pick: (rows: number[]) => Tensor,
  first: number[],
  group: number[],
  options: UniqueOptions,
): Tensor | Tensor[] {
  const out = [pick(first)]
  const { dtype = 'int64' } = options
  if (options.returnIndex) out.push(integers(first, [first.length], dtype))
  if (options.returnInverse) out.push(integers(group, [group.length], dtype))
  if (options.returnCounts) {
    const counts = first.map(() => 0)
    for (const g of group) counts[g]!++
    out.push(integers(counts, [counts.length], dtype))
  }
  return out.length === 1 ? out[0]! : out
}

/** The distinct elements in ascending order, `paddle.unique`; with a `return...` option an array of tensors. */
export async function unique<O extends UniqueOptions = UniqueOptions>(x: Tensor, options?: O): Promise<UniqueOf<O>> {
  const { count, compare, pick } = await comparable(x, options?.axis, 'unique')
  const order = Array.from({ length: count }, (_, i) => i).sort((p, q) => compare(p, q) || p - q)
  const first: number[] = []
  const group = new Array<number>(count)
  order.forEach((row, i) => {
    if (i === 0 || compare(order[i - 1]!, row) !== 0) first.push(row)
    group[row] = first.length - 1
  })
  return grouped(pick, first, group, options ?? {}) as UniqueOf<O>
}

/** The elements without immediate repetitions, `paddle.unique_consecutive`. */
export async function uniqueConsecutive<
  O extends Omit<UniqueOptions, 'returnIndex'> = Omit<UniqueOptions, 'returnIndex'>,
>(x: Tensor, options?: O): Promise<UniqueOf<O>> {
  const { count, compare, pick } = await comparable(x, options?.axis, 'uniqueConsecutive')
  const first: number[] = []
  const group: number[] = []
  for (let i = 0; i < count; i++) {
    if (i === 0 || compare(i - 1, i) !== 0) first.push(i)
    group.push(first.length - 1)
  }
  return grouped(pick, first, group, { ...options, returnIndex: false }) as UniqueOf<O>
}
