/**
 * Convolutions and transposed convolutions over one, two or three axes, as in paddle.nn.functional.conv. Each is one `contract` with
 * windowed axes: of the input for a convolution, of the output for a transposed one. Padding is part of the window.
 */
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { binary, contract, reshape } from '../../graph/build.ts'
import type { ContractAxis, Node } from '../../graph/node.ts'
import { contractible } from '../../tensor/linalg.ts'
import { checkOptional, promoted } from '../../tensor/promotion.ts'
import { unsqueeze } from '../../tensor/shaping.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { asOperator, notesOperators } from '../../tensor/tracer.ts'
import {
  channelsFirst,
  checkRank,
  overTwoAxes,
  paddingAttributes,
  paddingOverTwoAxes,
  perAxis,
  positions,
  resolvePadding,
  spreadVector,
  type DataFormat,
  type Pads,
  type Padding,
  type Spatial,
} from './geometry.ts'

export interface ConvOptions {
  /** Default 1. */
  readonly stride?: Spatial
  /** Default 0. */
  readonly padding?: Padding
  /** Default 1. */
  readonly dilation?: Spatial
  /** Default 1. Input and output channels are cut into so many groups that see only each other. */
  readonly groups?: number
  /** Default channels first. */
  readonly dataFormat?: DataFormat
}

export interface ConvTransposeOptions extends ConvOptions {
  /** Rows added at the end of the output, to choose among the sizes that a stride maps to one. Default 0. */
  readonly outputPadding?: Spatial
  /** The size of the output's spatial axes, instead of `outputPadding`. */
  readonly outputSize?: Spatial
}

const formats = ['', 'N, C, L', 'N, C, H, W', 'N, C, D, H, W']
/** Channels first, channels last. */
const formatNames = [
  ['', ''],
  ['NCL', 'NLC'],
  ['NCHW', 'NHWC'],
  ['NCDHW', 'NDHWC'],
]

// Letters of the contraction; positions and taps follow.
const [BATCH, GROUP, IN, OUT, FIRST] = [0, 1, 2, 3, 4] as const

/** Letters of a weight whose leading axes are `channels`, without the letters of size 1. */
interface Grouped {
  readonly letters: readonly number[]
  readonly sizes: readonly number[]
}

/** The channel letters of an operand: a group letter where there are several, and a channel letter unless it alone has size 1. */
function channelLetters(groups: number, each: number, letter: number): Grouped {
  if (groups === 1) return { letters: [letter], sizes: [each] }
  return each === 1 ? { letters: [GROUP], sizes: [groups] } : { letters: [GROUP, letter], sizes: [groups, each] }
}

/** Axes [batch, ...channels, ...spatial] in the order of the data format. */
function arrange<T>(batch: T, channels: readonly T[], spatial: readonly T[], first: boolean): T[] {
  return first ? [batch, ...channels, ...spatial] : [batch, ...spatial, ...channels]
}

function withBias(op: string, out: Tensor, bias: Tensor | null, channels: number, first: boolean): Tensor {
  checkOptional(bias, op)
  if (!bias) return out
  if (bias.ndim !== 1 || bias.shape[0] !== channels)
    throw new ShapeError(`${op}: the bias must be [${channels}], one a channel, got ${formatShape(bias.shape)}`)
  const [a, b] = promoted(op, out, bias)
  return new Tensor(binary('add', a, spreadVector(b, first ? 1 : a.shape.length - 1, a.shape)))
}

/** What both directions read from their arguments. */
interface Setup {
  readonly input: Node
  readonly weight: Node
  readonly first: boolean
  readonly groups: number
  readonly sizes: number[]
  readonly kernel: number[]
  readonly stride: number[]
  readonly dilation: number[]
  readonly pads: Pads
  /** The windowed axes: of the input of a convolution, of the output of a transposed one. */
  readonly windows: ContractAxis[]
  /** Letters of the taps, and of the positions. */
  readonly taps: number[]
  readonly places: number[]
}

function prepare(op: string, n: number, x: Tensor, filter: Tensor, options: ConvOptions, weightAxes: string): Setup {
  const [input, weight] = contractible(op, x, filter)
  const first = channelsFirst(options.dataFormat, op)
  checkRank(x.shape, n, op, options.dataFormat ?? formats[n]!)
  checkRank(filter.shape, n, `${op} (weight)`, weightAxes)
  const stride = perAxis(options.stride ?? 1, n, op, 'stride')
  const kernel = filter.shape.slice(2)
  const sizes = first ? x.shape.slice(2) : x.shape.slice(1, -1)
  const same = typeof options.padding === 'string' && options.padding.toUpperCase() === 'SAME'
  const dilation = same ? kernel.map(() => 1) : perAxis(options.dilation ?? 1, n, op, 'dilation')
  const pads = resolvePadding(options.padding ?? 0, sizes, kernel, stride, first, op)
  const places = kernel.map((_, i) => FIRST + i)
  const taps = kernel.map((_, i) => FIRST + n + i)
  const windows = kernel.map((_, i) => ({
    position: places[i]!,
    tap: taps[i]!,
    stride: stride[i]!,
    dilation: dilation[i]!,
    padding: pads.low[i]!,
  }))
  return {
    input,
    weight,
    first,
    groups: options.groups ?? 1,
    sizes,
    kernel,
    stride,
    dilation,
    pads,
    windows,
    taps,
    places,
  }
}

function checkGroups(op: string, s: Setup, outputs: number, taken: number): void {
  const inputs = s.input.shape[s.first ? 1 : s.input.shape.length - 1]!
  if (!Number.isInteger(s.groups) || s.groups < 1 || inputs % s.groups !== 0 || outputs % s.groups !== 0)
    throw new ArgumentError(
      `${op}: groups must divide the channels, got ${s.groups} groups for ${inputs} and ${outputs} channels`,
    )
  if (inputs !== taken)
    throw new ShapeError(
      `${op}: the input ${formatShape(s.input.shape)} has ${inputs} channels, the weight ${formatShape(s.weight.shape)} takes ${taken} (groups = ${s.groups})`,
    )
}

/** The operator that a convolution is, for exports. Those over one axis have none: they are exported over two. */
function asConvolution(
  x: Tensor,
  filter: Tensor,
  s: Setup,
  out: Tensor,
  options: ConvTransposeOptions,
  transposed: readonly number[] | null,
): Tensor {
  const n = s.kernel.length
  const isDepthwise = !transposed && s.groups > 1 && s.groups === filter.shape[0] && filter.shape[1] === 1
  const type = `${isDepthwise && n === 2 ? 'depthwise_' : ''}conv${n}d${transposed ? '_transpose' : ''}`
  return asOperator(type, out, () => ({
    inputs: { [transposed || n === 3 ? 'x' : 'input']: x, filter },
    attributes: {
      strides: s.stride,
      ...paddingAttributes(options.padding ?? 0, s.pads),
      dilations: s.dilation,
      groups: s.groups,
      data_format: s.first ? formatNames[n]![0]! : formatNames[n]![1]!,
      ...(transposed ? { output_padding: transposed, output_size: [] } : {}),
    },
  }))
}

/** A convolution over one axis, while it is recorded for an export. */
function recordedOverTwoAxes(
  body: typeof conv | typeof convTranspose,
  op: string,
  x: Tensor,
  filter: Tensor,
  bias: Tensor | null,
  options: ConvTransposeOptions,
): Tensor {
  const first = channelsFirst(options.dataFormat, op)
  const { stride = 1, padding = 0, dilation = 1, outputPadding, outputSize } = options
  const pair = (value: Spatial, before: number, name: string, least = 1): Spatial => [
    before,
    ...perAxis(value, 1, op, name, least),
  ]
  const [, step] = pair(stride, 1, 'stride') as [number, number]
  return overTwoAxes(x, options.dataFormat, op, (wide, dataFormat) =>
    body(op, 2, wide, unsqueeze(filter, 2), bias, {
      ...options,
      stride: pair(stride, 1, 'stride'),
      padding: paddingOverTwoAxes(padding, x.shape[first ? 2 : 1]!, filter.shape[2]!, step, first, op),
      dilation: pair(dilation, 1, 'dilation'),
      ...(outputPadding === undefined ? {} : { outputPadding: pair(outputPadding, 0, 'outputPadding', 0) }),
      ...(outputSize === undefined ? {} : { outputSize: pair(outputSize, 1, 'outputSize') }),
      dataFormat,
    }),
  )
}

function conv(op: string, n: number, x: Tensor, filter: Tensor, bias: Tensor | null, options: ConvOptions): Tensor {
  if (n === 1 && notesOperators()) return recordedOverTwoAxes(conv, op, x, filter, bias, options)
  const s = prepare(op, n, x, filter, options, 'out, in / groups, kernel')
  const { first, groups, sizes, kernel, pads } = s
  const [outChannels, each] = filter.shape as [number, number]
  checkGroups(op, s, outChannels, each * groups)
  const outSizes = sizes.map((d, i) =>
    positions(d, pads.low[i]! + pads.high[i]!, kernel[i]!, s.stride[i]!, s.dilation[i]!),
  )
  if (outSizes.some((d) => d < 1))
    throw new ShapeError(
      `${op}: the kernel ${formatShape(kernel)} does not fit into the input ${formatShape(x.shape)} padded by ${formatShape(pads.low)} and ${formatShape(pads.high)}`,
    )
  const lhs = channelLetters(groups, each, IN)
  const out = channelLetters(groups, outChannels / groups, OUT)
  const hasIn = lhs.letters.includes(IN)
  const result = contract(
    reshape(s.input, arrange(x.shape[0]!, lhs.sizes, sizes, first)),
    reshape(s.weight, [...out.sizes, ...(hasIn ? [each] : []), ...kernel]),
    {
      lhs: arrange<ContractAxis>(BATCH, lhs.letters, s.windows, first),
      rhs: [...out.letters, ...(hasIn ? [IN] : []), ...s.taps],
      out: arrange<ContractAxis>(BATCH, out.letters, s.places, first),
    },
    arrange(x.shape[0]!, out.sizes, outSizes, first),
  )
  const plain = new Tensor(reshape(result, arrange(x.shape[0]!, [outChannels], outSizes, first)))
  return withBias(op, asConvolution(x, filter, s, plain, options, null), bias, outChannels, first)
}

function convTranspose(
  op: string,
  n: number,
  x: Tensor,
  filter: Tensor,
  bias: Tensor | null,
  options: ConvTransposeOptions,
): Tensor {
  if (n === 1 && notesOperators()) return recordedOverTwoAxes(convTranspose, op, x, filter, bias, options)
  const s = prepare(op, n, x, filter, options, 'in, out / groups, kernel')
  const { first, groups, sizes, kernel, pads } = s
  const [channels, each] = filter.shape as [number, number]
  checkGroups(op, s, each * groups, channels)
  const smallest = sizes.map(
    (d, i) => (d - 1) * s.stride[i]! - pads.low[i]! - pads.high[i]! + (kernel[i]! - 1) * s.dilation[i]! + 1,
  )
  const extra = outputExtra(op, n, smallest, s.stride, s.dilation, options)
  const outSizes = smallest.map((d, i) => d + extra[i]!)
  if (outSizes.some((d) => d < 1))
    throw new ShapeError(`${op}: padding leaves nothing of the output: its size would be ${formatShape(outSizes)}`)
  const lhs = channelLetters(groups, channels / groups, IN)
  const out = channelLetters(groups, each, OUT)
  const hasOut = out.letters.includes(OUT)
  const result = contract(
    reshape(s.input, arrange(x.shape[0]!, lhs.sizes, sizes, first)),
    reshape(s.weight, [...lhs.sizes, ...(hasOut ? [each] : []), ...kernel]),
    {
      lhs: arrange<ContractAxis>(BATCH, lhs.letters, s.places, first),
      rhs: [...lhs.letters, ...(hasOut ? [OUT] : []), ...s.taps],
      out: arrange<ContractAxis>(BATCH, out.letters, s.windows, first),
    },
    arrange(x.shape[0]!, out.sizes, outSizes, first),
  )
  const outChannels = each * groups
  const plain = new Tensor(reshape(result, arrange(x.shape[0]!, [outChannels], outSizes, first)))
  return withBias(op, asConvolution(x, filter, s, plain, options, extra), bias, outChannels, first)
}

/** Rows beyond the smallest output. */
function outputExtra(
  op: string,
  n: number,
  smallest: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
  options: ConvTransposeOptions,
): number[] {
  if (options.outputSize === undefined) {
    const extra = perAxis(options.outputPadding ?? 0, n, op, 'outputPadding', 0)
    if (extra.some((e, i) => e > 0 && e >= Math.max(stride[i]!, dilation[i]!)))
      throw new ArgumentError(`${op}: outputPadding ${formatShape(extra)} must be below stride or dilation`)
    return extra
  }
  if (options.outputPadding !== undefined && options.outputPadding !== 0)
    throw new ArgumentError(`${op}: give outputPadding or outputSize, not both`)
  const wanted = perAxis(options.outputSize, n, op, 'outputSize')
  return wanted.map((d, i) => {
    const e = d - smallest[i]!
    if (e < 0 || e >= stride[i]!)
      throw new ArgumentError(
        `${op}: outputSize ${formatShape(wanted)} must lie between ${formatShape(smallest)} and ${formatShape(smallest.map((s, k) => s + stride[k]! - 1))}`,
      )
    return e
  })
}

/** Convolution of x [N, C, L] with weight [out, C / groups, k], `paddle.nn.functional.conv1d`. */
export function conv1d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: ConvOptions = {}): Tensor {
  return conv('conv1d', 1, x, weight, bias, options)
}

/**
 * Convolution (cross-correlation) of x [N, C, H, W] with weight [out, C / groups, kh, kw], bias [out]: gives [N, out, H', W'] with
 * H' = floor((H + padding - dilation * (kh - 1) - 1) / stride) + 1, `paddle.nn.functional.conv2d`.
 * Throws ShapeError where channels do not match or the kernel does not fit.
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: ConvOptions = {}): Tensor {
  return conv('conv2d', 2, x, weight, bias, options)
}

/** Convolution of x [N, C, D, H, W], `paddle.nn.functional.conv3d`. */
export function conv3d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: ConvOptions = {}): Tensor {
  return conv('conv3d', 3, x, weight, bias, options)
}

/** Transposed convolution of x [N, C, L] with weight [C, out / groups, k], `paddle.nn.functional.conv1d_transpose`. */
export function conv1dTranspose(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('conv1dTranspose', 1, x, weight, bias, options)
}

/**
 * Transposed convolution of x [N, C, H, W] with weight [C, out / groups, kh, kw]: what conv2d does to gradients. H' = (H - 1) * stride -
 * padding + dilation * (kh - 1) + 1 + outputPadding, `paddle.nn.functional.conv2d_transpose`.
 */
export function conv2dTranspose(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('conv2dTranspose', 2, x, weight, bias, options)
}

/** Transposed convolution of x [N, C, D, H, W], `paddle.nn.functional.conv3d_transpose`. */
export function conv3dTranspose(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('conv3dTranspose', 3, x, weight, bias, options)
}
