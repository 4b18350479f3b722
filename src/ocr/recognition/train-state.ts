/** Checkpoints of recognisers that `examples/receipts/pretrain.ts` wrote before runs had a format of their own: weights, optimizer, schedule. */
import type { Checkpoint } from '../../io/checkpoint.ts'
import type { Optimizer, OptimizerState } from '../../optimizer/index.ts'
import type { CRNN } from './crnn.ts'

/** Puts such a checkpoint back; false where it is of another kind. Throws what optimizer and network throw where it is of another model. */
export function restoreOlderRun({ tensors, state }: Checkpoint, network: CRNN, optimizer: Optimizer): boolean {
  const { weights, optimizer: moments = {} } = tensors
  if (weights === undefined) return false
  const { schedules = {} } = state as { schedules?: Record<string, OptimizerState[string]> }
  network.setStateDict(weights)
  optimizer.setStateDict({ ...moments, ...schedules })
  return true
}
