/** Compiled models in tests: programs in C around them, built by the system's compiler or for 64-bit Arm, where an emulator runs them. */
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sizeOf, viewHost, type HostArray } from '../../src/common/dtype.ts'
import { numel } from '../../src/common/shape.ts'
import type { Manifest } from '../../src/inference/index.ts'
import { compilerCandidates } from '../../src/runtime/compiler.ts'

export const hasCompiler = compilerCandidates().length > 0

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, program)))

/** Libraries of Debian's cross compiler, for the emulator. */
const sysroot = '/usr/aarch64-linux-gnu'

/** What scripts/setup-aarch64.sh installs. */
export const hasArm =
  onPath('aarch64-linux-gnu-gcc') && onPath('qemu-aarch64') && existsSync(`${sysroot}/lib/libc.so.6`)

/** Compiles C; throws what the compiler says, warnings included. */
export function compileC(compiler: string, files: readonly string[], output: string, flags: readonly string[]): void {
  const strict = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-O2']
  execFileSync(compiler, [...strict, ...flags, '-o', output, ...files, '-pthread', '-lm'], { stdio: 'pipe' })
}

/** Runs a program, in the emulator where it is for Arm. */
export function runC(program: string, args: readonly string[], arm = false): SpawnSyncReturns<string> {
  const [command, all] = arm ? ['qemu-aarch64', ['-L', sysroot, program, ...args]] : [program, [...args]]
  return spawnSync(command, all, { encoding: 'utf8', timeout: 120_000 })
}

/** The outputs of the example of a compiled model, and what it printed. Throws what it complains about. */
export function runExample(
  program: string,
  directory: string,
  manifest: Manifest,
  shape: number,
  inputs: readonly HostArray[],
  arm = false,
): HostArray[] {
  const file = (kind: string, i: number): string => join(directory, `${kind}${i}.raw`)
  inputs.forEach(({ data }, i) =>
    writeFileSync(file('in', i), new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  )
  const files = [...inputs.map((_, i) => file('in', i)), ...manifest.outputs.map((_, i) => file('out', i))]
  const { status, stderr } = runC(program, [join(directory, 'weights.bin'), '2', String(shape), ...files], arm)
  if (status !== 0) throw new Error(`the example ended with ${status}: ${stderr}`)
  return manifest.outputs.map(({ dtype }, i) => {
    const dimensions = manifest.shapes[shape]!.outputs[i]!
    const bytes = new Uint8Array(readFileSync(file('out', i)))
    if (bytes.length !== numel(dimensions) * sizeOf(dtype)) throw new Error(`output ${i} has ${bytes.length} bytes`)
    return { dtype, shape: dimensions, data: viewHost(dtype, bytes.buffer) }
  })
}

export function largestDifference(a: readonly HostArray[], b: readonly HostArray[]): number {
  let worst = 0
  a.forEach((x, i) => {
    const y = b[i]!
    if (x.dtype !== y.dtype || x.shape.join() !== y.shape.join())
      throw new Error(`output ${i} has another shape or dtype`)
    for (let k = 0; k < x.data.length; k++) {
      const difference = Math.abs(Number(x.data[k]) - Number(y.data[k]))
      worst = Math.max(worst, Number.isNaN(difference) ? Infinity : difference)
    }
  })
  return worst
}
