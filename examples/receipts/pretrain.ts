/**
 * Trains the base recogniser that ships in models/: CRNN over the 1,154 characters of the charset, on synthetic lines only.
 * Resumable: stop it with Ctrl-C and start it again with the same options.
 *
 *     npx tsx examples/receipts/pretrain.ts --steps 6000 --batch 32 --seed 1
 */
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seed } from '../../src/index.ts'
import { DataLoader, Subset } from '../../src/io/index.ts'
import { drawLines, SyntheticBatches, type LineBatch, type TextLine } from '../../src/ocr/recognition/lines.ts'
import { TextRecognizer } from '../../src/ocr/recognition/recognizer.ts'
import { resumeRun, saveRun } from '../../src/ocr/recognition/train-state.ts'
import { evaluate, trainStep } from '../../src/ocr/recognition/training.ts'
import { charset } from '../../src/ocr/synthetic/charset.ts'
import { AdamW, lr } from '../../src/optimizer/index.ts'
import { ClipGradByGlobalNorm } from '../../src/nn/clip.ts'
import { Progress } from '../../src/hapi/progress.ts'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '6000' },
    batch: { type: 'string', default: '32' },
    seed: { type: 'string', default: '1' },
    lr: { type: 'string', default: '0.002' },
    workers: { type: 'string', default: '1' },
    out: { type: 'string', default: 'out/pretrain' },
    model: { type: 'string', default: 'models/receipts-base.safetensors' },
    'save-every': { type: 'string', default: '200' },
    'stop-after-minutes': { type: 'string', default: '0' },
  },
})
const steps = Number(values.steps)
const batchSize = Number(values.batch)
const group = 8
const saveEvery = Number(values['save-every'])
const limit = Number(values['stop-after-minutes']) * 60_000

seed(Number(values.seed))
const recognizer = TextRecognizer.create(charset)
const schedule = new lr.LinearWarmup({
  learningRate: new lr.CosineAnnealingDecay({ learningRate: Number(values.lr), tMax: steps }),
  warmupSteps: 200,
  startLr: 1e-5,
  endLr: Number(values.lr),
})
const optimizer = new AdamW({
  parameters: recognizer.network.parameters(),
  learningRate: schedule,
  weightDecay: 1e-4,
  gradClip: new ClipGradByGlobalNorm(5),
})
const run = { recognizer, optimizer }
await mkdir(values.out, { recursive: true })
const checkpoints = join(values.out, 'checkpoints')
const log = join(values.out, 'log.jsonl')
const done = await resumeRun(checkpoints, run)
if (done > 0) process.stderr.write(`resumed at step ${done}\n`)

// Lines that training never draws: other seeds, of each family.
const held: Record<string, TextLine[]> = {
  pretrain: await drawLines({ seed: 900_001, family: 'pretrain', count: 100 }),
  heldout: await drawLines({ seed: 900_002, family: 'heldout', count: 100 }),
}

const data = new SyntheticBatches({
  seed: Number(values.seed),
  family: 'pretrain',
  batchSize,
  group,
  groups: Math.ceil(steps / group),
  characters: charset,
})
const rest = Array.from({ length: data.length }, (_, i) => i).slice(Math.floor(done / group))
const loader = new DataLoader(new Subset(data, rest), {
  batchSize: null,
  numWorkers: Number(values.workers),
  toTensor: (array) => array,
})

let stopping = false
process.once('SIGINT', () => (stopping = true))
const started = performance.now()
const progress = new Progress({ total: steps, start: done, label: 'pretrain', lineIntervalMs: 20_000 })
let step = done
let losses: number[] = []
const resume = `npx tsx examples/receipts/pretrain.ts ${process.argv.slice(2).join(' ')}`

outer: for await (const item of loader) {
  const batches = item as unknown as LineBatch[]
  for (const batch of batches.slice(step % group)) {
    // a resumed run skips what it has seen of its group
    const loss = trainStep(recognizer, optimizer, batch)
    const rate = schedule.lastLr
    schedule.step()
    const value = await loss.item()
    if (!Number.isFinite(value)) throw new Error(`the loss is ${value} at step ${step}`)
    losses.push(value)
    step++
    progress.update({ step, samples: batch.texts.length, loss: value, learningRate: rate })
    const last = step >= steps || stopping || (limit > 0 && performance.now() - started > limit)
    if (step % saveEvery === 0 || last) {
      await saveRun(checkpoints, step, run)
      const evaluations = await Promise.all(
        Object.entries(held).map(async ([name, lines]) => [name, await evaluate(recognizer, lines)] as const),
      )
      const entry = {
        step,
        loss: losses.reduce((a, b) => a + b, 0) / losses.length,
        learningRate: rate,
        minutes: (performance.now() - started) / 60_000,
        ...Object.fromEntries(evaluations.map(([name, e]) => [`cer_${name}`, e.characterErrorRate])),
      }
      losses = []
      await appendFile(log, `${JSON.stringify(entry)}\n`)
      await recognizer.save(values.model)
      process.stderr.write(`\n${JSON.stringify(entry)}\n`)
    }
    if (last) break outer
  }
}
progress.stop()
await writeFile(join(values.out, 'state.json'), JSON.stringify({ step, steps, batchSize, seed: Number(values.seed) }))
if (step < steps) process.stderr.write(`stopped at step ${step} of ${steps}; continue with\n  ${resume}\n`)
process.exit(step < steps && stopping ? 130 : 0)
