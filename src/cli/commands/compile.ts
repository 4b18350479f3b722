/** `longzhou compile MODEL OUT --target T`: a model as a library that needs neither a compiler nor Longzhou. */
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { compileModel, isTargetName, targetNames, type TargetName } from '../../inference/index.ts'
import type { CliCommand } from '../commands.ts'
import { commandLine } from '../command-line.ts'
import { UsageError } from '../errors.ts'
import { readModelArgument } from '../model-argument.ts'
import { shapeChoices } from '../shape-argument.ts'
import { withStatus } from '../status-line.ts'
import { formatBytes, formatTable } from '../ui.ts'

export const command: CliCommand = {
  repeatable: ['shape'],
  args: {
    model: { type: 'positional', description: 'Model: a file or a directory of any format', required: true },
    out: { type: 'positional', description: 'Directory to make', required: true },
    target: { type: 'string', description: `Machine that it is for: ${targetNames.join(', ')} (Default: native)` },
    shape: {
      type: 'string',
      description:
        'NAME=1x3x640x640, more inputs behind commas, or with ranges NAME=1..8x3x48x320..640:32; once for each choice of shapes that the model is to run at. Needed where the model leaves sizes open',
    },
    emit: {
      type: 'string',
      description: 'What to write: library, or c for C source with a Makefile (Default: library)',
    },
    name: { type: 'string', description: 'Name of the library and its C functions (Default: longzhou_model)' },
    cc: { type: 'string', description: "C compiler; default the system's, for aarch64 aarch64-linux-gnu-gcc" },
    threads: { type: 'string', description: 'Threads that tiles are made for; a run may use any number' },
    json: { type: 'boolean', description: 'Print one JSON object: directory, manifest, ms' },
  },
  async run(args) {
    const target = targetOf(args['target'] ?? 'native')
    const emit = emitOf(args['emit'] ?? 'library')
    const threads = args['threads'] === undefined ? undefined : Number(args['threads'])
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1))
      throw new UsageError(`compile: --threads must be a positive integer, got '${String(args['threads'])}'`)
    const directory = resolve(String(args['out']))
    const started = performance.now()
    const manifest = await withStatus(async (status) => {
      status.show(`reading ${String(args['model'])}`)
      const model = await readModelArgument(args['model'])
      const shapes = ((args['shape'] ?? []) as readonly string[]).flatMap((text) =>
        shapeChoices(text, model.inputs, 'compile'),
      )
      status.show(`compiling for ${target}${shapes.length > 1 ? ` at ${shapes.length} shapes` : ''}`)
      return compileModel({
        model,
        directory,
        target,
        shapes,
        emit,
        ...(args['name'] !== undefined && { name: String(args['name']) }),
        ...(args['cc'] !== undefined && { cc: String(args['cc']) }),
        ...(threads !== undefined && { threads }),
      })
    })
    const ms = Math.round(performance.now() - started)
    if (args['json']) {
      process.stdout.write(`${JSON.stringify({ directory, manifest, ms })}\n`)
      return
    }
    const files = await Promise.all(
      (await readdir(directory)).map(async (file) => [file, formatBytes((await stat(join(directory, file))).size)]),
    )
    const lines = manifest.shapes.map(
      (s, i) => `shape ${i}: ${manifest.inputs.map((p, k) => `${p.name} [${s.inputs[k]!.join(', ')}]`).join(', ')}`,
    )
    const next =
      emit === 'c'
        ? `make -C ${String(args['out'])} builds it, with example.c, on such a machine`
        : `on such a machine this runs it:\n  ${commandLine(['infer', String(args['out']), ...manifest.inputs.flatMap((i) => ['--input', `${i.name}=${i.name}.npy`])])}`
    process.stdout.write(
      `${formatTable([['file', 'size'], ...files], ['left', 'right'])}\n${lines.join('\n')}\ncompiled for ${target} in ${(ms / 1000).toFixed(1)} s; ${next}\n`,
    )
  },
}

function targetOf(value: unknown): TargetName {
  const name = String(value)
  if (!isTargetName(name))
    throw new UsageError(`compile: --target must be one of ${targetNames.join(', ')}, got '${name}'`)
  return name
}

function emitOf(value: unknown): 'library' | 'c' {
  if (value === 'library' || value === 'c') return value
  throw new UsageError(`compile: --emit must be library or c, got '${String(value)}'`)
}
