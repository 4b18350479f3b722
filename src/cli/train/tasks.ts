/** What can be trained from a configuration file: one row a network, loaded only when a file names it. */
import type { TrainingTask } from '../../hapi/training-task.ts'

export interface TaskRow {
  /** `Architecture.name` in the file. */
  readonly name: string
  readonly load: () => Promise<TrainingTask>
}

export const TASKS: readonly TaskRow[] = [
  { name: 'CRNN', load: async () => (await import('../../ocr/recognition/training-task.ts')).recognizerTask },
]
