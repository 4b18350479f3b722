/**
 * The shapes of the sweep: products and convolutions that models in use consist of, each gradient by itself, and random ones that nothing is
 * tuned for. Layers on single pixels (squeeze and excitation) are left out: their time is that of a call.
 */
import { SmallRandom } from '../../../common/random.ts'
import { numel } from '../../../common/shape.ts'

export interface MatmulCase {
  readonly kind: 'matmul'
  readonly name: string
  /** Products of this many pairs of matrices; 1 for one product. */
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
}

type Pair = readonly [number, number]

export interface ConvCase {
  readonly kind: 'conv'
  readonly name: string
  /** What is computed: the output, or the gradient of one operand from a given gradient of the output. */
  readonly part: 'output' | 'input' | 'weight'
  readonly input: readonly [number, number, number, number]
  /** [out, in / groups, height, width], or [in, out / groups, height, width] of a transposed one. */
  readonly weight: readonly [number, number, number, number]
  readonly stride: Pair
  readonly padding: Pair
  readonly groups: number
  readonly transposed: boolean
}

export type SweepCase = MatmulCase | ConvCase

function product(m: number, n: number, k: number, batch = 1): MatmulCase {
  const name = batch === 1 ? `matmul ${m}x${n}x${k}` : `matmul ${batch} of ${m}x${n}x${k}`
  return { kind: 'matmul', name, batch, m, n, k }
}

interface ConvSettings {
  readonly stride?: Pair
  readonly padding?: Pair
  readonly groups?: number
  readonly transposed?: boolean
}

/** Output and both gradients of x [N, C, H, W] by outChannels kernels; padding keeps the size by default. */
function convolution(
  input: ConvCase['input'],
  outChannels: number,
  kernel: Pair,
  settings: ConvSettings = {},
): ConvCase[] {
  const { stride = [1, 1], groups = 1, transposed = false } = settings
  const padding = settings.padding ?? [(kernel[0] - 1) >> 1, (kernel[1] - 1) >> 1]
  const [first, second] = transposed ? [input[1], outChannels] : [outChannels, input[1]]
  const weight = [first, second / groups, ...kernel] as const
  const grouped = groups === 1 ? '' : ` groups ${groups}`
  const name = transposed ? 'transposed conv' : 'conv'
  const title = `${name} ${input.join('x')} to ${outChannels}, ${kernel.join('x')} stride ${stride.join('x')}${grouped}`
  return (['output', 'input', 'weight'] as const).map((part) => ({
    kind: 'conv',
    name: `${title}: ${part === 'output' ? part : `${part} gradient`}`,
    part,
    input,
    weight,
    stride,
    padding,
    groups,
    transposed,
  }))
}

/** Channels, height, width, channels out, size of the square kernel, strides, groups. */
type Layer = readonly [number, number, number, number, number, number, number, number]

function layers(batch: number, rows: readonly Layer[]): ConvCase[] {
  return rows.flatMap(([channels, height, width, out, kernel, strideY, strideX, groups]) =>
    convolution([batch, channels, height, width], out, [kernel, kernel], { stride: [strideY, strideX], groups }),
  )
}

/** Distinct convolutions of PP-OCRv4's mobile text detector (PP-LCNetV3 and a feature pyramid), images of 320x320. */
const DETECTOR: readonly Layer[] = [
  [3, 320, 320, 16, 3, 2, 2, 1],
  [16, 160, 160, 16, 3, 1, 1, 16],
  [16, 160, 160, 32, 1, 1, 1, 1],
  [32, 160, 160, 32, 3, 2, 2, 32],
  [32, 80, 80, 48, 1, 1, 1, 1],
  [48, 80, 80, 48, 3, 1, 1, 48],
  [48, 80, 80, 48, 1, 1, 1, 1],
  [48, 80, 80, 48, 3, 2, 2, 48],
  [48, 40, 40, 96, 1, 1, 1, 1],
  [96, 40, 40, 96, 3, 1, 1, 96],
  [96, 40, 40, 96, 1, 1, 1, 1],
  [96, 40, 40, 96, 3, 2, 2, 96],
  [96, 20, 20, 192, 1, 1, 1, 1],
  [192, 20, 20, 192, 5, 1, 1, 192],
  [192, 20, 20, 192, 1, 1, 1, 1],
  [192, 20, 20, 192, 5, 2, 2, 192],
  [192, 10, 10, 384, 1, 1, 1, 1],
  [384, 10, 10, 384, 5, 1, 1, 384],
  [384, 10, 10, 384, 1, 1, 1, 1],
  [48, 80, 80, 12, 1, 1, 1, 1],
  [96, 40, 40, 18, 1, 1, 1, 1],
  [192, 20, 20, 42, 1, 1, 1, 1],
  [384, 10, 10, 360, 1, 1, 1, 1],
  [360, 10, 10, 96, 1, 1, 1, 1],
  [42, 20, 20, 96, 1, 1, 1, 1],
  [18, 40, 40, 96, 1, 1, 1, 1],
  [12, 80, 80, 96, 1, 1, 1, 1],
  [96, 10, 10, 24, 3, 1, 1, 1],
  [96, 20, 20, 24, 3, 1, 1, 1],
  [96, 40, 40, 24, 3, 1, 1, 1],
  [96, 80, 80, 24, 3, 1, 1, 1],
]

/** Distinct convolutions of PP-OCR's recogniser rec_mv3_none_bilstm_ctc (MobileNetV3), lines of 32x320. */
const RECOGNISER: readonly Layer[] = [
  [3, 32, 320, 8, 3, 2, 2, 1],
  [8, 16, 160, 8, 1, 1, 1, 1],
  [8, 16, 160, 8, 3, 1, 1, 8],
  [8, 16, 160, 32, 1, 1, 1, 1],
  [32, 16, 160, 32, 3, 2, 1, 32],
  [32, 8, 160, 16, 1, 1, 1, 1],
  [16, 8, 160, 40, 1, 1, 1, 1],
  [40, 8, 160, 40, 3, 1, 1, 40],
  [40, 8, 160, 16, 1, 1, 1, 1],
  [40, 8, 160, 40, 5, 2, 1, 40],
  [40, 4, 160, 24, 1, 1, 1, 1],
  [24, 4, 160, 64, 1, 1, 1, 1],
  [64, 4, 160, 64, 5, 1, 1, 64],
  [64, 4, 160, 24, 1, 1, 1, 1],
  [24, 4, 160, 120, 1, 1, 1, 1],
  [120, 4, 160, 120, 3, 1, 1, 120],
  [120, 4, 160, 40, 1, 1, 1, 1],
  [40, 4, 160, 104, 1, 1, 1, 1],
  [104, 4, 160, 104, 3, 1, 1, 104],
  [104, 4, 160, 40, 1, 1, 1, 1],
  [40, 4, 160, 96, 1, 1, 1, 1],
  [96, 4, 160, 96, 3, 1, 1, 96],
  [96, 4, 160, 40, 1, 1, 1, 1],
  [40, 4, 160, 240, 1, 1, 1, 1],
  [240, 4, 160, 240, 3, 1, 1, 240],
  [240, 4, 160, 56, 1, 1, 1, 1],
  [56, 4, 160, 336, 1, 1, 1, 1],
  [336, 4, 160, 336, 3, 1, 1, 336],
  [336, 4, 160, 56, 1, 1, 1, 1],
  [336, 4, 160, 336, 5, 2, 1, 336],
  [336, 2, 160, 80, 1, 1, 1, 1],
  [80, 2, 160, 480, 1, 1, 1, 1],
  [480, 2, 160, 480, 5, 1, 1, 480],
  [480, 2, 160, 80, 1, 1, 1, 1],
]

/** Distinct convolutions of ResNet-18 on 32x32 images. */
const RESNET: readonly Layer[] = [
  [3, 32, 32, 64, 3, 1, 1, 1],
  [64, 32, 32, 64, 3, 1, 1, 1],
  [64, 32, 32, 128, 3, 2, 2, 1],
  [64, 32, 32, 128, 1, 2, 2, 1],
  [128, 16, 16, 128, 3, 1, 1, 1],
  [128, 16, 16, 256, 3, 2, 2, 1],
  [128, 16, 16, 256, 1, 2, 2, 1],
  [256, 8, 8, 256, 3, 1, 1, 1],
  [256, 8, 8, 512, 3, 2, 2, 1],
  [256, 8, 8, 512, 1, 2, 2, 1],
  [512, 4, 4, 512, 3, 1, 1, 1],
]

/** Distinct convolutions of the CRNN of networks.ts on lines of 32x320, but for its last, of 2x2. */
const CRNN: readonly Layer[] = [
  [1, 32, 320, 64, 3, 1, 1, 1],
  [64, 16, 160, 128, 3, 1, 1, 1],
  [128, 8, 80, 256, 3, 1, 1, 1],
  [256, 8, 80, 256, 3, 1, 1, 1],
  [256, 4, 80, 512, 3, 1, 1, 1],
  [512, 4, 80, 512, 3, 1, 1, 1],
]

/** The shapes of models in use. */
export const NAMED_CASES: readonly SweepCase[] = [
  ...[256, 512, 1024, 2048].map((n) => product(n, n, n)),
  // The layers of ERNIE-nano, batch 16 of 128 tokens.
  product(2048, 312, 312),
  product(2048, 1248, 312),
  product(2048, 312, 1248),
  // Tall, wide, and CRNN's classifier.
  product(4096, 64, 256),
  product(64, 4096, 256),
  product(16_384, 32, 128),
  product(32, 16_384, 128),
  product(1264, 6625, 512),
  // One row: bound by memory.
  product(1, 4096, 4096),
  // Attention: scores and values of 16 x 12 heads of 26, of 8 x 12 heads of 64; and many small ones.
  product(128, 128, 26, 192),
  product(128, 26, 128, 192),
  product(256, 256, 64, 96),
  product(256, 64, 256, 96),
  product(32, 32, 32, 1024),
  ...layers(32, RESNET),
  ...layers(16, CRNN),
  ...convolution([16, 512, 2, 80], 512, [2, 2], { padding: [0, 0] }),
  ...layers(4, DETECTOR),
  // The detector's head.
  ...convolution([4, 24, 80, 80], 24, [2, 2], { stride: [2, 2], padding: [0, 0], transposed: true }),
  ...convolution([4, 24, 160, 160], 1, [2, 2], { stride: [2, 2], padding: [0, 0], transposed: true }),
  ...layers(16, RECOGNISER),
]

/** A whole number between two, small ones as likely as large ones. */
function logUniform(random: SmallRandom, low: number, high: number): number {
  return Math.round(Math.exp(random.uniform(Math.log(low), Math.log(high))))
}

/** Draws until `fits`, so that no case takes seconds or only microseconds. */
function drawUntil<T>(draw: () => T, fits: (value: T) => boolean): T {
  for (;;) {
    const value = draw()
    if (fits(value)) return value
  }
}

/** Work that is neither lost beside a call nor longer than a second on any machine of today. */
const RANDOM_FLOPS = [2e7, 2e9] as const
const isMiddling = (c: SweepCase): boolean => flopsOf(c) >= RANDOM_FLOPS[0] && flopsOf(c) <= RANDOM_FLOPS[1]

/** Twelve products and eight convolutions (each output and both gradients) of the kinds that are named above, drawn with a seed. */
export function randomCases(seed: number): SweepCase[] {
  const random = new SmallRandom(seed)
  const size = (low: number, high: number): number => logUniform(random, low, high)
  const products = Array.from({ length: 12 }, (_, i) =>
    drawUntil(() => {
      // One in four has a batch.
      if (i % 4 === 3) return product(size(24, 256), size(24, 256), size(16, 256), size(8, 256))
      return product(size(48, 2048), size(48, 2048), size(48, 2048))
    }, isMiddling),
  )
  const convolutions = Array.from({ length: 8 }, (_, i) =>
    drawUntil(
      () => {
        const kernel = random.choice([1, 3, 3, 5])
        const stride: Pair = random.choice([
          [1, 1],
          [1, 1],
          [2, 2],
          [2, 1],
        ])
        // One in four is depthwise.
        const channels = size(16, 384)
        const groups = i % 4 === 3 ? channels : 1
        const out = groups === 1 ? size(16, 384) : channels
        const input = [size(2, 32), channels, size(6, 96), size(6, 192)] as const
        return convolution(input, out, [kernel, kernel], { stride, groups })
      },
      // A depthwise one does little arithmetic for its bytes.
      ([c]) => (c!.groups === 1 ? isMiddling(c!) : numel(c!.input) >= 4e5 && numel(c!.input) <= 8e6),
    ),
  )
  return [...products, ...convolutions.flat()]
}

/** The named cases whose names hold a text; `all` names every one. */
export function sweepCases(pattern: string): SweepCase[] {
  return NAMED_CASES.filter((c) => pattern === 'all' || c.name.includes(pattern))
}

/** Rows or columns of a convolution's output. */
function outputSize({ input, weight, stride, padding, transposed }: ConvCase, axis: 0 | 1): number {
  const [size, kernel] = [input[axis + 2]!, weight[axis + 2]!]
  if (transposed) return (size - 1) * stride[axis] - 2 * padding[axis] + kernel
  return Math.floor((size + 2 * padding[axis] - kernel) / stride[axis]) + 1
}

export function outputShape(c: ConvCase): [number, number, number, number] {
  const channels = c.transposed ? c.weight[1] * c.groups : c.weight[0]
  return [c.input[0], channels, outputSize(c, 0), outputSize(c, 1)]
}

/** Multiplications and additions of a case; both gradients of a convolution cost what its output costs. */
export function flopsOf(c: SweepCase): number {
  if (c.kind === 'matmul') return 2 * c.batch * c.m * c.n * c.k
  // Each element of the output, or of the input of a transposed one, meets each weight of its group once.
  const [batch, channels, height, width] = c.transposed ? c.input : outputShape(c)
  return 2 * batch * channels * height * width * c.weight[1] * c.weight[2] * c.weight[3]
}

/** Bytes that a case reads and writes at least: both operands and the result, once each, in float32. */
export function bytesOf(c: SweepCase): number {
  if (c.kind === 'matmul') return 4 * c.batch * (c.m * c.k + c.k * c.n + c.m * c.n)
  return 4 * (numel(c.input) + numel(c.weight) + numel(outputShape(c)))
}
