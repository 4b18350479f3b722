/** Greedy CTC decoding, as PaddleOCR's CTCLabelDecode: the best class of each column, repeats joined, blanks dropped. */
import type { Dictionary } from './dictionary.ts'

export interface DecodedText {
  readonly text: string
  /** Mean probability of the columns that gave a character; 0 for an empty text. */
  readonly confidence: number
}

/** Decodes logits or probabilities laid out [time, batch, classes]; softmax is taken here, stably, where `logits` is true. */
export function decodeGreedy(
  data: Float32Array,
  time: number,
  batch: number,
  dictionary: Dictionary,
  logits = true,
): DecodedText[] {
  const { classes } = dictionary
  return Array.from({ length: batch }, (_, n) => {
    let text = ''
    let sum = 0
    let count = 0
    let previous = 0
    for (let t = 0; t < time; t++) {
      const row = (t * batch + n) * classes
      let best = 0
      for (let c = 1; c < classes; c++) if (data[row + c]! > data[row + best]!) best = c
      if (best !== 0 && best !== previous) {
        text += dictionary.character(best)
        sum += logits ? softmaxAt(data, row, classes, best) : data[row + best]!
        count++
      }
      previous = best
    }
    return { text, confidence: count === 0 ? 0 : sum / count }
  })
}

/** Probability of the greatest logit of a row. */
function softmaxAt(data: Float32Array, row: number, classes: number, best: number): number {
  const top = data[row + best]!
  let sum = 0
  for (let c = 0; c < classes; c++) sum += Math.exp(data[row + c]! - top)
  return 1 / sum
}
