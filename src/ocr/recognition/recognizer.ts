/**
 * A text recogniser as one thing: network, dictionary, and what happens before and after. What was trained is what is served: the
 * file holds all of it, and whoever loads the file needs nothing else.
 */
import type { HostArray } from '../../common/dtype.ts'
import { FormatError } from '../../common/errors.ts'
import { exportProgram } from '../../io/formats/program/export/export.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import { readSafetensors, writeSafetensors } from '../../io/index.ts'
import { InputSpec } from '../../jit/input-spec.ts'
import * as nn from '../../nn/index.ts'
import { noGrad } from '../../tensor/autograd.ts'
import { indexSelect, where } from '../../tensor/index.ts'
import { fromHost, type Tensor } from '../../tensor/tensor.ts'
import { CRNN, normalizeImages, timeSteps, type CrnnOptions } from './crnn.ts'
import { decodeGreedy, type DecodedText } from './ctc-decoder.ts'
import { Dictionary } from './dictionary.ts'
import { collateLines, readLine, type TextLine } from './lines.ts'

const formatName = 'longzhou-text-recognizer'
const formatVersion = 1

/** Whether the metadata of a safetensors file say that it holds a recogniser. */
export function isRecognizer(metadata: Readonly<Record<string, string>>): boolean {
  return metadata['format'] === formatName
}

/** Shape of the input and what is done to its pixels; part of the model. */
export interface RecognizerSpec {
  readonly imageHeight: number
  readonly maxWidth: number
  /** value = (pixel / 255 - mean) / std of a grey image; padding on the right is 0. */
  readonly mean: number
  readonly std: number
  readonly postProcess: 'ctc-greedy'
}

export const baseSpec: RecognizerSpec = {
  imageHeight: 32,
  maxWidth: 320,
  mean: 0.5,
  std: 0.5,
  postProcess: 'ctc-greedy',
}

export interface Recognition extends DecodedText {
  /** Logits [T, classes] of the line, where they were asked for. */
  readonly logits?: Float32Array
}

/** A network behind the normalisation of pixels. */
class Reader extends nn.Layer {
  network: CRNN

  constructor(network: CRNN) {
    super()
    this.network = network
  }

  forward(images: Tensor): Tensor {
    return this.network(normalizeImages(images))
  }
}

export class TextRecognizer {
  readonly network: CRNN
  readonly dictionary: Dictionary
  readonly spec: RecognizerSpec

  constructor(network: CRNN, dictionary: Dictionary, spec: RecognizerSpec = baseSpec) {
    if (network.options.classes !== dictionary.classes) {
      throw new FormatError(
        `the network has ${network.options.classes} classes, the dictionary needs ${dictionary.classes} (its ${dictionary.characters.length} characters and the blank)`,
      )
    }
    this.network = network
    this.dictionary = dictionary
    this.spec = spec
  }

  /** A new, untrained recogniser over a dictionary. */
  static create(characters: readonly string[], options: Omit<CrnnOptions, 'classes'> = {}): TextRecognizer {
    const dictionary = new Dictionary(characters)
    return new TextRecognizer(new CRNN({ ...options, classes: dictionary.classes }), dictionary)
  }

  /**
   * The same recogniser over another dictionary, to be trained on: weights of the characters that both know are kept, the others start
   * as a new network's do.
   */
  withDictionary(characters: readonly string[]): TextRecognizer {
    const { classes: _, ...options } = this.network.options
    const other = TextRecognizer.create(characters, options)
    const own = this.network.stateDict()
    const fresh = other.network.stateDict()
    // Column i of the new head is that of class `from[i]` of this one, or new.
    const from = [0, ...characters.map((c) => (this.dictionary.has(c) ? this.dictionary.encode(c)[0]! : -1))]
    const known = fromHost({ dtype: 'bool', shape: [from.length], data: Uint8Array.from(from, (i) => (i < 0 ? 0 : 1)) })
    const places = fromHost({
      dtype: 'int64',
      shape: [from.length],
      data: BigInt64Array.from(from, (i) => BigInt(Math.max(i, 0))),
    })
    const head = (name: string): Tensor => where(known, indexSelect(own[name]!, places, -1), fresh[name]!)
    other.network.setStateDict({ ...own, 'head.weight': head('head.weight'), 'head.bias': head('head.bias') })
    return new TextRecognizer(other.network, other.dictionary, this.spec)
  }

  /** Logits [T, N, classes] of images uint8 [N, 1, H, W]. */
  logits(images: Tensor): Tensor {
    return this.network(normalizeImages(images))
  }

  /** Reads lines of the model's height, of any widths; each is read by itself, so that its neighbours never change its result. */
  async read(lines: readonly Omit<TextLine, 'text'>[], options: { logits?: boolean } = {}): Promise<Recognition[]> {
    this.network.eval()
    const results: Recognition[] = []
    for (const line of lines) {
      const { images } = collateLines([{ ...line, text: '' }], this.dictionary)
      const out = noGrad(() => this.logits(fromHost(images)))
      const data = (await out.data()) as Float32Array
      const [decoded] = decodeGreedy(data, timeSteps(images.shape[3]!), 1, this.dictionary)
      results.push(options.logits ? { ...decoded!, logits: data } : decoded!)
    }
    return results
  }

  /** Reads an image file, or the bytes of one, that holds one line of text. */
  async predict(image: string | Uint8Array): Promise<Recognition> {
    const [result] = await this.read([await readLine(image, this.spec.imageHeight, this.spec.maxWidth)])
    return result!
  }

  /**
   * The recogniser as a program, to be converted, compiled or served: `images` uint8 [1, 1, H, W] of any width to `logits` [T, 1, classes], with
   * the normalisation of pixels inside. Dictionary and spec travel in the metadata.
   */
  toProgram(): Promise<OperatorProgram> {
    const { imageHeight } = this.spec
    return exportProgram(new Reader(this.network), {
      inputSpec: [new InputSpec([1, 1, imageHeight, null], 'uint8', 'images')],
      outputNames: ['logits'],
      metadata: { dictionary: JSON.stringify(this.dictionary.characters), spec: JSON.stringify(this.spec) },
    })
  }

  /** Writes the whole recogniser to one file, atomically. */
  async save(path: string): Promise<void> {
    const tensors: Record<string, HostArray> = {}
    for (const [name, value] of Object.entries(this.network.stateDict())) tensors[name] = await value.hostArray()
    const { classes: _, ...options } = this.network.options
    const metadata = {
      format: formatName,
      version: String(formatVersion),
      network: JSON.stringify({ type: 'CRNN', options }),
      dictionary: JSON.stringify(this.dictionary.characters),
      spec: JSON.stringify(this.spec),
    }
    await writeSafetensors(path, tensors, metadata)
  }

  /** Reads a recogniser. @throws FormatError where the file is something else, of a newer version, or incomplete. */
  static async load(path: string): Promise<TextRecognizer> {
    const { tensors, metadata } = await readSafetensors(path)
    if (!isRecognizer(metadata))
      throw new FormatError(`${path} is no text recogniser (its format is ${metadata['format'] ?? 'not given'})`)
    if (Number(metadata['version']) > formatVersion)
      throw new FormatError(
        `${path} has version ${metadata['version']}; this build reads up to ${formatVersion}: update longzhou`,
      )
    const characters = parseMetadata<string[]>(path, metadata, 'dictionary')
    const { options } = parseMetadata<{ type: string; options: Omit<CrnnOptions, 'classes'> }>(
      path,
      metadata,
      'network',
    )
    const dictionary = new Dictionary(characters)
    const recognizer = new TextRecognizer(
      new CRNN({ ...options, classes: dictionary.classes }),
      dictionary,
      parseMetadata(path, metadata, 'spec'),
    )
    const state = Object.fromEntries(Object.entries(tensors).map(([name, array]) => [name, fromHost(array)]))
    const { missing, unexpected } = recognizer.network.setStateDict(state)
    if (missing.length > 0 || unexpected.length > 0) {
      throw new FormatError(
        `${path} does not fit its own network: missing ${missing.join(', ') || 'nothing'}; unexpected ${unexpected.join(', ') || 'nothing'}`,
      )
    }
    return recognizer
  }
}

function parseMetadata<T>(path: string, metadata: Readonly<Record<string, string>>, key: string): T {
  try {
    return JSON.parse(metadata[key] ?? '') as T
  } catch {
    throw new FormatError(`${path}: the metadata entry '${key}' is missing or no JSON`)
  }
}
