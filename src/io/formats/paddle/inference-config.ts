/**
 * `inference.yml`, which PaddleOCR and PaddleX write beside an exported network: what to do with images before it and with numbers behind
 * it. Its text travels in a program's metadata; this is its typed form.
 */
import { parse, parseDocument } from 'yaml'
import { FormatError } from '../../../common/errors.ts'

/** The key of the text in a program's metadata, and the file's name. */
export const INFERENCE_CONFIG = 'inference.yml'

/** A dictionary of all characters takes a fifth of this. */
const MAX_BYTES = 1 << 20

export type ConfigValue =
  null | boolean | number | string | readonly ConfigValue[] | { readonly [key: string]: ConfigValue }

export interface ConfigStep {
  /** Such as `NormalizeImage`, `DBPostProcess`. */
  readonly name: string
  readonly options: Readonly<Record<string, ConfigValue>>
}

export interface InferenceConfig {
  readonly modelName: string | null
  /** In the order in which they run. */
  readonly preProcess: readonly ConfigStep[]
  readonly postProcess: ConfigStep | null
  /** Characters by class, without the blank; null where the file has none. Scalars as they are written: `'0'` and `0` are the character 0. */
  readonly characters: readonly string[] | null
  /** Everything in the file, aliases resolved. */
  readonly all: Readonly<Record<string, ConfigValue>>
}

function isRecord(value: unknown): value is Readonly<Record<string, ConfigValue>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Throws FormatError on what is not such a file. */
export function parseInferenceConfig(text: string): InferenceConfig {
  if (text.length > MAX_BYTES)
    throw new FormatError(`inference.yml: ${text.length} characters, at most ${MAX_BYTES} are read`)
  let all: unknown
  let literal: unknown
  try {
    all = parse(text, { maxAliasCount: 100 })
    // The characters of a dictionary are texts, also where YAML sees a number or nothing.
    literal = parseDocument(text, { schema: 'failsafe' }).toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw new FormatError('inference.yml: not YAML', { cause })
  }
  if (!isRecord(all)) throw new FormatError('inference.yml: the file is not a map')
  const global = all['Global']
  const before = all['PreProcess']
  const after = all['PostProcess']
  const steps = isRecord(before) ? before['transform_ops'] : undefined
  const modelName = isRecord(global) ? global['model_name'] : undefined
  return {
    modelName: typeof modelName === 'string' ? modelName : null,
    preProcess: Array.isArray(steps) ? steps.map(parseStep) : [],
    postProcess: isRecord(after) ? parsePostProcess(after) : null,
    characters: charactersOf(literal),
    all,
  }
}

/** `- Name: {option: value}` or `- Name: null`. */
function parseStep(step: ConfigValue): ConfigStep {
  const [entry, ...more] = isRecord(step) ? Object.entries(step) : []
  if (!entry || more.length > 0)
    throw new FormatError('inference.yml: a step of transform_ops is not a map of one entry')
  const [name, options] = entry
  return { name, options: isRecord(options) ? options : {} }
}

function parsePostProcess(map: Readonly<Record<string, ConfigValue>>): ConfigStep | null {
  const { name, ...options } = map
  return typeof name === 'string' ? { name, options } : null
}

function charactersOf(config: unknown): readonly string[] | null {
  const after = isRecord(config) ? config['PostProcess'] : undefined
  const list = isRecord(after) ? after['character_dict'] : undefined
  if (!Array.isArray(list)) return null
  return list.map((c: unknown) => {
    if (typeof c !== 'string') throw new FormatError('inference.yml: character_dict holds what is not a text')
    return c
  })
}
