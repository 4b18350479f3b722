/** Sizes that ONNX counts in its own way. */

/** How many windows there are where ONNX rounds up: none begins behind the input and its first padding. `reach`: elements from a window's first to its last. */
export function positionsRoundedUp(size: number, low: number, high: number, reach: number, stride: number): number {
  const count = Math.ceil((size + low + high - reach) / stride) + 1
  return (count - 1) * stride >= size + low ? count - 1 : count
}
