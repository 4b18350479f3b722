/** What operators give that change how elements are laid out: reshapes, slices, joins, repeats, pads and gathers. */
import type { InferenceCall, Inferred } from './infer.ts'
import {
  arithmetic,
  fromFront,
  isNumber,
  MAX_CONTENT,
  numbersOf,
  productOf,
  sameDim,
  type Dim,
  type Known,
} from './known.ts'

/** The dtype of `x` with another shape. */
export const shaped = (call: InferenceCall, shape: readonly Dim[] | null, slot = 'x'): Known => ({
  dtype: call.value(slot).dtype,
  shape,
})
/** `paddle.reshape`: 0 copies a size, -1 is what is left. */
export function reshaped(call: InferenceCall): Known {
  const x = call.value('x')
  const target = call.dims('shape')
  if (!target) return shaped(call, null)
  const copied = target.map((d, i) => (d === 0 ? (x.shape?.[i] ?? '') : d))
  if (!copied.includes(-1)) return { ...shaped(call, copied), content: x.content }
  const at = copied.indexOf(-1)
  const rest = [...copied.slice(0, at), ...copied.slice(at + 1)]
  const left = x.shape ? leftOver([...x.shape], rest) : ''
  return { ...shaped(call, [...copied.slice(0, at), left, ...copied.slice(at + 1)]), content: x.content }
}

/** The quotient of two products of sizes, after what both have is taken out. */
function leftOver(dims: Dim[], rest: readonly Dim[]): Dim {
  const other: Dim[] = []
  for (const d of rest) {
    const at = isNumber(d) ? -1 : dims.findIndex((e) => sameDim(e, d))
    if (at >= 0) dims.splice(at, 1)
    else other.push(d)
  }
  const divisor = productOf(other)
  if (divisor === 1) return productOf(dims)
  return arithmetic(productOf(dims), divisor, (a, b) => (b === 0 ? 0 : Math.floor(a / b)))
}

export function squeezed(call: InferenceCall): Known {
  const { shape, content } = call.value('x')
  const axes = numbersOf(call.dims('axis'))
  if (!shape || !axes) return shaped(call, null)
  const gone = new Set(axes.map((a) => fromFront(a, shape.length)))
  const isGone = (d: Dim, i: number): boolean =>
    axes.length === 0 ? d === 1 : gone.has(i) && (d === 1 || !isNumber(d))
  if (axes.length === 0 && !shape.every(isNumber)) return shaped(call, null)
  return {
    ...shaped(
      call,
      shape.filter((d, i) => !isGone(d, i)),
    ),
    content,
  }
}

export function unsqueezed(call: InferenceCall): Known {
  const { shape, content } = call.value('x')
  const axes = numbersOf(call.dims('axis'))
  if (!shape || !axes) return shaped(call, null)
  const out = [...shape]
  for (const axis of axes) out.splice(fromFront(axis, out.length + 1), 0, 1)
  return { ...shaped(call, out), content }
}

/** Elements `start` up to `end` of an axis, `step` apart. */
function spanOf(size: Dim, start: Dim, end: Dim, step: number): Dim {
  if (isNumber(start) && isNumber(end) && step === 1) {
    // What does not depend on the size.
    if (start >= 0 && end >= 0 && isNumber(size)) return Math.max(Math.min(end, size) - Math.min(start, size), 0)
    if (start === 0 && end >= 2 ** 31 - 1) return size
    if (start < 0 && end < 0 && !isNumber(size)) return ''
  }
  if (!isNumber(size) || !isNumber(start) || !isNumber(end))
    return start === 0 && step === 1 && sameDim(size, end) ? size : ''
  const clamp = (v: number): number => (step > 0 ? Math.min(Math.max(v, 0), size) : Math.min(Math.max(v, -1), size - 1))
  const from = clamp(start < 0 ? start + size : start)
  // An end far below zero lies before the first element.
  const to = clamp(end < 0 ? (end + size < 0 ? (step > 0 ? 0 : -1) : end + size) : end)
  return Math.max(Math.ceil((to - from) / step), 0)
}

export function sliced(slot: string): (call: InferenceCall) => Known {
  return (call) => {
    const x = call.value(slot)
    const axes = numbersOf(call.dims('axes'))
    const [starts, ends] = [call.dims('starts'), call.dims('ends')]
    const steps = call.type === 'strided_slice' ? numbersOf(call.dims('strides')) : axes?.map(() => 1)
    if (!x.shape || !axes || !starts || !ends || !steps) return shaped(call, null, slot)
    const shape = [...x.shape]
    axes.forEach((a, i) => {
      const axis = fromFront(a, shape.length)
      shape[axis] = spanOf(x.shape![axis] ?? '', starts[i] ?? '', ends[i] ?? '', steps[i] ?? 1)
    })
    const dropped = new Set(numbersOf(call.dims('decrease_axis')) ?? [])
    const out = shape.filter((_, i) => !dropped.has(i))
    return { dtype: x.dtype, shape: out, content: contentOfSlice(x, axes, starts, ends, steps) }
  }
}

function contentOfSlice(
  x: Known,
  axes: readonly number[],
  starts: readonly Dim[],
  ends: readonly Dim[],
  steps: readonly number[],
): readonly Dim[] | undefined {
  const [start, end, step] = [starts[0], ends[0], steps[0]]
  if (!x.content || x.shape?.length !== 1 || axes.length !== 1 || !isNumber(start) || !isNumber(end)) return undefined
  if (step === 1) return x.content.slice(start, end)
  if (step === -1 && start === -1) return [...x.content].reverse().slice(0, end <= -x.content.length ? undefined : 0)
  return undefined
}

export function concatenated(call: InferenceCall): Known {
  const parts = call.list('x')
  const [first] = parts
  if (!first || parts.some((p) => !p.shape)) return { dtype: first?.dtype ?? 'float32', shape: null }
  const rank = first.shape!.length
  const axis = fromFront(call.number('axis'), rank)
  const shape = first.shape!.map((d, i) =>
    i === axis
      ? parts.map((p) => p.shape![i] ?? '').reduce((a, b) => arithmetic(a, b, (m, n) => m + n))
      : (parts.map((p) => p.shape![i]).find(isNumber) ?? d),
  )
  const content = parts.every((p) => p.content) ? parts.flatMap((p) => p.content!) : undefined
  return { dtype: first.dtype, shape, content: content && content.length <= MAX_CONTENT ? content : undefined }
}

export function stacked(call: InferenceCall): Known {
  const parts = call.list('x')
  const [first] = parts
  if (!first?.shape) return { dtype: first?.dtype ?? 'float32', shape: null }
  const shape = [...first.shape]
  shape.splice(fromFront(call.number('axis'), shape.length + 1), 0, parts.length)
  const content =
    shape.length === 1 && parts.every((p) => p.content) ? parts.map((p) => p.content![0] ?? '') : undefined
  return { dtype: first.dtype, shape, content }
}

/** Parts along an axis: of given sizes, one of which may be -1, or all alike. */
export function splitted(call: InferenceCall): Inferred {
  const { dtype, shape } = call.value('x')
  const n = call.results('out')
  if (!shape) return { out: Array.from({ length: n }, () => ({ dtype, shape: null })) }
  const axis = fromFront(call.number('axis'), shape.length)
  const size = shape[axis] ?? ''
  const given = call.type === 'split' ? call.dims('sections') : null
  const each = arithmetic(size, n, (a, b) => Math.floor(a / b))
  const rest = (given ?? []).filter((d) => d !== -1).reduce<Dim>((a, b) => arithmetic(a, b, (p, q) => p - q), size)
  const parts = Array.from({ length: n }, (_, i): Dim => (given ? (given[i] === -1 ? rest : (given[i] ?? '')) : each))
  return { out: parts.map((part) => ({ dtype, shape: shape.map((d, i) => (i === axis ? part : d)) })) }
}

export function expanded(call: InferenceCall): Known {
  const { shape } = call.value('x')
  const target = call.dims('shape')
  if (!target) return shaped(call, null)
  if (!shape)
    return shaped(
      call,
      target.map((d) => (d === -1 ? '' : d)),
    )
  const lead = target.length - shape.length
  return shaped(
    call,
    target.map((d, i) => (d === -1 ? (shape[i - lead] ?? '') : d)),
  )
}

export function tiled(call: InferenceCall): Known {
  const { shape } = call.value('x')
  const times = call.dims('repeat_times')
  if (!shape || !times) return shaped(call, null)
  const rank = Math.max(shape.length, times.length)
  const at = (list: readonly Dim[], i: number): Dim => list[i - rank + list.length] ?? 1
  return shaped(
    call,
    Array.from({ length: rank }, (_, i) => {
      const [d, t] = [at(shape, i), at(times, i)]
      return t === 1 ? d : arithmetic(d, t, (a, b) => a * b)
    }),
  )
}

export function padded(call: InferenceCall): Known {
  const { shape } = call.value('x')
  const pads = call.dims('paddings')
  if (!shape || !pads) return shaped(call, shape ? shape.map(() => '') : null)
  return shaped(
    call,
    shape.map((d, i) =>
      [pads[2 * i] ?? 0, pads[2 * i + 1] ?? 0].reduce<Dim>(
        (a, b) => (b === 0 ? a : arithmetic(a, b, (p, q) => p + q)),
        d,
      ),
    ),
  )
}

export function gathered(call: InferenceCall): Known {
  const [x, index] = [call.value('x'), call.value('index')]
  const given = call.number('axis')
  if (!x.shape || !index.shape || Number.isNaN(given)) return shaped(call, null)
  const axis = fromFront(given, x.shape.length)
  const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)]
  const positions = numbersOf(index.content)
  const { content } = x
  const picked =
    content && positions && x.shape.length === 1 && index.shape.length < 2
      ? positions.map((p) => content[fromFront(p, content.length)] ?? '')
      : undefined
  return { dtype: x.dtype, shape, content: picked }
}

export function gatheredNd(call: InferenceCall): Known {
  const [x, index] = [call.value('x'), call.value('index')]
  const depth = index.shape?.at(-1)
  if (!x.shape || !index.shape || !isNumber(depth)) return shaped(call, null)
  return shaped(call, [...index.shape.slice(0, -1), ...x.shape.slice(depth)])
}

export function flattened(call: InferenceCall): Known {
  const { shape } = call.value('x')
  if (!shape) return shaped(call, null)
  const [start, stop] = [call.number('start_axis'), call.number('stop_axis')].map((a) => fromFront(a, shape.length))
  if (shape.length === 0) return shaped(call, [1])
  return shaped(call, [...shape.slice(0, start), productOf(shape.slice(start, stop! + 1)), ...shape.slice(stop! + 1)])
}

export function transposed(call: InferenceCall): Known {
  const { shape } = call.value('x')
  const perm = numbersOf(call.dims('perm'))
  return shaped(call, shape && perm ? perm.map((p) => shape[fromFront(p, shape.length)] ?? '') : null)
}
