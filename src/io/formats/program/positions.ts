/** Sizes that ONNX counts in its own way. */

/** How many windows there are where ONNX rounds up: none begins behind the input and its first padding. `reach`: elements from a window's first to its last. */
export function positionsRoundedUp(size: number, low: number, high: number, reach: number, stride: number): number {
  const count = Math.ceil((size + low + high - reach) / stride) + 1
  return (count - 1) * stride >= size + low ? count - 1 : count
}

/** A size times a factor, in the arithmetic of float32 as runtimes have it: that decides whether 10 times 0.7 is 7. */
export const exactSize = (size: number, factor: number): number => Math.fround(size * factor)

/** The size that comes out. */
export const resizedBy = (size: number, factor: number): number => Math.floor(exactSize(size, factor))
