/** The known name that somebody most likely meant: for messages about misspelt keys, options and choices. */
import { editDistance } from './edit-distance.ts'

/** `learning_rate`, `learningRate` and `LearningRate` are one word. */
const folded = (name: string): string => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '')

/** The candidate that is nearest to `name`, or undefined where none is near: more than a third of its letters would change. */
export function nearestName(name: string, candidates: readonly string[]): string | undefined {
  const wanted = folded(name)
  let [best, least]: [string | undefined, number] = [undefined, Math.max(1, Math.floor(wanted.length / 3)) + 1]
  for (const candidate of candidates) {
    const distance = editDistance(wanted, folded(candidate))
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}
