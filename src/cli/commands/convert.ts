/** `longzhou convert IN OUT --to FORMAT`: a model file in another format, run beside the original before it is called done. */
import { resolve, sep } from 'node:path'
import { liteWriters, type LiteOptions } from '../../io/formats/lite-opt.ts'
import { formatOf, modelFormats, type ModelFormat } from '../../io/formats/model-files.ts'
import { drawSamples, outputsOf, type Proof } from '../../io/formats/proof.ts'
import { defaultSamples } from '../../io/formats/program/export/export.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import { TranslatedLayer } from '../../io/formats/program/translated-layer.ts'
import { saveProven } from '../../io/formats/save-proven.ts'
import type { HostArray } from '../../common/dtype.ts'
import { CompileError, LongzhouError } from '../../common/errors.ts'
import { formatShape, type Shape } from '../../common/shape.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { readModelArgument } from '../model-argument.ts'
import { shapeChoices, shapesInOrder } from '../shape-argument.ts'
import { withStatus } from '../status-line.ts'

export const command: CliCommand = {
  repeatable: ['shape'],
  args: {
    input: { type: 'positional', description: 'Model: a file or a directory of any format', required: true },
    output: {
      type: 'positional',
      description: 'File to write, or a directory (one that exists, or ends with /), where it is called inference',
      required: true,
    },
    to: { type: 'string', description: `Format: ${modelFormats.join(', ')}; default by the ending of OUT` },
    writer: {
      type: 'string',
      description: `Of .nb: ${liteWriters.join(', ')} (Default: auto, Paddle Lite's opt where it is installed)`,
    },
    targets: { type: 'string', description: 'Of .nb by opt: what it is for, as arm,opencl or x86 (Default: arm)' },
    shape: {
      type: 'string',
      description:
        'NAME=1x3x48x320, more inputs behind commas: sizes at which both are run, once for each choice (Default: some that most models take)',
    },
    tolerance: { type: 'string', description: 'Largest difference between both (Default: 1e-4)' },
    'keep-failed': {
      type: 'boolean',
      description: 'Keep a file that computes something else in the directory OUT.failed (Default: it is removed)',
    },
    json: { type: 'boolean', description: 'Print one JSON object: path, samples, largestDifference, foreignRuntime' },
  },
  async run(args) {
    const to = args['to'] === undefined ? undefined : formatNamed(String(args['to']))
    const tolerance = args['tolerance'] === undefined ? 1e-4 : Number(args['tolerance'])
    if (!(tolerance >= 0))
      throw new UsageError(`convert: --tolerance must be a number, got '${String(args['tolerance'])}'`)
    const lite = liteOptions(args)
    const { path, proof } = await withStatus(async (status) => {
      status.show(`reading ${String(args['input'])}`)
      const program = await readModelArgument(args['input'])
      const layer = new TranslatedLayer(program)
      const shapes = ((args['shape'] ?? []) as readonly string[]).flatMap((text) =>
        shapeChoices(text, program.inputs, 'convert').map((c) => shapesInOrder(c, program.inputs, 'convert')),
      )
      status.show('running it on drawn inputs: kernels that the cache lacks are compiled')
      const samples = shapes.length > 0 ? drawSamples(program, shapes) : await usableSamples(program, layer)
      status.show(`writing ${String(args['output'])}, and running that too`)
      const keepFailed = args['keep-failed'] === true
      const options = { samples, tolerance, keepFailed, lite }
      return saveProven(layer, program, pathOf(String(args['output'])), to, options)
    })
    process.stdout.write(
      args['json'] ? `${JSON.stringify({ path, ...proof })}\n` : `${path}: ${inWords(path, proof)}\n`,
    )
  },
}

/** What was proven, and by whom. */
function inWords(path: string, { foreignRuntime, largestDifference, samples }: Proof): string {
  const also =
    foreignRuntime !== null
      ? `, in ${foreignRuntime} too`
      : formatOf(path) === 'onnx'
        ? ' (ONNX Runtime was not asked: onnxruntime-node is not installed)'
        : ''
  return `computes what the original does${also}: largest difference ${largestDifference.toExponential(1)} over ${samples} drawn inputs`
}

/** Absolute; a separator at the end, which says that a directory is meant, stays. */
function pathOf(argument: string): string {
  return /[/\\]$/.test(argument) ? resolve(argument) + sep : resolve(argument)
}

/** Inputs of sizes that the model takes: small ones where a table of positions ends early. Throws UsageError where it takes neither. */
async function usableSamples(program: OperatorProgram, layer: TranslatedLayer): Promise<HostArray[][]> {
  const large = defaultSamples(program.inputs).slice(0, 2)
  const small = large.map((round) =>
    round.map((shape, i) => shape.map((d, axis) => (program.inputs[i]!.shape[axis] === -1 && axis > 0 ? d / 8 : d))),
  )
  const isTooLarge = (error: unknown): boolean => error instanceof LongzhouError && !(error instanceof CompileError)
  try {
    return await taken(program, layer, large)
  } catch (error) {
    if (!isTooLarge(error) || !program.inputs.some((i) => i.shape.includes(-1))) throw error
  }
  try {
    return await taken(program, layer, small)
  } catch (cause) {
    if (!isTooLarge(cause)) throw cause
    const tried = [large, small].map(([round]) => round!.map(formatShape).join(', ')).join('; ')
    throw new UsageError(
      `convert: the model takes none of the sizes that were tried (${tried}): ${(cause as Error).message}. Name sizes that it takes by --shape`,
      { cause },
    )
  }
}

/** Inputs of these shapes; throws what the model throws at them. */
async function taken(
  program: OperatorProgram,
  layer: TranslatedLayer,
  shapes: readonly Shape[][],
): Promise<HostArray[][]> {
  const samples = drawSamples(program, shapes)
  for (const sample of samples) await outputsOf(layer, sample)
  return samples
}

function liteOptions(args: Readonly<Record<string, unknown>>): LiteOptions {
  const { writer, targets } = args
  const found = writer === undefined ? 'auto' : liteWriters.find((w) => w === writer)
  if (!found)
    throw new UsageError(`convert: there is no writer '${String(writer)}'; there are ${liteWriters.join(', ')}`)
  return { writer: found, ...(targets === undefined ? {} : { targets: String(targets).split(',') }) }
}

function formatNamed(name: string): ModelFormat {
  const found = modelFormats.find((f) => f === name)
  if (!found) throw new UsageError(`convert: there is no format '${name}'; there are ${modelFormats.join(', ')}`)
  return found
}
