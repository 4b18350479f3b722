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

/** For kernels that are compiled and run by this process. */
export function kernelFlags(compiler: Compiler = defaultCompiler()): string[] {
  const flags = codeFlags(compiler.machineFlags, vectorBytes(compiler.features))
  return [...flags, '-fno-semantic-interposition', '-w', '-lm']
}

/** What spares the compiler time on kernels whose loops need no regions of registers (render/c-regions.ts); nothing where it has no such choice. */
export function flagsWithoutRegions(compiler: Compiler = defaultCompiler()): string[] {
  return compiler.family === 'gcc' ? ['-fira-region=one'] : []
}
