/**
 * Line search for the strong Wolfe conditions: first a bracket that holds a good step, then zoom into it by cubic interpolation
 * (Nocedal and Wright 2006, algorithms 3.5 and 3.6, with the safeguards that Paddle's LBFGS uses).
 */

/** The function along a direction, at one step length. `P`: what the caller wants to keep of it (its gradient). */
export interface LinePoint<P> {
  readonly step: number
  readonly value: number
  /** Derivative along the direction. */
  readonly slope: number
  readonly payload: P
}

export interface LineSearchResult<P> {
  readonly point: LinePoint<P>
  readonly evaluations: number
}

/** Armijo's constant c1 and the curvature constant c2 of the conditions. */
const SUFFICIENT_DECREASE = 1e-4
const CURVATURE = 0.9
const MAX_EVALUATIONS = 25
/** Brackets shorter than this, times the largest element of the direction, end the search. */
const SHORTEST_BRACKET = 1e-9

/** The minimum of the cubic through two values and slopes, within [low, high]. */
export function cubicMinimum<P>(a: LinePoint<P>, b: LinePoint<P>, low: number, high: number): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.step - b.step)
  const square = d1 * d1 - a.slope * b.slope
  if (!(square >= 0)) return (low + high) / 2
  const d2 = Math.sqrt(square)
  const [p, q] = a.step <= b.step ? [a, b] : [b, a]
  const minimum = q.step - (q.step - p.step) * ((q.slope + d2 - d1) / (q.slope - p.slope + 2 * d2))
  return Math.min(Math.max(minimum, low), high)
}

/** A step from `start` (length 0) that satisfies the strong Wolfe conditions, or the best one found; `first` is the first length tried. */
export async function strongWolfe<P>(
  evaluate: (step: number) => Promise<LinePoint<P>>,
  start: LinePoint<P>,
  first: number,
  largestElement: number,
): Promise<LineSearchResult<P>> {
  const tooHigh = (p: LinePoint<P>): boolean => p.value > start.value + SUFFICIENT_DECREASE * p.step * start.slope
  const flat = (p: LinePoint<P>): boolean => Math.abs(p.slope) <= -CURVATURE * start.slope

  let previous = start
  let current = await evaluate(first)
  let evaluations = 1
  let rounds = 0
  let bracket: [LinePoint<P>, LinePoint<P>] | null = null
  while (rounds < MAX_EVALUATIONS) {
    if (tooHigh(current) || (rounds > 1 && current.value >= previous.value)) {
      bracket = [previous, current]
      break
    }
    if (flat(current)) return { point: current, evaluations }
    if (current.slope >= 0) {
      bracket = [previous, current]
      break
    }
    const shortest = current.step + 0.01 * (current.step - previous.step)
    const next = cubicMinimum(previous, current, shortest, current.step * 10)
    previous = current
    current = await evaluate(next)
    evaluations++
    rounds++
  }
  bracket ??= [start, current]

  let [low, high] = bracket[0].value <= bracket[1].value ? bracket : [bracket[1], bracket[0]]
  let stuck = false
  while (rounds < MAX_EVALUATIONS && Math.abs(high.step - low.step) * largestElement >= SHORTEST_BRACKET) {
    const left = Math.min(low.step, high.step)
    const right = Math.max(low.step, high.step)
    let step = cubicMinimum(low, high, left, right)
    // A trial at the edge of the bracket for the second time, or on the edge itself, moves inside by a tenth of it.
    const margin = 0.1 * (right - left)
    const nearEdge: boolean = Math.min(right - step, step - left) < margin
    const moves: boolean = nearEdge && (stuck || step >= right || step <= left)
    if (moves) step = Math.abs(step - right) < Math.abs(step - left) ? right - margin : left + margin
    stuck = nearEdge && !moves
    current = await evaluate(step)
    evaluations++
    rounds++
    if (tooHigh(current) || current.value >= low.value) {
      high = current
      if (high.value < low.value) [low, high] = [high, low]
      continue
    }
    if (flat(current)) return { point: current, evaluations }
    if (current.slope * (high.step - low.step) >= 0) high = low
    low = current
  }
  return { point: low, evaluations }
}
