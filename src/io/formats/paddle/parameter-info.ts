/**
 * `.pdiparams.info`: what `paddle.jit.save` of Paddle 2 writes of each parameter, a pickled dictionary by name. Programs run without it; it
 * knows the paths that parameters had in the layer, and which ones were trained.
 */
import { FormatError } from '../../../common/errors.ts'
import { readPickle } from '../pickle/read.ts'
import { serializePickle } from '../pickle/write.ts'
import type { PickleDict } from '../pickle/values.ts'
import type { ModelParameter } from '../program/program.ts'

export interface ParameterInfo {
  readonly structuredName?: string
  readonly trainable?: boolean
}

/** Throws FormatError. */
export function parseParameterInfo(bytes: Uint8Array): Map<string, ParameterInfo> {
  const root = readPickle(bytes)
  if (!(root instanceof Map)) throw new FormatError('pdiparams.info: not a dictionary')
  const infos = new Map<string, ParameterInfo>()
  for (const [name, entry] of root) {
    if (typeof name !== 'string' || !(entry instanceof Map))
      throw new FormatError('pdiparams.info: not a dictionary of dictionaries')
    const structuredName = entry.get('structured_name')
    const trainable = entry.get('trainable')
    infos.set(name, {
      ...(typeof structuredName === 'string' ? { structuredName } : {}),
      ...(typeof trainable === 'boolean' ? { trainable } : {}),
    })
  }
  return infos
}

/** As Paddle 2 writes it, protocol 2. A parameter without a path has its own name. */
export function serializeParameterInfo(parameters: ReadonlyMap<string, ModelParameter>): Uint8Array {
  const entries = Array.from(parameters, ([name, { trainable, structuredName }]): [string, PickleDict] => [
    name,
    new Map<string, string | boolean>([
      ['structured_name', structuredName ?? name],
      ['stop_gradient', !trainable],
      ['trainable', trainable],
    ]),
  ])
  return serializePickle(new Map(entries), { protocol: 2 })
}
