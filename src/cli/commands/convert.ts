/** `longzhou convert IN OUT --to FORMAT`: a model file in another format, run beside the original before it is called done. */
import { resolve, sep } from 'node:path'
import { liteWriters, type LiteOptions } from '../../io/formats/lite-opt.ts'
import { formatOf, modelFormats, writeModel, type ModelFormat } from '../../io/formats/model-files.ts'
import { drawSamples, outputsOf, proveEqual, type Proof } from '../../io/formats/proof.ts'
import { defaultSamples } from '../../io/formats/program/export/export.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import { TranslatedLayer } from '../../io/formats/program/translated-layer.ts'
import type { HostArray } from '../../common/dtype.ts'
import { LongzhouError } from '../../common/errors.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { readModelArgument } from '../model-argument.ts'
import { withStatus } from '../status-line.ts'

export const command: CliCommand = {
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
    tolerance: { type: 'string', description: 'Largest difference between both (Default: 1e-4)' },
    json: { type: 'boolean', description: 'Print one JSON object: path, samples, largestDifference, foreignRuntime' },
  },
  async run(args) {
    const to = args['to'] === undefined ? undefined : formatNamed(String(args['to']))
    const tolerance = args['tolerance'] === undefined ? 1e-4 : Number(args['tolerance'])
    if (!(tolerance >= 0))
      throw new UsageError(`convert: --tolerance must be a number, got '${String(args['tolerance'])}'`)
    const lite = liteOptions(args)
    const { path, ...proof } = await withStatus(async (status) => {
      status.show(`reading ${String(args['input'])}`)
      const program = await readModelArgument(args['input'])
      const layer = new TranslatedLayer(program)
      status.show(`writing ${String(args['output'])}`)
      const path = await writeModel(program, pathOf(String(args['output'])), to, { lite })
      status.show('running both on drawn inputs: kernels that the cache lacks are compiled')
      const samples = await usableSamples(program, layer)
      return { path, ...(await proveEqual(layer, program, path, { samples, tolerance })) }
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

/** Inputs of sizes that the model takes: small ones where a table of positions ends early. */
async function usableSamples(program: OperatorProgram, layer: TranslatedLayer): Promise<HostArray[][]> {
  const large = defaultSamples(program.inputs).slice(0, 2)
  const small = large.map((round) =>
    round.map((shape, i) => shape.map((d, axis) => (program.inputs[i]!.shape[axis] === -1 && axis > 0 ? d / 8 : d))),
  )
  const samples = drawSamples(program, large)
  try {
    for (const sample of samples) await outputsOf(layer, sample)
    return samples
  } catch (error) {
    if (!(error instanceof LongzhouError)) throw error
    return drawSamples(program, small)
  }
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
