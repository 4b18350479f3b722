/** What a configuration file says about training a text recogniser: architecture, and where lines come from. */
import { z } from 'zod'
import { expecting } from '../../hapi/config/check.ts'
import { count, path, positive } from '../../hapi/config/fields.ts'
import { globalSchema } from '../../hapi/config/global.ts'
import { optimizerSchema } from '../../hapi/config/optimizer.ts'
import { families } from '../synthetic/receipts.ts'

const architecture = z.strictObject({
  name: z.literal('CRNN'),
  /** Output channels of the six convolutions. Default: the base recogniser's. */
  channels: z.tuple([count(), count(), count(), count(), count(), count()]).optional(),
  /** Hidden units of the LSTM in each direction. Default 128. */
  hidden: count().optional(),
  /** One character a line, UTF-8. Default: the pretrained model's, or the characters that receipts use. */
  dictionary: path().optional(),
  /** Adds the blank to the dictionary of the file. */
  useSpaceChar: z.boolean().default(true),
})

const synthetic = {
  name: z.literal('Synthetic'),
  family: z.enum(families as readonly ['pretrain', 'tune', 'heldout']).default('tune'),
  /** Default: Global.seed to train, another one to evaluate. */
  seed: count(0).optional(),
}
const labelFile = {
  name: z.literal('LabelFile'),
  /** Files of lines `images/001.jpg<TAB>text`, as PaddleOCR's. */
  labelFiles: z.union([path(), z.array(path()).min(1)], { error: expecting('a file, or a list of files') }),
  /** What the pictures' names are relative to. Default: the folder of the label file. */
  dataDir: path().optional(),
}
/** How much of every batch comes from this set, in relation to the others. */
const share = positive().default(1)
/** Name of the set in log and results. */
const label = z.string().regex(/^\w+$/, 'letters, digits and _ are allowed').optional()

const trainSet = z.discriminatedUnion('name', [
  z.strictObject({ ...synthetic, share }),
  z.strictObject({ ...labelFile, share }),
])
const evalSet = z.discriminatedUnion('name', [
  z.strictObject({ ...synthetic, label, count: count().default(100) }),
  z.strictObject({ ...labelFile, label, count: count().optional() }),
])
export type TrainSet = z.output<typeof trainSet>
export type EvalSet = z.output<typeof evalSet>
export type LabelFileSet = Extract<EvalSet | TrainSet, { name: 'LabelFile' }>

export const recognizerSchema = z.strictObject({
  Global: globalSchema,
  Architecture: architecture,
  Optimizer: optimizerSchema,
  Train: z.strictObject({
    datasets: z.array(trainSet).min(1),
    batchSize: count().default(16),
    /** Threads that read and draw lines; 0: the main one. */
    workers: count(0).default(1),
    /** Batches that are drawn together and sorted by width, so that a batch holds lines of similar width. */
    bucket: count().default(8),
    /** Batches of a bucket in random order; false: the widest first. */
    shuffle: z.boolean().default(true),
  }),
  Eval: z.strictObject({ datasets: z.array(evalSet).min(1) }).optional(),
})
export type RecognizerConfig = z.output<typeof recognizerSchema>
