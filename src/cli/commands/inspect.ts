/** `longzhou inspect MODEL`: what a model file holds: inputs, outputs, operators, parameters, multiplications, what is not supported. */
import { resolve } from 'node:path'
import { numel, type Shape } from '../../common/shape.ts'
import { sizeOf } from '../../common/dtype.ts'
import { flops } from '../../hapi/index.ts'
import { defaultSamples } from '../../io/formats/program/export/export.ts'
import { slotNames, type Operation, type OperatorProgram } from '../../io/formats/program/program.ts'
import { missingOperators, TranslatedLayer } from '../../io/formats/program/translated-layer.ts'
import type { CliCommand } from '../commands.ts'
import { UsageError } from '../errors.ts'
import { isCompiledModel, readManifest, type Manifest, type PortInfo } from '../../inference/index.ts'
import { describeInputs } from '../../runtime/ahead/model.ts'
import { readModelArgument } from '../model-argument.ts'
import { shapeChoices, shapesInOrder } from '../shape-argument.ts'
import { formatBytes, formatTable } from '../ui.ts'

const port = ({ name, dtype, shape, axisNames }: PortInfo): string =>
  `${name}: ${dtype}[${shape.map((d, axis) => (d < 0 ? (axisNames?.[axis] ?? '?') : d)).join(', ')}]`

export const command: CliCommand = {
  args: {
    model: {
      type: 'positional',
      description: 'Model: a file or a directory of any format, or a compiled model',
      required: true,
    },
    shape: {
      type: 'string',
      description: 'NAME=1x3x640x640, more inputs behind commas: sizes for which multiply-accumulates are counted',
    },
    graph: { type: 'boolean', description: 'Print every operation' },
    json: {
      type: 'boolean',
      description:
        'Print one JSON object: inputs, outputs, operators, parameters, elements, bytes, macs, metadata, unsupported',
    },
  },
  async run(args) {
    const path = resolve(String(args['model']))
    if (await isCompiledModel(path)) return showCompiled(await readManifest(path), Boolean(args['json']))
    const program = await readModelArgument(path)
    const given = args['shape'] === undefined ? undefined : shapesOf(String(args['shape']), program)
    const report = describe(program, given)
    if (args['json']) {
      process.stdout.write(`${JSON.stringify(report)}\n`)
      return
    }
    const lines = [
      ...report.inputs.map((i) => `input   ${port(i)}`),
      ...program.outputs.map((o) => `output  ${outputLine(program, o)}`),
      `${report.parameters} parameters with ${report.elements.toLocaleString('en-US')} elements (${formatBytes(report.bytes)}), ${program.operations.length} operations`,
    ]
    if (report.macs) {
      const at = report.macs.shapes.map((s, i) => `${program.inputs[i]!.name} [${s.join(', ')}]`).join(', ')
      const other = given === undefined && hasOpenSizes(program) ? '; --shape counts for others' : ''
      lines.push(`${millions(report.macs.count)} multiply-accumulates for ${at}${other}`)
    } else if (Object.keys(report.unsupported).length === 0)
      lines.push('multiply-accumulates: not counted, as no size was found that the model takes; give one by --shape')
    for (const key of Object.keys(program.metadata)) lines.push(`carries ${key}`)
    const rows = Object.entries(report.operators).toSorted((a, b) => b[1] - a[1])
    lines.push(
      '',
      formatTable([['operator', 'times'], ...rows.map(([type, n]) => [type, String(n)])], ['left', 'right']),
    )
    if (args['graph']) lines.push('', ...program.operations.map(operationLine))
    const missing = Object.entries(report.unsupported)
    lines.push('', missing.length === 0 ? 'every operator is supported' : 'not supported:')
    for (const [type, places] of missing)
      lines.push(`  ${type}, ${places.length} times: ${places.slice(0, 4).join(', ')}`)
    process.stdout.write(`${lines.join('\n')}\n`)
    return missing.length === 0 ? 0 : 1
  },
}

/** What the manifest of a compiled model says; nothing of it is loaded. */
function showCompiled(manifest: Manifest, json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify(manifest)}\n`)
  const { target, library, header, source, weights } = manifest
  const features = target.features.length > 0 ? ` (${target.features.join(' ')})` : ''
  const lines = [
    `compiled for ${target.name}: ${target.architecture}${features}${target.compiler === undefined ? ', as C' : `, by ${target.compiler}`}`,
    ...manifest.inputs.map((i) => `input   ${port(i)}`),
    ...manifest.outputs.map((o) => `output  ${o.name}: ${o.dtype}`),
    ...manifest.shapes.map(
      (s, i) =>
        `shape ${i}: ${describeInputs(manifest.inputs, s.inputs)} -> ${describeInputs(manifest.outputs, s.outputs)}, ${formatBytes(s.arenaBytes)} of intermediates`,
    ),
    `${formatBytes(manifest.constantBytes)} of packed weights, computed at loading`,
    ...Object.keys(manifest.metadata).map((key) => `carries ${key}`),
  ]
  const files = [library, source, header, weights].filter((f) => f !== undefined)
  const table = formatTable([['file', 'size'], ...files.map((f) => [f.file, formatBytes(f.bytes)])], ['left', 'right'])
  process.stdout.write(`${lines.join('\n')}\n\n${table}\n`)
}

function outputLine({ values }: OperatorProgram, { value, ...own }: OperatorProgram['outputs'][number]): string {
  const info = values.get(value)
  return info ? port({ ...info, ...own }) : own.name
}

/** With the unit: 1,234.5 M, or as they are where they are few. */
function millions(count: number): string {
  return count < 1e5
    ? count.toLocaleString('en-US')
    : `${(count / 1e6).toLocaleString('en-US', { maximumFractionDigits: 1 })} M`
}

const hasOpenSizes = ({ inputs }: OperatorProgram): boolean => inputs.some((i) => i.shape.includes(-1))

/** Sizes of the inputs as they were given, in order. Throws UsageError. */
function shapesOf(text: string, { inputs }: OperatorProgram): Shape[] {
  const [choice, ...others] = shapeChoices(text, inputs, 'inspect')
  if (others.length > 0) throw new UsageError(`inspect: --shape takes one choice of sizes, '${text}' has ranges`)
  return shapesInOrder(choice!, inputs, 'inspect')
}

/** `shapes`: of the inputs, for counting; default small ones. */
function describe(program: OperatorProgram, shapes?: readonly Shape[]) {
  const operators: Record<string, number> = {}
  for (const { type } of program.operations) operators[type] = (operators[type] ?? 0) + 1
  const arrays = [...program.parameters.values()].map((p) => p.array)
  const unsupported = Object.fromEntries(missingOperators(program))
  return {
    inputs: program.inputs,
    outputs: program.outputs.map((output) => {
      const info = program.values.get(output.value)
      return { ...output, ...(info && { dtype: info.dtype, shape: info.shape }) }
    }),
    operators,
    parameters: arrays.length,
    elements: arrays.reduce((sum, a) => sum + numel(a.shape), 0),
    bytes: arrays.reduce((sum, a) => sum + numel(a.shape) * sizeOf(a.dtype), 0),
    macs: Object.keys(unsupported).length === 0 ? multiplications(program, shapes) : null,
    metadata: Object.keys(program.metadata),
    unsupported,
  }
}

/** For given sizes, or for the first ones at which an export records; null where the model does not take those. */
function multiplications(
  program: OperatorProgram,
  given: readonly Shape[] | undefined,
): { count: number; shapes: readonly Shape[] } | null {
  const shapes =
    given ??
    defaultSamples(program.inputs)[0]!.map((s, i) => (program.inputs[i]!.shape[0] === -1 ? [1, ...s.slice(1)] : s))
  try {
    const dtypes = program.inputs.map((i) => i.dtype)
    return {
      count: flops(
        new TranslatedLayer(program),
        shapes.map((s) => [...s]),
        { dtypes },
      ),
      shapes,
    }
  } catch (error) {
    // Sizes that somebody gave, and that do not fit, are an error; those that were guessed are not.
    if (given) throw error
    return null
  }
}

function operationLine({ type, inputs, outputs, attributes }: Operation): string {
  const names = (slots: Operation['inputs']): string =>
    Object.entries(slots)
      .map(([slot, held]) => `${slot}=${slotNames(held).join('+') || 'none'}`)
      .join(', ')
  const given = Object.entries(attributes).map(
    ([name, v]) => `${name}=${Array.isArray(v) ? `[${v.join(', ')}]` : String(v)}`,
  )
  return `${names(outputs)} = ${type}(${names(inputs)}${given.length > 0 ? `; ${given.join(', ')}` : ''})`
}
