/**
 * Ahead of time: a model compiled for given shapes into a directory that runs without a compiler and without Longzhou: a shared library (or its C),
 * a header, weights, and a manifest.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ArgumentError, ShapeError } from '../../common/errors.ts'
import { formatShape, sameShape, type Shape } from '../../common/shape.ts'
import { replaceDirectory } from '../../io/atomic.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import { variableName } from '../../render/c-text.ts'
import { headerSource } from '../../runtime/ahead/header.ts'
import { exampleSource, makefileSource } from '../../runtime/ahead/project.ts'
import { modelSource } from '../../runtime/ahead/source.ts'
import { compilerFor, libraryFlags, targetNamed, type TargetName } from '../../runtime/ahead/target.ts'
import { compileSharedObject } from '../../runtime/compiler.ts'
import { codeFlags } from '../../runtime/cpu/flags.ts'
import { describePort, fitsPort } from '../predictor.ts'
import { isCompiledModel, manifestName } from './manifest-file.ts'
import { describeFile, manifestHead, type Manifest } from './manifest.ts'
import { planModel } from './plan.ts'

export interface CompileModelOptions {
  readonly model: OperatorProgram
  /** Directory to make; one that exists is replaced where it holds a compiled model, or nothing. */
  readonly directory: string
  readonly target: TargetName
  /**
   * Shapes of the inputs by name, one or more choices: the model runs at these and no others. Default: the model's own, where it leaves no axis
   * open.
   */
  readonly shapes?: readonly Readonly<Record<string, Shape>>[]
  /** `library` needs a compiler for the target, `c` none. Default `library`. */
  readonly emit?: 'library' | 'c'
  /** Of the library and its C functions: a name in C of lower-case letters, digits and underscores. Default `longzhou_model`. */
  readonly name?: string
  /** Command line of the compiler. Default: the system's; for a machine of another kind Debian's cross compiler. */
  readonly cc?: string
  /** Threads that tiles are made for; a run may use any number. Default: this machine's for `native`, else 4. */
  readonly threads?: number
}

/** A compiler that takes longer is ended: one file holds all kernels. */
const TIMEOUT_MS = 1_800_000

/** Compiles a model; resolves to the manifest. Throws ArgumentError, ShapeError, CompileError, StorageError, and what the model's operators throw. */
export async function compileModel(options: CompileModelOptions): Promise<Manifest> {
  const { model: program, emit = 'library', name = 'longzhou_model', cc, threads } = options
  const directory = resolve(options.directory)
  checkName(name)
  const shapes = shapesOf(program, options.shapes)
  const target = targetNamed(options.target, threads)
  // Before the long work: what is missing is told at once.
  const compiler = emit === 'library' ? compilerFor(target, cc) : null
  await checkReplaceable(directory)

  const { model, weights } = planModel(program, name, target, shapes)
  const header = headerSource(model)
  const source = modelSource(model)
  const flags = codeFlags(target.machineFlags, target.capabilities.vectorBytes)
  const text = new TextEncoder()
  const files = new Map<string, Uint8Array>([
    [`${name}.h`, text.encode(header)],
    ['weights.bin', weights],
  ])
  if (compiler) {
    // The header stands in the source: what the compiler reads comes through its standard input.
    const whole = source.replace(`#include "${name}.h"\n`, header)
    files.set(
      `lib${name}.so`,
      await inScratch((path) =>
        compileSharedObject(whole, path, [...flags, ...libraryFlags(name)], { compiler, timeoutMs: TIMEOUT_MS }),
      ),
    )
  } else {
    files.set(`${name}.c`, text.encode(source))
    files.set('example.c', text.encode(exampleSource(name)))
    files.set('Makefile', text.encode(makefileSource(model, flags)))
  }
  const described = (file: string) => describeFile(file, files.get(file)!)
  const manifest: Manifest = {
    ...manifestHead,
    name,
    target: {
      name: target.name,
      architecture: target.architecture,
      features: [...target.features],
      flags,
      ...(compiler && { compiler: `${compiler.family} ${compiler.version}` }),
    },
    ...(compiler ? { library: described(`lib${name}.so`) } : { source: described(`${name}.c`) }),
    header: described(`${name}.h`),
    weights: { ...described('weights.bin'), crc32: model.weights.crc32 },
    inputs: program.inputs.map((p) => ({ name: p.name, dtype: p.dtype, shape: [...p.shape] })),
    outputs: [...model.outputs],
    shapes: model.shapes.map((s) => ({
      inputs: s.inputs.map((d) => [...d]),
      outputs: s.outputs.map((d) => [...d]),
      arenaBytes: s.main.plan.arenaBytes,
    })),
    constantBytes: model.constantBytes,
    metadata: { ...program.metadata },
  }
  files.set(manifestName, text.encode(`${JSON.stringify(manifest, null, 2)}\n`))
  const write = async (file: Parameters<Parameters<typeof replaceDirectory>[1]>[0]): Promise<void> => {
    for (const [entry, bytes] of files) await file(entry, (sink) => sink.write(bytes))
  }
  await replaceDirectory(directory, write, { checkReplaceable })
  return manifest
}

function checkName(name: string): void {
  if (!/^[a-z][a-z0-9_]{0,60}$/.test(name) || variableName(name) !== name)
    throw new ArgumentError(
      `compile: the name '${name}' must be a name in C of lower-case letters, digits and underscores that C does not use itself`,
    )
}

/** The choices in the order of the inputs. Throws ArgumentError, ShapeError. */
function shapesOf(program: OperatorProgram, given: CompileModelOptions['shapes']): Shape[][] {
  const { inputs } = program
  const takes = inputs.map(describePort).join(', ')
  if (given === undefined || given.length === 0) {
    const open = inputs.filter((i) => i.shape.includes(-1))
    if (open.length === 0) return [inputs.map((i) => i.shape)]
    const example = inputs.map((i) => `${i.name}=${i.shape.map((d) => (d < 0 ? 'N' : d)).join('x')}`).join(',')
    throw new ArgumentError(
      `compile: the model takes ${takes}; say for which shapes it is compiled, with numbers for N (--shape ${example}, several times for several shapes)`,
    )
  }
  const choices = given.map((choice) => {
    const unknown = Object.keys(choice).filter((n) => !inputs.some((i) => i.name === n))
    if (unknown.length > 0)
      throw new ArgumentError(`compile: there is no input '${unknown.join("', '")}'; the model takes ${takes}`)
    return inputs.map((port) => {
      const shape = choice[port.name] ?? (port.shape.includes(-1) ? undefined : port.shape)
      if (!shape)
        throw new ArgumentError(`compile: the shape of input '${port.name}' is missing; the model takes ${takes}`)
      const isShape = shape.every((d) => Number.isSafeInteger(d) && d >= 1)
      if (!isShape || !fitsPort(port, shape))
        throw new ShapeError(`compile: the shape ${formatShape(shape)} does not fit input ${describePort(port)}`)
      return shape
    })
  })
  // The same shape twice is one.
  return choices.filter((a, i) => !choices.slice(0, i).some((b) => a.every((s, k) => sameShape(s, b[k]!))))
}

async function checkReplaceable(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR') throw new ArgumentError(`compile: '${directory}' is a file; name a directory`)
    throw error
  })
  if (names.length > 0 && !(await isCompiledModel(directory)))
    throw new ArgumentError(
      `compile: '${directory}' holds other files, which stay; name a directory that is empty or new`,
    )
}

/** The file that `make` writes at the path that it is given. */
async function inScratch(make: (path: string) => Promise<void>): Promise<Uint8Array> {
  const scratch = await mkdtemp(join(tmpdir(), 'longzhou-compile-'))
  try {
    const path = join(scratch, 'library.so')
    await make(path)
    return await readFile(path)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
