/** The `Global` section: what every run has, whatever it trains. */
import { z } from 'zod'
import { expecting } from './check.ts'
import { count, nonNegative, path } from './fields.ts'

export const globalSchema = z.strictObject({
  /** Steps of the run; or `epochs`. */
  steps: count().optional(),
  /** Passes over the training pictures; or `steps`. */
  epochs: count().optional(),
  /** Checkpoints, log, the settings of the run, and the trained model. */
  outputDir: path().default('out/train'),
  /** The trained model. Default: in outputDir. */
  modelFile: path().optional(),
  seed: count(0).default(1),
  /** Default: LONGZHOU_DEVICE, or the fastest of this machine. */
  device: z.string().optional(),
  /** Steps between two entries of the log. */
  logEvery: count().default(20),
  /** Steps between two checkpoints. */
  saveEvery: count().default(200),
  /** Steps between two evaluations. Default: saveEvery. */
  evalEvery: count().optional(),
  /** Checkpoints that are kept, besides the best. */
  keepLast: count().default(2),
  /** A model to start from. */
  pretrainedModel: path().optional(),
  /** Go on: from the newest checkpoint of outputDir (true), or from another one. */
  resume: z
    .union([z.boolean(), path()], { error: expecting('true, false, or the folder of a checkpoint') })
    .default(false),
  /** What a missing or broken picture, or an unusable label, does. */
  onBadSample: z.enum(['skip', 'fail']).default('skip'),
  /** Ends the run, resumable, after so many minutes; 0: never. */
  stopAfterMinutes: nonNegative().default(0),
})
export type GlobalConfig = z.output<typeof globalSchema>
