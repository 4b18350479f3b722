/** `longzhou read MODEL IMAGE...`: reads line images with a recogniser file; what happens to the pixels is in the file. */
import { resolve } from 'node:path'
import { writeNpz } from '../../io/index.ts'
import { readLine } from '../../ocr/recognition/lines.ts'
import { TextRecognizer } from '../../ocr/recognition/recognizer.ts'
import { setDevice } from '../../tensor/device.ts'
import type { HostArray } from '../../common/dtype.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { formatTable } from '../ui.ts'

export const command: CliCommand = {
  variadic: true,
  args: {
    model: { type: 'positional', description: 'Recogniser file (.safetensors)', required: true },
    images: { type: 'positional', description: 'Image files of one line each', required: true },
    device: { type: 'string', description: 'Device: cpu, wasm, reference' },
    logits: { type: 'string', description: 'Also write the logits of each image to this .npz file' },
    json: { type: 'boolean', description: 'Print one JSON array: file, text, confidence' },
  },
  async run(args) {
    if (typeof args['device'] === 'string') setDevice(args['device'])
    const files = (args['_'] as string[]).slice(1)
    if (files.length === 0) throw new UsageError('read: give at least one image')
    const recognizer = await TextRecognizer.load(resolve(String(args['model'])))
    const logits: Record<string, HostArray> = {}
    const rows: { file: string; text: string; confidence: number }[] = []
    for (const [i, file] of files.entries()) {
      const line = await readLine(file, recognizer.spec.imageHeight, recognizer.spec.maxWidth)
      const [r] = await recognizer.read([line], { logits: true })
      const { classes } = recognizer.dictionary
      logits[String(i)] = { dtype: 'float32', shape: [r!.logits!.length / classes, classes], data: r!.logits! }
      rows.push({ file, text: r!.text, confidence: r!.confidence })
    }
    if (typeof args['logits'] === 'string') await writeNpz(resolve(args['logits']), logits)
    if (args['json']) process.stdout.write(`${JSON.stringify(rows)}\n`)
    else
      process.stdout.write(
        `${formatTable([['file', 'text', 'confidence'], ...rows.map((r) => [r.file, r.text, r.confidence.toFixed(3)])])}\n`,
      )
  },
}
