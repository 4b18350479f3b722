/** A contraction by definition, in float64, one product at a time: what the templates are tested against. */
import { contiguousStrides, numel } from '../../src/common/shape.ts'
import { contractSizes } from '../../src/graph/build.ts'
import type { ContractAxis, ContractSpec } from '../../src/graph/node.ts'
import type { StridedView } from '../../src/codegen/contract/problem.ts'

/** Offset of the element that the letters name, -1 where a windowed coordinate is outside. */
function offsetOf(axes: readonly ContractAxis[], view: StridedView, letters: ReadonlyMap<number, number>): number {
  let at = view.offset
  for (const [i, axis] of axes.entries()) {
    const c =
      typeof axis === 'number'
        ? letters.get(axis)!
        : letters.get(axis.position)! * axis.stride + letters.get(axis.tap)! * axis.dilation - axis.padding
    if (c < 0 || c >= view.shape[i]!) return -1
    at += c * view.strides[i]!
  }
  return at
}

/** The result, dense and row-major in the shape of `out`. */
export function naiveContract(
  spec: ContractSpec,
  lhs: { view: StridedView; data: (at: number) => number },
  rhs: { view: StridedView; data: (at: number) => number },
  outShape: readonly number[],
): Float64Array {
  const out = new Float64Array(numel(outShape))
  const sizes = contractSizes(spec, lhs.view.shape, rhs.view.shape, outShape)
  const letters = [...sizes.keys()]
  const dense: StridedView = { shape: outShape, strides: contiguousStrides(outShape), offset: 0 }
  const now = new Map<number, number>(letters.map((l) => [l, 0]))
  if ([...sizes.values()].some((n) => n === 0)) return out
  for (;;) {
    const [a, b, o] = [
      offsetOf(spec.lhs, lhs.view, now),
      offsetOf(spec.rhs, rhs.view, now),
      offsetOf(spec.out, dense, now),
    ]
    if (a >= 0 && b >= 0 && o >= 0) out[o]! += lhs.data(a) * rhs.data(b)
    let i = letters.length - 1
    while (i >= 0) {
      const next = now.get(letters[i]!)! + 1
      if (next < sizes.get(letters[i]!)!) {
        now.set(letters[i]!, next)
        break
      }
      now.set(letters[i]!, 0)
      i--
    }
    if (i < 0) return out
  }
}

/** Specs and shapes of the public ops. */
export interface ContractCase {
  readonly name: string
  readonly spec: ContractSpec
  readonly lhs: readonly number[]
  readonly rhs: readonly number[]
  readonly out: readonly number[]
}

export interface ConvolutionCase {
  readonly batch: number
  readonly groups: number
  readonly inChannels: number
  readonly outChannels: number
  readonly size: readonly number[]
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly padding: readonly number[]
}

/** Convolution over [n, c, ...] with weights [o, c / groups, ...]; channels are per group. */
export function convolution(c: ConvolutionCase): ContractCase {
  const outSize = c.size.map(
    (n, i) => Math.floor((n + 2 * c.padding[i]! - c.dilation[i]! * (c.kernel[i]! - 1) - 1) / c.stride[i]!) + 1,
  )
  const [n, g, ic, oc] = [0, 1, 2, 3]
  const position = c.size.map((_, i) => 10 + i)
  const tap = c.size.map((_, i) => 20 + i)
  const windows = c.size.map((_, i) => ({
    position: position[i]!,
    tap: tap[i]!,
    stride: c.stride[i]!,
    dilation: c.dilation[i]!,
    padding: c.padding[i]!,
  }))
  const grouped = c.groups > 1
  const group = grouped ? [g] : []
  const groups = grouped ? [c.groups] : []
  // A depthwise convolution has neither contracted nor free channels.
  const input = c.inChannels === 1 && grouped ? [] : [ic]
  const inputs = input.length > 0 ? [c.inChannels] : []
  const output = c.outChannels === 1 && grouped ? [] : [oc]
  const outputs = output.length > 0 ? [c.outChannels] : []
  return {
    name: `conv${c.size.length}d`,
    spec: {
      lhs: [n, ...group, ...input, ...windows],
      rhs: [...group, ...output, ...input, ...tap],
      out: [n, ...group, ...output, ...position],
    },
    lhs: [c.batch, ...groups, ...inputs, ...c.size],
    rhs: [...groups, ...outputs, ...inputs, ...c.kernel],
    out: [c.batch, ...groups, ...outputs, ...outSize],
  }
}

/** The contraction that gives the gradient of the first (0) or second (1) operand. */
export function gradientOf(c: ContractCase, operand: 0 | 1): ContractCase {
  return operand === 0
    ? {
        name: `${c.name} input gradient`,
        spec: { lhs: c.spec.out, rhs: c.spec.rhs, out: c.spec.lhs },
        lhs: c.out,
        rhs: c.rhs,
        out: c.lhs,
      }
    : {
        name: `${c.name} weight gradient`,
        spec: { lhs: c.spec.lhs, rhs: c.spec.out, out: c.spec.rhs },
        lhs: c.lhs,
        rhs: c.out,
        out: c.rhs,
      }
}
