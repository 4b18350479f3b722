/**
 * Levenshtein distance, the count behind character and word error rates: the fewest insertions, deletions and substitutions
 * that turn one sequence into the other. Strings are compared by code point, so a rare Han character is one error, not two.
 */
import { ArgumentError } from './errors.ts'

/**
 * Edit distance of two strings, or of two sequences of any comparable items (token ids, words).
 * Time O(n * m) after common ends are cut off, memory O(min(n, m)).
 *
 *     editDistance('壹佰圆', '壹百元整') // 3
 */
export function editDistance<T>(a: string | ArrayLike<T>, b: string | ArrayLike<T>): number {
  if ((typeof a === 'string') !== (typeof b === 'string')) {
    throw new ArgumentError(
      'editDistance compares two strings or two sequences, got one of each: split the string first',
    )
  }
  const [short, long] = order(items(a), items(b))
  let end = 0
  while (end < short.length && short[short.length - 1 - end] === long[long.length - 1 - end]) end++
  const rows = short.length - end
  const columns = long.length - end
  let start = 0
  while (start < rows && short[start] === long[start]) start++
  return distanceOfMiddles(short, long, start, rows, columns)
}

type Items = ArrayLike<unknown>

function items<T>(sequence: string | ArrayLike<T>): Items {
  return typeof sequence === 'string' ? Array.from(sequence) : sequence
}

function order(a: Items, b: Items): [Items, Items] {
  return a.length <= b.length ? [a, b] : [b, a]
}

/** Wagner-Fischer over short[start, rows) and long[start, columns), one row of the table at a time. */
function distanceOfMiddles(short: Items, long: Items, start: number, rows: number, columns: number): number {
  const width = rows - start
  const distances = new Uint32Array(width + 1)
  for (let i = 0; i <= width; i++) distances[i] = i
  for (let j = start; j < columns; j++) {
    const item = long[j]
    let diagonal = distances[0]!
    distances[0] = diagonal + 1
    for (let i = 1; i <= width; i++) {
      const above = distances[i]!
      const substituted = diagonal + (short[start + i - 1] === item ? 0 : 1)
      distances[i] = Math.min(substituted, above + 1, distances[i - 1]! + 1)
      diagonal = above
    }
  }
  return distances[width]!
}
