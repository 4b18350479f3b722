/** Layouts and paddings. ONNX has channels first only: other layouts are turned around its operators. */
import { padsOf } from '../../../program/inference/spatial.ts'
import type { PlainAttribute } from '../emission.ts'
import type { WriteCall } from '../write-call.ts'

export const isChannelsLast = (c: WriteCall): boolean => /^N[DHWL]+C$/.test(c.text('data_format'))

/** Runs a rule on x with channels first, and turns its result back. */
export function channelsFirst(
  c: WriteCall,
  slot: string,
  write: (x: string, out: string) => void,
  result = 'out',
): void {
  const out = c.out(result)
  if (!isChannelsLast(c)) return write(c.in(slot), out)
  const rank = c.rank(slot)
  const spatial = Array.from({ length: rank - 2 }, (_, i) => i + 1)
  const turned = c.e.one('Transpose', [c.in(slot)], { perm: [0, rank - 1, ...spatial] })
  const made = c.e.fresh(`${out}.first`)
  write(turned, made)
  c.e.one('Transpose', [made], { perm: [0, ...spatial.map((i) => i + 1), 1] }, out)
}

/** Paddings as ONNX has them: all beginnings, then all ends; or the algorithm. */
export function paddingOf(c: WriteCall, axes: number): Readonly<Record<string, PlainAttribute>> {
  const algorithm = c.text('padding_algorithm')
  if (algorithm === 'SAME') return { auto_pad: 'SAME_UPPER' }
  const pads = algorithm === 'VALID' ? padsOf([0], axes) : padsOf(c.numbers('paddings'), axes)
  return { pads: [...pads.map((p) => p[0]), ...pads.map((p) => p[1])] }
}
