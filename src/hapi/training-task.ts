/** What a kind of network brings to be trained from a configuration file: a schema, and how to make a job of a checked file. */
import type { z } from 'zod'
import { checkConfig } from './config/check.ts'
import type { GlobalConfig } from './config/global.ts'
import type { ConfigSource } from './config/source.ts'
import type { TrainingJob } from './training-run.ts'

/** A job as a configuration file describes it. */
export interface ConfiguredJob<B = unknown> {
  readonly job: TrainingJob<B>
  readonly global: GlobalConfig
  /** The file with all defaults filled in. */
  readonly config: unknown
  /** Where the model goes. */
  readonly modelFile: string
  /** Samples that were left out so far, each counted once. */
  leftOut(): number
  /** Arguments of `longzhou` that try the model. */
  readonly next: readonly string[]
}

/** Reports to the user while a job is prepared and runs. */
export type Say = (text: string) => void

export type TrainingTask = (source: ConfigSource, say: Say) => Promise<ConfiguredJob>

/** A task of a schema and a maker. */
export function trainingTask<C, B>(
  schema: z.ZodType<C>,
  make: (config: C, source: ConfigSource, say: Say) => Promise<Omit<ConfiguredJob<B>, 'config'>>,
): TrainingTask {
  return async (source, say) => {
    const config = checkConfig(schema, source)
    return { ...(await make(config, source, say)), config } as ConfiguredJob
  }
}
