/** A training run from its configuration to its result: device and seed first, then the task, then the run. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { z } from 'zod'
import { globalRandomState } from '../common/numpy-random.ts'
import { setDevice } from '../tensor/device.ts'
import { seed } from '../tensor/random.ts'
import { checkConfig } from './config/check.ts'
import { globalSchema } from './config/global.ts'
import type { ConfigSource } from './config/source.ts'
import { runTraining, type TrainingRunResult } from './training-run.ts'
import type { Say, TrainingTask } from './training-task.ts'

export interface ConfiguredRunOptions {
  readonly say: Say
  /** What Ctrl-C prints as the way to go on. */
  readonly resumeCommand: string
  /** Word before the progress bar. */
  readonly label?: string
}

export interface ConfiguredRunResult extends TrainingRunResult {
  readonly outputDir: string
  /** Samples that could not be used. */
  readonly leftOut: number
  /** Arguments of `longzhou` that try the model. */
  readonly next: readonly string[]
}

/** What must be set before anything is made. */
const outline = z.object({ Global: globalSchema.pick({ device: true, seed: true }).loose() })

/** Runs a task as a configuration says. Throws ConfigError for what is wrong in it, and what the run throws. */
export async function runConfigured(
  task: TrainingTask,
  source: ConfigSource,
  options: ConfiguredRunOptions,
): Promise<ConfiguredRunResult> {
  const { say } = options
  const { Global: first } = checkConfig(outline, source)
  if (first.device !== undefined) setDevice(first.device)
  seed(first.seed)
  globalRandomState.seed(first.seed)
  const { job, global, config, modelFile, next, leftOut } = await task(source, say)
  const { outputDir, saveEvery, evalEvery = saveEvery } = global
  const result = await runTraining(job, {
    ...global,
    ...options,
    evalEvery,
    modelFile,
    begun: () => writeFile(join(outputDir, 'config.yml'), stringify(config)),
  })
  return { ...result, outputDir, leftOut: leftOut(), next }
}
