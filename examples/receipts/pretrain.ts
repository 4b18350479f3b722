/**
 * Trains the base recogniser that ships in models/: CRNN over the 1,154 characters of the charset, on synthetic lines only. It is
 * `longzhou train` with these settings; stop it with Ctrl-C, and the same command goes on.
 *
 *     node --import tsx examples/receipts/pretrain.ts --steps 6000 --batch 32 --seed 1
 */
import { parseArgs } from 'node:util'
import { configOf } from '../../src/hapi/config/source.ts'
import { interruptedExitCode } from '../../src/hapi/interrupt.ts'
import { runConfigured } from '../../src/hapi/run-configured.ts'
import { recognizerTask } from '../../src/ocr/recognition/training-task.ts'

const defaults = {
  steps: '6000',
  batch: '32',
  seed: '1',
  lr: '0.002',
  workers: '1',
  out: 'out/pretrain',
  model: 'models/receipts-base.safetensors',
  'save-every': '200',
  'stop-after-minutes': '0',
}
const options = Object.fromEntries(
  Object.entries(defaults).map(([name, value]) => [name, { type: 'string' as const, default: value }]),
)
const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', short: 'h' } } })
if (values['help']) {
  const list = Object.entries(defaults).map(([name, value]) => `  --${name} (default ${value})`)
  process.stdout.write(`node --import tsx examples/receipts/pretrain.ts [options]\n${list.join('\n')}\n`)
  process.exit(0)
}
const given = values as typeof defaults

const steps = Number(given.steps)
const every = Number(given['save-every'])
const heldOut = { name: 'Synthetic', count: 100 }
const config = {
  Global: {
    steps,
    seed: Number(given.seed),
    outputDir: given.out,
    modelFile: given.model,
    logEvery: every,
    saveEvery: every,
    resume: true,
    stopAfterMinutes: Number(given['stop-after-minutes']),
  },
  Architecture: { name: 'CRNN' },
  Optimizer: {
    name: 'AdamW',
    weightDecay: 1e-4,
    lr: { name: 'Cosine', learningRate: Number(given.lr), tMax: steps, warmupSteps: 200, warmupStart: 1e-5 },
    gradClip: { name: 'GlobalNorm', clipNorm: 5 },
  },
  Train: {
    datasets: [{ name: 'Synthetic', family: 'pretrain' }],
    batchSize: Number(given.batch),
    workers: Number(given.workers),
    shuffle: false,
  },
  // Lines that training never draws: other seeds, of each family.
  Eval: {
    datasets: [
      { ...heldOut, family: 'pretrain', seed: 900_001 },
      { ...heldOut, family: 'heldout', seed: 900_002 },
    ],
  },
}

const { interrupted } = await runConfigured(recognizerTask, configOf(config, 'pretrain'), {
  say: (text) => process.stderr.write(`${text}\n`),
  resumeCommand: `node --import tsx examples/receipts/pretrain.ts ${process.argv.slice(2).join(' ')}`,
  label: 'pretrain',
})
if (interrupted) process.exitCode = interruptedExitCode
