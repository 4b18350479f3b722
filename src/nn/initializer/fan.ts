/** Fans of a weight and gains of a nonlinearity: what Xavier's and Kaiming's initialisers scale by (Paddle's rules). */
import { ArgumentError } from '../../common/errors.ts'
import { numel, type Shape } from '../../common/shape.ts'

export interface Fans {
  readonly fanIn: number
  readonly fanOut: number
}

/**
 * Fans of a weight shape. Two dimensions are [in, out], as Linear stores them; three and more are [out, in, ...kernel], each
 * times the size of the kernel (also for a transposed convolution, whose weight is [in, out, ...kernel]); one dimension is
 * both fans; rank 0 has fans of 1.
 */
export function computeFans(shape: Shape): Fans {
  if (shape.length === 0) return { fanIn: 1, fanOut: 1 }
  if (shape.length === 1) return { fanIn: shape[0]!, fanOut: shape[0]! }
  if (shape.length === 2) return { fanIn: shape[0]!, fanOut: shape[1]! }
  const receptiveField = numel(shape.slice(2))
  return { fanIn: shape[1]! * receptiveField, fanOut: shape[0]! * receptiveField }
}

export type Nonlinearity =
  | 'sigmoid'
  | 'linear'
  | 'conv1d'
  | 'conv2d'
  | 'conv3d'
  | 'conv1d_transpose'
  | 'conv2d_transpose'
  | 'conv3d_transpose'
  | 'tanh'
  | 'relu'
  | 'leaky_relu'
  | 'selu'

const gains: Record<Nonlinearity, (negativeSlope: number) => number> = {
  sigmoid: () => 1,
  linear: () => 1,
  conv1d: () => 1,
  conv2d: () => 1,
  conv3d: () => 1,
  conv1d_transpose: () => 1,
  conv2d_transpose: () => 1,
  conv3d_transpose: () => 1,
  tanh: () => 5 / 3,
  relu: () => Math.SQRT2,
  leaky_relu: (negativeSlope) => Math.sqrt(2 / (1 + negativeSlope ** 2)),
  selu: () => 3 / 4,
}

/**
 * Recommended gain of a nonlinearity (`paddle.nn.initializer.calculate_gain`).
 *
 *     calculateGain('tanh') // 1.666...
 *     calculateGain('leaky_relu', 1) // 1
 *
 * @param param negative slope, used by `leaky_relu` only; default 0.01
 * @throws ArgumentError on a name without a known gain
 */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  const gain = gains[nonlinearity] as ((negativeSlope: number) => number) | undefined
  if (gain === undefined) {
    throw new ArgumentError(
      `calculateGain: no gain is known for '${nonlinearity}'; known are ${Object.keys(gains).join(', ')}`,
    )
  }
  return gain(param)
}
