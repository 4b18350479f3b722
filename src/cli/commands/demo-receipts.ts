/**
 * `longzhou demo receipts` (the main job of `npm start`): draws receipt lines, fine-tunes the base recogniser on them, exports it, proves
 * in a fresh process that the file reads what the trained network reads, and writes a report.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { ArgumentError } from '../../common/errors.ts'
import { Progress } from '../../hapi/progress.ts'
import { DataLoader } from '../../io/index.ts'
import { fineTune } from '../../ocr/recognition/fine-tune.ts'
import { loadLines, WrittenLines, type LabelledFile, type TextLine } from '../../ocr/recognition/lines.ts'
import { TextRecognizer } from '../../ocr/recognition/recognizer.ts'
import { evaluate, type Evaluation } from '../../ocr/recognition/training.ts'
import { renderReport } from '../../ocr/receipts/report.ts'
import type { Family } from '../../ocr/synthetic/receipts.ts'
import { setDevice } from '../../tensor/device.ts'
import { backendOf, getDevice } from '../../tensor/device.ts'
import { seed as seedAll } from '../../tensor/index.ts'
import { commandLine } from '../command-line.ts'
import type { CliCommand } from '../commands.ts'
import { colorsFor, formatDuration, formatTable } from '../ui.ts'
import { readInFreshProcess } from './fresh-process.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)

function count(args: Readonly<Record<string, unknown>>, name: string, least: number): number {
  const n = Number(args[name])
  if (!Number.isInteger(n) || n < least)
    throw new ArgumentError(`--${name} is ${String(args[name])}, expected a whole number from ${least}`)
  return n
}

/** Draws lines into image files by DataLoader workers, with a label file in PaddleOCR's form beside them. */
async function drawLines(
  out: string,
  family: Family,
  lines: number,
  seed: number,
  workers: number,
): Promise<LabelledFile[]> {
  const directory = join(out, family)
  const loader = new DataLoader(new WrittenLines({ seed, family, count: lines, directory }), {
    batchSize: null,
    numWorkers: workers,
    prefetchFactor: 16,
  })
  const files: LabelledFile[] = []
  for await (const file of loader) files.push(file as unknown as LabelledFile)
  await writeFile(join(out, `${family}.txt`), files.map((f) => `${relative(out, f.file)}\t${f.text}\n`).join(''))
  return files
}

/** Lines from disk with their files; what is missing or broken is named, counted and left out. */
async function readLines(files: readonly LabelledFile[]): Promise<{ lines: TextLine[]; kept: LabelledFile[] }> {
  const { leftOut, ...read } = await loadLines(files)
  if (leftOut.length > 0) say(`   left out ${leftOut.length} broken images, the first: ${leftOut[0]}`)
  return read
}

const percent = (rate: number): string => `${(rate * 100).toFixed(2)} %`

export const command: CliCommand = {
  args: {
    steps: { type: 'string', description: 'Fine-tuning steps', default: '160' },
    batch: { type: 'string', description: 'Lines in a batch', default: '16' },
    lines: { type: 'string', description: 'Lines to tune on', default: '800' },
    heldout: { type: 'string', description: 'Held-out lines, in other fonts and layouts', default: '120' },
    lr: { type: 'string', description: 'Learning rate', default: '0.0005' },
    seed: { type: 'string', description: 'Seed of everything random', default: '7' },
    workers: { type: 'string', description: 'DataLoader workers', default: '2' },
    out: { type: 'string', description: 'Folder for images, model and report', default: 'out/receipts' },
    model: { type: 'string', description: 'Recogniser to start from', default: 'models/receipts-base.safetensors' },
    device: { type: 'string', description: 'Device: cpu or wasm' },
    json: { type: 'boolean', description: 'Print the result as one JSON object at the end' },
  },
  async run(args) {
    const started = performance.now()
    const color = colorsFor(process.stdout)
    if (typeof args['device'] === 'string') setDevice(args['device'])
    const isNative = backendOf(getDevice()).name === 'cpu'
    const asked = count(args, 'steps', 1)
    const steps = isNative ? asked : Math.max(1, Math.round(asked / 8))
    if (steps !== asked) say(`device ${getDevice()} runs without native code: ${steps} steps instead of ${asked}`)
    const seed = count(args, 'seed', 0)
    const out = resolve(String(args['out']))
    await mkdir(out, { recursive: true })
    for (const old of ['tune', 'heldout']) await rm(join(out, old), { recursive: true, force: true })

    say(color.bold('1  Draw bank-receipt lines'))
    const drawing = performance.now()
    const workers = count(args, 'workers', 0)
    const tuneFiles = await drawLines(out, 'tune', count(args, 'lines', 1), seed, workers)
    const heldOut = await drawLines(out, 'heldout', count(args, 'heldout', 1), seed + 1, workers)
    const seconds = (performance.now() - drawing) / 1000
    say(
      `   ${tuneFiles.length} lines to tune on, ${heldOut.length} held out (other fonts, other layouts), in ${formatDuration(seconds)}: ${relative('.', out)}/tune, ${relative('.', out)}/heldout`,
    )

    say(color.bold('2  Load the base recogniser'))
    const modelFile = resolve(String(args['model']))
    const recognizer = await TextRecognizer.load(modelFile)
    const parameters = recognizer.network.parameters().reduce((n, p) => n + p.size, 0)
    say(
      `   ${relative('.', modelFile)}: CRNN, ${(parameters / 1e6).toFixed(2)} M parameters, ${recognizer.dictionary.characters.length} characters, trained on synthetic lines`,
    )
    const { lines: tune } = await readLines(tuneFiles)
    const { lines: held, kept: heldFiles } = await readLines(heldOut)
    const before = await evaluate(recognizer, held)
    say(
      `   held-out lines before: character error rate ${percent(before.characterErrorRate)}, ${percent(before.lineAccuracy)} of the lines without a mistake`,
    )

    say(color.bold('3  Fine-tune'))
    seedAll(seed)
    const batch = count(args, 'batch', 1)
    const progress = new Progress({ total: steps, label: '   fine-tune' })
    const tuning = performance.now()
    const { losses, errorRates } = await fineTune(recognizer, tune, {
      steps,
      batchSize: batch,
      learningRate: Number(args['lr']),
      seed,
      evaluateOn: held.slice(0, 40),
      onStep: (s) => progress.update({ step: s.step, samples: batch, loss: s.loss, learningRate: s.learningRate }),
    })
    progress.stop()
    const after = await evaluate(recognizer, held)
    say(
      `   held-out lines after: character error rate ${percent(after.characterErrorRate)} (before: ${percent(before.characterErrorRate)}), ${percent(after.lineAccuracy)} without a mistake, in ${formatDuration((performance.now() - tuning) / 1000)}`,
    )

    say(color.bold('4  Export, reload in a fresh process, compare'))
    const exported = join(out, 'recognizer.safetensors')
    await recognizer.save(exported)
    const difference = await proveExport(recognizer, exported, heldFiles, after, held, join(out, 'logits.npz'))
    say(
      `   ${relative('.', exported)}: same text on all ${held.length} held-out lines, logits within ${difference.toExponential(1)}`,
    )

    say(color.bold('5  Read receipts'))
    const shown = held.slice(0, 12).map((_, i) => after.results[i]!)
    say(
      formatTable([
        ['read', 'confidence', 'truth', ''],
        ...shown.map((r) => [r.text, r.confidence.toFixed(3), r.truth, r.text === r.truth ? '✓' : '✗']),
      ]),
    )
    const report = join(out, 'report.html')
    const total = (performance.now() - started) / 1000
    await writeFile(
      report,
      renderReport({
        title: 'Longzhou: fine-tuning a Chinese text recogniser on bank receipts',
        facts: [
          ['steps', `${steps} of ${batch} lines`],
          ['device', getDevice()],
          ['lines', `${tune.length} to tune on, ${held.length} held out`],
          ['export', `same text on every line, largest difference of a logit ${difference.toExponential(1)}`],
          ['time', formatDuration(total)],
        ],
        losses,
        errorRates,
        before,
        after,
        lines: await Promise.all(
          heldFiles.slice(0, 60).map(async (f, i) => ({
            image: await readFile(f.file),
            mime: 'image/jpeg' as const,
            truth: f.text,
            before: before.results[i]!.text,
            after: after.results[i]!.text,
            confidence: after.results[i]!.confidence,
          })),
        ),
      }),
    )
    say(`\n${color.bold('Report')}  ${relative('.', report)}   (${formatDuration(total)} in all)`)
    say(`${color.bold('Next')}    ${commandLine(['read', relative('.', exported), relative('.', heldFiles[0]!.file)])}`)
    say(`        ${commandLine(['train', 'examples/receipts/train.yml'])}      # train on your own pictures`)
    if (args['json']) {
      say(
        JSON.stringify({
          steps,
          seconds: total,
          cer_before: before.characterErrorRate,
          cer_after: after.characterErrorRate,
          export_difference: difference,
          report,
        }),
      )
    }
  },
}

/** Reads the held-out files with the exported model in a new process; any other text, or a logit off by more than 1e-4, is an error. */
async function proveExport(
  recognizer: TextRecognizer,
  exported: string,
  files: readonly LabelledFile[],
  after: Evaluation,
  held: readonly TextLine[],
  logitsFile: string,
): Promise<number> {
  const fresh = await readInFreshProcess(
    exported,
    files.map((f) => f.file),
    logitsFile,
    getDevice(),
  )
  const mine = await recognizer.read(held, { logits: true })
  let worst = 0
  files.forEach((f, i) => {
    if (fresh[i]!.text !== after.results[i]!.text) {
      throw new ArgumentError(
        `the exported model reads ${JSON.stringify(fresh[i]!.text)} in ${f.file}, the trained one ${JSON.stringify(after.results[i]!.text)}; the export is wrong, please report it`,
      )
    }
    const [a, b] = [fresh[i]!.logits, mine[i]!.logits!]
    for (let k = 0; k < b.length; k++) worst = Math.max(worst, Math.abs(a[k]! - b[k]!))
    if (!(worst <= 1e-4))
      throw new ArgumentError(
        `the exported model's logits differ by ${worst} on ${f.file}, more than 1e-4; the export is wrong, please report it`,
      )
  })
  return worst
}
