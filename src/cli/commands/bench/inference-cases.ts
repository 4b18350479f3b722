/** The cases of the inference benchmark: networks at the sizes in which they serve, as files for every contestant. */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostArray } from '../../../common/dtype.ts'
import type { Shape } from '../../../common/shape.ts'
import { flops } from '../../../hapi/index.ts'
import { writeNpy } from '../../../io/files.ts'
import { readModel, writeModel } from '../../../io/formats/model-files.ts'
import { drawSamples } from '../../../io/formats/proof.ts'
import { exportProgram } from '../../../io/formats/program/export/export.ts'
import type { Exportable } from '../../../io/formats/program/export/record.ts'
import type { OperatorProgram } from '../../../io/formats/program/program.ts'
import { TranslatedLayer } from '../../../io/formats/program/translated-layer.ts'
import { InputSpec } from '../../../jit/input-spec.ts'
import { seed } from '../../../tensor/index.ts'
import { LineRecognizer, ResNet18ImageNet } from './inference-networks.ts'
import { EncoderClassifier, type EncoderSizes } from './networks.ts'

export interface InferenceCase {
  readonly name: string
  readonly description: string
  /** A network of the shared fixtures, or what makes and exports one; equal for cases over one network. */
  readonly network: string
  readonly make?: () => Promise<OperatorProgram>
  /** Whether Paddle's executor of the new IR cannot run it with oneDNN, so that Paddle gets it as `.pdmodel`. */
  readonly isLegacy?: boolean
  /** Of the inputs, in order. */
  readonly shapes: readonly Shape[]
}

/** A case's network in the forms that contestants read, and one input file for each input. */
export interface InferenceFiles {
  readonly paddle: string
  readonly legacy: string
  readonly onnx: string
  readonly inputs: readonly { readonly name: string; readonly file: string }[]
  /** Multiply-accumulates of products and convolutions in one run, counted as if each were done directly. */
  readonly macs: number
}

async function exported(layer: Exportable, shape: readonly (number | null)[], dtype: 'float32' | 'int64' = 'float32') {
  return exportProgram(layer, { inputSpec: [new InputSpec(shape, dtype, 'x')] })
}

const encoder = (sizes: EncoderSizes) => async (): Promise<OperatorProgram> =>
  exported(new EncoderClassifier(sizes), [1, 128], 'int64')

const recognizer = async (): Promise<OperatorProgram> => exported(new LineRecognizer(), [null, 3, 48, 320])

export const INFERENCE_CASES: readonly InferenceCase[] = [
  {
    name: 'det_640',
    description: 'PP-OCRv4 mobile detector, one page of 640x640',
    network: 'PP-OCRv4_mobile_det',
    isLegacy: true,
    shapes: [[1, 3, 640, 640]],
  },
  {
    name: 'rec_b1',
    description: 'recogniser in the shape of PP-OCRv4 (PP-LCNetV3, SVTR neck), one line of 48x320',
    network: 'rec_lcnet_svtr',
    make: recognizer,
    shapes: [[1, 3, 48, 320]],
  },
  {
    name: 'rec_b6',
    description: 'the same, six lines',
    network: 'rec_lcnet_svtr',
    make: recognizer,
    shapes: [[6, 3, 48, 320]],
  },
  {
    name: 'crnn_b1',
    description: 'MobileNetV3 and two LSTMs, one line of 32x320',
    network: 'rec_mv3_none_bilstm_ctc',
    shapes: [[1, 3, 32, 320]],
  },
  {
    name: 'crnn_b6',
    description: 'the same, six lines',
    network: 'rec_mv3_none_bilstm_ctc',
    shapes: [[6, 3, 32, 320]],
  },
  {
    name: 'cls',
    description: 'PP-OCR text direction classifier, one line of 48x192',
    network: 'ch_ppocr_mobile_v2.0_cls',
    shapes: [[1, 3, 48, 192]],
  },
  {
    name: 'resnet18_224',
    description: 'ResNet-18, one image of 224x224',
    network: 'resnet18',
    make: () => exported(new ResNet18ImageNet(), [1, 3, 224, 224]),
    shapes: [[1, 3, 224, 224]],
  },
  {
    name: 'ernie_nano',
    description: 'four encoder layers of width 312, 128 tokens',
    network: 'ernie_nano',
    make: encoder({ layers: 4, hidden: 312, heads: 12, feedForward: 1248 }),
    shapes: [[1, 128]],
  },
  {
    name: 'ernie_base',
    description: 'twelve encoder layers of width 768, 128 tokens',
    network: 'ernie_base',
    make: encoder({ layers: 12, hidden: 768, heads: 12, feedForward: 3072 }),
    shapes: [[1, 128]],
  },
]

/** The program of a case. `folder` is the repository's, beside which networks of others lie. Throws StorageError. */
export async function programOf({ network, make }: InferenceCase, folder: string): Promise<OperatorProgram> {
  seed(0)
  return make ? make() : readModel(join(folder, '../shared/fixtures/models', network, 'pir', 'inference'))
}

/** Inputs of a case, drawn. */
export function inputsOf({ shapes }: InferenceCase, program: OperatorProgram): Record<string, HostArray> {
  const [sample] = drawSamples(program, [shapes])
  return Object.fromEntries(program.inputs.map(({ name }, i) => [name, sample![i]!]))
}

/** Writes what contestants read below `scratch`; networks that are there already are not written again. */
export async function filesOf(test: InferenceCase, folder: string, scratch: string): Promise<InferenceFiles> {
  const directory = join(scratch, test.network)
  const [paddle, onnx] = [join(directory, 'inference.json'), join(directory, 'inference.onnx')]
  const legacy = join(directory, 'legacy.pdmodel')
  const isWritten = await stat(onnx).then(
    () => true,
    () => false,
  )
  await mkdir(directory, { recursive: true })
  const program = isWritten ? await readModel(paddle) : await programOf(test, folder)
  if (!isWritten) {
    await writeModel(program, paddle)
    if (test.isLegacy) await writeModel(program, legacy)
    await writeModel(program, onnx)
  }
  const inputs: { name: string; file: string }[] = []
  for (const [name, array] of Object.entries(inputsOf(test, program))) {
    const file = join(directory, `${test.name}-${inputs.length}.npy`)
    await writeNpy(file, array)
    inputs.push({ name, file })
  }
  const dtypes = program.inputs.map((i) => i.dtype)
  const shapes = test.shapes.map((s) => [...s])
  return { paddle, legacy, onnx, inputs, macs: flops(new TranslatedLayer(program), shapes, { dtypes }) }
}
