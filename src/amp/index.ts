/** `amp`: automatic mixed precision, as `paddle.amp`. */
export { autoCast, autoCastState, type AutoCastOptions, type AutoCastState } from './auto-cast.ts'
export { decorate, type DecorateOptions, type LayerChoice } from './decorate.ts'
export { GradScaler, type GradScalerOptions, type GradScalerState } from './grad-scaler.ts'
export { blackList, whiteList, type AmpDtype, type AmpLevel } from './lists.ts'

/** Whether float16 works on a device: on all of them, as storage where the machine cannot compute in it. */
export function isFloat16Supported(): boolean {
  return true
}

/** Whether bfloat16 works on a device: on all of them, as storage where the machine cannot compute in it. */
export function isBfloat16Supported(): boolean {
  return true
}
