/** How generated C is compiled. */
import { vectorBytes } from '../cpu-features.ts'
import { defaultCompiler, type Compiler } from '../compiler.ts'

/**
 * Flags for kernels on the machine that `machineFlags` name. No -ffast-math: NaN and infinity mean what they mean. Contraction to fused
 * multiply-adds is allowed, errno and floating-point traps are not looked at, and integers wrap around.
 */
export function codeFlags(machineFlags: readonly string[], vectorBytes: number): string[] {
  return [
    '-O2',
    ...machineFlags,
    // Where kernels use whole registers of AVX-512, compilers must not cut them in halves on their way through memory.
    ...(vectorBytes === 64 ? ['-mprefer-vector-width=512'] : []),
    '-fno-math-errno',
    '-fno-trapping-math',
    '-ffp-contract=fast',
    '-fopenmp-simd',
    '-fwrapv',
    '-fno-strict-aliasing',
  ]
}

/**
 * What spares gcc a third of its time on kernels that need no regions of registers (render/c-regions.ts): the passes of -O2 that find something in
 * them. Without -fexpensive-optimizations products would not become fused multiply-adds.
 */
const quickFlags = [
  '-O1',
  '-fexpensive-optimizations',
  '-fschedule-insns2',
  '-falign-functions',
  '-falign-loops',
  '-falign-jumps',
  '-fira-region=one',
]

/**
 * For kernels that are compiled and run by this process, `needsRegions` or not: by nothing else, so that what a kernel computes does not depend on
 * which others are compiled with it.
 */
export function kernelFlags(needsRegions: boolean, compiler: Compiler = defaultCompiler()): string[] {
  const flags = codeFlags(compiler.machineFlags, vectorBytes(compiler.features))
  const quick = compiler.family === 'gcc' && !needsRegions ? quickFlags : []
  return [...flags, ...quick, '-fno-semantic-interposition', '-w', '-lm']
}
