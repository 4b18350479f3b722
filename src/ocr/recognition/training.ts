/** Training a text recogniser: the step that pre-training and fine-tuning share, and the character error rate. */
import { editDistance } from '../../common/edit-distance.ts'
import * as nn from '../../nn/index.ts'
import type { Optimizer } from '../../optimizer/index.ts'
import { full } from '../../tensor/index.ts'
import { fromHost, type Tensor } from '../../tensor/tensor.ts'
import { timeSteps } from './crnn.ts'
import type { LineBatch, TextLine } from './lines.ts'
import type { TextRecognizer } from './recognizer.ts'

/** Records one optimisation step on a batch and submits it; the loss can be awaited. */
export function trainStep(recognizer: TextRecognizer, optimizer: Optimizer, batch: LineBatch): Tensor {
  const { images, labels, lengths } = batch
  const [n, , , width] = images.shape as [number, number, number, number]
  recognizer.network.train()
  const logits = recognizer.logits(fromHost(images))
  const times = full([n], timeSteps(width), 'int64')
  const loss = nn.functional.ctcLoss(logits, fromHost(labels), times, fromHost(lengths), { reduction: 'mean' })
  loss.backward()
  optimizer.step()
  optimizer.clearGrad()
  return loss
}

export interface LineResult {
  readonly text: string
  readonly truth: string
  readonly confidence: number
}

export interface Evaluation {
  /** Edits needed over characters of the truth, all lines together. */
  readonly characterErrorRate: number
  /** Share of lines read without a mistake. */
  readonly lineAccuracy: number
  readonly results: readonly LineResult[]
}

/** Reads labelled lines and compares with their texts. */
export async function evaluate(recognizer: TextRecognizer, lines: readonly TextLine[]): Promise<Evaluation> {
  const read = await recognizer.read(lines)
  let edits = 0
  let characters = 0
  let right = 0
  const results = read.map((r, i): LineResult => {
    const truth = lines[i]!.text
    edits += editDistance(r.text, truth)
    characters += [...truth].length
    if (r.text === truth) right++
    return { text: r.text, truth, confidence: r.confidence }
  })
  return {
    characterErrorRate: edits / Math.max(characters, 1),
    lineAccuracy: right / Math.max(lines.length, 1),
    results,
  }
}
