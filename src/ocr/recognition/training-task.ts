/** Training a text recogniser from a configuration file: `Architecture.name: CRNN`. */
import { join } from 'node:path'
import { ConfigError, LongzhouError } from '../../common/errors.ts'
import { readBytes } from '../../io/files.ts'
import { configError } from '../../hapi/config/check.ts'
import { makeOptimizer } from '../../hapi/config/optimizer.ts'
import type { ConfigSource } from '../../hapi/config/source.ts'
import type { JobEvaluation, TrainingJob } from '../../hapi/training-run.ts'
import { trainingTask, type Say, type TrainingTask } from '../../hapi/training-task.ts'
import type { StateValue } from '../../io/state-json.ts'
import { charset } from '../synthetic/charset.ts'
import { recognizerSchema, type RecognizerConfig } from './config.ts'
import { LineGroups, placedBatches, type LineSource } from './line-groups.ts'
import type { LineBatch } from './lines.ts'
import { TextRecognizer } from './recognizer.ts'
import { restoreOlderRun } from './train-state.ts'
import { evaluationLines, LeftOut, lineSources, stepsOf, type EvaluationSet } from './training-data.ts'
import { evaluate, trainStep } from './training.ts'

export const recognizerTask: TrainingTask = trainingTask(recognizerSchema, async (config, source, say) => {
  const { Global: global, Train: train } = config
  const recognizer = await makeRecognizer(config, source)
  const leftOut = new LeftOut(say)
  const sources = await lineSources(config, source, recognizer, leftOut)
  const steps = stepsOf(config, source, sources)
  const evaluationSets = await evaluationLines(config, source, recognizer, leftOut)
  const optimizer = makeOptimizer(config.Optimizer, recognizer.network.parameters(), steps)
  const { imageHeight: height, maxWidth } = recognizer.spec
  const groups = new LineGroups({
    seed: global.seed,
    sources,
    batchSize: train.batchSize,
    characters: recognizer.dictionary.characters,
    height,
    maxWidth,
    shuffle: train.shuffle,
    onBadSample: global.onBadSample,
  })
  const longest = Math.max(...sources.map((s) => (s.kind === 'files' ? s.files.length / s.perGroup : 0)))
  const job: TrainingJob<LineBatch> = {
    model: recognizer.network,
    optimizer,
    steps,
    batches: (place) =>
      placedBatches(groups, place, {
        workers: train.workers,
        patience: Math.ceil(longest),
        onLeftOut: (messages) => leftOut.add(messages),
      }),
    samples: (batch) => batch.texts.length,
    trainStep: (batch) => trainStep(recognizer, optimizer, batch),
    evaluate: evaluationSets.length === 0 ? null : () => evaluateSets(recognizer, evaluationSets),
    save: (file) => recognizer.save(file),
    settings: JSON.parse(
      JSON.stringify({
        Architecture: config.Architecture,
        Optimizer: config.Optimizer,
        Train: train,
        seed: global.seed,
        steps,
      }),
    ) as Record<string, StateValue>,
    restoreOlder(checkpoint) {
      if (!restoreOlderRun(checkpoint, recognizer.network, optimizer)) return undefined
      return { group: Math.floor(checkpoint.step / train.bucket), batch: checkpoint.step % train.bucket }
    },
  }
  describe(config, recognizer, sources, evaluationSets, say)
  const modelFile = global.modelFile ?? join(global.outputDir, 'recognizer.safetensors')
  const picture = sources.find((s) => s.kind === 'files')?.files[0]?.file ?? 'PICTURE.jpg'
  return { job, global, modelFile, leftOut: () => leftOut.count, next: ['read', modelFile, picture] }
})

// ---- the model ----------------------------------------------------------------------------------------------------------

async function makeRecognizer(config: RecognizerConfig, source: ConfigSource): Promise<TextRecognizer> {
  const { name: _, dictionary, useSpaceChar, ...own } = config.Architecture
  const characters = dictionary === undefined ? undefined : await readDictionary(dictionary, useSpaceChar, source)
  const { pretrainedModel } = config.Global
  if (!pretrainedModel) return TextRecognizer.create(characters ?? charset, own)
  const base = await settingOf(source, ['Global', 'pretrainedModel'], () => TextRecognizer.load(pretrainedModel))
  for (const [key, value] of Object.entries(own)) {
    const its = base.network.options[key as keyof typeof own]
    if (JSON.stringify(its) !== JSON.stringify(value)) {
      const what = `${JSON.stringify(value)} is not what ${pretrainedModel} has, ${JSON.stringify(its)}; leave it out to take the model as it is`
      throw configError(source, ['Architecture', key], what)
    }
  }
  return characters === undefined ? base : base.withDictionary(characters)
}

async function readDictionary(file: string, useSpaceChar: boolean, source: ConfigSource): Promise<string[]> {
  const bytes = await settingOf(source, ['Architecture', 'dictionary'], () => readBytes(file))
  const characters = new TextDecoder('utf-8')
    .decode(bytes)
    .split(/\r?\n/)
    .filter((line) => line !== '')
  const wrong = characters.findIndex((c, i) => [...c].length !== 1 || characters.indexOf(c) !== i)
  if (wrong >= 0) {
    const what = `${file}: expected one character a line, each once; entry ${wrong + 1} is ${JSON.stringify(characters[wrong])}`
    throw configError(source, ['Architecture', 'dictionary'], what)
  }
  return useSpaceChar && !characters.includes(' ') ? [...characters, ' '] : characters
}

/** What fails inside because of a setting names the setting. */
async function settingOf<T>(source: ConfigSource, at: readonly string[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof LongzhouError) || error instanceof ConfigError) throw error
    throw configError(source, at, error.message)
  }
}

/** Error rates of each set; the score is that of all lines together. */
async function evaluateSets(recognizer: TextRecognizer, sets: readonly EvaluationSet[]): Promise<JobEvaluation> {
  const results: Record<string, number> = {}
  let [errors, characters] = [0, 0]
  for (const { label, lines } of sets) {
    const { characterErrorRate, lineAccuracy } = await evaluate(recognizer, lines)
    results[`cer_${label}`] = characterErrorRate
    results[`line_accuracy_${label}`] = lineAccuracy
    const length = lines.reduce((n, l) => n + [...l.text].length, 0)
    errors += characterErrorRate * length
    characters += length
  }
  return { score: errors / Math.max(characters, 1), results }
}

function describe(
  { Global: global, Optimizer, Train }: RecognizerConfig,
  { network, dictionary }: TextRecognizer,
  sources: readonly LineSource[],
  sets: readonly EvaluationSet[],
  say: Say,
): void {
  const parameters = network.parameters().reduce((n, p) => n + p.size, 0)
  const lines = sources.map((s) =>
    s.kind === 'files' ? `${s.files.length} pictures (${s.perGroup})` : `synthetic '${s.family}' lines (${s.perGroup})`,
  )
  const from = global.pretrainedModel ?? 'new weights'
  say(
    `model  CRNN, ${(parameters / 1e6).toFixed(2)} M parameters, ${dictionary.characters.length} characters, from ${from}`,
  )
  say(
    `train  ${lines.join(' + ')} of every ${Train.batchSize * Train.bucket} lines; ${Optimizer.name}, batches of ${Train.batchSize}`,
  )
  if (sets.length > 0) say(`eval   ${sets.map((s) => `${s.lines.length} lines '${s.label}'`).join(', ')}`)
}
