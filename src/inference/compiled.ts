/**
 * The engine of models that were compiled ahead of time: a directory with a library, which runs without a compiler. Loading the library executes
 * what it holds, so that this engine takes only a directory that the caller named, whose files are those of its manifest.
 */
import { resolve, join } from 'node:path'
import { sizeOf, type HostArray } from '../common/dtype.ts'
import { readEnvironment } from '../common/env.ts'
import { ArgumentError, DeviceError, FormatError, ShapeError, UnsupportedError } from '../common/errors.ts'
import { numel, sameShape, type Shape } from '../common/shape.ts'
import { bytesOf, fromBytes } from '../io/host-array.ts'
import { NativeModel } from '../runtime/ahead/native-model.ts'
import { detectCpuFeatures } from '../runtime/cpu-features.ts'
import { allocateBuffer } from '../runtime/cpu/memory.ts'
import { describeInputs } from '../runtime/ahead/model.ts'
import { readChecked, readManifest, type Manifest } from './ahead/manifest.ts'
import { isCompiledModel } from './ahead/manifest-file.ts'
import type { EngineOptions, Model, PortInfo, Session } from './engine.ts'

/** The session of a directory that `compileModel` made. Throws ArgumentError, DeviceError, FormatError, StorageError. */
export async function openCompiled(model: Model, { device = 'cpu', threads }: EngineOptions): Promise<Session> {
  if (typeof model !== 'string')
    throw new ArgumentError('createPredictor: a compiled model is a directory; give its path')
  if (device !== 'cpu')
    throw new DeviceError(`createPredictor: a compiled model runs on device 'cpu', not on '${device}'`)
  if (!(await isCompiledModel(model)))
    throw new UnsupportedError(
      `'${model}' is no compiled model; compileModel, or longzhou compile, makes one of a model`,
    )
  return open(resolve(model), threads)
}

async function open(directory: string, threads: number | undefined): Promise<Session> {
  const manifest = await readManifest(directory)
  const { library, weights, target } = manifest
  if (!library)
    throw new FormatError(
      `'${directory}' holds C, no library; build it with its Makefile and link it, or compile the model without --emit c`,
    )
  checkMachine(target)
  await readChecked(directory, library)
  await readChecked(directory, weights)
  const { numThreads } = readEnvironment()
  const native = new NativeModel(
    join(directory, library.file),
    manifest.name,
    join(directory, weights.file),
    threads ?? numThreads ?? detectCpuFeatures().physicalCores,
  )
  return new CompiledSession(manifest, native)
}

/** Throws DeviceError where this machine cannot run what was compiled for another. */
function checkMachine({ name, architecture, features }: Manifest['target']): void {
  const machine = detectCpuFeatures()
  const advice = 'compile it with --target native, or for this machine'
  if (machine.architecture !== architecture)
    throw new DeviceError(
      `the model was compiled for ${name} (${architecture}), and this machine is ${machine.architecture}; ${advice}`,
    )
  // Where the system does not tell, the library asks the processor itself.
  const missing = machine.flags.size === 0 ? [] : features.filter((f) => !machine.flags.has(f))
  if (missing.length > 0)
    throw new DeviceError(
      `the model was compiled for ${name}, and this processor has no ${missing.join(', ')}; ${advice}`,
    )
}

class CompiledSession implements Session {
  readonly inputs: readonly PortInfo[]
  readonly outputNames: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly device = 'cpu'
  readonly constantBytes: number
  readonly #manifest: Manifest
  readonly #native: NativeModel

  constructor(manifest: Manifest, native: NativeModel) {
    this.inputs = manifest.inputs
    this.outputNames = manifest.outputs.map((o) => o.name)
    this.metadata = manifest.metadata
    this.constantBytes = manifest.constantBytes
    this.#manifest = manifest
    this.#native = native
  }

  async run(inputs: readonly HostArray[]): Promise<HostArray[]> {
    const number = this.#shapeOf(inputs.map((i) => i.shape))
    const given = inputs.map((array) => {
      const bytes = bytesOf(array)
      const buffer = allocateBuffer(bytes.length)
      buffer.view.set(bytes)
      return buffer
    })
    const shapes = this.#manifest.shapes[number]!.outputs
    const outputs = this.#manifest.outputs.map(({ dtype }, i) => allocateBuffer(numel(shapes[i]!) * sizeOf(dtype)))
    await this.#native.run(number, given, outputs)
    return this.#manifest.outputs.map(({ dtype }, i) => fromBytes(dtype, [...shapes[i]!], outputs[i]!.view))
  }

  dispose(): void {
    this.#native.dispose()
  }

  #shapeOf(shapes: readonly Shape[]): number {
    const { inputs } = this
    const number = this.#manifest.shapes.findIndex((s) => s.inputs.every((d, i) => sameShape(d, shapes[i]!)))
    if (number >= 0) return number
    const known = this.#manifest.shapes.map((s) => describeInputs(inputs, s.inputs)).join('; ')
    throw new ShapeError(
      `run: the model was not compiled for ${describeInputs(inputs, shapes)}, but for ${known}; compile it with one more --shape`,
    )
  }
}
