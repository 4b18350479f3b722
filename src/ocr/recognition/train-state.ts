/** Checkpoints of a recogniser in training: weights, optimizer and schedule, so that a run continues where it was stopped. */
import type { HostArray } from '../../common/dtype.ts'
import { loadLatest, saveStep } from '../../io/index.ts'
import type { Optimizer, OptimizerState } from '../../optimizer/index.ts'
import { fromHost, Tensor } from '../../tensor/tensor.ts'
import type { TextRecognizer } from './recognizer.ts'

/** What a training run of a recogniser consists of. */
export interface RecognizerRun {
  readonly recognizer: TextRecognizer
  readonly optimizer: Optimizer
}

/** Saves `root/step-N`, atomically; `notes` (JSON) come back from `resumeRun`. */
export async function saveRun(
  root: string,
  step: number,
  run: RecognizerRun,
  notes: Record<string, number | string> = {},
): Promise<string> {
  const weights: Record<string, HostArray> = {}
  for (const [name, value] of Object.entries(run.recognizer.network.stateDict()))
    weights[name] = await value.hostArray()
  const optimizer: Record<string, HostArray> = {}
  const schedules: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(run.optimizer.stateDict())) {
    if (value instanceof Tensor) optimizer[name] = await value.hostArray()
    else if ('data' in value && 'dtype' in value) optimizer[name] = value as HostArray
    else schedules[name] = value
  }
  return saveStep(
    root,
    step,
    { tensors: { weights, optimizer }, state: { step, notes, schedules: JSON.parse(JSON.stringify(schedules)) } },
    { keepLast: 2 },
  )
}

/** Continues from the newest whole checkpoint under `root`; the step, or 0 where there is none. */
export async function resumeRun(root: string, run: RecognizerRun): Promise<number> {
  const latest = await loadLatest(root, (directory, error) =>
    process.stderr.write(`${directory} is damaged (${error.message}); trying the one before\n`),
  )
  if (!latest) return 0
  const { weights = {}, optimizer = {} } = latest.tensors
  run.recognizer.network.setStateDict(Object.fromEntries(Object.entries(weights).map(([n, a]) => [n, fromHost(a)])))
  const { schedules } = latest.state as { schedules: Record<string, OptimizerState[string]> }
  run.optimizer.setStateDict({ ...optimizer, ...schedules })
  return latest.step
}
